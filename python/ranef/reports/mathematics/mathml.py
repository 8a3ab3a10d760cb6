"""Mathematics as MathML (Core), which every browser shows without a script."""

from __future__ import annotations

from functools import singledispatch
from html import escape

from ranef.reports.mathematics.expressions import (
    Choices,
    Fenced,
    Grid,
    Indexed,
    Letter,
    Node,
    Number,
    Operator,
    Ratio,
    Root,
    Row,
    Sign,
    Word,
    tall,
)
from ranef.reports.mathematics.glyphs import LETTERS, SIGNS

# MathML Core knows no alignment of columns but by style, and Chromium aligns blocks by the second name only.
LEFT, RIGHT = (
    f'style="text-align:{side};text-align:-webkit-{side};padding:0.25em 0.15em"' for side in ("left", "right")
)
_SPACES = {"thin": "0.17em", "quad": "1em"}


@singledispatch
def mathml(node: Node) -> str:
    """A node in MathML."""
    raise TypeError(f"there is no MathML of {type(node).__name__}")


@mathml.register
def _(node: Letter) -> str:
    letter = LETTERS[node.name].character if node.name in LETTERS else escape(node.name)
    return f'<mi mathvariant="normal" style="font-weight:bold">{letter}</mi>' if node.bold else f"<mi>{letter}</mi>"


@mathml.register
def _(node: Word) -> str:
    # Spaces at the ends of text are dropped, unless they do not break.
    return f"<mtext>{escape(node.text).replace(' ', '&#160;')}</mtext>"


@mathml.register
def _(node: Operator) -> str:
    return f'<mi mathvariant="normal">{escape(node.name)}</mi>'


@mathml.register
def _(node: Number) -> str:
    mantissa, _, exponent = node.text.replace("inf", "∞").partition("e")
    sign = "<mo>−</mo>" if mantissa.startswith("-") else ""
    found = f"{sign}<mn>{mantissa.lstrip('-')}</mn>"
    if exponent:
        raised = f"<mn>{abs(int(exponent))}</mn>"
        raised = f"<mrow><mo>−</mo>{raised}</mrow>" if int(exponent) < 0 else raised
        found += f"<mo>×</mo><msup><mn>10</mn>{raised}</msup>"
    return found if found.startswith("<mn>") and not exponent else f"<mrow>{found}</mrow>"


@mathml.register
def _(node: Sign) -> str:
    if node.name in _SPACES:
        return f'<mspace width="{_SPACES[node.name]}"/>'
    shown = escape(SIGNS[node.name].character)
    if node.name in ("...", "cdot"):
        return f"<mi>{shown}</mi>"
    if node.name == "minus":
        return f'<mo form="prefix">{shown}</mo>'
    if node.name == "given":
        return f'<mo stretchy="false" lspace="0.28em" rspace="0.28em">{shown}</mo>'
    # A sum goes on where a line was broken.
    form = ' form="infix"' if node.name in ("+", "-") else ""
    return f"<mo{form}>{shown}</mo>"


@mathml.register
def _(node: Row) -> str:
    return f"<mrow>{''.join(map(mathml, node.parts))}</mrow>"


@mathml.register
def _(node: Indexed) -> str:
    around = node.base == Sign("sum")
    below, above, both = ("munder", "mover", "munderover") if around else ("msub", "msup", "msubsup")
    if node.lower is None and node.upper is None:
        return mathml(node.base)
    tag = both if node.lower is not None and node.upper is not None else (below if node.upper is None else above)
    parts = [mathml(part) for part in (node.base, node.lower, node.upper) if part is not None]
    return f"<{tag}>{''.join(parts)}</{tag}>"


@mathml.register
def _(node: Ratio) -> str:
    return f"<mfrac>{mathml(node.above)}{mathml(node.below)}</mfrac>"


@mathml.register
def _(node: Root) -> str:
    return f"<msqrt>{mathml(node.inner)}</msqrt>"


@mathml.register
def _(node: Fenced) -> str:
    left, right = map(escape, node.kind)
    grows = "" if tall(node.inner) else ' stretchy="false"'
    inner = mathml(node.inner)
    return f'<mrow><mo form="prefix"{grows}>{left}</mo>{inner}<mo form="postfix"{grows}>{right}</mo></mrow>'


@mathml.register
def _(node: Grid) -> str:
    lines = "".join("<mtr>" + "".join(f"<mtd>{mathml(cell)}</mtd>" for cell in line) + "</mtr>" for line in node.rows)
    return f'<mrow><mo form="prefix">(</mo><mtable>{lines}</mtable><mo form="postfix">)</mo></mrow>'


@mathml.register
def _(node: Choices) -> str:
    lines = "".join(
        f"<mtr><mtd {LEFT}>{mathml(value)}</mtd><mtd {LEFT}>{mathml(condition)}</mtd></mtr>"
        for value, condition in node.rows
    )
    return f'<mrow><mo form="prefix">{{</mo><mtable>{lines}</mtable></mrow>'
