"""Mathematics as a tree, which LaTeX, MathML and plain text are written from.

A node says what something is, never how it looks. An `Equation` is a list of lines, each with a left side, a relation
and a right side in pieces, between which a long line may be broken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class Node:
    """A piece of mathematics."""


@dataclass(frozen=True)
class Letter(Node):
    """A symbol: a Latin letter, or the name of a Greek one; bold for vectors and matrices."""

    name: str
    bold: bool = False


@dataclass(frozen=True)
class Word(Node):
    """Upright text, from the data or in words."""

    text: str


@dataclass(frozen=True)
class Operator(Node):
    """The name of a function or distribution, upright: ``log``, ``Poisson``."""

    name: str


@dataclass(frozen=True)
class Number(Node):
    """A number as it is printed; ``1.2e-05`` is written as a power of ten."""

    text: str


@dataclass(frozen=True)
class Sign(Node):
    """An operator, relation or mark of `glyphs.SIGNS`: ``+``, ``=``, ``~``, ``...``, ``times``."""

    name: str


@dataclass(frozen=True)
class Row(Node):
    """Nodes one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Indexed(Node):
    """A base with something below or above it; below and above the sign itself for a sum."""

    base: Node
    lower: Node | None = None
    upper: Node | None = None


@dataclass(frozen=True)
class Ratio(Node):
    """A fraction."""

    above: Node
    below: Node


@dataclass(frozen=True)
class Root(Node):
    """A square root."""

    inner: Node


@dataclass(frozen=True)
class Fenced(Node):
    """Something in brackets of a kind: ``()``, ``[]``, ``{}``, ``||``, ``‖‖``."""

    inner: Node
    kind: str = "()"


@dataclass(frozen=True)
class Grid(Node):
    """A matrix."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Choices(Node):
    """What something is in each of several cases: value and condition."""

    rows: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True)
class Line:
    """One statement of an equation.

    Attributes
    ----------
    left : Node
    relation : str
        A name of `glyphs.SIGNS`.
    right : tuple of Node
        Pieces between which the line may be broken.
    aside : Node or None
        What stands behind, as ``i = 1, ..., n``.
    """

    left: Node
    relation: str
    right: tuple[Node, ...]
    aside: Node | None = None


def row(*parts: Node) -> Node:
    """Nodes one after the other, those that are rows themselves taken apart."""
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, Row) else [part]
    return flat[0] if len(flat) == 1 else Row(tuple(flat))


def parts_of(node: Node) -> tuple[Node, ...]:
    """What a row is made of; anything else is one part."""
    return node.parts if isinstance(node, Row) else (node,)


def equal(left: Node, *right: Node, aside: Node | None = None) -> Line:
    """A statement that two things are equal, the right one in pieces."""
    return Line(left, "=", right, aside)


def listed(*parts: Node) -> Node:
    """Nodes with commas between them."""
    flat: list[Node] = []
    for k, part in enumerate(parts):
        flat += [Sign(","), part] if k else [part]
    return row(*flat)


def applied(name: str | Node, *arguments: Node) -> Node:
    """A function of some arguments."""
    return row(Operator(name) if isinstance(name, str) else name, Fenced(listed(*arguments)))


def indexed(base: Node, *lower: Node) -> Node:
    """A base with indices, added to those it has."""
    if isinstance(base, Indexed):
        have = () if base.lower is None else (base.lower,)
        return Indexed(base.base, listed(*have, *lower), base.upper)
    return Indexed(base, listed(*lower))


def power(base: Node, exponent: Node) -> Node:
    """A base to a power, in brackets where it is more than a symbol."""
    if isinstance(base, Indexed) and base.upper is None:
        return Indexed(base.base, base.lower, exponent)
    if isinstance(base, Number) and base.text.startswith("-"):
        return Indexed(Fenced(base), None, exponent)
    return Indexed(
        base if isinstance(base, Letter | Word | Number | Fenced | Operator) else Fenced(base), None, exponent
    )


def squared(base: Node) -> Node:
    """The square of something; nought and one are their own."""
    return base if base in (Number("0"), Number("1")) else power(base, Number("2"))


def product(*factors: Node) -> Node:
    """Factors side by side."""
    parts: list[Node] = []
    for k, factor in enumerate(factors):
        parts += [Sign("thin"), factor] if k else [factor]
    return row(*parts)


def total(terms: Iterable[tuple[str, Node]]) -> tuple[Node, ...]:
    """A sum in pieces, one for each term with its sign."""
    pieces: list[Node] = []
    for sign, term in terms:
        if not pieces:
            pieces.append(row(Sign("minus"), term) if sign == "-" else term)
        else:
            pieces.append(row(Sign(sign), term))
    return tuple(pieces) or (Number("0"),)


def difference(first: Node, second: Node) -> Node:
    """One thing less another; less a negative number is plus."""
    return row(first, *_signed_parts("-", second))


def plus(first: Node, second: Node) -> Node:
    """One thing and another; plus a negative number is minus."""
    return row(first, *_signed_parts("+", second))


def _signed_parts(sign: str, node: Node) -> tuple[Node, ...]:
    leading, *rest = parts_of(node)
    if isinstance(leading, Number) and leading.text.startswith("-"):
        sign, leading = ("+" if sign == "-" else "-"), Number(leading.text[1:])
    return (Sign(sign), leading, *rest)


def ranging(letter: str, last: int) -> Node:
    """``j = 1, ..., 18``."""
    ends = [Number("1")] if last == 1 else [Number("1"), Sign("..."), Number(f"{last:d}")]
    return row(Letter(letter), Sign("="), listed(*(ends if last != 2 else [Number("1"), Number("2")])))


def number(value: float, significant: int = 4) -> Number:
    """A number with some significant digits, in powers of ten when it is very large or small."""
    if not math.isfinite(value):
        return Number("NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf"))
    if value == 0.0:
        return Number("0")
    if not 1e-4 <= abs(value) < 1e7:
        return Number(f"{value:.{significant - 1}e}")
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    return Number(f"{value:.{decimals}f}")


def signed(value: Number) -> tuple[str, Number]:
    """The sign of a number, and the number without it."""
    return ("-", Number(value.text[1:])) if value.text.startswith("-") else ("+", value)


def matrix(rows: Sequence[Sequence[Node]]) -> Grid:
    """A matrix of nodes."""
    return Grid(tuple(tuple(line) for line in rows))


def dots_between(nodes: Sequence[Node], most: int) -> list[Node]:
    """All nodes, or where there are more than `most` the first, dots, and the last."""
    return list(nodes) if len(nodes) <= most else [*nodes[: most - 2], Sign("..."), nodes[-1]]


def tall(node: Node) -> bool:
    """Whether brackets around it must grow."""
    if isinstance(node, Row):
        return any(map(tall, node.parts))
    if isinstance(node, Indexed):
        return tall(node.base)
    return isinstance(node, Ratio | Root | Grid) or (isinstance(node, Fenced) and tall(node.inner))
