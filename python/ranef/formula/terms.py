"""A tree to terms: fixed effects, offsets and random-effects terms, by the algebra of Wilkinson & Rogers.

``a * b`` is ``a + b + a:b``; ``a / b`` is ``a + a:b``; ``(a + b) ** 2`` crosses up to second order; ``- t`` removes;
``0`` and ``- 1`` remove the intercept. ``(lhs | group)`` is a random-effects term, ``name(lhs | group, ...)`` one with
the covariance structure of that name, ``(lhs || group)`` one without correlations. Terms are sorted by order, the
intercept first, as formulaic and R sort them.

Reference: Wilkinson & Rogers (1973), Symbolic description of factorial models for analysis of variance, JRSS C 22.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ranef.errors import FormulaError, did_you_mean
from ranef.formula.functions import CONSTANTS, SMOOTHS
from ranef.formula.parser import (
    ALLOWED,
    DEEPEST,
    Binary,
    Call,
    Name,
    Node,
    Number,
    Paren,
    Sequence,
    Text,
    Tree,
    Unary,
    parse,
)
from ranef.formula.smooths.smooth import Smooth, smooth_of

__all__ = [
    "COORDINATES",
    "COVARIANCES",
    "KNOWN",
    "SERIAL",
    "Bar",
    "Term",
    "Terms",
    "signed_items",
    "terms_of",
    "variables_of",
]

#: The covariance structures of the language; the engine's catalogue says which of them are fitted.
COVARIANCES: tuple[str, ...] = (
    "us",
    "diag",
    "homdiag",
    "cs",
    "homcs",
    "ar1",
    "hetar1",
    "ou",
    "toep",
    "homtoep",
    "exp",
    "gau",
    "mat",
    "rr",
    "propto",
    "equalto",
    "car",
    "icar",
    "rw1",
    "rw2",
)
#: Structures over distances: their left side names coordinates.
COORDINATES = frozenset({"ou", "exp", "gau", "mat"})
#: Structures over equally spaced occasions: their left side is one factor of time, without intercept.
SERIAL = frozenset({"ar1", "hetar1", "toep", "homtoep", "rw1", "rw2"})
#: Structures over a known matrix, given beside the term.
KNOWN = frozenset({"propto", "equalto", "car", "icar"})
_POSITIONAL = {"rr": ("d",), **dict.fromkeys(KNOWN, ("matrix",))}
_MOST_TERMS = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A product of columns; without factors it is the intercept.

    Attributes
    ----------
    factors : tuple of Node
        In the order they were first written.
    """

    factors: tuple[Node, ...]

    @property
    def key(self) -> frozenset[str]:
        """What makes two terms the same: ``a:b`` is ``b:a``."""
        return frozenset(node.text for node in self.factors)

    @property
    def text(self) -> str:
        """The term as a formula would have it; ``1`` for the intercept."""
        return ":".join(node.text for node in self.factors) or "1"

    def times(self, other: Term) -> Term:
        """Multiply: factors that both have count once."""
        mine = self.key
        return Term(self.factors + tuple(node for node in other.factors if node.text not in mine))


