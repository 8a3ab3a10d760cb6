"""The parameters of a model as they stand in its equation: as symbols, or as the numbers that were estimated.

What is held at a value is a number in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranef import links
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.variance_components import correlation, covariances
from ranef.model import Model
from ranef.reports.mathematics.distributions import ABOVE_ONE, letter_of
from ranef.reports.mathematics.expressions import (
    Letter,
    Node,
    Number,
    Sign,
    indexed,
    number,
    product,
    row,
    signed,
    squared,
)

#: The letter of the fixed effects of each component.
COEFFICIENTS = {"cond": "beta", "zi": "gamma", "disp": "delta", "shape": "zeta", "threshold": "theta"}
# The letters of random-effects terms, in their order; further terms are numbered.
EFFECTS = ("b", "u", "v", "w", "a", "c", "h", "q")


@dataclass(frozen=True)
class Quantities:
    """Where the parameters of an equation come from.

    Attributes
    ----------
    model : Model
    kept : dict of str to int array
        The columns of each component that are estimated.
    record : FittedModel or None
        The fit whose estimates stand in place of symbols; None for symbols.
    digits : int
        Significant digits of the numbers.
    """

    model: Model
    kept: dict[str, Sequence[int]]
    record: FittedModel | None = None
    digits: int = 4

    def value(self, estimate: float) -> Number:
        """An estimate as it is written."""
        return number(float(estimate), self.digits)

    # -- fixed effects -----------------------------------------------------------------------------------------------

    def coefficient_letter(self, component: str, column: int) -> Node:
        """The symbol of a fixed effect: the intercept has the index 0."""
        names = self.model.design.fixed[component].names
        kept = [int(j) for j in self.kept[component]]
        shift = 0 if names[kept[0]] == "Intercept" else 1
        return indexed(Letter(COEFFICIENTS[component]), Number(str(kept.index(column) + shift)))

    def coefficient(self, component: str, column: int) -> tuple[str, Node]:
        """The sign of a fixed effect, and the effect: its symbol or its number."""
        held = {p.place: value for p, value in self.model.assumed.held}
        alone = component == "threshold"
        place = ("fixed", self.model.predictor(component) + (column if alone else 0), 0 if alone else column)
        if place in held:
            return signed(given_number(held[place]))
        if self.record is None:
            return "+", self.coefficient_letter(component, column)
        at = [int(j) for j in self.kept[component]].index(column)
        return signed(self.value(self.record.estimates(component)[at]))

    def constant(self, component: str) -> Node:
        """The parameter of a component that is one number in all rows, on its own scale."""
        family = self.model.family
        letter = letter_of(family, component)
        given = family.fixed_parameter(component)
        parameter = next(p for p in family.parameters if p.component == component)
        if given is not None:
            return given_number(_natural(family.name, component, given[1]))
        held = {p.place: (p.kind, value) for p, value in self.model.assumed.held}
        place = ("fixed", self.model.predictor(component), 0)
        if place in held:
            kind, value = held[place]
            return given_number(value if kind == "sigma" else _own_scale(family.name, component, parameter.link, value))
        if self.record is None:
            return letter
        if self.model.has_residual and component == "disp":
            return self.value(self.record.sigma)
        value = float(self.record.estimates(component)[0])
        return self.value(_own_scale(family.name, component, parameter.link, value))

    # -- random effects ----------------------------------------------------------------------------------------------

    @cached_property
    def covariances(self) -> list[np.ndarray]:
        """Sigma of every term, where numbers are asked for."""
        return [] if self.record is None else covariances(self.record)

    def term(self, place: int) -> TermQuantities:
        """Those of a random-effects term."""
        return TermQuantities(self, place, self.model.design.random[place])

    def coupled(self, place: int, name: str, letter: str) -> Node:
        """A parameter of how effects depend on each other: its symbol or its number."""
        if self.record is not None:
            for term, own, _, estimate, *_ in self.record.engine.couplings:
                if term == place and own == name:
                    return self.value(estimate)
        return indexed(Letter(letter), self.term(place).letter)

    # -- residuals ---------------------------------------------------------------------------------------------------

    @cached_property
    def residual_estimates(self) -> dict[tuple[int | None, str], float]:
        """Parameters of variance functions (by their number) and of the correlation (None)."""
        if self.record is None:
            return {}
        return {(spread, name): value for spread, name, _, value, _ in self.record.engine.residual_parameters()}

    def residual(self, spread: int | None, name: str, letter: Node) -> Node:
        """A parameter of the residuals' correlation, or of a variance function: its symbol or its number."""
        found = self.residual_estimates.get((spread, name))
        return letter if found is None else self.value(found)


