"""Power of a test of fixed effects by simulation.

Responses are drawn from a model whose parameters are known (those of a fit, with effects changed, or given), on a
design that has more levels of a grouping factor or more rows in each than the data; the model is fitted to each and the
test made. The power is the share of p-values below alpha, its interval Clopper & Pearson's.

Draw r depends on the seed and r alone, whatever the scenario, so that scenarios are compared on common random numbers.

Reference: Green & MacLeod (2016), Methods in Ecology and Evolution 7, 493-498.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, SupportsFloat

import numpy as np

from ranef import _engine
from ranef.assumptions import read_fixed, vocabulary
from ranef.errors import ModelError, blaming, did_you_mean
from ranef.families import Family
from ranef.fitting import Control, FittedModel, announce, kept_columns
from ranef.inference.contrasts import denominator
from ranef.inference.resampling import grouping_factors, rows_by_level, with_copies
from ranef.inference.variance_components import covariances
from ranef.inference.wald import p_value
from ranef.model import Model, raised_by_engine

METHODS = ("wald", "lrt")
# Draws between two lines of progress.
PIECE = 50
# The draw that the first fit of a scenario is made to, which is none of those that are counted.
FIRST = 2**40


@dataclass(frozen=True)
class Truth:
    """A model and its parameters, from which responses are drawn.

    Attributes
    ----------
    model : Model
        What is fitted to the responses.
    beta : tuple of arrays
        Coefficients by predictor, one for each column of its design.
    covariance : tuple of arrays
        Sigma of each random-effects term.
    modes : tuple of (array or None)
        The effects of smooths, which stay as they are.
    engine : _engine.Fitted or None
        The fit they come from, if any.
    """

    model: Model
    beta: tuple[np.ndarray, ...]
    covariance: tuple[np.ndarray, ...]
    modes: tuple[np.ndarray | None, ...]
    engine: _engine.Fitted | None


def truth_of_fit(record: FittedModel) -> Truth:
    """The parameters of a fit."""
    if record.model.assumed.priors:
        raise ModelError("power(): a fit with priors; fit the model without them, or give its formula and parameters=.")
    beta = []
    for component in record.model.components:
        predictors = record.model.predictors(component)
        if len(predictors) > 1:
            beta += [np.asarray(record.engine.beta[k], float) for k in predictors]
            continue
        full = np.zeros(record.design.fixed[component].x.shape[1])
        full[record.kept[component]] = record.estimates(component)
        beta.append(full)
    modes = tuple(
        np.asarray(modes, float) if term.smooth is not None else None
        for term, modes in zip(record.terms(), record.engine.modes, strict=True)
    )
    truth = Truth(record.model, tuple(beta), tuple(covariances(record)), modes, record.engine)
    require_drawable(truth)
    return truth


def truth_of_parameters(model: Model, parameters: Any) -> Truth:
    """The parameters that the caller gives, by the names that `fixed=` has for them; correlations left out are zero."""
    free = replace(model, method="ml")
    known = vocabulary(free)
    if not isinstance(parameters, Mapping):
        raise ModelError(f"parameters={parameters!r}: give a dictionary from names of parameters to values.")
    given = dict(parameters)
    if not any(name.split(": ")[-1].startswith("cor") for name in map(str, given)):
        for t, term in enumerate(free.design.random):
            if term.structure == "us" and term.columns.shape[1] > 1:
                names = [n for n, m in known.items() if n.startswith("cor(") and m.parameters[0].place == ("cor", t, 0)]
                given |= {name: np.eye(term.columns.shape[1]) for name in names[:1]}
    found = read_fixed(free, known, given, "parameters")
    values = {parameter.place: value for parameter, value in found["held"]}
    logs = {p.place for p, _ in found["held"] if p.kind == "sigma"}
    wanted: dict[tuple[str, int, int], str] = {}
    for meaning in known.values():
        for parameter in meaning.parameters:
            if parameter.kind in ("fixed", "sd", "sigma"):
                wanted.setdefault(parameter.place, parameter.name)
    constants = free.fixed_predictors()
    lacking = [
        name
        for place, name in wanted.items()
        if place not in values and not (place[0] == "fixed" and constants[place[1]] is not None)
    ]
    if lacking:
        raise ModelError(f"parameters: no value for {', '.join(lacking)}; a model to draw from needs all of them.")
    beta = []
    named = [c for c in free.components for _ in free.predictors(c)]
    for k, component in enumerate(named):
        width = 1 if component == "threshold" else free.design.fixed[component].x.shape[1]
        places = [("fixed", k, j) for j in range(width)]
        beta.append(np.array([np.log(values[p]) if p in logs else values.get(p, 0.0) for p in places]))
    sigmas = []
    for t, term in enumerate(free.design.random):
        width = term.columns.shape[1]
        if term.structure not in ("us", "diag", "homdiag") and width > 1:
            raise ModelError(
                f"parameters: the covariance of {term.text} has parameters that cannot be named; give power() a fit of "
                "the model instead, or write the term with us, diag or homdiag."
            )
        sds = np.array([values.get(("sd", t, j), values.get(("sd", t, 0))) for j in range(width)], float)
        correlation = found["correlations"].get(t, np.eye(width))
        with np.errstate(over="ignore", invalid="ignore"):
            sigma = sds[:, None] * correlation * sds
        if not np.isfinite(sigma).all():
            raise ModelError(
                f"parameters: standard deviations of {term.text} up to {sds.max():g} have squares beyond the largest "
                "number; measure the response in other units."
            )
        sigmas.append(sigma)
    truth = Truth(model, tuple(beta), tuple(sigmas), tuple(None for _ in sigmas), None)
    require_drawable(truth)
    return truth


def placeholder(family: Family, n: int) -> np.ndarray:
    """Values that the family takes, for a design that has no response yet."""
    values = {
        "real": (0.0, 1.0),
        "counts": (0.0, 1.0),
        "positive_counts": (1.0, 2.0),
        "positive": (1.0, 2.0),
        "nonnegative": (1.0, 2.0),
        "trials": (0.0, 1.0),
        "unit": (0.4, 0.6),
        "closed_unit": (0.4, 0.6),
    }
    if family.support not in values:
        raise ModelError(
            f"power(): the categories of a {family.name} response come from data; give a fit of the model."
        )
    return np.resize(np.array(values[family.support]), n)


def require_drawable(truth: Truth) -> None:
    """Refuse models whose responses cannot be drawn for other designs."""
    for term in truth.model.design.random:
        if term.coupling is not None:
            raise ModelError(
                f"power(): the effects of {term.text} are tied to each other, and are not drawn for other designs."
            )
    if truth.model.marginal:
        raise ModelError("power(): models with correlated residuals, or residuals of modelled size, are not drawn.")
    truth.model.family.require("simulate", "power by simulation")


def with_effects(truth: Truth, effects: Mapping[str, float]) -> Truth:
    """The parameters with some fixed effects changed."""
    beta = [part.copy() for part in truth.beta]
    for name, value in effects.items():
        component, term = ("cond", name) if ": " not in name else tuple(name.split(": ", 1))
        if component not in truth.model.components:
            raise ModelError(f"effect: {name!r} is of a component that the model does not have")
        names = list(truth.model.design.fixed[component].names)
        if term not in names or component == "threshold":
            raise ModelError(f"effect: {name!r} is no fixed effect; {did_you_mean(term, names)}")
        beta[truth.model.predictor(component)][names.index(term)] = value
    return replace(truth, beta=tuple(beta))


# -- designs -----------------------------------------------------------------------------------------------------------


def spread_out(size: int, wanted: int) -> np.ndarray:
    """`wanted` of `size` places: all as often as they go, and the remainder evenly spaced among them.

    Examples
    --------
    >>> spread_out(4, 6).tolist(), spread_out(4, 2).tolist()
    ([0, 1, 2, 3, 0, 2], [0, 2])
    """
    rest = np.floor(np.arange(wanted % size) * size / max(wanted % size, 1)).astype(int)
    return np.concatenate([np.tile(np.arange(size), wanted // size), rest])


def extended(model: Model, along: Mapping[str, int], within: Mapping[str, int]) -> Model:
    """The model with that many levels of some grouping factors, and that many rows in each level of some."""
    for group, levels in along.items():
        parts = rows_by_level(_codes(model, group, "along"))
        drawn = spread_out(len(parts), _count(levels, "along", group))
        rows = np.concatenate([parts[k] for k in drawn])
        copies = np.repeat(np.arange(len(drawn)), [len(parts[k]) for k in drawn])
        model = with_copies(model, group, rows, copies, frame=False)
    for group, size in within.items():
        codes = _codes(model, group, "within")
        for term in model.design.random:
            if len(term.levels) == model.design.n:
                raise ModelError(f"within: {term.group} has a level for each row, which cannot be repeated")
        parts = rows_by_level(codes)
        wanted = _count(size, "within", group)
        rows = np.concatenate([part[spread_out(len(part), wanted)] for part in parts])
        model = with_copies(model, group, rows, codes[rows], frame=False)
    return model


def _codes(model: Model, group: str, argument: str) -> np.ndarray:
    factors = grouping_factors(model)
    if group not in factors:
        raise ModelError(f"{argument}: {group!r} is no grouping factor; {did_you_mean(str(group), factors)}")
    return factors[group]


def _count(value: Any, argument: str, group: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ModelError(f"{argument}: {group!r}: {value!r}; give whole numbers, 1 or more")
    return int(value)


# -- responses ---------------------------------------------------------------------------------------------------------


def draw(truth: Truth, model: Model, factors: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A response of the truth for the rows of `model`, with new random effects."""
    design = model.design
    fixed = model.by_predictor({c: np.asarray(design.fixed[c].x, float) for c in model.components})
    named = [c for c in model.components for _ in model.predictors(c)]
    eta = np.empty((design.n, len(fixed)))
    for k, (component, x, constant) in enumerate(zip(named, fixed, model.fixed_predictors(), strict=True)):
        if constant is not None:
            eta[:, k] = constant
            continue
        offset = design.fixed[component].offset
        eta[:, k] = x @ truth.beta[k] + (0.0 if offset is None else offset)
    for term, factor, modes in zip(design.random, factors, truth.modes, strict=True):
        b = modes if modes is not None else rng.standard_normal((len(term.levels), factor.shape[1])) @ factor.T
        codes = np.asarray(term.codes).astype(np.int64)
        eta[:, model.predictor(term.component)] += np.einsum("ij,ij->i", np.asarray(term.columns), b[codes])
    if model.linear and design.weights is not None:
        eta[:, model.predictor("disp")] -= 0.5 * np.log(design.weights)
    seed = int(rng.integers(2**63))
    family = model.family
    if "threshold" not in model.components and family.engine is None:
        trials = design.response.trials
        return np.asarray(_engine.draw(family.name, family.link, model.zero_inflated, eta, trials, seed), float)
    if truth.engine is None:
        raise ModelError(f"power(): responses of {family.name} are drawn from a fit; give one instead of a formula.")
    rows = {
        "x": [np.zeros_like(x) for x in fixed],
        "offset": [np.ascontiguousarray(column) for column in eta.T],
        "codes": [np.full(design.n, -1, np.int64) for _ in design.random],
        "columns": [np.asarray(term.columns, float) for term in design.random],
    }
    drawn = truth.engine.simulate(1, seed, ["zero"] * len(design.random), rows)
    return np.asarray(drawn, float)[:, 0]


