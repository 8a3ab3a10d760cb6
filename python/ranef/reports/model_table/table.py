"""What a table of models is made of, whatever it is written as."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Estimate, uncertainty or count, with what may stand around it: brackets, stars, an inequality.
_NUMBER = re.compile(r"[\[(<]?[-−]?\d+(?P<right>(\.\d+)?(e[-+]\d+)?[\])*+†]*.*)")


@dataclass(frozen=True)
class TableRow:
    """A row: what it is, and a cell for each column; empty where a model does not have it."""

    label: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class TableSection:
    """Rows under a title of their own."""

    title: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True)
class TableContents:
    """A table of models.

    Attributes
    ----------
    names : tuple of str
        The models.
    heads : tuple of str
        What each of a model's columns holds; one empty head where a model has one column.
    sections : tuple of TableSection
    notes : tuple of str
    title : str
    """

    names: tuple[str, ...]
    heads: tuple[str, ...]
    sections: tuple[TableSection, ...]
    notes: tuple[str, ...]
    title: str = ""

    @property
    def columns(self) -> int:
        """Number of columns besides the labels."""
        return len(self.names) * len(self.heads)

    def lines(self) -> list[tuple[str, ...]]:
        """All rows of all sections as they stand, labels first."""
        return [(row.label, *row.cells) for section in self.sections for row in section.rows]


@dataclass(frozen=True)
class Aligned:
    """A cell with what is missing on its sides for its decimal point to stand below the others, in characters that are
    not shown."""

    left: str
    text: str
    right: str


def aligned(cells: list[str]) -> list[Aligned]:
    """The cells of a column, padded so that decimal points are in one line when the column is centred.

    Text that is no number, and intervals, stay in the centre.

    Examples
    --------
    >>> [a.left + a.text + a.right for a in aligned(["10.47", "(1.5)", "180"])]
    ['110.47', '1(1.5)', '180.47']
    """
    parts = [_split(cell) for cell in cells]
    lefts = [left for left, _ in filter(None, parts)]
    rights = [right for _, right in filter(None, parts)]
    widest_left, widest_right = max(lefts, key=len, default=""), max(rights, key=len, default="")
    found = []
    for cell, part in zip(cells, parts, strict=True):
        if part is None:
            found.append(Aligned("", cell, ""))
            continue
        left, right = part
        found.append(Aligned(widest_left[: len(widest_left) - len(left)], cell, widest_right[len(right) :]))
    return found


def _split(cell: str) -> tuple[str, str] | None:
    """What stands before the decimal point and from it on; None where the cell is no one number."""
    match = _NUMBER.fullmatch(cell)
    if match is None or "," in cell:
        return None
    return cell[: match.start("right")], match["right"]
