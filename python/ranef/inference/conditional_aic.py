"""Conditional AIC: how well a model predicts new data of the same groups.

    cAIC = -2 log f(y | estimates, conditional modes) + 2 df

AIC counts parameters and asks about new groups; here random effects are parameters that are shrunk, and df says how
many they are worth: df = sum_i cov(eta_i, y_i) on the scale of the natural parameter, which is estimated by

    Gaussian      tr(d yhat / d y) + 1 for the residual variance. With residuals e = P y, yhat = y - P y and V = I +
                  sum_j phi_j V_j,
                      d yhat / d y = I - P + sum_j (P V_j e) (d phi_j / d y)'
                  where phi, the estimated (co)variances relative to sigma^2, move with y by the implicit function
                  theorem: what Greven & Kneib (2010) add to Vaida & Blanchard (2005), for ML and REML
    Poisson       sum_i y_i (eta_i(y) - eta_i(y - e_i)), which is unbiased (Chen-Stein; Lian 2012)
    binary        sum_i mu_i (1 - mu_i) (eta_i(y_i := 1) - eta_i(y_i := 0))  (Efron 2004; Saefken et al. 2014)
    others        the sum of leverages d mu_i / d y_i plus the number of dispersion and shape parameters, given the
                  variances of the random effects (Vaida & Blanchard 2005)

Poisson and binary models are refitted once for each row (that is not zero).

References: Vaida & Blanchard (2005), Biometrika 92, 351-370; Greven & Kneib (2010), Biometrika 97, 773-789; Lian
(2012), Electronic Journal of Statistics 6, 1245-1265; Efron (2004), Journal of the American Statistical Association 99,
619-632; Saefken, Kneib, van Waveren & Greven (2014), Electronic Journal of Statistics 8, 201-225.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import ModelError
from ranef.fitting import FittedModel, announce
from ranef.formula.design import RandomTerm
from ranef.inference.variance_components import covariances

METHODS = ("exact", "refits", "leverage")
# Entries of the dense matrix Z that the exact correction of a Gaussian model handles.
MOST_ENTRIES = 30_000_000
MOST_EFFECTS = 3000
# A covariance matrix whose smallest eigenvalue, relative to the largest, is below this is singular.
SINGULAR = 1e-8


@dataclass(frozen=True)
class ConditionalAic:
    """The criterion and its parts.

    Attributes
    ----------
    loglik : float
        Log-likelihood given the conditional modes.
    df : float
    method : str
        One of `METHODS`.
    note : str
    """

    loglik: float
    df: float
    method: str
    note: str

    @property
    def caic(self) -> float:
        """-2 loglik + 2 df."""
        return -2.0 * self.loglik + 2.0 * self.df


def conditional_aic(record: FittedModel, method: str | None = None, threads: int | None = None) -> ConditionalAic:
    """The conditional AIC of a fit, by the best method there is for it or the one asked for."""
    if method is not None and method not in METHODS:
        raise ModelError(f"caic(method={method!r}): give one of {', '.join(map(repr, METHODS))}, or None")
    if record.model.correlation is not None:
        raise ModelError(
            f"caic(): the residuals of this model are correlated ({record.model.correlation.text}), so that its rows "
            "have no likelihoods of their own given the random effects."
        )
    if record.model.assumed.priors:
        raise ModelError("caic(): the estimates are the mode of a posterior density; it is for fits without priors.")
    loglik = float(np.asarray(record.engine.loglik_rows(), float).sum())
    reason = why_not_exact(record)
    if method == "exact" and reason:
        raise ModelError(f"caic(method='exact'): {reason}")
    if method == "refits" and not can_be_refitted(record):
        raise ModelError(
            f"caic(method='refits'): for Poisson and binary responses without zero inflation, not for "
            f"{record.model.family!r}"
        )
    if method is None:
        method = "exact" if not reason else "refits" if can_be_refitted(record) else "leverage"
    if method == "exact":
        df, note = gaussian_df(record)
        return ConditionalAic(loglik, df, method, note)
    if method == "refits":
        df, failed = refitted_df(record, threads)
        return ConditionalAic(loglik, df, method, f"{failed} refits failed" if failed else "")
    leverage = float(np.asarray(record.engine.leverage(), float).sum())
    if not np.isfinite(leverage):
        raise ModelError(
            f"caic(): {record.model.family!r} has no leverages, and no other way to its degrees of freedom."
        )
    spread = sum(len(record.kept[c]) - int(record.held(c).sum()) for c in record.model.components if c not in ("cond",))
    residual = len(record.engine.residual_parameters())
    return ConditionalAic(loglik, leverage + spread + residual, method, "given the variances of the random effects")


def columns(found: ConditionalAic, record: FittedModel) -> dict[str, list[Any]]:
    """A row: caic, df, loglik, method, note, and the marginal AIC beside it."""
    return {
        "caic": [found.caic],
        "df": [found.df],
        "loglik": [found.loglik],
        "aic": [record.aic],
        "method": [found.method],
        "note": [found.note],
    }


# -- Gaussian ----------------------------------------------------------------------------------------------------------


def why_not_exact(record: FittedModel) -> str:
    """Why the closed form is not for this model; empty where it is."""
    if not record.model.profiled or record.model.marginal:
        return "for linear mixed models of rf.lmm with independent residuals of one size, and nothing assumed"
    for term in record.terms():
        if directions(term) is None:
            return f"the covariance of {term.text} ({term.structure}) is no linear function of its parameters"
    effects = sum(len(term.levels) * term.columns.shape[1] for term in record.terms())
    if effects > MOST_EFFECTS or effects * record.nobs > MOST_ENTRIES:
        return f"{effects} random effects are too many for dense matrices"
    return ""


def directions(term: RandomTerm) -> list[np.ndarray] | None:
    """The derivatives of Sigma with respect to its (co)variances; None where Sigma is no linear function of any."""
    p = term.columns.shape[1]
    if term.coupling is not None:
        return None
    if term.structure == "us" or p == 1:
        return [_unit(p, i, j) for i, j in combinations_with_replacement(range(p), 2)]
    if term.structure == "diag":
        return [_unit(p, i, i) for i in range(p)]
    if term.structure == "homdiag":
        return [np.eye(p)]
    if term.structure == "homcs":
        return [np.eye(p), np.ones((p, p)) - np.eye(p)]
    return None


def _unit(p: int, i: int, j: int) -> np.ndarray:
    matrix = np.zeros((p, p))
    matrix[i, j] = matrix[j, i] = 1.0
    return matrix


def gaussian_df(record: FittedModel) -> tuple[float, str]:
    """tr(d yhat / d y) + 1, and a note where some variances do not move."""
    design, sigma2 = record.design, record.sigma**2
    y = np.asarray(design.response.y, float)
    root = np.ones(record.nobs) if design.weights is None else np.sqrt(np.asarray(design.weights, float))
    e = root * (y - np.asarray(record.engine.fitted_values("response"), float))
    df = float(np.asarray(record.engine.leverage(), float).sum()) + 1.0
    moving: list[tuple[RandomTerm, np.ndarray]] = []
    held: list[tuple[RandomTerm, np.ndarray]] = []
    blocks = zip(design.random, covariances(record), strict=True)
    for term, sigma in blocks:
        values = np.linalg.eigvalsh(sigma)
        if values[-1] <= SINGULAR * sigma2:
            continue  # A variance of zero stays there.
        (held if values[0] <= SINGULAR * values[-1] else moving).append((term, sigma / sigma2))
    if moving or held:
        df += _correction(record, moving, held, root, e)
    note = f"given the covariance of {', '.join(t.text for t, _ in held)}, which is singular" if held else ""
    return df, note


def _correction(
    record: FittedModel,
    moving: list[tuple[RandomTerm, np.ndarray]],
    held: list[tuple[RandomTerm, np.ndarray]],
    root: np.ndarray,
    e: np.ndarray,
) -> float:
    """sum_j (d phi_j / d y)' P V_j e, of the covariances that move."""
    from scipy import sparse

    x = np.asarray(record.design.fixed["cond"].x, float)[:, record.kept["cond"]] * root[:, None]
    z = np.column_stack([_columns(term) for term, _ in (*moving, *held)]) * root[:, None]
    factors = [_factor(sigma) for _, sigma in (*moving, *held)]
    sizes = [len(term.levels) for term, _ in (*moving, *held)]
    lam = sparse.block_diag([sparse.kron(sparse.eye(n), f) for n, f in zip(sizes, factors, strict=True)]).tocsr()
    v_inverse = _inverse_of_v(z @ lam)
    vx, vz = v_inverse(x), v_inverse(z)
    w = z.T @ vz
    if x.shape[1]:
        inner = np.linalg.solve(x.T @ vx, vx.T @ z)
        pz = vz - vx @ inner
    else:
        pz = vz
    reml = record.method == "reml"
    rows = record.nobs - x.shape[1] if reml else record.nobs
    square = float(e @ (root * np.asarray(record.design.response.y - _offset(record), float)))
    middle = z.T @ pz if reml else w
    # One matrix D_j over all effects for each (co)variance: V_j = Z D_j Z'.
    derivatives = []
    first, q = 0, z.shape[1]
    for term, _ in moving:
        width = len(term.levels) * term.columns.shape[1]
        for unit in directions(term) or []:
            block = sparse.kron(sparse.eye(len(term.levels)), unit)
            empty = [sparse.csr_matrix((n, n)) for n in (first, q - first - width)]
            derivatives.append(sparse.block_diag([empty[0], block, empty[1]]).tocsr())
        first += width
    if not derivatives:
        return 0.0
    ze = z.T @ e
    dze = [d @ ze for d in derivatives]
    a = np.column_stack([pz @ v for v in dze])  # P V_j e
    quadratic = np.array([ze @ v for v in dze])  # e' V_j e
    products = [d.T.dot(middle.T).T for d in derivatives]  # middle @ D_j
    traces = np.array([[float((m * k.T).sum()) for k in products] for m in products])
    cross = np.column_stack(dze).T @ (z.T @ a)  # e' V_j P V_k e
    hessian = 0.5 * traces + 0.5 * rows * (-2.0 * cross / square + np.outer(quadratic, quadratic) / square**2)
    slope = rows * (a / square - np.outer(e, quadratic) / square**2)  # d score_j / d y
    moves = -np.linalg.solve(hessian, slope.T)  # d phi_j / d y, a row each
    return float((moves * a.T).sum())