def factors_of(truth: Truth) -> list[np.ndarray]:
    """F with F F' = Sigma, for every term."""
    found = []
    for sigma in truth.covariance:
        values, vectors = np.linalg.eigh(sigma)
        found.append(vectors * np.sqrt(values.clip(min=0.0)))
    return found


# -- tests -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tested:
    """What is tested in every fit.

    Attributes
    ----------
    label : str
    component : str
    columns : tuple of int
        Of the component's design; empty for a function of the caller's.
    method : {"wald", "lrt"}
    ddf : str or None
    function : callable or None
        From a fit to a p-value.
    """

    label: str
    component: str
    columns: tuple[int, ...]
    method: str
    ddf: str | None
    function: Callable[[Any], float] | None = None


def tested(model: Model, test: Any, effects: Sequence[str], method: str, ddf: str | None) -> Tested:
    """What a caller means by `test`: a coefficient, a term, or a function of a fit."""
    if method not in METHODS:
        raise ModelError(f"power(method={method!r}): give one of {', '.join(map(repr, METHODS))}")
    if callable(test):
        return Tested(getattr(test, "__name__", "test"), "cond", (), method, ddf, test)
    if test is None:
        if len(effects) != 1:
            raise ModelError("power(): say which fixed effect is tested, test='x', or give one effect={'x': ...}")
        test = effects[0]
    if not isinstance(test, str):
        raise ModelError(f"power(test={test!r}): give the name of a fixed effect or term, or a function of a fit")
    component, term = ("cond", test) if ": " not in test else tuple(test.split(": ", 1))
    if component not in model.components:
        raise ModelError(f"power(test={test!r}): the model has no component {component!r}")
    part = model.design.fixed[component]
    if term in part.names:
        return Tested(test, component, (part.names.index(term),), method, ddf)
    if term in part.term_columns and term != "1":
        return Tested(test, component, tuple(part.term_columns[term]), method, ddf)
    words = dict.fromkeys((*part.names, *(t for t in part.term_columns if t != "1")))
    raise ModelError(f"power(test={test!r}): no such fixed effect or term; {did_you_mean(term, words)}")


