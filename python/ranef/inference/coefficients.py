"""Fixed effects: estimates, standard errors, tests and Wald intervals, on the scale of each component's link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.fitting import FittedModel
from ranef.inference.contrasts import denominator
from ranef.inference.wald import p_value, quantile


@dataclass(frozen=True)
class CoefficientTable:
    """Fixed effects of one component.

    Attributes
    ----------
    component : str
    terms : tuple of str, length p
    estimate, std_error, statistic, df, p_value, conf_low, conf_high : (p,) arrays
        On the scale of the component's link. `df` is infinite where the statistic is compared with the normal.
    method : str
        Where the degrees of freedom come from, and why, in words.
    """

    component: str
    terms: tuple[str, ...]
    estimate: np.ndarray
    std_error: np.ndarray
    statistic: np.ndarray
    df: np.ndarray
    p_value: np.ndarray
    conf_low: np.ndarray
    conf_high: np.ndarray
    method: str


def coefficient_table(
    record: FittedModel,
    component: str = "cond",
    ddf: str | None = None,
    level: float = 0.95,
    vcov: str | None = None,
    cluster: Any = None,
) -> CoefficientTable:
    """Wald tests of beta_j = 0 and intervals beta_j +- q s_j for the fixed effects of a component.

    Parameters
    ----------
    record : FittedModel
    component : str
    ddf : str, optional
        Degrees of freedom, as `ranef.inference.contrasts.denominator` takes them.
    level : float
        Confidence level.
    vcov, cluster : optional
        A cluster-robust covariance, as in `denominator`.
    """
    estimate = record.estimates(component)
    tests = denominator(record, component, ddf, vcov, cluster)
    each = np.eye(len(estimate))
    std_error = tests.std_errors(each)
    # A value that is held is known, and is no estimate.
    std_error[record.held(component)] = np.nan
    df = tests.degrees_of_freedom(each)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / std_error
    half = quantile(level, df) * std_error
    return CoefficientTable(
        component=component,
        terms=record.names(component),
        estimate=estimate,
        std_error=std_error,
        statistic=statistic,
        df=df,
        p_value=p_value(statistic, df),
        conf_low=estimate - half,
        conf_high=estimate + half,
        method=tests.text,
    )


def fixef(record: FittedModel, component: str = "cond") -> dict[str, float]:
    """Fixed effects of a component by name, on the scale of its link; aliased ones are left out."""
    return dict(zip(record.names(component), record.estimates(component).tolist(), strict=True))
