"""What is said of parameters besides the data: priors, held values, equalities, starts; and the names they go by.

A name means one parameter or several:

    Days, zi: Days          a fixed effect of the mean; of another component
    fixed                   the mean's fixed effects but the intercept
    cond, zi, disp, ...     all fixed effects of a component, the intercept included
    sd(Subject, Days)       the standard deviation of a column of the terms of a group
    sd(Subject), sd         of all columns of a group; of all random effects
    log_sd(...)             the logarithm of those
    cor(Subject), cor       the correlation matrix of an unstructured term
    sigma, sd(Residual)     the residual standard deviation, where it is one number

Where two names given mean the same parameter, that which is more particular counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranef.errors import ModelError, did_you_mean
from ranef.model import Assumed, AssumedPrior, Model, Named
from ranef.prior import Prior

# Structures in which one standard deviation stands for all columns.
COMMON = ("homdiag", "homcs", "ar1", "homtoep")
# Structures of several columns that are standard deviations times correlations.
SCALED = ("cs", "hetar1", "toep")
# Structures in which the standard deviation of a later column is not one parameter.
TRIANGULAR = ("us", "rr")
# The largest logarithm of a standard deviation: squares and sums of those are numbers.
MOST_LOG = 300.0
# The largest value of a parameter, whose square is a number too.
LARGEST = 1e100


@dataclass(frozen=True)
class Meaning:
    """What a name means.

    Attributes
    ----------
    rank : float
        How particular the name is.
    parameters : list of Named
    """

    rank: float
    parameters: list[Named]


def assuming(model: Model, priors: Any = None, fixed: Any = None, tied: Any = None) -> Model:
    """The model with what the caller assumes of its parameters.

    Raises
    ------
    ModelError
        When a name means nothing in this model, or what is said of it makes no sense.
    """
    if priors is None and fixed is None and tied is None:
        return model
    known = vocabulary(model)
    assumed = Assumed(**(read_fixed(model, known, fixed) if fixed is not None else {}))
    assumed = replace(assumed, tied=read_tied(model, known, tied, assumed) if tied is not None else ())
    settled = {parameter.place: "is held at a value" for parameter, _ in assumed.held}
    settled |= {("cor", term, 0): "is held at a value" for term in assumed.correlations}
    settled |= {second.place: f"is tied to {first.name}" for first, second in assumed.tied}
    found = read_priors(model, known, priors, settled) if priors is not None else ()
    if model.marginal:
        raise ModelError(
            "priors=, fixed= and tied= go with independent residuals of one size: leave out correlation= and the "
            "dispersion, or say what is known in rf.glmm(..., family='gaussian', dispersion=...)."
        )
    return replace(model, assumed=replace(assumed, priors=found))


def vocabulary(model: Model) -> dict[str, Meaning]:
    """Every name that means a parameter of the model."""
    found: dict[str, Meaning] = {}

    def add(name: str, rank: float, parameter: Named) -> None:
        found.setdefault(name, Meaning(rank, [])).parameters.append(parameter)

    for component in model.components:
        part = model.design.fixed[component]
        if component == "disp" and model.has_residual:
            place = ("fixed", model.predictor(component), 0)
            for name in ("sigma", "sd(Residual)"):
                add(name, 2.0, Named("sigma", component, place, "sigma"))
            continue
        for j, name in enumerate(part.names):
            alone = component == "threshold"
            place = ("fixed", model.predictor(component) + (j if alone else 0), 0 if alone else j)
            full = name if component == "cond" else f"{component}: {name}"
            parameter = Named("fixed", component, place, full)
            add(f"{component}: {name}", 2.0, parameter)
            if component == "cond":
                add(name, 2.0, parameter)
                if name != "Intercept":
                    add("fixed", 1.0, parameter)
            add(component, 0.0, parameter)
    several = [(term.component, term.group) for term in model.design.random for _ in columns_of(term)]
    for t, term in enumerate(model.design.random):
        before = "" if term.component == "cond" else f"{term.component}: "
        columns = columns_of(term)
        for j in columns:
            alone = several.count((term.component, term.group)) == 1
            column = "" if alone or term.structure in COMMON else f", {term.names[j]}"
            parameter = Named("sd", term.component, ("sd", t, j), f"{before}sd({term.group}{column})")
            for prefix, more in (("", 0.0), (f"{term.component}: ", 0.5)):
                add(f"{prefix}sd", 0.0 + more, parameter)
                add(f"{prefix}sd({term.group})", 1.0 + more, parameter)
                add(f"{prefix}sd({term.group}, {term.names[j]})", 2.0 + more, parameter)
        if term.structure == "us" and term.coupling is None and len(term.names) > 1:
            parameter = Named("cor", term.component, ("cor", t, 0), f"{before}cor({term.group})")
            for prefix, more in (("", 0.0), (f"{term.component}: ", 0.5)):
                add(f"{prefix}cor", 0.0 + more, parameter)
                add(f"{prefix}cor({term.group})", 1.0 + more, parameter)
    for name, meaning in list(found.items()):
        if "sd" in name and all(parameter.kind in ("sd", "sigma") for parameter in meaning.parameters):
            # The coefficient of a residual standard deviation is its logarithm.
            logs = [
                replace(p, kind="log_sd", name=p.name.replace("sd(", "log_sd("))
                if p.kind == "sd"
                else replace(p, kind="fixed", name="log_sd(Residual)")
                for p in meaning.parameters
            ]
            found[re.sub(r"^((?:\w+: )?)sd", r"\1log_sd", name)] = Meaning(meaning.rank, logs)
    return found


def columns_of(term: Any) -> list[int]:
    """The columns of a term whose standard deviations are parameters."""
    if term.structure == "equalto":
        return []
    return [0] if term.structure in COMMON else list(range(len(term.names)))


def meaning_of(known: Mapping[str, Meaning], name: Any, argument: str) -> Meaning:
    """What a name means.

    Raises
    ------
    ModelError
        When it means nothing.
    """
    if not isinstance(name, str):
        raise ModelError(f"{argument}: {name!r} is no name; write a parameter as 'x', 'sd(group)' or 'cor(group)'.")
    for text in (name, tidied(name)):
        if text in known:
            return known[text]
    words = [word for word in known if not word.startswith("cond: ") or name.startswith("cond")]
    raise ModelError(f"{argument}: {name!r} means no parameter of this model; {did_you_mean(tidied(name), words)}")


def tidied(name: str) -> str:
    """A name with the spaces of this module's names."""
    text = re.sub(r"\s*,\s*", ", ", name.strip())
    text = re.sub(r"\(\s+", "(", re.sub(r"\s+\)", ")", text))
    return re.sub(r"^(cond|zi|disp|shape|threshold)\s*:\s*", r"\1: ", text)


