"""The estimated standard deviation over the true one, s = chi_df / sqrt(df), to be integrated over."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# The density of log(s) falls below exp(-_DEPTH) of its maximum outside the points.
_DEPTH = 42.0
_LEAST_POINTS, _WIDEST_STEP = 240, 0.045


@lru_cache(maxsize=64)
def scaled_chi(df: float) -> tuple[np.ndarray, np.ndarray]:
    """Points s and weights w with E f(s) = sum w f(s); one point at 1 for infinite df.

    The trapezoidal rule in x = log(s), whose density is proportional to exp(df (x - exp(2 x) / 2)): analytic and zero
    with all its derivatives at both ends, so that the rule converges faster than any power of its step.

    Examples
    --------
    >>> s, w = scaled_chi(5.0)
    >>> bool(abs((w * s**2).sum() - 1.0) < 1e-13)
    True
    """
    if not np.isfinite(df):
        return np.ones(1), np.ones(1)

    def depth(x: float) -> float:
        return df * (0.5 * np.expm1(2.0 * x) - x)

    ends = []
    for outside in (-0.5 - _DEPTH / df, 0.5 * np.log1p(2.0 * _DEPTH / df) + 1.0):
        inside, far = 0.0, float(outside)
        while depth(far) < _DEPTH:
            far *= 2.0
        for _ in range(60):
            middle = 0.5 * (inside + far)
            inside, far = (middle, far) if depth(middle) < _DEPTH else (inside, middle)
        ends.append(far)
    x = np.linspace(ends[0], ends[1], max(_LEAST_POINTS, int((ends[1] - ends[0]) / _WIDEST_STEP)))
    density = np.exp(-df * (0.5 * np.expm1(2.0 * x) - x))
    return np.exp(x), density / density.sum()
