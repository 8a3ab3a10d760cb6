"""The plain values of a fit as one row, broom's `glance`."""

from __future__ import annotations

from typing import Any

from ranef.fitting import FittedModel

VALUES = (
    "family",
    "link",
    "method",
    "nobs",
    "npar",
    "df_residual",
    "loglik",
    "aic",
    "aicc",
    "bic",
    "deviance",
    "reml_criterion",
    "sigma",
    "converged",
    "singular",
    "n_dropped",
)


def glance(record: FittedModel) -> dict[str, list[Any]]:
    """Columns of a one-row frame; a value that is not defined for the fit is NaN."""
    row = {name: getattr(record, name) for name in VALUES}
    return {name: [float("nan") if value is None else value] for name, value in row.items()}
