"""The studentised range, the law behind Tukey's comparisons of all pairs of means.

P(Q <= q) = E_s [ k int phi(z) (Phi(z) - Phi(z - q s))^(k - 1) dz ] for k independent means of equal variance, whose
standard deviation is estimated with df degrees of freedom.

Reference: Copenhaver & Holland (1988), Journal of Statistical Computation and Simulation 30, 1-15.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ranef.inference.marginal_means.scaled_chi import scaled_chi

# The normal density is below 1e-16 of its maximum outside the panels.
_REACH, _PANELS, _NODES = 8.7, 18, 14


@lru_cache(maxsize=1)
def normal_quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Points z and weights w with E f(z) = sum w f(z) for a standard normal z: Gauss-Legendre on panels.

    Examples
    --------
    >>> z, w = normal_quadrature()
    >>> bool(abs((w * z**4).sum() - 3.0) < 1e-12)
    True
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = _REACH / _PANELS
    centres = -_REACH + half * (2 * np.arange(_PANELS) + 1)
    z = (centres[:, None] + half * nodes).ravel()
    w = np.tile(half * weights, _PANELS) * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return z, w


def studentised_range_cdf(q: float, k: int, df: float) -> float:
    """P(Q <= q) of the studentised range of `k` means, `df` possibly infinite; its error is below 1e-11.

    Examples
    --------
    >>> round(studentised_range_cdf(3.877, 3, 10.0), 4)  # the tables' 5 % point
    0.95
    """
    from scipy.special import ndtr

    if not q > 0.0:
        return 0.0
    z, w = normal_quadrature()
    s, chance = scaled_chi(float(df))
    inner = (ndtr(z) - ndtr(z - q * s[:, None])) ** (k - 1) @ w
    return float(min(1.0, k * (chance @ inner)))


def studentised_range_quantile(p: float, k: int, df: float) -> float:
    """The q with P(Q <= q) = p.

    Examples
    --------
    >>> round(studentised_range_quantile(0.95, 3, 10.0), 3)
    3.877
    """
    low, high = 0.0, 4.0
    while studentised_range_cdf(high, k, df) < p:
        low, high = high, 2.0 * high
        if high > 1e8:
            return float("inf")
    return root(lambda q: studentised_range_cdf(q, k, df) - p, low, high)


def root(function, low: float, high: float) -> float:  # type: ignore[no-untyped-def]
    """Where an increasing function crosses zero between two places: regula falsi with halving (Illinois)."""
    at_low, at_high = function(low), function(high)
    side = 0
    for _ in range(200):
        if high - low <= 1e-12 * max(1.0, abs(high)):
            break
        middle = high - at_high * (high - low) / (at_high - at_low) if at_high != at_low else 0.5 * (low + high)
        if not low < middle < high:
            middle = 0.5 * (low + high)
        value = function(middle)
        if value == 0.0:
            return float(middle)
        if value < 0.0:
            at_high = 0.5 * at_high if side < 0 else at_high
            low, at_low, side = middle, value, -1
        else:
            at_low = 0.5 * at_low if side > 0 else at_low
            high, at_high, side = middle, value, 1
    return float(0.5 * (low + high))
