"""Shapiro and Wilk's test of a normal distribution, with Royston's approximations for 4 to 5000 values.

W = (sum a_i x_(i))^2 / sum (x_i - mean)^2, where a are the normal scores m, scaled to one, with the two outermost at
either end as Royston's polynomials in 1/sqrt(n) have them; the p-value is that of a transformed 1 - W, about normal.

References: Shapiro & Wilk (1965), Biometrika 52, 591-611; Royston (1992), Statistics and Computing 2, 117-119; Royston
(1995), Applied Statistics 44, 547-551 (algorithm AS R94).
"""

from __future__ import annotations

import numpy as np

# Coefficients of 1/sqrt(n), 1/n, ... for the outermost score and the next one.
OUTERMOST = (0.221157, -0.147981, -2.07119, 4.434685, -2.706056)
NEXT = (0.042981, -0.293762, -1.752461, 5.682633, -3.582633)
# Mean and log standard deviation of the transformed statistic, by n up to 11 and by log n beyond.
SMALL = 11
SMALL_LIMIT = (-2.273, 0.459)
SMALL_MEAN, SMALL_LOG_SD = (0.5440, -0.39978, 0.025054, -6.714e-4), (1.3822, -0.77857, 0.062767, -0.0020322)
MEAN, LOG_SD = (-1.5861, -0.31082, -0.083751, 0.0038915), (-0.4803, -0.082676, 0.0030302)


def shapiro_wilk(values: np.ndarray) -> tuple[float, float]:
    """W and the p-value of four values or more that are not all equal."""
    from scipy.special import ndtr

    x = np.sort(values)
    n = len(x)
    away = x - x.mean()
    w = min(1.0, float((weights(n) @ away) ** 2 / (away @ away)))
    if w == 1.0:
        return 1.0, 1.0
    transformed = np.log1p(-w)
    if n <= SMALL:
        limit = _polynomial(SMALL_LIMIT, n)
        if transformed >= limit:
            return w, 0.0
        transformed = -np.log(limit - transformed)
        mean, sd = _polynomial(SMALL_MEAN, n), np.exp(_polynomial(SMALL_LOG_SD, n))
    else:
        mean, sd = _polynomial(MEAN, np.log(n)), np.exp(_polynomial(LOG_SD, np.log(n)))
    return w, float(ndtr(-(transformed - mean) / sd))


def weights(n: int) -> np.ndarray:
    """The weights of n ordered values, of unit length."""
    from scipy.special import ndtri

    m = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    length, root = float(m @ m), n**-0.5
    last = m[-1] / np.sqrt(length) + root * _polynomial(OUTERMOST, root)
    ends = 1
    a = m.copy()
    a[-1], a[0] = last, -last
    if n > 5:
        ends = 2
        before = m[-2] / np.sqrt(length) + root * _polynomial(NEXT, root)
        a[-2], a[1] = before, -before
    inner = slice(ends, n - ends)
    left = 1.0 - 2.0 * float(a[n - ends :] @ a[n - ends :])
    a[inner] *= np.sqrt(left / float(m[inner] @ m[inner]))
    return np.asarray(a)


def _polynomial(coefficients: tuple[float, ...], at: float) -> float:
    return float(sum(c * at**k for k, c in enumerate(coefficients)))
