"""Confidence intervals of all parameters: Wald, profile likelihood, parametric bootstrap.

Wald: estimate -+ q se on the scale where the normal is the better approximation: fixed effects on that of their link,
with q of t where they have degrees of freedom, standard deviations and dispersions by their logarithm, correlations by
Fisher's z. Profile: the values whose

    zeta(t) = sign(t - estimate) sqrt( -2 max log L(t) + 2 log L(estimate) )

is no larger than z in size; the likelihood is always that of maximum likelihood, as in lme4. Bootstrap: quantiles of
replicates.

References: Bates, Maechler, Bolker & Walker (2015), Journal of Statistical Software 67(1), section 5.1; Davison &
Hinkley (1997), Bootstrap Methods and their Application, sections 5.2 and 5.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.bootstrap import bootstrap_interval, draws_of
from ranef.inference.coefficients import coefficient_table
from ranef.inference.natural_parameters import NaturalParameter, chosen, natural_parameters
from ranef.inference.variance_components import variance_parameters
from ranef.inference.wald import quantile
from ranef.model import raised_by_engine

COLUMNS = ("component", "group", "term", "estimate", "conf_low", "conf_high", "note")
KINDS = ("percentile", "basic")
METHODS = ("wald", "profile", "bootstrap")
REFITTED = "refitted by maximum likelihood"
NO_DRAWS = "the replicates have no such column: give bootstrap() a statistic"
NO_ERROR = "no standard error: at the edge of the parameter space; method='profile' may help"


@dataclass(frozen=True)
class ProfileCurve:
    """The profile of one parameter.

    Attributes
    ----------
    parameter : NaturalParameter
    estimate : float
        The maximum likelihood estimate, in the user's units.
    value, zeta : (k,) arrays
        Points of the profile, ascending; zeta is zero at the estimate.
    low, high : float
        Where zeta is minus and plus the level asked for; NaN where it does not get there.
    notes : tuple of str
        What there is to say about the two ends.
    """

    parameter: NaturalParameter
    estimate: float
    value: np.ndarray
    zeta: np.ndarray
    low: float
    high: float
    notes: tuple[str, ...]


def profile_curves(
    record: FittedModel, parm: str | Sequence[str] | None, level: float, inner: int, threads: int | None = None
) -> list[ProfileCurve]:
    """Profile parameters as far as the ends of the interval of `level`, with `inner` further points on each side."""
    if record.model.marginal:
        raise ModelError(
            "there is no profile of a model with correlation= or dispersion= yet; use method='wald' or 'bootstrap'."
        )
    parameters = chosen(natural_parameters(record), parm)
    control = record.control.for_engine()
    if threads is not None:
        control["threads"] = threads
    places = [p.place for p in parameters]
    try:
        found = _engine.profile(record.engine, places, float(quantile(level)), inner, control)
    except _engine.EngineError as error:
        raise raised_by_engine(error, record.design) from None
    curves = []
    for parameter, curve in zip(parameters, found, strict=True):
        numbers = [curve["estimate"], curve["lower"][0], curve["upper"][0], *np.asarray(curve["value"], float)]
        if parameter.kind == "sigma" and parameter.place[0] == "fixed":
            # The engine's coordinate is the dispersion's linear predictor.
            numbers = list(np.asarray(_engine.sigma_at(record.engine, [float(v) for v in numbers]), float))
        estimate, low, high, *values = (float(v) for v in numbers)
        zeta = np.asarray(curve["zeta"], float)
        notes = tuple(f"{end}: {curve[end][1]}" for end in ("lower", "upper") if curve[end][1])
        if low > high or (len(values) > 1 and values[0] > values[-1]):
            # A family whose sigma falls with the predictor.
            low, high, values, zeta = high, low, values[::-1], -zeta[::-1]
        curves.append(ProfileCurve(parameter, estimate, np.asarray(values), zeta, low, high, notes))
    return curves


def profile_data(curves: Sequence[ProfileCurve]) -> dict[str, Any]:
    """Columns parameter, value, zeta of all curves."""
    return {
        "parameter": [curve.parameter.name for curve in curves for _ in curve.value],
        "value": np.concatenate([curve.value for curve in curves]) if curves else np.empty(0),
        "zeta": np.concatenate([curve.zeta for curve in curves]) if curves else np.empty(0),
    }


def wald_intervals(
    record: FittedModel,
    level: float,
    parm: str | Sequence[str] | None,
    ddf: str | None = None,
    vcov: str | None = None,
    cluster: Any = None,
) -> dict[str, list[Any]]:
    """Wald intervals; NaN with a note where there is no standard error."""
    known: dict[tuple[str, str | None, str], tuple[float, float, float]] = {}
    for component in record.model.components:
        table = coefficient_table(record, component, ddf, level, vcov, cluster)
        for row in zip(table.terms, table.estimate, table.conf_low, table.conf_high, strict=True):
            known[component, None, row[0]] = (float(row[1]), float(row[2]), float(row[3]))
    for v in variance_parameters(record, level):
        known[v.component, v.group, v.term] = (v.estimate, v.conf_low, v.conf_high)
    rows = []
    for p in chosen(natural_parameters(record), parm):
        if p.kind == "sigma" and p.component == "disp":
            (only,) = record.names("disp")
            _, low, high = known["disp", None, only]
            ends = np.sort(np.asarray(_engine.sigma_at(record.engine, [low, high]), float))
            estimate, low, high = record.sigma, float(ends[0]), float(ends[1])
        else:
            estimate, low, high = known[p.component, p.group, p.term]
        rows.append((p, estimate, low, high, "" if np.isfinite([low, high]).all() else NO_ERROR))
    return _columns(rows)


def profile_intervals(
    record: FittedModel, level: float, parm: str | Sequence[str] | None, threads: int | None
) -> dict[str, list[Any]]:
    """Profile intervals; a REML fit's estimates are those of maximum likelihood too, and the note says so."""
    refitted = (REFITTED,) if record.method != "ml" else ()
    return _columns(
        [
            (curve.parameter, curve.estimate, curve.low, curve.high, "; ".join((*curve.notes, *refitted)))
            for curve in profile_curves(record, parm, level, 0, threads)
        ]
    )