@dataclass(frozen=True, slots=True, eq=False)
class Bar:
    """A random-effects term as written; a nested one stands for several grouping factors.

    Attributes
    ----------
    text : str
        As the user wrote it.
    key : str
        In its one spelling.
    start, end : int
        Its span in the formula.
    structure : str
        The covariance structure; ``"us"`` for ``(x | g)``, ``"diag"`` for ``(x || g)``.
    options : mapping
        What was given beside the term: ``rr(x | g, d = 2)`` has ``{"d": 2}``. A name stands as text.
    terms : tuple of Term
        The left side. Coordinates are terms of one name each.
    groups : tuple of tuple of Node
        The grouping factors, each a tuple of the parts whose combinations are its levels.
    """

    text: str
    key: str
    start: int
    end: int
    structure: str
    options: Mapping[str, Any]
    terms: tuple[Term, ...]
    groups: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A formula taken apart.

    Attributes
    ----------
    source : str
    response : Node or None
    fixed : tuple of Term
    offsets : tuple of Node
        The arguments of ``offset(...)``, to be added up.
    bars : tuple of Bar
    smooths : tuple of Smooth
    """

    source: str
    response: Node | None
    fixed: tuple[Term, ...]
    offsets: tuple[Node, ...]
    bars: tuple[Bar, ...]
    smooths: tuple[Smooth, ...] = ()


def terms_of(
    formula: str | Tree, covariances: Collection[str] | None = None, columns: Iterable[str] | None = None
) -> Terms:
    """Take a formula apart.

    Parameters
    ----------
    formula : str or Tree
    covariances : collection of str, optional
        The structures that may be named; those of the language by default.
    columns : iterable of str, optional
        What the dot stands for.

    Returns
    -------
    Terms

    Raises
    ------
    FormulaError
        With a caret under the part that is no term.

    Examples
    --------
    >>> terms = terms_of("y ~ a * b + (1 | g / h)")
    >>> [term.text for term in terms.fixed], [[node.text for node in group] for group in terms.bars[0].groups]
    (['1', 'a', 'b', 'a:b'], [['g'], ['g', 'h']])
    """
    tree = parse(formula) if not isinstance(formula, Tree) else formula
    known = COVARIANCES if covariances is None else tuple(covariances)
    dot = None if columns is None else tuple(columns)
    return _Algebra(tree.source, known, dot).formula(tree)


def signed_items(node: Node) -> list[tuple[int, Node]]:
    """Flatten a sum into its items, left to right, each with its sign; parentheses around sums are opened."""
    stack, items = [(1, node)], []
    while stack:
        sign, item = stack.pop()
        if isinstance(item, Binary) and item.operator in "+-":
            stack.append((sign if item.operator == "+" else -sign, item.right))
            stack.append((sign, item.left))
        elif isinstance(item, Unary) and item.operator in "+-":
            stack.append((sign if item.operator == "+" else -sign, item.operand))
        elif isinstance(item, Paren) and not _is_bar(item.inner):
            stack.append((sign, item.inner))
        else:
            items.append((sign, item))
    return items


def variables_of(node: Node, columns: Collection[str] = ()) -> list[Name]:
    """Return the names in a tree that stand for columns, in order of appearance."""
    found: dict[str, Name] = {}
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, Name):
            constant = not item.quoted and item.name in CONSTANTS and item.name not in columns
            if not constant and not item.name.startswith("contr."):
                found.setdefault(item.name, item)
        elif isinstance(item, Call):
            values = list(item.args) + [value for _, value in item.keywords]
            if item.function == "C":  # what follows the factor names a coding
                values = values[:1]
            elif item.function.startswith("contr.") or item.function in ("Treatment", "Sum", "Helmert", "Poly", "Diff"):
                values = []
            stack.extend(reversed(values))
        elif isinstance(item, Binary):
            stack.extend((item.right, item.left))
        elif isinstance(item, Unary):
            stack.append(item.operand)
        elif isinstance(item, Paren):
            stack.append(item.inner)
        elif isinstance(item, Sequence):
            stack.extend(reversed(item.items))
    return list(found.values())


def _is_bar(node: Node) -> bool:
    return isinstance(node, Binary) and node.operator in ("|", "||")


def _column(name: str, place: Node) -> Name:
    plain = name.replace(".", "_").isidentifier()
    return Name(name if plain else f"`{name}`", place.start, place.end, 1, name, True)


class _Algebra:
    """The rules that turn one formula's tree into terms."""

    def __init__(self, source: str, covariances: tuple[str, ...], dot: tuple[str, ...] | None) -> None:
        self.source = source
        self.covariances = covariances
        self.dot = dot

    def fail(self, node: Node, message: str) -> FormulaError:
        return FormulaError.at(self.source, node.start, node.end, message)

    def formula(self, tree: Tree) -> Terms:
        inner = tree.left.inner if isinstance(tree.left, Paren) else tree.left
        if tree.left is not None and inner is not None and _is_bar(inner):
            raise self.fail(tree.left, "a random-effects term cannot stand on the left of ~")
        fixed: dict[frozenset[str], Term] = {frozenset(): Term(())}
        offsets: dict[str, Node] = {}
        bars: dict[str, Bar] = {}
        smooths: dict[str, Smooth] = {}
        for sign, item in signed_items(tree.right):
            bar = self.bar(item)
            if bar is not None:
                if sign < 0:
                    bars.pop(bar.key, None)
                elif bar.key in bars:
                    raise self.fail(item, f"{bar.key} stands in the formula twice")
                else:
                    bars[bar.key] = bar
            elif isinstance(item, Call) and item.function in SMOOTHS:
                smooth = smooth_of(item, self.source)
                key = smooth.label + (f":{smooth.by.text}" if smooth.by is not None else "")
                if sign < 0:
                    smooths.pop(key, None)
                elif key in smooths:
                    raise self.fail(item, f"{key} stands in the formula twice")
                else:
                    smooths[key] = smooth
            elif isinstance(item, Call) and item.function == "offset":
                node = self.only_argument(item)
                if sign > 0 and node.text in offsets:
                    raise self.fail(item, f"offset({node.text}) stands in the formula twice")
                if sign > 0:
                    offsets[node.text] = node
                elif offsets.pop(node.text, None) is None:
                    raise self.fail(item, "there is no such offset to take out; its negative is offset(-x)")
            elif isinstance(item, Number):
                self.intercept(fixed, sign, item)
            else:
                self.add(fixed, sign, self.product(item))
        return Terms(
            tree.source,
            tree.left,
            _sorted(fixed),
            tuple(offsets.values()),
            tuple(bars.values()),
            tuple(smooths.values()),
        )

    def add(self, fixed: dict[frozenset[str], Term], sign: int, terms: Iterable[Term]) -> None:
        for term in terms:
            if sign < 0:
                fixed.pop(term.key, None)
            else:
                fixed.setdefault(term.key, term)

    def intercept(self, fixed: dict[frozenset[str], Term], sign: int, item: Number) -> None:
        """Let 1 and - 0 put the intercept in, 0 and - 1 take it out; no other number is a term."""
        if item.value not in (0.0, 1.0):
            raise self.fail(item, f"{item.text} is no term: only 0 and 1 are; arithmetic goes into I(), as in I(2 * x)")
        if (item.value == 1.0) == (sign > 0):
            fixed.setdefault(frozenset(), Term(()))
        else:
            fixed.pop(frozenset(), None)

    def sum(self, node: Node, implicit_intercept: bool) -> dict[frozenset[str], Term]:
        """Add up a sum that may hold no random-effects terms and no offsets."""
        terms: dict[frozenset[str], Term] = {frozenset(): Term(())} if implicit_intercept else {}
        for sign, item in signed_items(node):
            if isinstance(item, Number):
                self.intercept(terms, sign, item)
            else:
                self.add(terms, sign, self.product(item))
        return terms

    def product(self, node: Node) -> list[Term]:
        """Expand what stands between two plus signs."""
        if node.depth > DEEPEST:
            raise self.fail(node, f"the formula is nested more than {DEEPEST} deep")
        if isinstance(node, Name):
            return self.name(node)
        if isinstance(node, Call):
            if self.bar(node) is not None:
                raise self.fail(node, "a random-effects term can only be added, not crossed or nested")
            if node.function == "offset":
                raise self.fail(node, "offset() can only be added, on its own, to the fixed effects")
            if node.function in SMOOTHS:
                raise self.fail(
                    node,
                    f"a smooth can only be added, on its own, to the fixed effects; a curve for each level of f is "
                    f"{node.function}({', '.join(arg.text for arg in node.args)}, by = f)",
                )
            if node.function == "cbind":
                raise self.fail(node, "cbind() stands on the left of ~, as in cbind(successes, failures) ~ x")
            return [Term((node,))]
        if isinstance(node, Number):
            if node.value == 1.0:
                return [Term(())]
            if node.value == 0.0:
                return []
            raise self.fail(node, "arithmetic goes into I(), as in I(2 * x); here * and / build interactions")
        if isinstance(node, Paren):
            if _is_bar(node.inner):
                raise self.fail(node, "a random-effects term can only be added, not crossed or nested")
            return list(self.sum(node.inner, False).values())
        if isinstance(node, Binary):
            return self.binary(node)
        if isinstance(node, Text):
            raise self.fail(node, "a text in quotes is no term; write a column's name without quotes or in backquotes")
        raise self.fail(node, f"`{node.text}` is no term; arithmetic goes into I()")

    def name(self, node: Name) -> list[Term]:
        if node.name == "." and not node.quoted:
            if self.dot is None:
                raise self.fail(node, "the dot stands for the other columns of the data in the main formula only")
            return [Term((_column(name, node),)) for name in self.dot]
        if not node.quoted and node.name in CONSTANTS and node.name not in (self.dot or ()) and "pi" not in node.name:
            raise self.fail(node, f"`{node.name}` is a constant, not a column")
        return [Term((node,))]

    def binary(self, node: Binary) -> list[Term]:
        if _is_bar(node):
            raise self.fail(node, f"a random-effects term needs parentheses around it, as in (1 {node.operator} g)")
        if node.operator in ("==", "!=", "<", "<=", ">", ">=", "&", "%%"):
            raise self.fail(node, f"wrap arithmetic in I(): I({node.text})")
        if node.operator in "+-":
            return list(self.sum(node, False).values())
        left = self.product(node.left)
        if node.operator == "**":
            return self.power(node, left)
        right = self.product(node.right)
        if node.operator in ("*", "/") and (left == [] or right == []):
            raise self.fail(node, "arithmetic goes into I(), as in I(x / 2); here * and / build interactions")
        if len(left) * len(right) > _MOST_TERMS:
            raise self.fail(node, f"this expands to more than {_MOST_TERMS} terms")
        if node.operator == "/":
            whole = Term(())
            for term in left:
                whole = whole.times(term)
            return _distinct(left + [whole.times(term) for term in right])
        crossed = [a.times(b) for a in left for b in right]
        return _distinct(left + right + crossed if node.operator == "*" else crossed)

    def power(self, node: Binary, base: list[Term]) -> list[Term]:
        exponent = node.right
        if not isinstance(exponent, Number) or not 1 <= exponent.value <= 20 or exponent.value != int(exponent.value):
            raise self.fail(node.right, "terms are crossed up to a whole order from 1 to 20, as in (a + b)^2")
        dot = isinstance(node.left, Name) and node.left.name == "." and not node.left.quoted
        if isinstance(node.left, Name | Call) and not dot and exponent.value > 1:
            raise self.fail(
                node, f"a column crossed with itself is itself: for its power write I({node.left.text}^{exponent.text})"
            )
        result = base
        for _ in range(int(exponent.value) - 1):
            if len(result) * len(base) > _MOST_TERMS:
                raise self.fail(node, f"this expands to more than {_MOST_TERMS} terms")
            larger = _distinct([*result, *(a.times(b) for a in result for b in base)])
            if len(larger) == len(result):
                break
            result = larger
        return result

    def only_argument(self, call: Call) -> Node:
        if len(call.args) != 1 or call.keywords:
            raise self.fail(call, f"{call.function}() takes one argument")
        return call.args[0]

    def bar(self, item: Node) -> Bar | None:
        """Read ``(lhs | group)`` or ``name(lhs | group, ...)``; None for anything else."""
        structure, options = "us", {}
        if isinstance(item, Paren) and isinstance(item.inner, Binary) and _is_bar(item.inner):
            inside = item.inner
        elif (
            isinstance(item, Call)
            and item.args
            and isinstance(first := item.args[0], Binary)
            and _is_bar(first)
            and (item.function in self.covariances or item.function in COVARIANCES or item.function not in ALLOWED)
        ):
            if item.function not in self.covariances:
                hint = did_you_mean(item.function, self.covariances)
                raise FormulaError.at(
                    self.source,
                    item.start,
                    item.start + len(item.function),
                    f"`{item.function}` is not a covariance structure; {hint}",
                )
            inside, structure, options = first, item.function, self.options(item)
        else:
            return None
        if isinstance(inside.left, Binary) and _is_bar(inside.left):
            raise self.fail(inside, "a random-effects term has one bar; add a term for each grouping factor")
        if inside.operator == "||":
            if structure not in ("us", "diag"):
                raise self.fail(item, f"`||` asks for no correlations and {structure}() for its own; use one bar")
            structure = "diag"
        terms = self.coordinates(structure, inside.left) if structure in COORDINATES else self.left_side(inside.left)
        if structure in SERIAL and (len(terms) != 1 or not terms[0].factors):
            raise self.fail(
                inside.left,
                f"{structure}() orders the levels of one factor of time: {structure}(0 + time | {inside.right.text})",
            )
        groups = tuple(_distinct_groups(self.groups(inside.right)))
        if () in groups and structure not in KNOWN | COORDINATES | SERIAL:
            raise self.fail(inside.right, "`1` is no grouping factor; name a column, as in (1 | g)")
        return Bar(
            self.source[item.start : item.end],
            item.text,
            item.start,
            item.end,
            structure,
            options,
            terms,
            groups,
        )

    def left_side(self, node: Node) -> tuple[Term, ...]:
        terms = self.sum(node, True)
        if not terms:
            raise self.fail(node, "nothing varies in this random-effects term; an intercept alone is (1 | g)")
        return _sorted(terms)

    def coordinates(self, structure: str, node: Node) -> tuple[Term, ...]:
        """Read the left side of a structure over distances: names of columns, an intercept counting for nothing."""
        terms = tuple(term for term in self.sum(node, False).values() if term.factors)
        for term in terms:
            if len(term.factors) != 1 or not isinstance(term.factors[0], Name):
                raise self.fail(
                    node, f"the left side of {structure}() names its coordinates, as in {structure}(x + y | g)"
                )
        if not terms or (structure == "ou" and len(terms) > 1):
            example = "ou(time | g)" if structure == "ou" else f"{structure}(x + y | g)"
            raise self.fail(node, f"the left side of {structure}() names its coordinates, as in {example}")
        return terms

    def groups(self, node: Node) -> list[tuple[Node, ...]]:
        """Expand the right side of a bar into grouping factors, each a tuple of parts."""
        if node.depth > DEEPEST:
            raise self.fail(node, f"the formula is nested more than {DEEPEST} deep")
        if isinstance(node, Paren):
            return self.groups(node.inner)
        if isinstance(node, Call) and node.function == "interaction":
            parts: tuple[Node, ...] = ()
            for argument in node.args:
                parts = _joined(parts, *self.groups(argument))
            return [parts] if parts else []
        if isinstance(node, Call) and node.function in ("factor", "as.factor") and len(node.args) == 1:
            return self.groups(node.args[0]) if isinstance(node.args[0], Name) else [(node,)]
        if isinstance(node, Number) and node.value == 1:
            return [()]
        if isinstance(node, Name) and node.name == "." and not node.quoted:
            raise self.fail(node, "the dot cannot be a grouping factor; name the column")
        if isinstance(node, Name | Call):
            return [(node,)]
        if isinstance(node, Binary) and node.operator in (":", "%in%", "/", "*"):
            left, right = self.groups(node.left), self.groups(node.right)
            if node.operator == "/":
                return [*left, *(_joined(*left, group) for group in right)]
            crossed = [_joined(a, b) for a in left for b in right]
            return [*left, *right, *crossed] if node.operator == "*" else crossed
        if isinstance(node, Binary) and node.operator in ("==", "!=", "<", "<=", ">", ">="):
            return [(node,)]
        if isinstance(node, Binary) and node.operator == "+":
            raise self.fail(node, "a bar has one grouping factor on its right; add a term for each: (1 | a) + (1 | b)")
        raise self.fail(node, f"`{node.text}` is no grouping factor; name a column, as in (1 | g)")

    def options(self, call: Call) -> dict[str, Any]:
        """Read what a structure was given beside its term."""
        names = _POSITIONAL.get(call.function, ())
        options: dict[str, Any] = {}
        for place, node in enumerate(call.args[1:]):
            if place >= len(names):
                raise self.fail(node, f"{call.function}() takes its further options by name, as in d = 2")
            options[names[place]] = self.option(node)
        for key, node in call.keywords:
            if key in options:
                raise self.fail(node, f"`{key}` is given twice")
            options[key] = self.option(node)
        return options

    def option(self, node: Node) -> Any:
        if isinstance(node, Number):
            return int(node.value) if node.value.is_integer() else node.value
        if isinstance(node, Text):
            return node.value
        if isinstance(node, Name):
            return CONSTANTS[node.name] if node.name in CONSTANTS and not node.quoted else node.name
        if isinstance(node, Unary) and node.operator in "+-" and isinstance(node.operand, Number):
            return -self.option(node.operand) if node.operator == "-" else self.option(node.operand)
        if isinstance(node, Sequence):
            return tuple(self.option(item) for item in node.items)
        if isinstance(node, Call) and node.function == "c" and not node.keywords:
            return tuple(self.option(item) for item in node.args)
        raise self.fail(node, "an option is a number, a text, a name, or a list of these")


def _sorted(terms: Mapping[frozenset[str], Term]) -> tuple[Term, ...]:
    return tuple(sorted(terms.values(), key=lambda term: len(term.factors)))


def _distinct(terms: Iterable[Term]) -> list[Term]:
    found: dict[frozenset[str], Term] = {}
    for term in terms:
        found.setdefault(term.key, term)
    return list(found.values())


def _joined(*groups: tuple[Node, ...]) -> tuple[Node, ...]:
    parts: dict[str, Node] = {}
    for group in groups:
        for node in group:
            parts.setdefault(node.text, node)
    return tuple(parts.values())


def _distinct_groups(groups: Iterable[tuple[Node, ...]]) -> list[tuple[Node, ...]]:
    found: dict[frozenset[str], tuple[Node, ...]] = {}
    for group in groups:
        found.setdefault(frozenset(node.text for node in group), group)
    return list(found.values())
