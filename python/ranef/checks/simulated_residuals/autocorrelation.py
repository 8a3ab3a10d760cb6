"""Whether residuals that are near in time, in space or by descent are alike.

Durbin & Watson    d = sum (e_t - e_t-1)^2 / sum e_t^2 of the residuals about their mean, in the order of time
Moran              I, of `checks.moran`, with weights 1/distance scaled to one in each row

d is 2 (1 - correlation of neighbours), so that "greater" (correlation above zero) is d below two. Its distribution is
exact up to `EXACT` rows (Imhof's integral with the eigenvalues 2 - 2 cos(pi k / n), which belong to residuals about a
mean), normal with the exact mean and variance beyond; both take the residuals for normal, which matters little. Moran's
I is normal with the variance under permutations of the rows.

References: Durbin & Watson (1950), Biometrika 37, 409-428; Imhof (1961), Biometrika 48, 419-426.
"""

from __future__ import annotations

import numpy as np

from ranef.checks.moran import moran as moran_index
from ranef.checks.simulated_residuals.residual_test import ResidualTest, side_of
from ranef.errors import DataError

EXACT = 100


def durbin_watson(scaled: np.ndarray, time: np.ndarray, alternative: str = "two-sided") -> ResidualTest:
    """The test of residuals with different times; "greater": neighbours in time are alike."""
    side_of(alternative, "test_temporal")
    n = len(scaled)
    if n < 4:
        raise DataError(f"test_temporal(): there are {n} times; four or more are needed")
    e = scaled[np.argsort(time, kind="stable")]
    e = e - e.mean()
    total = float(e @ e)
    if not total > 0.0:
        raise DataError("test_temporal(): all residuals are equal")
    d = float((np.diff(e) ** 2).sum()) / total
    below = smaller(n, d)
    p = {"greater": below, "less": 1.0 - below, "two-sided": min(1.0, 2.0 * min(below, 1.0 - below))}[alternative]
    correlation = float(e[1:] @ e[:-1]) / total
    text = f"correlation of neighbours in time {correlation:+.2f}"
    return ResidualTest("temporal autocorrelation", d, p, alternative, correlation, text)


def smaller(n: int, d: float) -> float:
    """P(D <= d) for n independent values about their mean."""
    from scipy.special import ndtr

    eigenvalues = 2.0 - 2.0 * np.cos(np.pi * np.arange(1, n) / n)
    if n <= EXACT:
        return _imhof(eigenvalues - d)
    m = n - 1
    mean = eigenvalues.sum() / m
    variance = 2.0 * ((eigenvalues**2).sum() - m * mean**2) / (m * (m + 2.0))
    return float(ndtr((d - mean) / np.sqrt(variance)))


def _imhof(weights: np.ndarray) -> float:
    """P(sum of weights times squared independent standard normal values <= 0)."""
    from scipy.integrate import quad

    scale = weights / np.abs(weights).max()

    def integrand(u: float) -> float:
        theta = 0.5 * np.arctan(scale * u).sum()
        rho = 0.25 * np.log1p((scale * u) ** 2).sum()
        return float(np.sin(theta) * np.exp(-rho) / u) if u > 0.0 else float(0.5 * scale.sum())

    # On a finite range, u = t / (1 - t), which is where the integrand of many terms lives.
    def mapped(t: float) -> float:
        return integrand(t / (1.0 - t)) / (1.0 - t) ** 2 if t < 1.0 else 0.0

    value = quad(mapped, 0.0, 1.0, limit=500, epsabs=1e-10, epsrel=1e-9)[0]
    return float(min(1.0, max(0.0, 0.5 - value / np.pi)))


def moran(scaled: np.ndarray, distances: np.ndarray, alternative: str = "two-sided") -> ResidualTest:
    """The test; "greater": near residuals are alike. The diagonal of the (rows, rows) distances counts for nothing."""
    from scipy.special import ndtr

    side_of(alternative, "test_spatial")
    n = len(scaled)
    if n < 4:
        raise DataError(f"test_spatial(): there are {n} places; four or more are needed")
    w = np.array(distances, float)
    np.fill_diagonal(w, np.inf)
    if (w <= 0.0).any():
        i, j = (int(k) for k in np.argwhere(w <= 0.0)[0])
        raise DataError(f"distances: that of rows {i} and {j} is {distances[i, j]:g}; they must be above zero")
    w = 1.0 / w
    sums = w.sum(axis=1)
    if not (sums > 0.0).all():
        raise DataError(f"distances: row {int(np.flatnonzero(~(sums > 0.0))[0])} is infinitely far from all others")
    w /= sums[:, None]
    found = moran_index(scaled, w)
    if found is None:
        raise DataError("test_spatial(): all residuals are equal")
    greater, less = float(ndtr(-found.z)), float(ndtr(found.z))
    p = {"greater": greater, "less": less, "two-sided": min(1.0, 2.0 * min(greater, less))}[alternative]
    text = f"Moran's I {found.index:+.3f}, {found.expected:+.3f} expected"
    return ResidualTest("spatial autocorrelation", found.index, p, alternative, found.index - found.expected, text)


def euclidean(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances of all pairs of points."""
    return np.hypot(x[:, None] - x, y[:, None] - y)
