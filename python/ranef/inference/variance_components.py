"""Variances, standard deviations and correlations of the random effects, with their uncertainty.

Each term has Sigma = Lambda Lambda'. The engine estimates entries theta of Lambda with a covariance matrix; standard
deviations and correlations are smooth functions of theta, so their standard errors come by the delta method:

    sd_i = sqrt(Sigma_ii),      d sd_i / d Lambda_rc = [i = r] Lambda_ic / sd_i
    cor_ij = Sigma_ij / (sd_i sd_j)

Wald intervals are formed where the normal is the better approximation: log(sd), and Fisher's z = atanh(cor).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.wald import quantile

# Structures whose columns are independent: no correlation to report.
INDEPENDENT = ("diag", "homdiag")


@dataclass(frozen=True)
class VarianceParameter:
    """A standard deviation or a correlation.

    Attributes
    ----------
    component, group : str
    kind : {"sd", "cor"}
    var1, var2 : str or None
        The columns; `var2` is None for a standard deviation, both are None for the residual.
    estimate, std_error, conf_low, conf_high : float
        NaN where undefined: at a variance of zero or a correlation of one, the likelihood has no curvature to use.
    """

    component: str
    group: str
    kind: str
    var1: str | None
    var2: str | None
    estimate: float
    std_error: float
    conf_low: float
    conf_high: float

    @property
    def term(self) -> str:
        """Name as in broom.mixed: ``sd__Intercept``, ``cor__Intercept.Days``, ``sd__Observation``."""
        if self.kind == "sd":
            return f"sd__{self.var1 or 'Observation'}"
        return f"cor__{self.var1}.{self.var2}"


def variance_parameters(record: FittedModel, level: float = 0.95) -> list[VarianceParameter]:
    """All standard deviations and correlations, term by term, the residual last."""
    z = float(quantile(level))
    found: list[VarianceParameter] = []
    for term, sigma, jacobian, theta_cov in _by_term(record):
        found += _of_term(term, sigma, jacobian, theta_cov, z)
    if record.model.has_residual:
        estimate, std_error = record.sigma, residual_std_error(record)
        low, high = log_interval(estimate, std_error, z)
        found.append(VarianceParameter("cond", "Residual", "sd", None, None, estimate, std_error, low, high))
    return found


def varcorr(record: FittedModel) -> dict[str, list]:
    """Columns component, group, var1, var2, vcov, sdcor, as lme4's ``as.data.frame(VarCorr(fit))``.

    `vcov` is the variance or covariance, `sdcor` the standard deviation or correlation.
    """
    columns: dict[str, list] = {name: [] for name in ("component", "group", "var1", "var2", "vcov", "sdcor")}

    def add(*row: object) -> None:
        for name, value in zip(columns, row, strict=True):
            columns[name].append(value)

    for term, sigma in zip(record.terms(), covariances(record), strict=True):
        sd = np.sqrt(np.diag(sigma))
        for i, name in enumerate(term.names):
            add(term.component, term.group, name, None, float(sigma[i, i]), float(sd[i]))
        for i, j in _pairs(term):
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
    if not len(record.kept["disp"]):
        return float("nan")
    variance = record.covariance_of_estimates("disp")
    if variance.size != 1 or not np.isfinite(variance).all():
        return float("nan")
    return record.sigma * float(np.sqrt(max(variance.item(), 0.0)))


def log_interval(estimate: float, std_error: float, z: float) -> tuple[float, float]:
    """exp(log(sd) -+ z se / sd); NaN where the standard error is undefined."""
    if not (estimate > 0.0 and np.isfinite(std_error)):
        return float("nan"), float("nan")
    half = z * std_error / estimate
    return float(estimate * np.exp(-half)), float(estimate * np.exp(half))


def fisher_interval(estimate: float, std_error: float, z: float) -> tuple[float, float]:
    """tanh(atanh(r) -+ z se / (1 - r^2)); NaN where the standard error is undefined."""
    if not (abs(estimate) < 1.0 and np.isfinite(std_error)):
        return float("nan"), float("nan")
    half = z * std_error / (1.0 - estimate**2)
    centre = np.arctanh(estimate)
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def factor_entries(structure: str, width: int) -> list[tuple[int, int]] | None:
    """Row and column in Lambda of each theta; None for structures whose theta is not an entry of Lambda."""
    if structure == "us":
        return [(row, column) for column in range(width) for row in range(column, width)]
    if structure == "diag":
        return [(row, row) for row in range(width)]
    return None


def delta_method(factor: np.ndarray, entries: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of standard deviations (p, k) and correlations (p, p, k) with respect to the k entries of Lambda."""
    sigma = factor @ factor.T
    sd = np.sqrt(np.diag(sigma))
    p, k = len(sd), len(entries)
    d_sd, d_cor = np.full((p, k), np.nan), np.full((p, p, k), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        for m, (row, column) in enumerate(entries):
            d_sigma = np.zeros((p, p))
            d_sigma[row, :] += factor[:, column]
            d_sigma[:, row] += factor[:, column]
            d_sd[:, m] = np.diag(d_sigma) / (2.0 * sd)
            cor = sigma / np.outer(sd, sd)
            relative = d_sd[:, m] / sd
            d_cor[:, :, m] = d_sigma / np.outer(sd, sd) - cor * (relative[:, None] + relative[None, :])
    return d_sd, d_cor


def _by_term(
    record: FittedModel,
) -> Iterator[tuple[RandomTerm, np.ndarray, tuple[np.ndarray, np.ndarray] | None, np.ndarray | None]]:
    """Each term with Sigma, the derivatives of its sds and correlations, and the covariance of its theta."""
    position = 0
    theta_cov = np.asarray(record.engine.theta_cov, float)
    for term, sigma, factor, theta in zip(
        record.terms(), covariances(record), record.engine.factor, record.engine.theta, strict=True
    ):
        entries = factor_entries(term.structure, len(term.names))
        block = slice(position, position + len(theta))
        position = block.stop
        if entries is None or len(entries) != len(theta):
            yield term, sigma, None, None
        else:
            yield term, sigma, delta_method(np.atleast_2d(np.asarray(factor, float)), entries), theta_cov[block, block]


def _of_term(
    term: RandomTerm,
    sigma: np.ndarray,
    jacobian: tuple[np.ndarray, np.ndarray] | None,
    theta_cov: np.ndarray | None,
    z: float,
) -> list[VarianceParameter]:
    found = []
    for i, name in enumerate(term.names):
        sd = float(np.sqrt(sigma[i, i]))
        se = _std_error(None if jacobian is None else jacobian[0][i], theta_cov)
        low, high = log_interval(sd, se, z)
        found.append(VarianceParameter(term.component, term.group, "sd", name, None, sd, se, low, high))
    for i, j in _pairs(term):
        cor = correlation(sigma, i, j)
        se = _std_error(None if jacobian is None else jacobian[1][i, j], theta_cov)
        low, high = fisher_interval(cor, se, z)
        one, two = term.names[i], term.names[j]
        found.append(VarianceParameter(term.component, term.group, "cor", one, two, cor, se, low, high))
    return found


def _std_error(gradient: np.ndarray | None, theta_cov: np.ndarray | None) -> float:
    if gradient is None or theta_cov is None:
        return float("nan")
    # A theta without an effect here may still be undefined (NaN rows at the boundary): it is left out.
    used = gradient != 0.0
    variance = gradient[used] @ theta_cov[np.ix_(used, used)] @ gradient[used]
    return float(np.sqrt(variance)) if variance >= 0.0 else float("nan")


def _pairs(term: RandomTerm) -> list[tuple[int, int]]:
    if term.structure in INDEPENDENT:
        return []
    width = len(term.names)
    return [(i, j) for i in range(width) for j in range(i + 1, width)]