def read_priors(
    model: Model, known: Mapping[str, Meaning], priors: Any, settled: Mapping[tuple[str, int, int], str]
) -> tuple[AssumedPrior, ...]:
    """The prior of each parameter that has one; those that are held, or follow from another, have none."""
    if not isinstance(priors, Mapping):
        raise ModelError(
            f"priors={priors!r}: give a dictionary from names of parameters to priors, such as "
            "{'fixed': rf.prior.normal(0, 2.5), 'sd': rf.prior.gamma(1, 2.5)}."
        )
    chosen: dict[tuple[str, int, int], tuple[float, str, AssumedPrior]] = {}
    for key, prior in priors.items():
        meaning = meaning_of(known, key, "priors")
        if not isinstance(prior, Prior):
            raise ModelError(f"priors[{key!r}] = {prior!r}: give a prior such as rf.prior.normal(0, 2.5).")
        for parameter in meaning.parameters:
            if (why := settled.get(parameter.place)) is not None:
                if len(meaning.parameters) == 1:
                    raise ModelError(f"priors[{key!r}]: {parameter.name} {why}; leave out one of the two.")
                continue
            require_suitable(key, parameter, prior)
            require_outside(model, parameter, f"priors[{key!r}]")
            before = chosen.get(parameter.place)
            if before is not None and before[0] == meaning.rank:
                raise ModelError(
                    f"priors: {before[1]!r} and {key!r} both name {parameter.name}; leave one of them out."
                )
            if before is None or before[0] < meaning.rank:
                chosen[parameter.place] = (meaning.rank, key, AssumedPrior(parameter, prior))
    return tuple(found for _, _, found in chosen.values())


def require_suitable(key: str, parameter: Named, prior: Prior) -> None:
    """Refuse a density of something else than the parameter."""
    if parameter.kind == "cor":
        if prior.of != "correlation":
            raise ModelError(f"priors[{key!r}] = {prior!r}: a correlation matrix has an lkj prior, rf.prior.lkj(2).")
        return
    if prior.of == "correlation":
        raise ModelError(f"priors[{key!r}] = {prior!r}: lkj is a prior of correlation matrices, 'cor(group)'.")
    if parameter.kind in ("sd", "sigma") and prior.of == "line":
        log = f"; or give it to {key.replace('sd', 'log_sd', 1)!r}" if "sd" in key else ""
        raise ModelError(
            f"priors[{key!r}] = {prior!r}: a standard deviation is not negative; give gamma, half_normal, half_t or "
            f"half_cauchy{log}."
        )
    if parameter.kind in ("fixed", "log_sd") and prior.of == "positive":
        raise ModelError(
            f"priors[{key!r}] = {prior!r}: {parameter.name} may be negative; give normal, student_t or cauchy."
        )


