"""Variances, standard deviations and correlations of the random effects, with their uncertainty.

Each term has Sigma = Lambda Lambda', Lambda a function of its parameters theta. The engine gives standard deviations
and correlations with standard errors by the delta method, and says which of them are parameters of the structure: an
autoregression has one standard deviation and one correlation, from which all others follow.

Wald intervals are formed where the normal is the better approximation: log(sd), and Fisher's z = atanh(cor).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.wald import quantile

# Structures in which every pair of columns has a correlation of its own.
PAIRED = ("us", "rr")
# Structures with a correlation for each lag.
BY_LAG = ("toep", "homtoep")


@dataclass(frozen=True)
class VarianceParameter:
    """A standard deviation, a correlation, or another parameter of effects that are tied over time or space.

    Attributes
    ----------
    component, group : str
    kind : str
        "sd", "cor"; "range", "rate", "smoothness", "rho" of a coupled term; "residual" for the correlation and variance
        functions of residuals.
    term : str
        Name as in broom.mixed: ``sd__Intercept``, ``cor__Intercept.Days``, ``sd__Observation``; where one parameter
        stands for many columns it has the structure's name, ``sd__ar1``, ``cor__ar1``, ``cor__toep.2`` (at lag 2).
    estimate, std_error, conf_low, conf_high : float
        NaN where undefined: at a variance of zero or a correlation of one, the likelihood has no curvature to use.
    """

    component: str
    group: str
    kind: str
    term: str
    estimate: float
    std_error: float
    conf_low: float
    conf_high: float


@dataclass(frozen=True)
class ComponentPlace:
    """Where a standard deviation or correlation stands.

    Attributes
    ----------
    term : int
        The random-effects term.
    kind : {"sd", "cor"}
    first, second : int
        The columns; `second` is 0 for a standard deviation.
    index : int
        Among the term's standard deviations, or its correlations (0, 1), (0, 2), ..., (1, 2), ...
    name : str
        As `VarianceParameter.term`.
    """

    term: int
    kind: str
    first: int
    second: int
    index: int
    name: str


def variance_parameters(record: FittedModel, level: float = 0.95) -> list[VarianceParameter]:
    """All standard deviations and correlations, term by term, then the residual's and what its correlation has."""
    z = float(quantile(level))
    found: list[VarianceParameter] = []
    terms, components = record.terms(), record.engine.variance_components()
    for place in component_places(record):
        term, numbers = terms[place.term], components[place.term]
        estimate, std_error = float(numbers[place.kind][place.index]), float(numbers[f"{place.kind}_se"][place.index])
        low, high = (log_interval if place.kind == "sd" else fisher_interval)(estimate, std_error, z)
        found.append(
            VarianceParameter(term.component, term.group, place.kind, place.name, estimate, std_error, low, high)
        )
    found += coupling_parameters(record, z)
    if record.model.has_residual:
        estimate, std_error = record.sigma, residual_std_error(record)
        low, high = log_interval(estimate, std_error, z)
        found.append(VarianceParameter("cond", "Residual", "sd", "sd__Observation", estimate, std_error, low, high))
    return found + residual_parameters(record, level)


def coupling_parameters(record: FittedModel, z: float) -> list[VarianceParameter]:
    """How effects depend on each other over time, space or a map: correlations, ranges, rates, smoothness."""
    theta_cov = np.asarray(record.engine.theta_cov, float)
    found = []
    for t, name, scale, estimate, slope, row in record.engine.couplings:
        term = record.terms()[t]
        variance = float(theta_cov[row, row])
        std_error = abs(slope) * float(np.sqrt(variance)) if variance > 0.0 else float("nan")
        kind = "cor" if name == "phi" else name
        if scale == "log":
            low, high = log_interval(estimate, std_error, z)
        else:
            low, high = fisher_interval(estimate, std_error, z)
        word = f"{kind}__{term.structure}"
        found.append(VarianceParameter(term.component, term.group, kind, word, estimate, std_error, low, high))
    return found


