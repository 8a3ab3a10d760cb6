"""Whether quantiles of the residuals run along a predictor, where under the model they are level.

A quantile tau of residuals that are uniform is tau at every value of a predictor x. With B = (1, C), C a natural cubic
spline of the ranks of x and centred, quantile regression of the residuals on B has the score B'(tau - 1(r <= tau)). Its
mean is zero and its covariance tau (1 - tau) B'B if the quantile is tau everywhere, which gives two tests for each tau
(Gutenbrunner, Jureckova, Koenker & Portnoy 1993, J. Nonparametr. Stat. 2, 307-331):

    level   the residuals' quantile is not tau: the score of 1, normal
    bend    it changes along x: the score of C, chi-square with as many degrees of freedom as C has columns

They need neither a bandwidth nor a density, and hold their level in small samples. They stand where DHARMa has the
tests of intercept and smooth of an additive quantile regression, and are put together as there: the smaller of both
after Benjamini & Hochberg's adjustment, and of these the smallest after the same over tau. The curves that are drawn
and the effect are the quantile regression itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranef.checks.simulated_residuals.residual_test import ResidualTest, smallest_adjusted
from ranef.errors import DataError, ModelError
from ranef.formula.splines import natural_spline, natural_spline_knots

QUANTILES = (0.25, 0.5, 0.75)
# Columns of the spline: enough for a bend and a turn, few enough to see them with 50 rows.
COLUMNS = 4
# Rows above which the curves are fitted to this many of them, evenly spaced in the order of the predictor.
MANY_ROWS = 50_000
# Residuals are between 0 and 1, and curves are read to two digits.
STEPS, PRECISION = 100, 1e-4


@dataclass(frozen=True, eq=False)
class QuantileCurves:
    """Fitted quantiles of the residuals along the ranks of a predictor.

    Attributes
    ----------
    ranks : (points,) array
        Between 0 and 1, increasing.
    quantiles : tuple of float
    curves : (quantiles, points) array
    low, high : (quantiles, points) arrays
        Pointwise 95 % bands around the curves, by the residuals' uniform density.
    """

    ranks: np.ndarray
    quantiles: tuple[float, ...]
    curves: np.ndarray
    low: np.ndarray
    high: np.ndarray


def quantile_trend(
    scaled: np.ndarray, predictor: np.ndarray, quantiles: Sequence[float] = QUANTILES, name: str = "fitted value"
) -> ResidualTest:
    """The test; its details are those of each quantile, the effect the largest distance of a curve from its level."""
    taus = checked_quantiles(quantiles)
    details, values = [], p_values(scaled, predictor, taus)
    shown = quantile_curves(scaled, predictor, taus)
    for tau, curve, p in zip(taus, shown.curves, values, strict=True):
        off = float(np.abs(curve - tau).max())
        text = f"runs from {curve.min():.2f} to {curve.max():.2f}"
        details.append(ResidualTest(f"quantile {tau:g}", off, p, "two-sided", off, text))
    worst = max(details, key=lambda test: test.effect)
    text = f"{worst.test} {worst.effect_text} along {name}"
    p = smallest_adjusted(np.array(values))
    return ResidualTest("quantiles", worst.effect, p, "two-sided", worst.effect, text, tuple(details))


def p_values(scaled: np.ndarray, predictor: np.ndarray, quantiles: Sequence[float] = QUANTILES) -> list[float]:
    """That of each quantile."""
    basis = spline_basis(ranked(predictor))
    tests = [score_tests(scaled, basis, tau) for tau in quantiles]
    return [level if bend is None else smallest_adjusted(np.array([level, bend])) for level, bend in tests]


def checked_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """The quantiles asked for, between 0 and 1."""
    found = tuple(float(tau) for tau in np.atleast_1d(np.asarray(quantiles, float)))
    if not found or not all(0.0 < tau < 1.0 for tau in found):
        raise ModelError(f"quantiles={quantiles!r}: give numbers between 0 and 1")
    return found


def ranked(predictor: np.ndarray) -> np.ndarray:
    """Mean ranks of the values, as shares between 0 and 1."""
    met, place, count = np.unique(predictor, return_inverse=True, return_counts=True)
    if len(met) < 2:
        raise DataError("the predictor is the same in all rows, so that nothing can run along it")
    ends = np.cumsum(count)
    middle = ends - 0.5 * count
    return np.asarray(middle[place.reshape(-1)] / len(predictor))


def spline_basis(ranks: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
    """Columns of the spline without the constant, centred over the rows; a straight line for two or three values."""
    met = np.unique(ranks)
    columns = min(COLUMNS, len(met) - 1)
    where = ranks if at is None else at
    if columns < 3:
        centre = ranks.mean()
        return (
            np.column_stack([(where - centre) ** (j + 1) for j in range(columns)])
            if at is not None
            else _centred(np.column_stack([(ranks - centre) ** (j + 1) for j in range(columns)]))
        )
    inner = np.quantile(met, np.linspace(0.0, 1.0, columns + 1)[1:-1])
    inner, boundary = natural_spline_knots(ranks, None, inner, None, False)
    basis = natural_spline(ranks, inner, boundary)
    return _centred(basis) if at is None else natural_spline(where, inner, boundary) - basis.mean(axis=0)


def _centred(columns: np.ndarray) -> np.ndarray:
    return np.asarray(columns - columns.mean(axis=0))


def score_tests(scaled: np.ndarray, basis: np.ndarray, tau: float) -> tuple[float, float | None]:
    """P-values of the level and the bend of one quantile."""
    from scipy.special import chdtrc, ndtr

    variance = tau * (1.0 - tau)
    score = tau - (scaled <= tau)
    level = float(2.0 * ndtr(-abs(score.sum()) / np.sqrt(variance * len(scaled))))
    along = basis.T @ score
    rank = int(np.linalg.matrix_rank(basis))
    if rank == 0:
        return level, None
    statistic = float(along @ np.linalg.pinv(basis.T @ basis) @ along) / variance
    return level, float(chdtrc(rank, statistic))


def quantile_curves(
    scaled: np.ndarray, predictor: np.ndarray, quantiles: Sequence[float] = QUANTILES, points: int = 101
) -> QuantileCurves:
    """Quantile regression of the residuals on the spline."""
    ranks = ranked(predictor)
    taus = checked_quantiles(quantiles)
    at = np.linspace(ranks.min(), ranks.max(), points)
    rows = np.arange(len(scaled))
    if len(rows) > MANY_ROWS:
        rows = np.argsort(ranks, kind="stable")[np.linspace(0, len(rows) - 1, MANY_ROWS).astype(int)]
    x = np.column_stack([np.ones(len(scaled)), spline_basis(ranks)])
    grid = np.column_stack([np.ones(points), spline_basis(ranks, at)])
    curves = np.array([grid @ quantile_regression(x[rows], scaled[rows], tau) for tau in taus])
    # Cov(coefficients) = tau (1 - tau) / density^2 (B'B)^-1, and the density is one under the model.
    leverage = np.sqrt(np.einsum("ij,jk,ik->i", grid, np.linalg.pinv(x.T @ x), grid))
    half = 1.96 * np.sqrt([[tau * (1.0 - tau)] for tau in taus]) * leverage
    return QuantileCurves(
        at, taus, np.clip(curves, 0.0, 1.0), np.clip(curves - half, 0, 1), np.clip(curves + half, 0, 1)
    )


def quantile_regression(x: np.ndarray, y: np.ndarray, tau: float) -> np.ndarray:
    """Coefficients that make the sum of check losses smallest, by majorising it with quadratic functions.

    Reference: Hunter & Lange (2000), J. Comput. Graph. Stat. 9, 60-77. The loss is smoothed within `PRECISION`.
    """
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    beta[0] += np.quantile(y - x @ beta, tau) if len(y) else 0.0
    smooth, towards, inverse = 1e-2, (2.0 * tau - 1.0) * x.sum(axis=0), np.linalg.inv
    if np.linalg.matrix_rank(x) < x.shape[1]:
        inverse = np.linalg.pinv
    for _ in range(STEPS):
        residual = y - x @ beta
        weight = 1.0 / (smooth + np.abs(residual))
        weighted = x * weight[:, None]
        new = inverse(weighted.T @ x) @ (weighted.T @ y + towards)
        step = float(np.abs(x @ (new - beta)).max())
        beta = new
        if step < 0.1 * smooth:
            if smooth <= PRECISION:
                break
            smooth = max(PRECISION, 0.3 * smooth)
    return np.asarray(beta)
