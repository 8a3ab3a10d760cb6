"""Influence: how the fit changes when a row, or all rows of a group, are left out.

With b the fixed effects of the mean, V their covariance and b(-j) those without set j,

    Cook's distance   D_j = (b - b(-j))' V^-1 (b - b(-j)) / p
    DFBETAS           (b_k - b_k(-j)) / standard error of b_k(-j)
    covariance ratio  det V(-j) / det V
    leverage          trace of d fitted / d observed over the rows of the set

"exact" fits the model again without the set. "one-step" takes a linear model's covariance as it is, which gives b(-j)
in closed form: with P = V^-1 - V^-1 X M X' V^-1 of all rows and M = (X' V^-1 X)^-1,

    b - b(-j) = M (X' V^-1)_j (P_jj)^-1 (P y)_j,

and for a generalised model takes one Newton step of all parameters from the estimates, with the score s_j and the
information I_j that the set contributes: (I - I_j)^-1 s_j.

References: Cook (1977), Technometrics 19, 15-18; Belsley, Kuh & Welsch (1980), Regression Diagnostics; Christensen,
Pearson & Johnson (1992), Technometrics 34, 38-45; Xiang, Tse & Lee (2002), Comput. Stat. Data Anal. 40, 759-774.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel, announce
from ranef.inference.deletion.closed_form import in_closed_form
from ranef.inference.deletion.newton_step import by_newton_step
from ranef.inference.deletion.refits import by_refits
from ranef.inference.deletion.sets import DeletedSets, deleted_sets, free_block
from ranef.inference.natural_parameters import NaturalParameter, natural_parameters
from ranef.inference.sandwich import is_linear
from ranef.inference.variance_components import variance_parameters

METHODS = ("exact", "one-step")
# Rows up to which leaving each out is by fits: seconds for most models.
MANY_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Deletion:
    """What a fit is without a set of rows; arrays over the sets.

    Attributes
    ----------
    sets : DeletedSets
    method : str
    coefficients : list of NaturalParameter, length k
        Fixed effects of all components.
    variances : list of NaturalParameter, length v
        Standard deviations, correlations and what else is not a fixed effect.
    estimate : (k + v,) array
        Of the whole fit.
    without : (sets, k + v) array
        Of the fits without each set; NaN where it cannot be estimated, or, by one step, is not looked for.
    std_error : (sets, k) array
        Of the coefficients without each set.
    cooks_distance, leverage, covratio : (sets,) arrays
    converged : (sets,) bool array
    note : list of str
    """

    sets: DeletedSets
    method: str
    coefficients: list[NaturalParameter]
    variances: list[NaturalParameter]
    estimate: np.ndarray
    without: np.ndarray
    std_error: np.ndarray
    cooks_distance: np.ndarray
    leverage: np.ndarray
    covratio: np.ndarray
    converged: np.ndarray
    note: list[str]

    @property
    def dfbetas(self) -> np.ndarray:
        """(sets, k): changes of the coefficients in standard errors."""
        k = len(self.coefficients)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.estimate[:k] - self.without[:, :k]) / self.std_error

    def columns(self) -> dict[str, Any]:
        """The table, a row a set."""
        k = len(self.coefficients)
        found: dict[str, Any] = {
            "row" if self.sets.kind == "row" else "level": self.sets.names,
            "rows": [len(rows) for rows in self.sets.rows],
            "cooks_distance": self.cooks_distance,
            "leverage": self.leverage,
            "covratio": self.covratio,
        }
        for j, parameter in enumerate(self.coefficients):
            found[f"dfbetas__{parameter.name}"] = self.dfbetas[:, j]
        for j, parameter in enumerate(self.variances):
            change = self.without[:, k + j] - self.estimate[k + j]
            found[f"change__{parameter.name}"] = change
            if parameter.kind in ("sd", "sigma"):
                with np.errstate(divide="ignore", invalid="ignore"):
                    found[f"relative__{parameter.name}"] = change / self.estimate[k + j]
        found["converged"] = self.converged
        found["note"] = self.note
        return found

    def dfbetas_columns(self) -> dict[str, Any]:
        """DFBETAS alone, a column a coefficient."""
        found: dict[str, Any] = {"row" if self.sets.kind == "row" else "level": self.sets.names}
        return found | {p.name: self.dfbetas[:, j] for j, p in enumerate(self.coefficients)}

    def estimate_columns(self) -> dict[str, Any]:
        """Every parameter without every set: a row for each of both."""
        parameters = [*self.coefficients, *self.variances]
        count = len(self.sets.names)
        return {
            "row" if self.sets.kind == "row" else "level": [name for name in self.sets.names for _ in parameters],
            "component": [p.component for p in parameters] * count,
            "group": [p.group for p in parameters] * count,
            "term": [p.term for p in parameters] * count,
            "estimate": np.tile(self.estimate, count),
            "without": self.without.reshape(-1),
        }

    def order(self) -> np.ndarray:
        """Sets from the largest Cook's distance to the smallest; those without one first."""
        return np.argsort(-np.where(np.isnan(self.cooks_distance), np.inf, self.cooks_distance), kind="stable")