def component_places(record: FittedModel) -> list[ComponentPlace]:
    """The standard deviations and correlations that are parameters, term by term."""
    found: list[ComponentPlace] = []
    taken: Counter[tuple[str, str, str]] = Counter()
    for t, (term, numbers) in enumerate(zip(record.terms(), record.engine.variance_components(), strict=True)):
        pairs = list(combinations(range(len(term.names)), 2))
        alone = term.coupling is not None and len(term.names) == 1
        common = alone or len(numbers["sds"]) < len(term.names)
        words = [("sd", i, 0, i, f"sd__{_sd_name(term, i, common)}") for i in numbers["sds"]]
        words += [("cor", i, j, pairs.index((i, j)), _cor_name(term, i, j)) for i, j in map(tuple, numbers["cors"])]
        for kind, first, second, index, name in words:
            key = (term.component, term.group, name)
            taken[key] += 1
            found.append(
                ComponentPlace(t, kind, first, second, index, name if taken[key] == 1 else f"{name}.{taken[key]}")
            )
    return found


def loadings(record: FittedModel) -> dict[str, list[Any]]:
    """Columns component, group, term, latent, loading of the terms of reduced rank.

    Raises
    ------
    ModelError
        When the model has no such term.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("component", "group", "term", "latent", "loading")}
    reduced = [(t, term) for t, term in enumerate(record.terms()) if term.structure == "rr"]
    if not reduced:
        raise ModelError(
            "loadings(): no term of this model has reduced rank; write one as rr(0 + species | site, d = 2)"
        )
    for t, term in reduced:
        factor = np.atleast_2d(np.asarray(record.engine.factor[t], float))
        for latent in range(factor.shape[1]):
            for i, name in enumerate(term.names):
                row = (term.component, term.group, name, latent + 1, float(factor[i, latent]))
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
    return columns


def residual_parameters(record: FittedModel, level: float = 0.95) -> list[VarianceParameter]:
    """Parameters of the variance functions, then of the residuals' correlation."""
    part, z = record.design.residual, float(quantile(level))
    if part is None:
        return []
    found = []
    for spread, name, scale, estimate, std_error in record.engine.residual_parameters():
        low, high = INTERVALS[scale](estimate, std_error, z)
        if spread is not None:
            place, word, of = ("disp", "Residual"), name, part.spreads[spread].of
        else:
            assert part.correlation is not None
            place, of = ("cond", part.correlation.group), part.correlation.structure
            word = _pair_named(name, part.correlation.occasions)
            if word != name:
                word, of = "cor", word
        found.append(VarianceParameter(*place, "residual", f"{word}__{of}", estimate, std_error, low, high))
    return found


def _pair_named(name: str, occasions: tuple[str, ...]) -> str:
    """``cor[0][2]`` as the labels of its occasions, ``4.8``; any other name as it is."""
    pair = re.fullmatch(r"cor\[(\d+)\]\[(\d+)\]", name)
    return name if pair is None else f"{occasions[int(pair[1])]}.{occasions[int(pair[2])]}"


def varcorr(record: FittedModel) -> dict[str, list]:
    """Columns component, group, var1, var2, vcov, sdcor, as lme4's ``as.data.frame(VarCorr(fit))``.

    `vcov` is the variance or covariance, `sdcor` the standard deviation or correlation.
    """
    columns: dict[str, list] = {name: [] for name in ("component", "group", "var1", "var2", "vcov", "sdcor")}

    def add(*row: object) -> None:
        for name, value in zip(columns, row, strict=True):
            columns[name].append(value)

    numbers = record.engine.variance_components()
    for term, sigma, parameters in zip(record.terms(), covariances(record), numbers, strict=True):
        sd = np.sqrt(np.diag(sigma))
        # The functions of a smooth have one variance and no names of their own.
        for i, name in enumerate(term.names if term.smooth is None else (term.smooth,)):
            add(term.component, term.group, name, None, float(sigma[i, i]), float(sd[i]))
        for i, j in combinations(range(len(term.names)), 2) if parameters["cors"] or term.structure in PAIRED else ():
            cor = correlation(sigma, i, j)
            add(term.component, term.group, term.names[i], term.names[j], float(sigma[i, j]), cor)
    if record.model.has_residual:
        add("cond", "Residual", None, None, record.sigma**2, record.sigma)
    return columns