def require_outside(model: Model, parameter: Named, what: str) -> None:
    """Refuse what is said of a fixed effect of the mean that is not among the parameters of the search."""
    if parameter.kind != "fixed" or parameter.component != "cond":
        return
    if model.method == "reml":
        raise ModelError(f"{what}: with reml=True the fixed effects of the mean are integrated out. Give reml=False.")
    if model.quadrature == 0:
        raise ModelError(
            f"{what}: with quadrature=0 the fixed effects of the mean are no parameters of the search. Leave it out."
        )


def read_fixed(model: Model, known: Mapping[str, Meaning], fixed: Any, argument: str = "fixed") -> dict[str, Any]:
    """Held values and known correlation matrices; `argument` is what errors call them."""
    if not isinstance(fixed, Mapping):
        raise ModelError(f"{argument}={fixed!r}: give a dictionary from names of parameters to values.")
    correlations: dict[int, np.ndarray] = {}
    held: list[tuple[Named, float]] = []
    for key, value in fixed.items():
        parameter = single(known, key, argument)
        require_outside(model, parameter, f"{argument}[{key!r}]")
        if parameter.kind == "cor":
            t = parameter.place[1]
            correlations[t] = correlation_matrix(key, value, len(model.design.random[t].names))
            continue
        number = finite(value, f"{argument}[{key!r}]")
        if parameter.kind == "log_sd":
            parameter, number = (
                replace(parameter, kind="sd", name=parameter.name.replace("log_sd(", "sd(")),
                exponential(number, f"{argument}[{key!r}]"),
            )
        if parameter.kind in ("sd", "sigma") and number < 0.0:
            raise ModelError(f"{argument}[{key!r}] = {number:g}: a standard deviation is not negative.")
        if parameter.kind == "sigma" and number == 0.0:
            raise ModelError(
                f"{argument}[{key!r}] = 0: without residual variance the density of a row is infinite; "
                'rf.glmm(..., dispersion="~ 0") comes close.'
            )
        if any(parameter.place == other.place for other, _ in held):
            raise ModelError(f"{argument}: {key!r} names {parameter.name} again; leave one of the values out.")
        held.append((parameter, number))
    for parameter, _ in held:
        require_own(model, parameter, correlations, argument)
    return {"held": tuple(held), "correlations": correlations}


def require_own(model: Model, parameter: Named, correlations: Mapping[int, Any], argument: str) -> None:
    """Refuse a standard deviation that is not one parameter of its structure."""
    kind, t, column = parameter.place
    if kind != "sd" or t in correlations or column == 0:
        return
    term = model.design.random[t]
    if term.structure in TRIANGULAR:
        raise ModelError(
            f"{argument}: {parameter.name} cannot be set alone, as the correlations of {term.text} are free. Hold them "
            f"too, fixed={{'cor({term.group})': ...}}, put that column first, or write the term with || or diag()."
        )


def read_tied(
    model: Model, known: Mapping[str, Meaning], tied: Any, assumed: Assumed
) -> tuple[tuple[Named, Named], ...]:
    """Pairs of parameters that are equal."""
    listed = isinstance(tied, Sequence) and not isinstance(tied, str)
    if not listed or any(isinstance(names, str) or not isinstance(names, Sequence) for names in tied):
        raise ModelError(f"tied={tied!r}: give a list of tuples of names, such as [('sd(a)', 'sd(b)')].")
    pairs = []
    for names in tied:
        if len(names) < 2:
            raise ModelError(f"tied: {names!r} names one parameter; give two or more that are equal.")
        parameters = [single(known, name, "tied") for name in names]
        for name, parameter in zip(names, parameters, strict=True):
            if parameter.kind not in ("fixed", "sd"):
                raise ModelError(f"tied: {name!r}: give fixed effects, or standard deviations of random effects.")
            if parameter.kind != parameters[0].kind:
                raise ModelError(f"tied: {names[0]!r} and {name!r} are not of one kind.")
            require_outside(model, parameter, f"tied: {name!r}")
            require_own(model, parameter, assumed.correlations, "tied")
        pairs += [(parameters[0], other) for other in parameters[1:]]
    for first, second in pairs:
        if first.kind == "sd" and squared(model, first, assumed) != squared(model, second, assumed):
            raise ModelError(
                f"tied: {first.name} and {second.name} belong to structures whose parameters are of different kinds "
                "(one is the standard deviation, the other its root). Write both terms with the same structure."
            )
    values = {parameter.place: (parameter, value) for parameter, value in assumed.held}
    for first, second in pairs:
        both = [values[p.place] for p in (first, second) if p.place in values]
        if len(both) == 2 and both[0][1] != both[1][1]:
            shown = " and ".join(f"{p.name} at {value:g}" for p, value in both)
            raise ModelError(f"tied: {first.name} and {second.name} contradict each other: fixed= holds {shown}.")
    return tuple(pairs)