def influence(
    record: FittedModel,
    group: Any = None,
    method: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Deletion:
    """Leave out each row, or each level of a group.

    Parameters
    ----------
    record : FittedModel
    group : str or array_like, optional
        A grouping factor, a column of the data, or a value for each row; None for single rows.
    method : {None, "exact", "one-step"}
        None: "exact" for groups and for up to `MANY_ROWS` single rows.
    threads : int, optional
        None: the fit's control.
    progress : bool, optional
        None: the fit's control.
    """
    if method is not None and method not in METHODS:
        raise ModelError(f"influence(method={method!r}): give one of {', '.join(map(repr, METHODS))}.")
    sets = deleted_sets(record, group)
    if method is None:
        method = "exact" if group is not None or len(sets.rows) <= MANY_ROWS else "one-step"
    control = replace(
        record.control,
        threads=record.control.threads if threads is None else threads,
        progress=record.control.progress if progress is None else progress,
    )
    parameters = natural_parameters(record)
    coefficients = [p for p in parameters if p.kind == "fixed"]
    variances = [p for p in parameters if p.kind != "fixed"]
    mean = [j for j, parameter in enumerate(coefficients) if parameter.component == "cond"]
    if method == "exact":
        without = by_refits(record, sets, coefficients, variances, control)
    elif is_linear(record):
        without = in_closed_form(record, sets, mean, len(coefficients), len(variances))
    else:
        without = by_newton_step(record, sets, coefficients, len(variances), control)
    estimate = _estimates(record, coefficients, variances)
    leverage = np.asarray(record.engine.leverage(), float)
    full = free_block(record, record.covariance_of_estimates("cond"))
    announce(control, f"influence: {len(sets.rows)} sets left out, {int((~without.converged).sum())} without an answer")
    return Deletion(
        sets=sets,
        method=method,
        coefficients=coefficients,
        variances=variances,
        estimate=estimate,
        without=without.estimate,
        std_error=without.std_error,
        cooks_distance=_distances(estimate[mean] - without.estimate[:, mean], full),
        leverage=np.array([leverage[rows].sum() for rows in sets.rows]),
        covratio=without.covratio,
        converged=without.converged,
        note=without.note,
    )


def _estimates(
    record: FittedModel, coefficients: list[NaturalParameter], variances: list[NaturalParameter]
) -> np.ndarray:
    values = {
        (component, None, name): float(value)
        for component in record.model.components
        for name, value in zip(record.names(component), record.estimates(component), strict=True)
    }
    own: dict[tuple[str, str | None, str], float] = {
        (v.component, v.group, v.term): v.estimate for v in variance_parameters(record)
    }
    own.setdefault(("disp", None, "sigma"), record.sigma)
    return np.array(
        [values[p.component, None, p.term] for p in coefficients]
        + [own[p.component, p.group, p.term] for p in variances]
    )


def _distances(change: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(sets,): changes (sets, p) in the metric of their covariance, over p."""
    p = change.shape[1]
    if not p or not np.isfinite(covariance).all():
        return np.full(len(change), np.nan)
    return np.einsum("jk,kj->j", change, np.linalg.solve(covariance, change.T)) / p