def covariances(record: FittedModel) -> list[np.ndarray]:
    """Sigma of every term, (p_t, p_t), on the scale of the linear predictor."""
    return [np.atleast_2d(np.asarray(sigma, float)) for sigma in record.engine.covariance]


def correlation(sigma: np.ndarray, i: int, j: int) -> float:
    """Correlation of columns i and j; NaN when a variance is zero."""
    scale = np.sqrt(sigma[i, i] * sigma[j, j])
    return float(np.clip(sigma[i, j] / scale, -1.0, 1.0)) if scale > 0.0 else float("nan")


def residual_std_error(record: FittedModel) -> float:
    """Standard error of the residual standard deviation, from that of log(sigma)."""
    if not len(record.kept["disp"]) or record.held("disp").any():
        return float("nan")
    variance = record.covariance_of_estimates("disp")
    if (variance.size != 1 and not record.model.marginal) or not np.isfinite(variance).all():
        return float("nan")
    # The first coefficient of a dispersion is its intercept, log(sigma).
    return record.sigma * float(np.sqrt(max(variance[0, 0], 0.0)))


def log_interval(estimate: float, std_error: float, z: float) -> tuple[float, float]:
    """exp(log(sd) -+ z se / sd); NaN where the standard error is undefined."""
    if not (estimate > 0.0 and np.isfinite(std_error)):
        return float("nan"), float("nan")
    half = z * std_error / estimate
    with np.errstate(over="ignore"):  # of a parameter that the data say nothing about: up to infinity
        return float(estimate * np.exp(-half)), float(estimate * np.exp(half))


def fisher_interval(estimate: float, std_error: float, z: float) -> tuple[float, float]:
    """tanh(atanh(r) -+ z se / (1 - r^2)); NaN where the standard error is undefined."""
    if not (abs(estimate) < 1.0 and np.isfinite(std_error)):
        return float("nan"), float("nan")
    half = z * std_error / (1.0 - estimate**2)
    centre = np.arctanh(estimate)
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def logit_interval(estimate: float, std_error: float, z: float) -> tuple[float, float]:
    """Interval formed on log(p / (1 - p)); NaN where the standard error is undefined."""
    if not (0.0 < estimate < 1.0 and np.isfinite(std_error)):
        return float("nan"), float("nan")
    half = z * std_error / (estimate * (1.0 - estimate))
    centre = np.log(estimate) - np.log1p(-estimate)
    return float(1.0 / (1.0 + np.exp(half - centre))), float(1.0 / (1.0 + np.exp(-half - centre)))


def plain_interval(estimate: float, std_error: float, z: float) -> tuple[float, float]:
    """Estimate -+ z se."""
    return estimate - z * std_error, estimate + z * std_error


INTERVALS = {"log": log_interval, "fisher": fisher_interval, "logit": logit_interval, "identity": plain_interval}


def _sd_name(term: RandomTerm, i: int, common: bool) -> str:
    if term.smooth is not None:
        return term.smooth
    return term.structure if common else term.names[i]


def _cor_name(term: RandomTerm, i: int, j: int) -> str:
    if term.structure in PAIRED:
        return f"cor__{term.names[i]}.{term.names[j]}"
    return f"cor__{term.structure}.{j - i}" if term.structure in BY_LAG else f"cor__{term.structure}"
