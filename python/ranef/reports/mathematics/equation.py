"""The equation of a model, written as LaTeX, MathML or text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.model import Model
from ranef.reports.mathematics.expressions import Line, Node, Sign, row
from ranef.reports.mathematics.latex import latex
from ranef.reports.mathematics.mathml import LEFT, RIGHT, mathml
from ranef.reports.mathematics.statements import lines_of
from ranef.reports.mathematics.text import text

FORMATS = ("latex", "mathml", "text")
# Longer right sides are broken, in characters of plain text.
WIDTH = 72


@dataclass(frozen=True)
class Equation:
    """A model as mathematics: `print` it, or let a notebook show it.

    Attributes
    ----------
    lines : tuple of Line
        What it states.
    format : {"latex", "mathml", "text"}
        What `str` gives.
    width : int
        Right sides longer than this many characters of plain text are broken.
    """

    lines: tuple[Line, ...]
    format: str = "latex"
    width: int = WIDTH

    @property
    def latex(self) -> str:
        """An ``aligned`` environment, to stand in ``$$`` or ``equation``; it needs amsmath."""
        rows = []
        for left, relation, right in self._rows():
            before = latex(left) if left else ""
            rows.append(f"{before} & {latex(relation) if relation else chr(92) + 'quad'} {latex(right)}")
        inside = " \\\\\n".join(f"  {line.strip()}" for line in rows)
        return f"\\begin{{aligned}}\n{inside}\n\\end{{aligned}}"

    @property
    def mathml(self) -> str:
        """A ``math`` element, which browsers show without a script."""
        rows = []
        for left, relation, right in self._rows():
            shown = mathml(right) if relation else f'<mrow><mspace width="1.5em"/>{mathml(right)}</mrow>'
            rows.append(
                f"<mtr><mtd {RIGHT}>{mathml(left) if left else ''}</mtd>"
                f"<mtd {LEFT}>{mathml(relation) if relation else ''}</mtd><mtd {LEFT}>{shown}</mtd></mtr>"
            )
        return (
            f'<math display="block" class="ranef-equation" alttext="{escape(self.text)}">'
            f'<mtable columnalign="right left left">{"".join(rows)}</mtable></math>'
        )

    @property
    def text(self) -> str:
        """Lines of Unicode text."""
        rows = [
            (text(left) if left else "", text(relation) if relation else "     ", text(right))
            for left, relation, right in self._rows()
        ]
        widest = max(len(left) for left, _, _ in rows)
        found = []
        for left, relation, right in rows:
            first, *others = right.split("\n")
            found.append(f"{left.rjust(widest)}{relation}{first}")
            found += [" " * (widest + len(relation)) + other for other in others]
        return "\n".join(line.rstrip() for line in found)

    def _rows(self) -> list[tuple[Node | None, Node | None, Node]]:
        """The lines with long right sides broken; continued rows have neither left side nor relation."""
        found: list[tuple[Node | None, Node | None, Node]] = []
        for line in self.lines:
            broken = _broken(line, self.width)
            for k, right in enumerate(broken):
                found.append((line.left, Sign(line.relation), right) if k == 0 else (None, None, right))
        return found

    def __str__(self) -> str:
        return str(getattr(self, self.format))

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"

    def _repr_html_(self) -> str:
        return self.mathml


def _broken(line: Line, width: int) -> list[Node]:
    """The right side in rows of pieces that are not too long together."""
    rows: list[list[Node]] = [[]]
    used = len(text(line.left))
    for piece in line.right:
        size = len(text(piece))
        if rows[-1] and used + size > width:
            rows.append([])
            used = 0
        rows[-1].append(piece)
        used += size
    if line.aside is not None:
        rows[-1] += [Sign(","), Sign("quad"), line.aside]
    return [row(*pieces) for pieces in rows]


def equation_of(
    model: Model,
    kept: dict[str, Sequence[int]],
    record: FittedModel | None = None,
    *,
    format: str = "latex",
    digits: int = 4,
    width: int = WIDTH,
) -> Equation:
    """The equation of a model: with symbols, or with the estimates of a fit.

    Parameters
    ----------
    model : Model
    kept : dict
        The columns of each component that are estimated.
    record : FittedModel or None
        The fit whose estimates stand in place of symbols.
    format : {"latex", "mathml", "text"}
    digits : int
        Significant digits of the estimates.
    width : int
        Longest right side, in characters of plain text.
    """
    if format not in FORMATS:
        raise ModelError(f"equation(format={format!r}): give one of {', '.join(map(repr, FORMATS))}.")
    for name, value in (("digits", digits), ("width", width)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ModelError(f"equation({name}={value!r}): give a whole number, 1 or more.")
    return Equation(tuple(lines_of(model, kept, record, digits)), format, width)