class Trial:
    """One scenario: a design, the models fitted to it, and the p-value of a response.

    Parameters
    ----------
    truth : Truth
    model : Model
        With the rows of the scenario.
    what : Tested
    seed : int
    control : Control
    wrap : callable
        Makes of a model, its engine's result and the columns kept what the caller's function takes.
    """

    def __init__(
        self, truth: Truth, model: Model, what: Tested, seed: int, control: Control, wrap: Callable[..., Any]
    ) -> None:
        self._truth, self._what, self._seed, self._wrap = truth, what, seed, wrap
        self._factors = factors_of(truth)
        if what.method == "lrt" and what.function is None:
            model = replace(model, method="ml")
        self.model = model
        settings = control.for_engine() | {"threads": 1}
        y = self.response(FIRST)
        self._control = control
        self._fit, self._kept = _fitted_to(model, y, settings)
        dropped = sorted(set(what.columns) - set(self._kept[what.component].tolist()))
        if dropped:
            names = ", ".join(model.design.fixed[what.component].names[j] for j in dropped)
            raise ModelError(
                f"power(): with {model.design.n} rows {names} cannot be told from the other fixed effects: too few "
                "levels or rows are left"
            )
        self._null = None
        if what.method == "lrt" and what.function is None:
            part = model.design.fixed[what.component]
            left = [j for j in range(part.x.shape[1]) if j not in what.columns]
            smaller = replace(
                part, x=np.asfortranarray(np.asarray(part.x)[:, left]), names=tuple(part.names[j] for j in left)
            )
            design = replace(model.design, fixed={**model.design.fixed, what.component: smaller})
            self._null = _fitted_to(replace(model, design=design), y, settings)[0]

    def response(self, r: int) -> np.ndarray:
        """Draw r."""
        return draw(self._truth, self.model, self._factors, np.random.default_rng((self._seed, r)))

    def p_value(self, r: int) -> float:
        """The p-value of draw r; NaN where a fit failed."""
        y, trials = self.response(r), self.model.design.response.trials
        try:
            engine = self._fit.refit(y, trials, {})
            null = None if self._null is None else self._null.refit(y, trials, {})
        except _engine.EngineError:
            return float("nan")
        if not engine.converged or not (null is None or null.converged):
            return float("nan")
        what = self._what
        if null is not None:
            from scipy.special import chdtrc

            return float(chdtrc(len(what.columns), max(2.0 * (engine.loglik - null.loglik), 0.0)))
        record = self._wrap(self.model, engine, self._kept, y, self._control)
        if what.function is not None:
            with blaming("power(test=)"):
                value = what.function(record)
            if isinstance(value, str | bytes) or np.ndim(value) != 0 or not isinstance(value, SupportsFloat):
                raise ModelError(f"power(test=): the function gave {value!r}; a test gives a p-value, from 0 to 1")
            return float(value)
        kept = self._kept[what.component].tolist()
        combinations = np.eye(len(kept))[[kept.index(j) for j in what.columns]]
        test = denominator(record, what.component, what.ddf)
        if len(combinations) > 1:
            return test.joint_test(combinations).p_value
        statistic = combinations @ test.estimate / test.std_errors(combinations)
        return float(p_value(statistic, test.degrees_of_freedom(combinations))[0])


