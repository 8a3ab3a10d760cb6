"""Words to a tree, by precedence climbing; nothing in the tree is Python, so nothing in it can be run.

Loosest to tightest, as in R:

    ~    |  ||    &    !    == != < <= > >=    + -    * /    %in% %%    :    **

The grammar has no attribute, index, assignment or definition, and a call may only name a function of the allow-list: a
formula is data, never code. Inside a call the operators are arithmetic, outside they build terms (module ``terms``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from ranef.errors import FormulaError, did_you_mean
from ranef.formula.functions import ELEMENTWISE, SMOOTHS, SPECIAL, VARIANCE
from ranef.formula.tokens import Kind, Token, tokenize
from ranef.formula.transforms import STATEFUL

__all__ = ["ALLOWED", "Binary", "Call", "Name", "Node", "Number", "Paren", "Sequence", "Text", "Tree", "Unary", "parse"]

#: Every function a formula can run.
ALLOWED: frozenset[str] = frozenset(ELEMENTWISE) | frozenset(STATEFUL) | SPECIAL | SMOOTHS

DEEPEST = 100  # nesting beyond this is an accident or an attack, and would exhaust Python's stack
_MOST_TOKENS = 20_000

_PRECEDENCE = {
    "|": 10,
    "||": 10,
    "&": 20,
    "==": 40,
    "!=": 40,
    "<": 40,
    "<=": 40,
    ">": 40,
    ">=": 40,
    "+": 50,
    "-": 50,
    "*": 60,
    "/": 60,
    "%in%": 70,
    "%%": 70,
    ":": 80,
    "**": 100,
}
_PREFIX = {"-": 55, "+": 55, "!": 30}  # -a * b is -(a * b), -a ** 2 is -(a ** 2): the same numbers as in R
_CLOSER = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A piece of a formula.

    Attributes
    ----------
    text : str
        Its one spelling, whatever spaces the user typed: two pieces are the same when their texts are.
    start, end : int
        Its half-open span in the formula.
    depth : int
        The height of the tree under it.
    """

    text: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Name(Node):
    """A column, a constant such as ``TRUE`` or ``pi``, or the dot."""

    name: str
    quoted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Number(Node):
    """A number."""

    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Text(Node):
    """A string in quotes."""

    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Call(Node):
    """A function with its arguments."""

    function: str
    args: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Unary(Node):
    """A sign or a negation."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Node):
    """Two pieces joined by an operator."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, eq=False)
class Paren(Node):
    """A piece in parentheses: ``(1 | g)`` means something else than ``1 | g``."""

    inner: Node


@dataclass(frozen=True, slots=True, eq=False)
class Sequence(Node):
    """A list ``[a, b]``; ``c(a, b)`` is the same."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A formula with its sides.

    Attributes
    ----------
    source : str
        The formula as typed.
    left : Node or None
        The response; None in a one-sided formula.
    right : Node
        The predictors.
    """

    source: str
    left: Node | None
    right: Node


def parse(source: str) -> Tree:
    """Read a formula.

    Parameters
    ----------
    source : str
        ``"y ~ x + (1 | g)"`` or, one-sided, ``"~ x"``.

    Returns
    -------
    Tree

    Raises
    ------
    FormulaError
        With the formula and a caret under the first place that makes no sense.

    Examples
    --------
    >>> tree = parse("log(y) ~ x+( 1|g )")
    >>> tree.left.text, tree.right.text
    ('log(y)', 'x + (1 | g)')
    """
    if not isinstance(source, str):
        raise FormulaError(f'a formula is text such as "y ~ x + (1 | g)", not {type(source).__name__}')
    return _parse(source)


@lru_cache(maxsize=512)
def _parse(source: str) -> Tree:
    return _Parser(source).tree()


