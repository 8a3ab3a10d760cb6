"""Link functions, written of an expression."""

from __future__ import annotations

from collections.abc import Callable

from ranef.reports.mathematics.expressions import (
    Indexed,
    Letter,
    Node,
    Number,
    Operator,
    Ratio,
    Root,
    Sign,
    applied,
    difference,
    row,
    squared,
)

ONE = Number("1")

LINKS: dict[str, Callable[[Node], Node]] = {
    "identity": lambda mu: mu,
    "log": lambda mu: applied("log", mu),
    "logit": lambda mu: applied("logit", mu),
    "probit": lambda mu: applied(Indexed(Letter("Phi"), None, row(Sign("minus"), ONE)), mu),
    "cloglog": lambda mu: applied("log", row(Sign("minus"), applied("log", difference(ONE, mu)))),
    "loglog": lambda mu: row(Sign("minus"), applied("log", row(Sign("minus"), applied("log", mu)))),
    "cauchit": lambda mu: applied("cauchit", mu),
    "inverse": lambda mu: Ratio(ONE, mu),
    "inverse_squared": lambda mu: Ratio(ONE, squared(mu)),
    "sqrt": lambda mu: Root(mu),
}


def linked(link: str, parameter: Node) -> Node:
    """A link function of a parameter; one without a notation of its own by its name."""
    return LINKS[link](parameter) if link in LINKS else applied(Operator(link), parameter)
