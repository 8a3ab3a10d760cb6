"""The notation of every family: its distribution, the letters of its parameters, and its variance.

Where a name alone does not tell how a distribution is parametrised (there are two negative binomials with a mean and
one more parameter), its variance is stated beside it. A family belongs here once, in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ranef.families import Family
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
    parts_of,
    power,
    product,
    row,
    squared,
)
from ranef.reports.mathematics.glyphs import LETTERS

ONE, TWO, ZERO = Number("1"), Number("2"), Number("0")
#: Parameters of which the link takes what they exceed 1 by: (family, component).
ABOVE_ONE = frozenset({("tweedie", "shape")})
_POSITIVE = row(Sign(">"), ZERO)


@dataclass(frozen=True)
class Parameters:
    """The parameters of a distribution as expressions.

    Attributes
    ----------
    mean, dispersion, shape : Node
        Those the family does not have are never looked at.
    trials : Node or None
    """

    mean: Node
    dispersion: Node
    shape: Node
    trials: Node | None = None


@dataclass(frozen=True)
class Notation:
    """How a family is written.

    Attributes
    ----------
    law : callable
        The distribution, of its parameters.
    letters : dict
        The letter of a component's parameter, where it is not the name on the family's card.
    variance : callable or None
        The variance, of the parameters, where the law does not tell.
    facts : callable or None
        What else must be said, of the parameters of row i.
    """

    law: Callable[[Parameters], Node]
    letters: dict[str, str] = field(default_factory=dict)
    variance: Callable[[Parameters], Node] | None = None
    facts: Callable[[Parameters], tuple[Line, ...]] | None = None


def _with(name: str, **arguments: Node) -> Node:
    """A distribution whose arguments are said by name."""
    return applied(name, *(row(Word(key), Sign("="), value) for key, value in arguments.items()))


def _successes(p: Parameters) -> Node:
    return applied("Bernoulli", p.mean) if p.trials is None else applied("Binomial", p.trials, p.mean)


def _betabinomial(p: Parameters) -> Node:
    shapes = product(p.dispersion, p.mean), product(p.dispersion, Fenced(difference(ONE, p.mean)))
    return applied("BetaBinomial", p.trials or ONE, *shapes)


def _beta(p: Parameters) -> Node:
    return applied("Beta", product(p.dispersion, p.mean), product(p.dispersion, Fenced(difference(ONE, p.mean))))


def _positive(law: Callable[[Parameters], Node]) -> Callable[[Parameters], Node]:
    """A law of counts without its zeros: its mean and variance are those before the zeros are taken away."""

    def truncated(p: Parameters) -> Node:
        name, *rest = parts_of(law(p))
        return row(Indexed(name, _POSITIVE), *rest)

    return truncated


def _poisson(p: Parameters) -> Node:
    return applied("Poisson", p.mean)


def _two(name: str) -> Callable[[Parameters], Node]:
    return lambda p: applied(name, p.mean, p.dispersion)


def _lognormal(p: Parameters) -> Node:
    v = indexed(Letter("v"), Letter("i"))
    return applied("LogNormal", difference(applied("log", p.mean), Ratio(v, TWO)), v)


def _variance_of_log(p: Parameters) -> tuple[Line, ...]:
    ratio = Ratio(squared(p.dispersion), squared(p.mean))
    return (equal(indexed(Letter("v"), Letter("i")), applied("log", row(ONE, Sign("+"), ratio))),)


def _bell(p: Parameters) -> Node:
    return applied("Bell", indexed(Letter("theta"), Letter("i")))


def _bell_mean(p: Parameters) -> tuple[Line, ...]:
    theta = indexed(Letter("theta"), Letter("i"))
    return (equal(product(theta, power(Letter("e"), theta)), p.mean),)


def _conway_maxwell(p: Parameters) -> tuple[Line, ...]:
    y, rate = Letter("y"), indexed(Letter("lambda"), Letter("i"))
    kernel = Ratio(power(rate, y), power(Fenced(row(y, Word("!"))), Ratio(ONE, p.dispersion)))
    law = applied("CMP", p.mean, p.dispersion)
    mean = row(Operator("E"), Fenced(law, "[]"), Sign("="), p.mean)
    return (Line(row(law, Word(":"), Sign("thin"), applied("P", y)), "propto", (kernel,), mean),)


_COUNT_VARIANCES: dict[str, Callable[[Parameters], Node]] = {
    "nbinom1": lambda p: product(p.mean, Fenced(row(ONE, Sign("+"), p.dispersion))),
    "nbinom2": lambda p: row(p.mean, Sign("+"), Ratio(squared(p.mean), p.dispersion)),
    "genpois": lambda p: product(p.dispersion, p.mean),
}
_NB1, _NB2, _GENPOIS, _CMP = (_two(name) for name in ("NB1", "NB2", "GenPoisson", "CMP"))

FAMILIES: dict[str, Notation] = {
    "gaussian": Notation(lambda p: applied("N", p.mean, squared(p.dispersion)), {"disp": "sigma"}),
    "binomial": Notation(_successes, {"cond": "p"}),
    "betabinomial": Notation(_betabinomial, {"cond": "p"}),
    "poisson": Notation(_poisson),
    "nbinom2": Notation(_NB2, variance=_COUNT_VARIANCES["nbinom2"]),
    "nbinom1": Notation(_NB1, variance=_COUNT_VARIANCES["nbinom1"]),
    "nbinom12": Notation(
        lambda p: applied("NB12", p.mean, p.dispersion, p.shape),
        variance=lambda p: product(
            p.mean, Fenced(row(ONE, Sign("+"), p.dispersion, Sign("+"), Ratio(p.mean, p.shape)))
        ),
    ),
    "genpois": Notation(_GENPOIS, variance=_COUNT_VARIANCES["genpois"]),
    "compois": Notation(_CMP, facts=_conway_maxwell),
    "bell": Notation(_bell, facts=_bell_mean),
    "truncated_poisson": Notation(_positive(_poisson)),
    "truncated_genpois": Notation(_positive(_GENPOIS), variance=_COUNT_VARIANCES["genpois"]),
    "truncated_compois": Notation(_positive(_CMP), facts=_conway_maxwell),
    "truncated_nbinom1": Notation(_positive(_NB1), variance=_COUNT_VARIANCES["nbinom1"]),
    "truncated_nbinom2": Notation(_positive(_NB2), variance=_COUNT_VARIANCES["nbinom2"]),
    "gamma": Notation(
        lambda p: _with("Gamma", mean=p.mean, shape=p.dispersion),
        variance=lambda p: Ratio(squared(p.mean), p.dispersion),
    ),
    "lognormal": Notation(_lognormal, facts=_variance_of_log),
    "inverse_gaussian": Notation(
        _two("InverseGaussian"), variance=lambda p: Ratio(power(p.mean, Number("3")), p.dispersion)
    ),
    "student_t": Notation(lambda p: applied(Indexed(Letter("t"), p.shape), p.mean, squared(p.dispersion))),
    "beta": Notation(_beta),
    "skewnormal": Notation(lambda p: _with("SkewNormal", mean=p.mean, sd=p.dispersion, shape=p.shape)),
    "tweedie": Notation(
        lambda p: applied(Indexed(Operator("Tweedie"), p.shape), p.mean, p.dispersion),
        variance=lambda p: product(p.dispersion, power(p.mean, p.shape)),
    ),
    # The probabilities of these two are lines of their own (`ordered`), around these pieces.
    "cumulative": Notation(lambda p: p.mean),
    "ordbeta": Notation(_beta),
}


def notation_of(family: Family) -> Notation:
    """The notation of a family; a custom one is a function of its parameters by its own name."""
    if family.engine is None and family.name in FAMILIES:
        return FAMILIES[family.name]
    names = [p.component for p in family.parameters]

    def law(p: Parameters) -> Node:
        values = {"cond": p.mean, "disp": p.dispersion, "shape": p.shape}
        return applied(Operator(family.name), *(values[c] for c in names if c in values))

    return Notation(law)


def letter_of(family: Family, component: str) -> Node:
    """The symbol of the parameter that a component models, without an index."""
    named = notation_of(family).letters.get(component)
    parameter = next((p.name for p in family.parameters if p.component == component), component)
    name = named or parameter
    return Letter(name) if name in LETTERS or len(name) == 1 else Word(name)


def facts_of(family: Family, of_row: Parameters) -> list[Line]:
    """What must be said of a family's parametrisation besides its law: of row i, and of the law in general."""
    notation = notation_of(family)
    found = list(notation.facts(of_row)) if notation.facts else []
    if notation.variance is not None:
        mean, dispersion, shape = (letter_of(family, c) for c in ("cond", "disp", "shape"))
        letters = Parameters(mean, dispersion, shape)
        law = notation.law(letters)
        # The variance is that of the law before its zeros are taken away.
        whole = row(*(p.base if isinstance(p, Indexed) and p.lower == _POSITIVE else p for p in parts_of(law)))
        found.append(equal(row(Operator("Var"), Fenced(whole, "[]")), notation.variance(letters)))
    return found


def mixture(law: Node, excess: Node) -> tuple[tuple[Node, Node], ...]:
    """Zero with some probability, and a law otherwise."""
    given = Word("with probability ")
    return ((ZERO, row(given, excess)), (law, row(given, difference(ONE, excess))))


def ordered_beta(eta: Node, p: Parameters, thresholds: tuple[Node, Node]) -> tuple[tuple[Node, Node], ...]:
    """The three parts of an ordered beta: 0, a beta, 1."""
    low, high = (applied("expit", difference(eta, cut)) for cut in thresholds)
    given = Word("with probability ")
    return (
        (ZERO, row(given, difference(ONE, low))),
        (_beta(p), row(given, difference(low, high))),
        (ONE, row(given, high)),
    )