class _Parser:
    """One pass over the tokens of one formula."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.place = 0
        self.nesting = 0
        self.open: list[Token] = []
        if len(self.tokens) > _MOST_TOKENS:
            raise FormulaError(f"the formula has {len(self.tokens)} words; ranef reads at most {_MOST_TOKENS}")

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def fail(self, token: Token, message: str) -> FormulaError:
        return FormulaError.at(self.source, token.start, token.end, message)

    def at(self, *operators: str) -> bool:
        return self.token.kind is Kind.OPERATOR and self.token.text in operators

    def advance(self) -> Token:
        token = self.token
        self.place += 1
        return token

    def tree(self) -> Tree:
        tildes = [t for t in self.tokens if t.kind is Kind.OPERATOR and t.text == "~"]
        if not tildes:
            example = '"~ x"' if self.token.kind is Kind.END else f'"y ~ {self.source.strip()[:40]}"'
            raise FormulaError.at(
                self.source, 0, 0, f"a formula needs a ~ between response and predictors, as in {example}"
            )
        left = None if self.at("~") else self.expression(0)
        if not self.at("~"):
            raise self.unexpected()
        self.advance()
        right = self.expression(0)
        if self.token.kind is not Kind.END:
            raise self.unexpected()
        return Tree(self.source, left, right)

    def unexpected(self) -> FormulaError:
        """Say why the current token cannot stand where it does."""
        token = self.token
        if token.kind is Kind.END:
            if self.open:
                opener = self.open[-1]
                return self.fail(opener, f"the parenthesis {opener.text} is never closed")
            return self.fail(token, "the formula ends where a term is expected")
        if token.text in ")]}" and token.kind is Kind.OPERATOR:
            if not self.open:
                return self.fail(token, f"the parenthesis {token.text} was never opened")
            opener = self.open[-1]
            if _CLOSER[opener.text] != token.text:
                return self.fail(token, f"found {token.text} where {_CLOSER[opener.text]} should close {opener.text}")
            return self.fail(token, f"a term is missing before {token.text}")
        if token.text == "~":
            return self.fail(token, "a formula has one ~, outside all parentheses")
        if token.kind is Kind.OPERATOR:
            return self.fail(token, f"`{token.text}` cannot stand here")
        return self.fail(token, f"an operator such as + is missing before `{self.source[token.start : token.end]}`")

    def expression(self, floor: int) -> Node:
        """Read everything that binds tighter than ``floor``."""
        left = self.operand()
        while self.token.kind is Kind.OPERATOR and _PRECEDENCE.get(self.token.text, -1) >= max(floor, 1):
            operator = self.advance()
            strength = _PRECEDENCE[operator.text]
            right = self.power() if operator.text == "**" else self.expression(strength + 1)
            if strength == 40 and self.at("==", "!=", "<", "<=", ">", ">="):
                raise self.fail(self.token, "comparisons cannot be chained; join two of them with &")
            space = "" if operator.text == ":" else " "
            left = Binary(
                f"{left.text}{space}{operator.text}{space}{right.text}",
                left.start,
                right.end,
                max(left.depth, right.depth) + 1,
                operator.text,
                left,
                right,
            )
        return left

    def operand(self) -> Node:
        with self.deeper():
            return self._operand()

    def power(self) -> Node:
        """Read an exponent: powers nest to the right, so that a chain of them is as deep as it is long."""
        with self.deeper():
            return self.expression(_PRECEDENCE["**"])

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level down, refused below the deepest."""
        self.nesting += 1
        if self.nesting > DEEPEST:
            raise self.fail(self.token, f"the formula is nested more than {DEEPEST} deep")
        try:
            yield
        finally:
            self.nesting -= 1

    def _operand(self) -> Node:
        token = self.token
        if token.kind is Kind.NUMBER:
            self.advance()
            value = float(token.text.rstrip("L"))
            return Number(token.text.rstrip("L"), token.start, token.end, 1, value)
        if token.kind is Kind.STRING:
            self.advance()
            return Text(repr(token.text), token.start, token.end, 1, token.text)
        if token.kind is Kind.NAME:
            return self.name()
        if self.at(*_PREFIX):
            self.advance()
            inner = self.expression(_PREFIX[token.text])
            return Unary(f"{token.text}{inner.text}", token.start, inner.end, inner.depth + 1, token.text, inner)
        if self.at("("):
            inner, end = self.enclosed()
            bare = isinstance(inner, Name | Number | Text | Call | Paren)
            return Paren(inner.text if bare else f"({inner.text})", token.start, end, inner.depth + 1, inner)
        if self.at("{"):  # formulaic's way to write arithmetic without I()
            inner, end = self.enclosed()
            return Call(inner.text, token.start, end, inner.depth + 1, "I", (inner,), ())
        if self.at("[") and self.open:
            args, keywords, end = self.arguments()
            if keywords:
                raise self.fail(token, "a list holds plain values")
            text = f"[{', '.join(a.text for a in args)}]"
            return Sequence(text, token.start, end, _height(args), args)
        raise self.unexpected()

    def enclosed(self) -> tuple[Node, int]:
        """Read ``( ... )`` or ``{ ... }`` with one expression inside."""
        opener = self.advance()
        self.open.append(opener)
        inner = self.expression(0)
        if not self.at(_CLOSER[opener.text]):
            raise self.unexpected()
        self.open.pop()
        return inner, self.advance().end

    def arguments(self) -> tuple[tuple[Node, ...], tuple[tuple[str, Node], ...], int]:
        """Read ``( a, b, key = c )`` or ``[ a, b ]``."""
        opener = self.advance()
        self.open.append(opener)
        args: list[Node] = []
        keywords: list[tuple[str, Node]] = []
        closer = _CLOSER[opener.text]
        while not self.at(closer):
            following = self.tokens[self.place + 1] if self.token.kind is Kind.NAME else None
            if following is not None and following.kind is Kind.OPERATOR and following.text == "=":
                key = self.advance()
                self.advance()
                if key.text in dict(keywords):
                    raise self.fail(key, f"the argument `{key.text}` is given twice")
                keywords.append((key.text, self.expression(0)))
            elif keywords:
                raise self.fail(self.token, "an argument without a name follows one with a name")
            else:
                args.append(self.expression(0))
            if self.at(","):
                self.advance()
                if self.at(closer):
                    raise self.unexpected()
            elif not self.at(closer):
                raise self.unexpected()
        self.open.pop()
        return tuple(args), tuple(keywords), self.advance().end

    def name(self) -> Node:
        token = self.advance()
        if token.quoted or not self.at("("):
            plain = token.text.replace(".", "_").isidentifier()
            text = token.text if plain else "`" + token.text.replace("\\", "\\\\").replace("`", "\\`") + "`"
            return Name(text, token.start, token.end, 1, token.text, token.quoted)
        args, keywords, end = self.arguments()
        inside = [a.text for a in args] + [f"{key}={value.text}" for key, value in keywords]
        text = f"{token.text}({', '.join(inside)})"
        values = args + tuple(value for _, value in keywords)
        structured = bool(args) and isinstance(args[0], Binary) and args[0].operator in ("|", "||")
        if token.text not in ALLOWED | VARIANCE and not structured:
            raise self.fail(token, refusal(token.text))
        return Call(text, token.start, end, _height(values), token.text, args, keywords)


def _height(nodes: tuple[Node, ...]) -> int:
    return 1 + max((node.depth for node in nodes), default=0)


def refusal(function: str) -> str:
    """Say that a function cannot be run, and what can be instead."""
    if function in ("te", "ti"):
        return f"`{function}()` smooths are not fitted; a tensor product whose penalties are variances is t2(x, z)"
    known = ", ".join(sorted(name for name in ALLOWED if not name.startswith(("np.", "contr.", "as."))))
    hint = did_you_mean(function, ALLOWED)
    close = f"; {hint}" if hint.startswith("did") else "."
    return (
        f"`{function}` is not a function a formula can run{close} The name of a column that is no single word goes "
        "between backticks. A formula is data, never code: compute the column beforehand, or use one of the functions "
        f"it runs, which are only these: {known}"
    )
