"""What the package maketables asks of a fit, so that `maketables.ETable([fit1, fit2])` takes ranef's.

Attributes of a class are all that it needs: no package is imported here but pandas, whose frame it asks for.
Coefficients of components other than the mean are named ``x (zi)``, since it takes a colon for an interaction; standard
deviations and correlations are statistics.
"""

from __future__ import annotations

import math
from typing import Any

from ranef.fitting import FittedModel
from ranef.inference.coefficients import coefficient_table
from ranef.inference.variance_components import variance_parameters
from ranef.reports.model_table.contents import TableStyle, random_label, statistic

# Its own words for statistics.
_WORDS = {
    "N": "nobs",
    "ll": "loglik",
    "loglik": "loglik",
    "aic": "aic",
    "aicc": "aicc",
    "bic": "bic",
    "deviance": "deviance",
    "sigma": "sigma",
    "npar": "npar",
}
_SHARES = {
    "r2_marginal": ("r2", "R² (marginal)"),
    "r2_conditional": ("r2", "R² (conditional)"),
    "icc": ("icc", "ICC (adjusted)"),
}
_LABELS = {"ll": "Log-likelihood", "r2_marginal": "R² (marginal)", "r2_conditional": "R² (conditional)", "icc": "ICC"}


def coefficient_frame(record: FittedModel) -> Any:
    """A pandas frame of all fixed effects: b, se, t, p and the ends of 95 % intervals."""
    import pandas as pd

    parts = []
    for component in record.model.written_components:
        table = coefficient_table(record, component)
        behind = "" if component in ("cond", "threshold") else f" ({component})"
        columns = {
            "b": table.estimate,
            "se": table.std_error,
            "t": table.statistic,
            "p": table.p_value,
            "ci95l": table.conf_low,
            "ci95u": table.conf_high,
        }
        parts.append(pd.DataFrame(columns, index=[f"{term}{behind}" for term in table.terms]))
    return pd.concat(parts).rename_axis("Coefficient")


def named_statistic(record: FittedModel, key: str) -> Any:
    """A statistic by the word that maketables has for it; None for what this fit does not have."""
    if key == "groups":
        return ", ".join(f"{group} {count}" for group, count in record.ngroups.items())
    if key in _SHARES:
        name, label = _SHARES[key]
        return statistic(record, name).get(label)
    if key in _WORDS:
        return next(iter(statistic(record, _WORDS[key]).values()), None)
    return _deviations(record).get(key)


def default_statistics(record: FittedModel) -> list[str]:
    """The words of the statistics that are shown when none are asked for."""
    return [*_deviations(record), "N", "groups", "ll", "aic", "bic"]


def statistic_labels(record: FittedModel) -> dict[str, str]:
    """What statistics are called that maketables has no label for."""
    return {**_LABELS, "groups": "Levels", **{name: name for name in _deviations(record)}}


def _deviations(record: FittedModel) -> dict[str, float]:
    """Standard deviations and correlations by their labels."""
    style = TableStyle()
    found = {random_label(p.group, p.term, style): p.estimate for p in variance_parameters(record)}
    return {label: value for label, value in found.items() if not math.isnan(value)}
