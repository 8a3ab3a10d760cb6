"""Mathematics as LaTeX: amsmath in articles, and what MathJax and KaTeX read in notebooks.

Names from the data stand in ``\\text{}``, but for the characters that are commands to LaTeX, which those three spell
alike in mathematics only.
"""

from __future__ import annotations

import re
from functools import singledispatch

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

# Functions that LaTeX has a command for.
_COMMANDS = frozenset({"log", "exp", "sin", "cos", "tan", "min", "max"})
# Characters of names that are commands to LaTeX, or other characters in its text fonts.
SPECIAL = {
    "\\": r"\backslash ",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\wedge ",
    "~": r"\sim ",
    "<": "<",
    ">": ">",
    "|": r"\vert ",
}
_PIECES = re.compile("([" + re.escape("".join(SPECIAL)) + "])")


@singledispatch
def latex(node: Node) -> str:
    """A node in LaTeX's mathematics."""
    raise TypeError(f"there is no LaTeX of {type(node).__name__}")


@latex.register
def _(node: Letter) -> str:
    letter = LETTERS[node.name].latex if node.name in LETTERS else node.name
    return rf"\boldsymbol{{{letter}}}" if node.bold else letter


@latex.register
def _(node: Word) -> str:
    return named(node.text)


@latex.register
def _(node: Operator) -> str:
    if node.name in _COMMANDS:
        return rf"\{node.name}"
    # The command takes letters and digits; anything else is a name of the user's.
    return rf"\operatorname{{{node.name}}}" if node.name.isalnum() and node.name.isascii() else named(node.name)


@latex.register
def _(node: Number) -> str:
    mantissa, _, exponent = node.text.replace("inf", r"\infty ").replace("NaN", r"\text{NaN}").partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


@latex.register
def _(node: Sign) -> str:
    return "{-}" if node.name == "minus" else SIGNS[node.name].latex


@latex.register
def _(node: Row) -> str:
    found = ""
    for part in map(latex, node.parts):
        # A command ends where something other than a letter begins.
        gap = found and (re.search(r"\\[A-Za-z]+$", found) and part[:1].isalpha())
        spaced = part in (r"\sim", "=", "+", "-", r"\leq", r"\geq", r"\neq", "<", ">", r"\in", r"\mid", r"\otimes")
        found += (" " if gap or spaced or found.endswith((" =", " +", " -", ",")) else "") + part
        found += " " if spaced and not found.endswith((" =", " +", " -")) else ""
    return found.strip()


@latex.register
def _(node: Indexed) -> str:
    lower = "" if node.lower is None else f"_{{{latex(node.lower)}}}"
    upper = "" if node.upper is None else f"^{{{latex(node.upper)}}}"
    base = latex(node.base)
    # Several boxes are not one base.
    together = isinstance(node.base, Row | Fenced) or (
        isinstance(node.base, Word) and not re.fullmatch(r"\\text\{[^{}]*\}", base)
    )
    return (f"{{{base}}}" if together else base) + lower + upper


@latex.register
def _(node: Ratio) -> str:
    return rf"\frac{{{latex(node.above)}}}{{{latex(node.below)}}}"


@latex.register
def _(node: Root) -> str:
    return rf"\sqrt{{{latex(node.inner)}}}"


@latex.register
def _(node: Fenced) -> str:
    left, right = {"{}": (r"\{", r"\}"), "||": (r"\vert ",) * 2, "‖‖": (r"\Vert ",) * 2}.get(
        node.kind, tuple(node.kind)
    )
    if tall(node.inner):
        return rf"\left{left}{latex(node.inner)}\right{right}"
    return f"{left}{latex(node.inner)}{right}"


@latex.register
def _(node: Grid) -> str:
    lines = r" \\ ".join(" & ".join(map(latex, line)) for line in node.rows)
    return rf"\begin{{pmatrix}} {lines} \end{{pmatrix}}"


@latex.register
def _(node: Choices) -> str:
    lines = r" \\ ".join(f"{latex(value)} & {latex(condition)}" for value, condition in node.rows)
    return rf"\begin{{cases}} {lines} \end{{cases}}"


def named(name: str) -> str:
    """A name from the data, or words, as it may stand in mathematics."""
    pieces = [piece for piece in _PIECES.split(name) if piece]
    shown = [f"{{{SPECIAL[piece]}}}" if piece in SPECIAL else rf"\text{{{piece}}}" for piece in pieces]
    return "".join(shown) or r"\text{}"