def _offset(record: FittedModel) -> np.ndarray | float:
    offset = record.design.fixed["cond"].offset
    return 0.0 if offset is None else np.asarray(offset, float)


def _columns(term: RandomTerm) -> np.ndarray:
    """Z of a term, dense, (n, levels x p), level by level."""
    columns = np.asarray(term.columns, float)
    n, p = columns.shape
    z = np.zeros((n, len(term.levels) * p))
    at = np.asarray(term.codes).astype(np.int64) * p
    for j in range(p):
        z[np.arange(n), at + j] = columns[:, j]
    return z


def _factor(sigma: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(sigma)
    return np.asarray(vectors * np.sqrt(values.clip(min=0.0)))


def _inverse_of_v(zl: np.ndarray) -> Any:
    """v -> (I + zl zl')^-1 v, by the inverse of the smaller matrix."""
    from scipy.linalg import cho_factor, cho_solve

    inner = cho_factor(np.eye(zl.shape[1]) + zl.T @ zl)
    return lambda v: v - zl @ cho_solve(inner, zl.T @ v)


# -- Poisson and binary ------------------------------------------------------------------------------------------------


def can_be_refitted(record: FittedModel) -> bool:
    """Whether the response is Poisson, or binary with the logit as its link, so that rows can be moved by one."""
    if record.model.zero_inflated:
        return False
    if record.family == "poisson":
        return record.link == "log"
    y, trials = np.asarray(record.design.response.y), record.design.response.trials
    single = trials is None or bool((np.asarray(trials) == 1).all())
    return record.family == "binomial" and record.link == "logit" and single and bool(np.isin(y, (0.0, 1.0)).all())


def refitted_df(record: FittedModel, threads: int | None) -> tuple[float, int]:
    """The covariance penalty from a refit for each row that can be moved by one, and how many of them failed."""
    y = np.asarray(record.design.response.y, float)
    eta = np.asarray(record.engine.linear_predictor, float)[:, record.model.predictor("cond")]
    trials = record.design.response.trials
    rows = np.flatnonzero(y > 0) if record.family == "poisson" else np.arange(record.nobs)
    change = np.where(y > 0, -1.0, 1.0)
    control = replace(record.control, threads=record.control.threads if threads is None else threads)

    def moved(row: int) -> float:
        other = y.copy()
        other[row] += change[row]
        try:
            engine = record.engine.refit(other, trials, {})
        except _engine.EngineError:
            return float("nan")
        if not engine.converged:
            return float("nan")
        there = float(np.asarray(engine.linear_predictor, float)[row, record.model.predictor("cond")])
        return (eta[row] - there) * -change[row]

    found: list[float] = []
    with ThreadPoolExecutor(control.threads) as pool:
        for piece in _pieces(rows):
            found += pool.map(moved, piece)
            announce(control, f"conditional AIC: {len(found)} of {len(rows)} refits")
    differences = np.asarray(found)
    mean = np.asarray(record.engine.fitted_values("response"), float)[rows]
    weight = y[rows] if record.family == "poisson" else mean * (1.0 - mean)
    good = np.isfinite(differences)
    # Rows whose refit failed count as the average row.
    share = weight.sum() / weight[good].sum() if good.any() else float("nan")
    return float((weight[good] * differences[good]).sum() * share), int((~good).sum())


def _pieces(rows: np.ndarray, size: int = 500) -> Iterable[list[int]]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size].tolist()
