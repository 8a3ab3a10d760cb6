"""Fits of the same model to several imputed data sets pooled by Rubin's rules.

With estimates q_i and variances u_i, i = 1, ..., m:

    q = mean q_i,   U = mean u_i,   B = var q_i,   T = U + (1 + 1/m) B
    riv = (1 + 1/m) B / U,   lambda = (1 + 1/m) B / T
    df = 1 / (1/df_old + 1/df_obs),   df_old = (m - 1) / lambda^2,
    df_obs = (df_com + 1) / (df_com + 3) df_com (1 - lambda),   fmi = (riv + 2 / (df + 3)) / (riv + 1)

df_com are the degrees of freedom that one fit's test has (their mean). Standard deviations and correlations are pooled
on the scale on which their intervals are formed, log(sd) and atanh(cor), with df_com infinite.

References: Rubin (1987), Multiple Imputation for Nonresponse in Surveys, section 3.3; Barnard & Rubin (1999),
Biometrika 86, 948-955; van Buuren (2018), Flexible Imputation of Missing Data, section 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.coefficients import coefficient_table
from ranef.inference.tidying import COLUMNS as TIDY_COLUMNS
from ranef.inference.variance_components import variance_parameters
from ranef.inference.wald import p_value, quantile

COLUMNS = (*TIDY_COLUMNS, "riv", "lambda", "fmi")


@dataclass(frozen=True)
class Pooled:
    """Rubin's rules applied to (m, k) estimates and variances: (k,) arrays."""

    estimate: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    riv: np.ndarray
    share: np.ndarray
    fmi: np.ndarray


def rubin(estimates: np.ndarray, variances: np.ndarray, complete: np.ndarray) -> Pooled:
    """Pool m rows of estimates and variances; `complete` (k,) are the degrees of freedom of one fit.

    Examples
    --------
    >>> found = rubin(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]), np.array([np.inf]))
    >>> found.estimate, found.std_error, found.df.round(3)
    (array([2.]), array([2.]), array([1.778]))
    """
    m = len(estimates)
    within, between = variances.mean(axis=0), estimates.var(axis=0, ddof=1)
    total = within + (1.0 + 1.0 / m) * between
    with np.errstate(divide="ignore", invalid="ignore"):
        riv = (1.0 + 1.0 / m) * between / within
        share = (1.0 + 1.0 / m) * between / total
        old = (m - 1.0) / share**2
        observed = np.where(
            np.isfinite(complete), (complete + 1.0) / (complete + 3.0) * complete * (1.0 - share), np.inf
        )
        df = 1.0 / (1.0 / old + 1.0 / observed)
        fmi = (riv + 2.0 / (df + 3.0)) / (riv + 1.0)
    return Pooled(estimates.mean(axis=0), np.sqrt(total), df, riv, share, fmi)


def pool(records: Sequence[FittedModel], effects: str, ddf: str | None, level: float) -> dict[str, list[Any]]:
    """Columns of `tidy`, pooled, and riv, lambda, fmi."""
    if effects not in ("fixed", "random", "all"):
        raise ModelError(f"pool(effects={effects!r}): give 'fixed', 'random' or 'all'")
    quantile(level)
    require_one_model(records)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    if effects in ("fixed", "all"):
        for component in records[0].model.written_components:
            _fixed(records, component, ddf, level, columns)
    if effects in ("random", "all"):
        _random(records, level, columns)
    return columns


def require_one_model(records: Sequence[FittedModel]) -> None:
    """Refuse fits that are not of one model to as many rows."""
    if len(records) < 2:
        raise ModelError(f"pool() takes the fits to two or more imputed data sets and was given {len(records)}")
    first = records[0]

    def told(record: FittedModel) -> dict[str, Any]:
        design = record.design
        return {
            "formula": design.formula,
            "family": repr(record.model.family),
            **{component: text for component, text in design.component_formulas.items() if component != "cond"},
            "criterion": record.model.criterion_in_words,
            "rows": record.nobs,
            "fixed effects": ", ".join(name for c in record.model.written_components for name in record.names(c)),
        }

    wanted = told(first)
    for place, record in enumerate(records[1:], 2):
        found = told(record)
        for what in dict.fromkeys((*wanted, *found)):
            if wanted.get(what) != found.get(what):
                raise ModelError(
                    f"pool() is for fits of one model to imputed data sets with the same rows; {what}: fit 1 has "
                    f"{wanted.get(what, 'none')}, fit {place} has {found.get(what, 'none')}."
                )


def _fixed(
    records: Sequence[FittedModel], component: str, ddf: str | None, level: float, columns: dict[str, list[Any]]
) -> None:
    tables = [coefficient_table(record, component, ddf, level) for record in records]
    estimates = np.array([table.estimate for table in tables])
    found = rubin(
        estimates,
        np.array([table.std_error for table in tables]) ** 2,
        np.mean([table.df for table in tables], axis=0),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = found.estimate / found.std_error
    half = quantile(level, found.df) * found.std_error
    values = {
        "effect": ["fixed"] * len(half),
        "component": [component] * len(half),
        "group": [None] * len(half),
        "term": list(tables[0].terms),
        "estimate": found.estimate,
        "std_error": found.std_error,
        "statistic": statistic,
        "df": found.df,
        "p_value": p_value(statistic, found.df),
        "conf_low": found.estimate - half,
        "conf_high": found.estimate + half,
        "riv": found.riv,
        "lambda": found.share,
        "fmi": found.fmi,
    }
    for name, part in values.items():
        columns[name] += part if isinstance(part, list) else part.tolist()


def _random(records: Sequence[FittedModel], level: float, columns: dict[str, list[Any]]) -> None:
    nan = float("nan")
    for same in zip(*(variance_parameters(record, level) for record in records), strict=True):
        first = same[0]
        estimates = np.array([[v.estimate] for v in same])
        errors = np.array([[v.std_error] for v in same])
        row: dict[str, Any] = dict.fromkeys(COLUMNS, nan)
        row |= {"effect": "random", "component": first.component, "group": first.group, "term": first.term}
        if first.kind in ("sd", "cor") and np.isfinite(errors).all():
            sd = first.kind == "sd"
            slope = 1.0 / estimates if sd else 1.0 / (1.0 - estimates**2)
            found = rubin(np.log(estimates) if sd else np.arctanh(estimates), (slope * errors) ** 2, np.array([np.inf]))
            back = np.exp if sd else np.tanh
            centre, error, df = (float(part[0]) for part in (found.estimate, found.std_error, found.df))
            half, value = float(quantile(level, df)) * error, float(back(centre))
            row |= {
                "estimate": value,
                "std_error": error * (value if sd else 1.0 - value**2),
                "df": df,
                "conf_low": float(back(centre - half)),
                "conf_high": float(back(centre + half)),
                "riv": float(found.riv[0]),
                "lambda": float(found.share[0]),
                "fmi": float(found.fmi[0]),
            }
        else:
            # At the edge of the space in some fit, or on a scale of its own: the mean, without an error.
            row["estimate"] = float(estimates.mean())
        for name, value in row.items():
            columns[name].append(value)
