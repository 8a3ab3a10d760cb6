"""A linear model without each set of rows, its variance parameters as they are: in closed form.

With V = S S + U U', P = V^-1 - V^-1 X M X' V^-1 and M = (X' V^-1 X)^-1 of all rows,

    b - b(-j) = M (X' V^-1)_j (P_jj)^-1 (P y)_j,
    M(-j) = { M^-1 - (X' V^-1)_j ((V^-1)_jj)^-1 (V^-1 X)_j }^-1.

For a single row P_jj is (1 - leverage) / residual variance. Of a large set, the normal equations of what is left are
solved instead.

Reference: Christensen, Pearson & Johnson (1992), Technometrics 34, 38-45.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.deletion.sets import (
    NO_INFORMATION,
    DeletedSets,
    Without,
    ratio_of_determinants,
    require_uncoupled,
)
from ranef.inference.sandwich import WorkingModel, compact, working_model

if TYPE_CHECKING:
    from scipy.sparse.linalg import SuperLU

# Rows of a set above which what is left is solved for rather than what is taken away.
LARGE_SET = 100
LOST = "fixed effects cannot be estimated without it"


@dataclass(frozen=True, eq=False)
class _Inverse:
    """V^-1 of some rows by Woodbury's identity: V = S S + U U', and the factor of I + U' (S S)^-1 U."""

    inverse: np.ndarray
    scaled: Any
    inner: SuperLU | None

    @classmethod
    def of(cls, u: Any, sd: np.ndarray) -> _Inverse:
        from scipy.sparse import csc_array, csr_array, eye_array
        from scipy.sparse.linalg import splu

        inverse = 1.0 / sd**2
        scaled = csr_array(u.multiply(inverse[:, None]))
        q = u.shape[1]
        return cls(inverse, scaled, splu(csc_array(eye_array(q) + u.T @ scaled)) if q else None)

    def times(self, values: np.ndarray) -> np.ndarray:
        """V^-1 times columns."""
        first = self.inverse[:, None] * values
        if self.inner is None:
            return first
        return first - self.scaled @ self.inner.solve(np.ascontiguousarray(self.scaled.T @ values))

    def block(self, rows: np.ndarray) -> np.ndarray:
        """The rows and columns of V^-1 that belong to some rows."""
        first = np.diag(self.inverse[rows])
        if self.inner is None:
            return first
        part = self.scaled[rows].toarray()
        return first - part @ self.inner.solve(np.ascontiguousarray(part.T))


def in_closed_form(record: FittedModel, sets: DeletedSets, mean: list[int], coefficients: int, others: int) -> Without:
    """Coefficients of the mean without each set, at places `mean` among all; the other parameters are not looked for.

    Parameters
    ----------
    record : FittedModel
    sets : DeletedSets
    mean : list of int
        Where the coefficients of the mean stand among all coefficients.
    coefficients, others : int
        Numbers of coefficients and of other parameters.
    """
    if record.model.correlation is not None:
        raise ModelError(
            "influence(method='one-step') is not there for correlated residuals "
            f"({record.model.correlation.text}); use method='exact'."
        )
    require_uncoupled(record)
    working = working_model(record)
    u = _effects(working)
    whole = _Inverse.of(u, working.residual_sd)
    weighted = whole.times(working.x)
    bread = np.linalg.inv(working.x.T @ weighted)
    projected = whole.times(working.residual[:, None])[:, 0]
    if sets.kind == "row" and not record.held("cond").any():
        leverage = np.asarray(record.engine.leverage(), float)
        change, variance, covratio = _single_rows(whole, weighted, bread, projected, leverage)
    else:
        change, variance, covratio = _sets(sets, working, u, whole, weighted, bread, projected)
    estimate = np.full((len(sets.rows), coefficients + others), np.nan)
    std_error = np.full((len(sets.rows), coefficients), np.nan)
    estimate[:, mean] = record.estimates("cond")[~record.held("cond")] - change
    std_error[:, mean] = np.sqrt(variance)
    known = np.isfinite(covratio)
    return Without(estimate, std_error, covratio, known, ["" if k else LOST for k in known])


def _effects(working: WorkingModel) -> Any:
    """U of all rows, sparse."""
    from scipy.sparse import csr_array, hstack

    n, blocks = len(working.residual), []
    for codes, columns in working.terms:
        own, levels = compact(codes)
        r = columns.shape[1]
        places = own[:, None] * r + np.arange(r)
        rows = np.repeat(np.arange(n), r)
        blocks.append(csr_array((columns.ravel(), (rows, places.ravel())), shape=(n, levels * r)))
    return csr_array(hstack(blocks)) if blocks else csr_array((n, 0))


def _single_rows(
    whole: _Inverse, weighted: np.ndarray, bread: np.ndarray, projected: np.ndarray, leverage: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Change and variance of the coefficients (n, p) and ratio of determinants (n,) without each row."""
    p_diagonal = (1.0 - leverage) * whole.inverse
    along = weighted @ bread
    own = p_diagonal + (along * weighted).sum(1)
    known = p_diagonal > NO_INFORMATION * own
    p_diagonal = np.where(known, p_diagonal, np.nan)
    change = along * (projected / p_diagonal)[:, None]
    return change, np.diag(bread) + along**2 / p_diagonal[:, None], own / p_diagonal


def _sets(
    sets: DeletedSets,
    working: WorkingModel,
    u: Any,
    whole: _Inverse,
    weighted: np.ndarray,
    bread: np.ndarray,
    projected: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same without each set."""
    n, p = working.x.shape
    information = working.x.T @ weighted
    scale = 1.0 / np.sqrt(np.diag(information))
    change, variance = np.full((len(sets.rows), p), np.nan), np.full((len(sets.rows), p), np.nan)
    covratio = np.full(len(sets.rows), np.nan)
    for j, rows in enumerate(sets.rows):
        large = len(rows) > LARGE_SET
        if large:
            rest = np.setdiff1d(np.arange(n), rows)
            part = _Inverse.of(u[rest], working.residual_sd[rest])
            both = part.times(np.column_stack([working.x[rest], working.residual[rest]]))
            left, score = working.x[rest].T @ both[:, :p], working.x[rest].T @ both[:, p]
        else:
            own, t = whole.block(rows), weighted[rows]
            left = information - t.T @ np.linalg.solve(own, t)
        if np.linalg.eigvalsh(scale[:, None] * left * scale).min(initial=1.0) < NO_INFORMATION:
            continue
        kept = np.linalg.inv(left)
        if large:
            change[j] = -kept @ score
        else:
            change[j] = bread @ t.T @ np.linalg.solve(own - t @ bread @ t.T, projected[rows])
        variance[j], covratio[j] = np.diag(kept), ratio_of_determinants(kept, bread)
    return change, variance, covratio
