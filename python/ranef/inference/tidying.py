"""One frame for all estimates, with broom.mixed's columns."""

from __future__ import annotations

from typing import Any

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.coefficients import coefficient_table
from ranef.inference.variance_components import variance_parameters

COLUMNS = (
    "effect",
    "component",
    "group",
    "term",
    "estimate",
    "std_error",
    "statistic",
    "df",
    "p_value",
    "conf_low",
    "conf_high",
)


def tidy(
    record: FittedModel,
    effects: str = "fixed",
    ddf: str | None = None,
    level: float = 0.95,
    vcov: str | None = None,
    cluster: Any = None,
) -> dict[str, list[Any]]:
    """Columns of the tidy frame.

    Fixed effects are on the scale of their component's link; random-effects parameters are standard deviations and
    correlations (the residual's is ``sd__Observation``), which have no test of zero, so no statistic.
    """
    if effects not in ("fixed", "random", "all"):
        raise ModelError(f"effects={effects!r}: give 'fixed', 'random' or 'all'.")
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    if effects in ("fixed", "all"):
        for component in record.model.written_components:
            table = coefficient_table(record, component, ddf, level, vcov, cluster)
            p = len(table.terms)
            columns["effect"] += ["fixed"] * p
            columns["component"] += [component] * p
            columns["group"] += [None] * p
            columns["term"] += list(table.terms)
            for name in COLUMNS[4:]:
                columns[name] += getattr(table, name).tolist()
    if effects in ("random", "all"):
        nan = float("nan")
        for parameter in variance_parameters(record, level):
            row = (
                "random",
                parameter.component,
                parameter.group,
                parameter.term,
                parameter.estimate,
                parameter.std_error,
            )
            for name, value in zip(
                COLUMNS, (*row, nan, nan, nan, parameter.conf_low, parameter.conf_high), strict=True
            ):
                columns[name].append(value)
    return columns
