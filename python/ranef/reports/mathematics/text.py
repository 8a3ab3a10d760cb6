"""Mathematics as Unicode text."""

from __future__ import annotations

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
)
from ranef.reports.mathematics.glyphs import LETTERS, SIGNS, SPACED

_UPPER = dict(zip("0123456789+-−⊤′", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵀ′", strict=True))


@singledispatch
def text(node: Node) -> str:
    """A node in Unicode."""
    raise TypeError(f"there is no text of {type(node).__name__}")


@text.register
def _(node: Letter) -> str:
    return LETTERS[node.name].character if node.name in LETTERS else node.name


@text.register
def _(node: Word) -> str:
    return node.text


@text.register
def _(node: Operator) -> str:
    return node.name


@text.register
def _(node: Number) -> str:
    mantissa, _, exponent = node.text.replace("inf", "∞").replace("-", "−").partition("e")
    return f"{mantissa}×10{_raised(exponent.lstrip('+0') or '0')}" if exponent else mantissa


@text.register
def _(node: Sign) -> str:
    character = SIGNS[node.name].character
    return f" {character} " if node.name in SPACED else (f"{character} " if node.name == "," else character)


@text.register
def _(node: Row) -> str:
    return "".join(map(text, node.parts))


@text.register
def _(node: Indexed) -> str:
    lower = "" if node.lower is None else text(node.lower).replace(", ", ",").lstrip()
    upper = "" if node.upper is None else _raised(text(node.upper))
    lower = lower.replace("> 0", ">0")
    short = len(lower) < 2 or lower.isalnum() or (lower.endswith("]") and "," not in lower)
    below = f"_{lower}" if short else f"_{{{lower}}}"
    # What a sum is over stands before what is summed.
    gap = " " if node.base == Sign("sum") else ""
    return text(node.base) + (below if lower else "") + upper + gap


@text.register
def _(node: Ratio) -> str:
    return f"{_closed(node.above)}/{_closed(node.below)}"


@text.register
def _(node: Root) -> str:
    return f"√{_closed(node.inner)}"


@text.register
def _(node: Fenced) -> str:
    return f"{node.kind[0]}{text(node.inner)}{node.kind[1]}"


@text.register
def _(node: Grid) -> str:
    return "[" + "; ".join(", ".join(map(text, line)) for line in node.rows) + "]"


@text.register
def _(node: Choices) -> str:
    # A line each; what stands around an equation knows how far to the right they belong.
    return "\n".join(f"{'{' if k == 0 else ' '} {text(v)} {text(c)}" for k, (v, c) in enumerate(node.rows))


def _raised(upper: str) -> str:
    if all(c in _UPPER for c in upper):
        return "".join(_UPPER[c] for c in upper)
    return f"^{upper}" if upper.isalnum() or upper[:1] + upper[-1:] in ("||", "‖‖") else f"^({upper})"


def _closed(node: Node) -> str:
    alone = isinstance(node, Letter | Word | Number | Indexed | Fenced | Operator)
    return text(node) if alone else f"({text(node)})"