def squared(model: Model, parameter: Named, assumed: Assumed) -> bool:
    """Whether a standard deviation is the square of the engine's parameter."""
    term = model.design.random[parameter.place[1]]
    return (term.structure in SCALED and len(term.names) > 1) or parameter.place[1] in assumed.correlations


def start_values(model: Model, start: Mapping[str, Any]) -> list[tuple[tuple[str, int, int], float]]:
    """A start by names as the engine takes it.

    Standard deviations are relative to sigma for a profiled likelihood: to that of the start, or else to the residuals
    of the fixed effects alone.
    """
    known = vocabulary(model)
    named = {key: value for key, value in start.items() if key != "beta"}
    if isinstance(beta := start.get("beta", {}), Mapping):
        named.update(beta)
    values: list[tuple[tuple[str, int, int], float]] = []
    scale = 1.0
    if model.profiled:
        y, x = model.design.response.y, np.asarray(model.design.fixed["cond"].x, float)
        scale = float(np.std(y - x @ np.linalg.lstsq(x, y, rcond=None)[0])) or 1.0
        if "sigma" in named:
            scale = finite(named["sigma"], "start['sigma']")
    for key, value in named.items():
        parameter = single(known, key, "start")
        if parameter.kind == "cor":
            raise ModelError(f"start: {key!r}: a search starts without correlations; or give 'factor'.")
        number = finite(value, f"start[{key!r}]")
        if parameter.kind == "sigma":
            if number <= 0.0:
                raise ModelError(f"start[{key!r}] = {number:g}: give a positive number.")
            number = math.log(number)
        elif parameter.kind == "log_sd":
            number = exponential(number, f"start[{key!r}]") / scale
        elif parameter.kind == "sd":
            if number < 0.0:
                raise ModelError(f"start[{key!r}] = {number:g}: a standard deviation is not negative.")
            number /= scale
        values.append((parameter.place, number))
    return values


def exponential(number: float, what: str) -> float:
    """The standard deviation whose logarithm was given."""
    if number > MOST_LOG:
        raise ModelError(f"{what} = {number:g}: the logarithm of a standard deviation is {MOST_LOG:g} at most.")
    return math.exp(number)


def single(known: Mapping[str, Meaning], name: Any, argument: str) -> Named:
    """The one parameter that a name means."""
    text = name if isinstance(name, str) else ""
    pair = re.fullmatch(r"(.*cor\([^,]+), [^()]*\)", tidied(text))
    if pair and f"{pair[1]})" in known:
        # The correlation of two columns is the matrix of a term of two.
        text = f"{pair[1]})"
    parameters = meaning_of(known, text or name, argument).parameters
    if len(parameters) > 1:
        shown = ", ".join(parameter.name for parameter in parameters)
        raise ModelError(f"{argument}: {name!r} means {len(parameters)} parameters; name one of {shown}.")
    return parameters[0]


def finite(value: Any, what: str) -> float:
    """A number, checked."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ModelError(f"{what} = {value!r}: give a number.")
    if abs(number) > LARGEST:
        raise ModelError(f"{what} = {value!r}: give a number of size {LARGEST:g} at most; measure in other units.")
    return number


def correlation_matrix(key: str, value: Any, size: int) -> np.ndarray:
    """A known correlation matrix from a matrix, or from the one correlation of two columns."""
    try:
        matrix = np.asarray(value, float)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.ndim == 0 and size == 2:
        matrix = np.array([[1.0, float(matrix)], [float(matrix), 1.0]])
    if matrix.shape != (size, size):
        what = f"a correlation matrix, {size} x {size}" + (", or one number" if size == 2 else "")
        raise ModelError(f"fixed[{key!r}]: give {what}.")
    sound = np.allclose(np.diag(matrix), 1.0) and np.allclose(matrix, matrix.T) and np.isfinite(matrix).all()
    if not sound or np.linalg.eigvalsh(matrix)[0] <= 1e-10:
        raise ModelError(
            f"fixed[{key!r}]: a correlation matrix is symmetric with ones on the diagonal, and every correlation is "
            "between -1 and 1 such that all eigenvalues are positive."
        )
    return matrix


def said_of(model: Model) -> Iterable[str]:
    """Held values, known correlations and equalities, in words."""
    for parameter, value in model.assumed.held:
        yield f"{parameter.name} = {value:.6g}"
    for t, matrix in model.assumed.correlations.items():
        term = model.design.random[t]
        lower = ", ".join(f"{r:.4g}" for r in matrix[np.tril_indices(len(matrix), -1)])
        yield f"cor({term.group}) = {lower}"
    for first, second in model.assumed.tied:
        yield f"{first.name} = {second.name}"