def bootstrap_intervals(
    record: FittedModel,
    level: float,
    parm: str | Sequence[str] | None,
    replicates: Mapping[str, Any],
    failed: int,
    kind: str,
) -> dict[str, list[Any]]:
    """Intervals from the replicates that converged; the note counts the others."""
    estimates = wald_intervals(record, level, None, "asymptotic")["estimate"]
    note = f"{failed} replicates failed" if failed else ""
    rows = []
    for p, estimate in zip(natural_parameters(record), estimates, strict=True):
        if p.name not in replicates:
            rows.append((p, estimate, float("nan"), float("nan"), NO_DRAWS))
            continue
        low, high = bootstrap_interval(estimate, draws_of(p, replicates), level, kind)
        rows.append((p, estimate, low, high, note))
    wanted = {p.name for p in chosen(natural_parameters(record), parm)}
    return _columns([row for row in rows if row[0].name in wanted])


def require_known(record: FittedModel, method: str, level: float, parm: str | Sequence[str] | None, kind: str) -> None:
    """Refuse a method, level, parameter or kind that there is not, before any work is done."""
    if method not in METHODS:
        raise ModelError(f"confint(method={method!r}): give one of {', '.join(map(repr, METHODS))}")
    if kind not in KINDS:
        raise ModelError(f"confint(kind={kind!r}): give one of {', '.join(map(repr, KINDS))}")
    quantile(level)
    chosen(natural_parameters(record), parm)


def _columns(rows: list[tuple[NaturalParameter, float, float, float, str]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for p, estimate, low, high, note in rows:
        for name, value in zip(COLUMNS, (p.component, p.group, p.term, estimate, low, high, note), strict=True):
            columns[name].append(value)
    return columns
