"""The distribution of the random effects of a term, by its covariance structure.

A structure belongs here once, in `STRUCTURES`: a function from the parameters of a term to the lines that state how its
effects are distributed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranef.reports.mathematics.expressions import (
    Fenced,
    Grid,
    Indexed,
    Letter,
    Line,
    Node,
    Number,
    Ratio,
    Sign,
    Word,
    applied,
    difference,
    dots_between,
    equal,
    indexed,
    listed,
    matrix,
    plus,
    power,
    product,
    row,
)
from ranef.reports.mathematics.quantities import TermQuantities, negative

ZERO, ONE, TWO = (Number(text) for text in "012")
NOTHING = Letter("0", bold=True)
IDENTITY = Letter("I", bold=True)
# Matrices with more columns are stated by their elements.
WIDEST = 4
# Vectors with more elements have dots.
LONGEST = 4

Lines = list[Line]


def distribution(t: TermQuantities, subscript: Node | None, aside: Node | None) -> Lines:
    """How the effects of a term are distributed.

    Parameters
    ----------
    t : TermQuantities
    subscript : Node or None
        The index of a level; None where there is one level for all rows.
    aside : Node or None
        The range of that index.
    """
    structure = STRUCTURES.get(t.term.structure, _by_name)
    return structure(t, () if subscript is None else (subscript,), aside)


def _vector(t: TermQuantities, at: tuple[Node, ...]) -> Node:
    """The effects of a level, as a vector."""
    base = t.letter
    bold = Letter(base.name, bold=True) if isinstance(base, Letter) else base
    return indexed(bold, *at) if at else bold


def _spelled(t: TermQuantities, at: tuple[Node, ...]) -> Node:
    """A vector with its elements."""
    elements = dots_between([indexed(t.letter, t.index(k), *at) for k in range(t.size)], LONGEST)
    return row(_vector(t, at), Sign("="), Indexed(Fenced(listed(*elements)), None, Sign("transposed")))


def _sigma(t: TermQuantities) -> Node:
    return indexed(Letter("Sigma", bold=True), t.letter)


def _normal(left: Node, mean: Node, covariance: Node, aside: Node | None) -> Line:
    return Line(left, "~", (applied("N", mean, covariance),), aside)


def _alone(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
    effect = indexed(t.letter, *at) if at else t.letter
    return [_normal(effect, ZERO, t.variance(), aside)]


def _block(elements: Callable[[TermQuantities], Node | Lines]) -> Callable[..., Lines]:
    """A structure of the columns of a level: its covariance matrix, or lines about its elements."""

    def written(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
        if t.size == 1:
            return _alone(t, at, aside)
        found = elements(t)
        lines = [_normal(_spelled(t, at), NOTHING, _sigma(t), aside)]
        return lines + (found if isinstance(found, list) else [equal(_sigma(t), found)])

    return written


def _element(t: TermQuantities) -> Node:
    return Indexed(Fenced(_sigma(t)), listed(Letter("k"), Letter("l")))


def _pair(letter: Node) -> tuple[Node, Node]:
    return indexed(letter, Letter("k")), indexed(letter, Letter("l"))


def _full(t: TermQuantities) -> Grid:
    return matrix([[t.covariance(k, m) for m in range(t.size)] for k in range(t.size)])


def _deviations(t: TermQuantities) -> tuple[Node, Node, Lines]:
    """Standard deviations of columns k and l, and the line that says which they are where they are numbers."""
    symbol = indexed(Letter("sigma"), t.letter)
    lines: Lines = []
    if t.all.record is not None or any(isinstance(t.sd(k), Number) for k in range(t.size)):
        names = row(indexed(symbol, ONE), Sign(","), Sign("..."), Sign(","), indexed(symbol, Number(str(t.size))))
        lines = [equal(Fenced(names), Fenced(listed(*(t.sd(k) for k in range(t.size)))))]
    return (*_pair(symbol), lines)


def _unstructured(t: TermQuantities) -> Node | Lines:
    if t.size <= (WIDEST if t.all.record is None else 2 * WIDEST):
        return _full(t)
    first, second, lines = _deviations(t)
    rho = indexed(Letter("rho"), t.letter, Letter("k"), Letter("l"))
    return [equal(_element(t), product(rho, first, second)), *lines]


def _diagonal(t: TermQuantities) -> Node:
    return applied("diag", *dots_between([t.variance(k) for k in range(t.size)], 2 * LONGEST))


def _same(t: TermQuantities) -> Node:
    return product(t.variance(), indexed(IDENTITY, Number(str(t.size))))


def _equicorrelated(t: TermQuantities) -> Lines:
    first, second, lines = _deviations(t)
    different = row(Letter("k"), Sign("!="), Letter("l"))
    diagonal = row(Indexed(Fenced(_sigma(t)), listed(Letter("k"), Letter("k"))), Sign("="), power(first, TWO))
    return [
        equal(
            _element(t),
            product(t.correlation(0, 1), first, second),
            aside=listed(different, row(Sign("quad"), diagonal)),
        ),
        *lines,
    ]


def _equal_variances_and_correlations(t: TermQuantities) -> Node:
    size, rho = Number(str(t.size)), t.correlation(0, 1)
    ones = indexed(Letter("J", bold=True), size)
    inside = plus(product(Fenced(difference(ONE, rho)), indexed(IDENTITY, size)), product(rho, ones))
    return product(t.variance(), Fenced(inside, "[]"))


def _lag() -> Node:
    return Fenced(difference(Letter("k"), Letter("l")), "||")


def _autoregressive(t: TermQuantities) -> Lines:
    return [equal(_element(t), product(t.variance(), power(t.correlation(0, 1), _lag())))]


def _heterogeneous_autoregressive(t: TermQuantities) -> Lines:
    first, second, lines = _deviations(t)
    return [equal(_element(t), product(first, second, power(t.correlation(0, 1), _lag()))), *lines]


def _by_lag(t: TermQuantities) -> tuple[Node, Lines]:
    """The correlation at a lag, and the line that says which they are where they are numbers."""
    rho = indexed(Letter("rho"), t.letter)
    if t.all.record is None:
        return indexed(rho, _lag()), []
    names = [indexed(rho, Number(str(k))) for k in range(1, t.size)]
    values = [t.correlation(0, k) for k in range(1, t.size)]
    left = dots_between(names, 3)
    return indexed(rho, _lag()), [equal(Fenced(listed(*left)), Fenced(listed(*dots_between(values, 2 * LONGEST))))]


def _start(t: TermQuantities) -> Node:
    return row(indexed(Letter("rho"), t.letter, ZERO), Sign("="), ONE)


def _toeplitz(t: TermQuantities) -> Lines:
    first, second, lines = _deviations(t)
    rho, values = _by_lag(t)
    return [equal(_element(t), product(rho, first, second), aside=_start(t)), *lines, *values]


def _homogeneous_toeplitz(t: TermQuantities) -> Lines:
    rho, values = _by_lag(t)
    return [equal(_element(t), product(t.variance(), rho), aside=_start(t)), *values]


def _reduced_rank(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
    d = int(t.term.options.get("d", 2))
    d = min(d, t.size)
    loadings = indexed(Letter("Lambda", bold=True), t.letter)
    latent = indexed(Letter("z", bold=True), *at)
    lines = [
        equal(_spelled(t, at), product(loadings, latent)),
        _normal(latent, NOTHING, indexed(IDENTITY, Number(str(d))), aside),
    ]
    if t.all.record is not None and t.size <= 2 * WIDEST:
        factor = t.all.record.engine.factor[t.place]
        lines.append(
            equal(loadings, matrix([[t.all.value(float(factor[i, j])) for j in range(d)] for i in range(t.size)]))
        )
    else:
        above = row(Indexed(Fenced(loadings), listed(Letter("k"), Letter("l"))), Sign("="), ZERO)
        size = row(Number(str(t.size)), Sign("times"), Number(str(d)))
        lines.append(
            Line(loadings, ":", (row(size, Sign(","), Sign("thin"), above),), row(Letter("k"), Sign("<"), Letter("l")))
        )
    return lines


# -- effects that are tied over time, space or kinship -----------------------------------------------------------------


def _places(t: TermQuantities) -> tuple[Node, Node]:
    """Two places, and what the effect is a function of."""
    coupling = t.term.coupling
    assert coupling is not None
    letter = Letter("s") if "," in coupling.label else Letter("t")
    return letter, Indexed(letter, None, Sign("prime"))


def _field(kernel: Callable[[TermQuantities, Node], Node]) -> Callable[..., Lines]:
    """Effects that are a function of time or place: their covariance at two of them."""

    def written(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
        one, other = _places(t)
        effect = indexed(t.letter, *at) if at else t.letter
        apart = Fenced(difference(one, other), "‖‖" if one == Letter("s") else "||")
        covariance = indexed(Letter("C"), t.letter)
        return [
            Line(applied(effect, Sign("cdot")), "~", (applied("GP", ZERO, covariance),), aside),
            equal(applied(covariance, one, other), product(t.variance(), kernel(t, apart))),
        ]

    return written


def _chain(t: TermQuantities, apart: Node) -> Node:
    step = t.term.coupling.step if t.term.coupling is not None else 1.0
    exponent = apart if step == 1.0 else Ratio(apart, t.all.value(step))
    return power(t.all.coupled(t.place, "phi", "rho"), exponent)


def _ornstein(t: TermQuantities, apart: Node) -> Node:
    return applied("exp", product(negative(t.all.coupled(t.place, "rate", "kappa")), apart))


def _exponential(t: TermQuantities, apart: Node) -> Node:
    return applied("exp", row(Sign("minus"), Ratio(apart, t.all.coupled(t.place, "range", "r"))))


def _gaussian(t: TermQuantities, apart: Node) -> Node:
    ratio = Ratio(power(apart, TWO), power(t.all.coupled(t.place, "range", "r"), TWO))
    return applied("exp", row(Sign("minus"), ratio))


def _matern(t: TermQuantities, apart: Node) -> Node:
    nu, scaled = t.all.coupled(t.place, "smoothness", "nu"), Ratio(apart, t.all.coupled(t.place, "range", "r"))
    front = Ratio(power(TWO, difference(ONE, nu)), applied(Letter("Gamma"), nu))
    return product(front, power(Fenced(scaled), nu), applied(indexed(Letter("K"), nu), scaled))


def _random_walk(order: int) -> Callable[..., Lines]:
    def written(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
        effect = indexed(t.letter, *at) if at else t.letter

        def value(k: str) -> Node:
            index = Letter("k") if k == "0" else row(Letter("k"), Sign(k[0]), Number(k[1]))
            return applied(effect, indexed(Letter("t"), index))

        first = applied(effect, indexed(Letter("t"), ONE))
        if order == 1:
            step = t.term.coupling.step if t.term.coupling is not None else 1.0
            gap = Fenced(
                difference(indexed(Letter("t"), row(Letter("k"), Sign("+"), ONE)), indexed(Letter("t"), Letter("k")))
            )
            spread = product(t.variance(), gap if step == 1.0 else Ratio(gap, t.all.value(step)))
            left = difference(value("+1"), value("0"))
            ends = row(first, Sign("="), ZERO)
        else:
            spread = t.variance()
            left = row(value("+1"), Sign("-"), product(TWO, value("0")), Sign("+"), value("-1"))
            last = applied(effect, indexed(Letter("t"), Letter("K")))
            ends = row(first, Sign("="), last, Sign("="), ZERO)
        behind = ends if aside is None else row(ends, Sign(","), Sign("quad"), aside)
        return [_normal(left, ZERO, spread, behind)]

    return written


def _named(t: TermQuantities, fallback: str) -> Node:
    """The known matrix by the name it has in the formula."""
    bars = t.all.model.design.recipe.random
    name = bars[t.place][1].options.get("matrix") if t.place < len(bars) else None
    if not isinstance(name, str):
        return Letter(fallback, bold=True)
    return Letter(name, bold=True) if len(name) == 1 and name.isascii() else Word(name)


def _known(matrix_of: Callable[[TermQuantities], tuple[Node, bool]]) -> Callable[..., Lines]:
    """Effects whose covariance over levels is a known matrix, times that of the columns."""

    def written(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
        over_levels, scaled = matrix_of(t)
        several = t.size > 1
        # Where the levels of the matrix are those of the group, the vector is over these.
        inside = at if _own_levels(t) else ()
        effects = _vector(t, inside)
        behind = aside if inside else None
        if several:
            return [
                _normal(effects, NOTHING, row(over_levels, Sign("kronecker"), _sigma(t)), behind),
                equal(_sigma(t), _full(t)),
            ]
        covariance = product(t.variance(), over_levels) if scaled else over_levels
        return [_normal(effects, NOTHING, covariance, behind)]

    return written


def _own_levels(t: TermQuantities) -> bool:
    """Whether the places are levels of a factor within each group, not the levels of the group."""
    coupling = t.term.coupling
    return coupling is not None and coupling.label != t.term.group


def _conditional(t: TermQuantities) -> tuple[Node, bool]:
    rho = t.all.coupled(t.place, "rho", "rho")
    inside = difference(IDENTITY, product(rho, _named(t, "W")))
    return power(Fenced(inside), row(Sign("minus"), ONE)), True


def _intrinsic(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
    j, k = Letter("j"), Letter("k")
    steps = power(Fenced(difference(indexed(t.letter, j), indexed(t.letter, k))), TWO)
    over = Indexed(Sign("sum"), row(j, Sign("neighbours"), k))
    known = t.term.coupling.known if t.term.coupling is not None else None
    weighted = known is not None and known.precision is not None and not _counts_neighbours(known.precision)
    weight = (indexed(Letter("w"), row(j, k)),) if weighted else ()
    inside = row(Sign("minus"), product(Ratio(ONE, product(TWO, t.variance())), row(over, product(*weight, steps))))
    density = applied(Letter("p"), _vector(t, ()))
    return [Line(density, "propto", (applied("exp", inside),), row(indexed(t.letter, ONE), Sign("="), ZERO))]


def _counts_neighbours(laplacian: Any) -> bool:
    """Whether all borders of a map count the same."""
    entries = laplacian.tocoo()
    borders = entries.data[(entries.row != entries.col) & (entries.data != 0.0)]
    return bool((borders == -1.0).all())


def _by_name(t: TermQuantities, at: tuple[Node, ...], aside: Node | None) -> Lines:
    """A structure without a notation of its own: a normal with a covariance matrix by its name."""
    return [_normal(_spelled(t, at), NOTHING, indexed(_sigma(t), Word(t.term.structure)), aside)]


STRUCTURES: dict[str, Callable[[TermQuantities, tuple[Node, ...], Node | None], Lines]] = {
    "us": _block(_unstructured),
    "diag": _block(_diagonal),
    "homdiag": _block(_same),
    "cs": _block(_equicorrelated),
    "homcs": _block(_equal_variances_and_correlations),
    "ar1": lambda t, at, aside: (_block(_autoregressive) if t.term.coupling is None else _field(_chain))(t, at, aside),
    "hetar1": _block(_heterogeneous_autoregressive),
    "toep": _block(_toeplitz),
    "homtoep": _block(_homogeneous_toeplitz),
    "rr": _reduced_rank,
    "ou": _field(_ornstein),
    "exp": _field(_exponential),
    "gau": _field(_gaussian),
    "mat": _field(_matern),
    "propto": _known(lambda t: (_named(t, "A"), True)),
    "equalto": _known(lambda t: (_named(t, "V"), False)),
    "car": _known(_conditional),
    "icar": _intrinsic,
    "rw1": _random_walk(1),
    "rw2": _random_walk(2),
}