@dataclass(frozen=True)
class TermQuantities:
    """The parameters of one random-effects term."""

    all: Quantities
    place: int
    term: RandomTerm

    @property
    def letter(self) -> Node:
        """The letter of the term's effects."""
        mine = [t for t, term in enumerate(self.all.model.design.random) if term.smooth is None].index(self.place)
        if mine < len(EFFECTS):
            return Letter(EFFECTS[mine])
        return indexed(Letter("b"), Number(str(mine - len(EFFECTS) + 2)))

    @property
    def size(self) -> int:
        """Number of columns."""
        return len(self.term.names)

    @property
    def alone(self) -> bool:
        """Whether one standard deviation stands for all columns."""
        return self.size == 1 or self.term.structure in ("homdiag", "homcs", "ar1", "homtoep")

    def index(self, k: int) -> Node:
        """The index of a column: from 0 where the first is an intercept."""
        return Number(str(k if self.term.names[0] == "Intercept" else k + 1))

    def sd(self, k: int = 0) -> Node:
        """The standard deviation of a column."""
        held = self._held(k)
        if held is not None:
            return given_number(held)
        if self.all.record is None:
            own = () if self.alone else (self.index(k),)
            return indexed(Letter("sigma"), self.letter, *own)
        return self.all.value(math.sqrt(self.all.covariances[self.place][k, k]))

    def variance(self, k: int = 0) -> Node:
        """The variance of a column."""
        return squared(self.sd(k))

    def correlation(self, k: int, other: int, *index: Node) -> Node:
        """The correlation of two columns; as a symbol with these indices."""
        known = self.all.model.assumed.correlations.get(self.place)
        if known is not None:
            return given_number(known[k, other])
        if self.all.record is None:
            return indexed(Letter("rho"), self.letter, *index)
        found = correlation(self.all.covariances[self.place], k, other)
        return self.all.value(found)

    def covariance(self, k: int, other: int) -> Node:
        """The covariance of two columns, or the variance of one."""
        if self.all.record is not None:
            return self.all.value(self.all.covariances[self.place][k, other])
        if k == other:
            return self.variance(k)
        low, high = min(k, other), max(k, other)
        pair = self.index(low), self.index(high)
        return product(self.correlation(low, high, *pair), self.sd(low), self.sd(high))

    def _held(self, k: int) -> float | None:
        for parameter, value in self.all.model.assumed.held:
            if parameter.place == ("sd", self.place, 0 if self.alone else k):
                return value
        return None


def given_number(value: float) -> Number:
    """A number that was given, without digits that it does not have."""
    return Number(f"{float(value):.6g}")


def _natural(family: str, component: str, value: float) -> float:
    return 1.0 + value if (family, component) in ABOVE_ONE else value


def _own_scale(family: str, component: str, link: str, eta: float) -> float:
    """A parameter from its linear predictor."""
    return _natural(family, component, float(links.inverse(link, np.asarray(eta))))


def negative(value: Node) -> Node:
    """Minus something; of a number, the number."""
    if isinstance(value, Number) and value.text.startswith("-"):
        return Number(value.text[1:])
    return row(Sign("minus"), value)