def _fitted_to(
    model: Model, y: np.ndarray, settings: Mapping[str, Any]
) -> tuple[_engine.Fitted, dict[str, np.ndarray]]:
    filled = replace(model, design=replace(model.design, response=replace(model.design.response, y=y)))
    try:
        compiled = _engine.Model(filled.spec())
        kept = {c: kept_columns([compiled.kept[k] for k in model.predictors(c)]) for c in model.components}
        return compiled.fit(settings), kept
    except _engine.EngineError as error:
        raise raised_by_engine(error, filled.design) from None


# -- scenarios ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """What varies: effects, levels of groups, rows within them."""

    effects: dict[str, float]
    along: dict[str, int]
    within: dict[str, int]


def scenarios(effect: Any, along: Any, within: Any) -> tuple[list[Scenario], list[str]]:
    """All combinations of the values given, and the names of what varies."""
    axes: list[tuple[str, str, list[Any]]] = []
    for argument, given in (("effect", effect), ("along", along), ("within", within)):
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise ModelError(f"power({argument}={given!r}): give a dictionary, such as {_EXAMPLES[argument]}")
        for name, value in given.items():
            values = list(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else [value]
            if not values:
                raise ModelError(f"{argument}: {name!r} has no values")
            if argument == "effect":
                for each in values:
                    number = isinstance(each, int | float | np.number) and not isinstance(each, bool)
                    if not number or not np.isfinite(each):
                        raise ModelError(f"effect: {name!r}: {each!r} is no number")
            axes.append((argument, str(name), values))
    found = []
    for choice in product(*(values for _, _, values in axes)):
        by: dict[str, dict[str, Any]] = {"effect": {}, "along": {}, "within": {}}
        for (argument, name, _), value in zip(axes, choice, strict=True):
            by[argument][name] = value
        found.append(Scenario(by["effect"], by["along"], by["within"]))
    names = [name if argument != "within" else f"rows in {name}" for argument, name, _ in axes]
    return found, names


_EXAMPLES = {"effect": "{'x': 0.5}", "along": "{'Subject': [10, 20, 40]}", "within": "{'Subject': [5, 10]}"}


@dataclass(frozen=True)
class PowerCurve:
    """Columns of the result, the names of what varies (and which are groups), and what was tested."""

    columns: dict[str, list[Any]]
    varying: tuple[str, ...]
    groups: tuple[str, ...]
    what: Tested
    alpha: float
    level: float


def power_curve(
    truth: Truth,
    test: Any,
    effect: Any,
    along: Any,
    within: Any,
    *,
    method: str,
    ddf: str | None,
    n_sim: int,
    seed: int,
    alpha: float,
    level: float,
    control: Control,
    wrap: Callable[..., Any],
) -> PowerCurve:
    """Power in every scenario."""
    if isinstance(n_sim, bool) or not isinstance(n_sim, int | np.integer) or n_sim < 1:
        raise ModelError(f"power(n_sim={n_sim!r}): give a whole number of simulations, 1 or more")
    for name, share in (("alpha", alpha), ("level", level)):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
            raise ModelError(f"power({name}={share!r}): give a number between 0 and 1")
    chosen, varying = scenarios(effect, along, within)
    what = tested(truth.model, test, list(effect or {}), method, ddf)
    names = [*varying, "rows", "power", "conf_low", "conf_high", "n_sim", "failed"]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    trials = [
        Trial(
            with_effects(truth, one.effects),
            extended(truth.model, one.along, one.within),
            what,
            seed,
            control,
            wrap,
        )
        for one in chosen
    ]
    for scenario, trial in zip(chosen, trials, strict=True):
        p = np.array(list(_p_values(trial, int(n_sim), control, scenario)))
        good = p[np.isfinite(p)]
        hits = int((good < alpha).sum())
        low, high = clopper_pearson(hits, len(good), level)
        values = [*scenario.effects.values(), *scenario.along.values(), *scenario.within.values()]
        share = hits / len(good) if len(good) else float("nan")
        row = [*values, trial.model.design.n, share, low, high, int(n_sim), len(p) - len(good)]
        for name, value in zip(names, row, strict=True):
            columns[name].append(value)
    return PowerCurve(columns, tuple(varying), tuple(along or {}), what, alpha, level)


def _p_values(trial: Trial, n: int, control: Control, scenario: Scenario) -> Iterator[float]:
    settings = {**scenario.effects, **scenario.along, **scenario.within}
    told = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    with ThreadPoolExecutor(control.threads) as pool:
        for first in range(0, n, PIECE):
            yield from pool.map(trial.p_value, range(first, min(first + PIECE, n)))
            announce(control, f"power{f' ({told})' if told else ''}: {min(first + PIECE, n)} of {n} simulations")


def clopper_pearson(hits: int, n: int, level: float) -> tuple[float, float]:
    """Exact interval of a probability (Clopper & Pearson 1934, Biometrika 26, 404-413).

    Examples
    --------
    >>> low, high = clopper_pearson(0, 10, 0.95)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    from scipy.special import betaincinv

    if n == 0:
        return float("nan"), float("nan")
    tail = (1.0 - level) / 2.0
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1.0 - tail))
    return low, high
