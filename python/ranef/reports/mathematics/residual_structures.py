"""The residuals of a linear mixed model: variance functions and correlations, by structure.

A structure belongs here once: in `CORRELATIONS`, a function to the correlation of rows i and i', or in
`VARIANCE_FUNCTIONS`, a function to what the standard deviation is multiplied by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ranef.formula.residual import CorrelationPart, SpreadPart
from ranef.reports.mathematics.expressions import (
    Fenced,
    Indexed,
    Letter,
    Line,
    Node,
    Number,
    Operator,
    Ratio,
    Sign,
    Word,
    applied,
    difference,
    equal,
    indexed,
    listed,
    power,
    product,
    row,
    total,
)
from ranef.reports.mathematics.quantities import Quantities
from ranef.reports.mathematics.variables import expression_of_text

ONE, TWO, ZERO = Number("1"), Number("2"), Number("0")
_I = Letter("i")
_OTHER = Indexed(Letter("i"), None, Sign("prime"))
_RESIDUAL = Letter("epsilon")


@dataclass(frozen=True)
class CorrelationQuantities:
    """The parameters of a correlation of residuals, and the time or place of the rows."""

    all: Quantities
    part: CorrelationPart

    def parameter(self, name: str, letter: str, *index: Node) -> Node:
        """A parameter: its symbol or its number."""
        symbol = indexed(Letter(letter), *index) if index else Letter(letter)
        return self.all.residual(None, name, symbol)

    def names(self, start: str) -> list[str]:
        """The parameters whose names begin so, in their order; from the orders where there are no numbers."""
        order = self.part.orders[0 if start == "phi" else 1]
        return [start] if order == 1 else [f"{start}{k}" for k in range(1, order + 1)]

    @property
    def place(self) -> str:
        """The time, as the formula has it; ``t`` for the order of the rows."""
        left = self.part.text.partition("(")[2].rpartition("|")[0].strip()
        return "t" if left in ("", "1") else left

    def at(self, index: Node) -> Node:
        """The time of a row."""
        return indexed(Letter("t") if self.place == "t" else Word(self.place), index)

    @property
    def lag(self) -> Node:
        """The time between two rows."""
        return Fenced(difference(self.at(_I), self.at(_OTHER)), "||")

    @property
    def distance(self) -> Node:
        """The distance between two rows."""
        return indexed(Letter("d"), row(_I, _OTHER))


def correlation_lines(c: CorrelationQuantities) -> list[Line]:
    """The correlation of the residuals of two rows."""
    structure = CORRELATIONS.get(c.part.structure)
    pair = applied("Cor", indexed(_RESIDUAL, _I), indexed(_RESIDUAL, _OTHER))
    group = c.part.group
    same = None
    if group != "1":
        one, other = (row(Word(group), Fenced(index, "[]")) for index in (_I, _OTHER))
        same = row(Word("for "), one, Sign("="), other, Word(", otherwise 0"))
    if c.place == "t" and c.part.structure in ("ar1", "arma", "us"):
        counted = row(indexed(Letter("t"), _I), Word(" the place of row "), _I, Word(" in its group"))
        same = counted if same is None else row(same, Word("; "), counted)
    if structure is None:
        return [equal(pair, Word(c.part.text), aside=same)]
    value, more = structure(c)
    return [equal(pair, value, aside=same), *more]


def _by_lag(letter: str) -> Callable[[CorrelationQuantities], tuple[Node, list[Line]]]:
    return lambda c: (power(c.parameter("phi", letter), c.lag), [])


def _moving_average(c: CorrelationQuantities) -> tuple[Node, list[Line]]:
    def past(letter: str, base: Node, names: list[str]) -> list[tuple[str, Node]]:
        found: list[tuple[str, Node]] = []
        for k, name in enumerate(names, 1):
            value = c.parameter(name, letter, *(() if len(names) == 1 else (Number(str(k)),)))
            sign = "+"
            if isinstance(value, Number) and value.text.startswith("-"):
                sign, value = "-", Number(value.text[1:])
            found.append((sign, product(value, indexed(base, difference(Letter("t"), Number(str(k)))))))
        return found

    epsilon, noise = _RESIDUAL, Letter("a")
    p, q = c.part.orders
    now = indexed(noise, Letter("t"))
    terms = [*past("phi", epsilon, c.names("phi") if p else []), ("+", now)]
    terms += past("theta", noise, c.names("theta") if q else [])
    recursion = Line(
        indexed(epsilon, Letter("t")), "=", total(terms), row(indexed(noise, Letter("t")), Word(" independent"))
    )
    return applied(Letter("r"), c.lag), [recursion]


def _pairs(c: CorrelationQuantities) -> tuple[Node, list[Line]]:
    symbol = indexed(Letter("rho"), row(c.at(_I), Sign("thin"), c.at(_OTHER)))
    count = len(c.part.occasions)
    if c.all.record is None or count > 6:
        return symbol, []
    values = [c.all.residual_estimates.get((None, f"cor[{i}][{j}]")) for i in range(count) for j in range(i + 1, count)]
    shown = [c.all.value(v) for v in values if v is not None]
    names = [
        indexed(Letter("rho"), Word(f"{first},{second}"))
        for k, first in enumerate(c.part.occasions)
        for second in c.part.occasions[k + 1 :]
    ]
    return symbol, [equal(Fenced(listed(*names)), Fenced(listed(*shown)))]


def _decay(kernel: Callable[[Node, Node], Node]) -> Callable[[CorrelationQuantities], tuple[Node, list[Line]]]:
    def written(c: CorrelationQuantities) -> tuple[Node, list[Line]]:
        value = kernel(c.distance, c.parameter("range", "r"))
        if c.part.nugget:
            value = product(Fenced(difference(ONE, c.parameter("nugget", "nu"))), value)
        coordinates = [part.strip() for part in c.place.split("+")]
        squares = [power(Fenced(difference(indexed(Word(x), _I), indexed(Word(x), _OTHER))), TWO) for x in coordinates]
        pieces = row(*(part for k, s in enumerate(squares) for part in ((Sign("+"), s) if k else (s,))))
        return value, [equal(power(c.distance, TWO), pieces)]

    return written


CORRELATIONS: dict[str, Callable[[CorrelationQuantities], tuple[Node, list[Line]]]] = {
    "ar1": _by_lag("phi"),
    "arma": _moving_average,
    "car1": _by_lag("phi"),
    "cs": lambda c: (c.parameter("rho", "rho"), []),
    "us": _pairs,
    "exp": _decay(lambda d, r: applied("exp", row(Sign("minus"), Ratio(d, r)))),
    "gau": _decay(lambda d, r: applied("exp", row(Sign("minus"), Ratio(power(d, TWO), power(r, TWO))))),
}


def spread_factor(q: Quantities, place: int, part: SpreadPart) -> Node:
    """What a variance function multiplies the residual standard deviation by."""
    fitted = indexed(Letter("mu"), _I)
    covariate = fitted if part.covariate is None else expression_of_text(part.of)
    several = len(q.model.design.residual.spreads) > 1 if q.model.design.residual is not None else False
    index = (Number(str(place + 1)),) if several else ()

    def parameter(name: str, letter: str) -> Node:
        return q.residual(place, name, indexed(Letter(letter), *index) if index else Letter(letter))

    write = VARIANCE_FUNCTIONS.get(part.function)
    return applied(Operator(part.function), covariate) if write is None else write(covariate, parameter)


VARIANCE_FUNCTIONS: dict[str, Callable[[Node, Callable[[str, str], Node]], Node]] = {
    "power": lambda v, p: power(Fenced(v, "||"), p("power", "kappa")),
    "exp": lambda v, p: applied("exp", product(p("rate", "kappa"), v)),
    "constpower": lambda v, p: Fenced(row(p("const", "c"), Sign("+"), power(Fenced(v, "||"), p("power", "kappa")))),
}
