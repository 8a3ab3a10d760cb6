"""Kolmogorov and Smirnov's test that residuals are uniform on (0, 1).

D+ = max(i/n - r_(i)), D- = max(r_(i) - (i-1)/n), D the larger. P(D+ >= d) is exact (Smirnov's sum). P(D >= d) is twice
that, but for the probability of both sides at once, whose share is about exp(-6 n d^2): none where n d^2 >= 4. Below
it, up to `EXACT` rows, the matrix power of Marsaglia, Tsang & Wang; for more rows twice P(D+ >= d) down to a n d^2 of
2.25, and then the limiting distribution with Vrbik's correction of its argument: relative errors below 0.1 %.

References: Marsaglia, Tsang & Wang (2003), J. Stat. Softw. 8(18); Simard & L'Ecuyer (2011), J. Stat. Softw. 39(11);
Vrbik (2018), Pioneer J. Theor. Appl. Stat. 15, 15-23.
"""

from __future__ import annotations

import numpy as np

from ranef.checks.simulated_residuals.residual_test import ResidualTest, side_of

EXACT = 1000


def uniformity(scaled: np.ndarray, alternative: str = "two-sided", name: str = "uniformity") -> ResidualTest:
    """The test; "greater": the residuals' distribution function lies above the diagonal, they are too small.

    The effect is D with its sign and place: the share of residuals below a value, less that value.
    """
    side_of(alternative, "test_uniformity")
    n = len(scaled)
    ordered = np.sort(scaled)
    ranks = np.arange(1, n + 1)
    over, under = ranks / n - ordered, ordered - (ranks - 1) / n
    plus, minus = float(over.max()), float(under.max())
    if alternative == "greater" or (alternative == "two-sided" and plus >= minus):
        statistic, at = plus, float(ordered[over.argmax()])
        effect = plus
    else:
        statistic, at = minus, float(ordered[under.argmax()])
        effect = -minus
    p = two_sided(n, statistic) if alternative == "two-sided" else one_sided(n, statistic)
    share = min(max(at + effect, 0.0), 1.0)
    digits = 0 if statistic >= 0.02 else 1
    text = f"{share:.{digits}%} of residuals below {at:.{digits + 2}f}, {at:.{digits}%} expected"
    return ResidualTest(name, statistic, p, alternative, effect, text)


def one_sided(n: int, d: float) -> float:
    """P(D+ >= d) for n uniform values."""
    from scipy.special import smirnov

    return float(smirnov(n, min(max(d, 0.0), 1.0)))


def two_sided(n: int, d: float) -> float:
    """P(D >= d) for n uniform values."""
    from scipy.special import kolmogorov

    if n * d * d >= (4.0 if n <= EXACT else 2.25) or d >= 0.5:
        return min(1.0, 2.0 * one_sided(n, d))
    if n * d <= 0.5:
        return 1.0
    if n <= EXACT:
        return min(1.0, max(0.0, 1.0 - _marsaglia(n, d)))
    scaled = np.sqrt(n) * d
    return float(kolmogorov(scaled + 1.0 / (6.0 * np.sqrt(n)) + (scaled - 1.0) / (4.0 * n)))


def _marsaglia(n: int, d: float) -> float:
    """P(D < d): n!/n^n times an element of the n-th power of a matrix of size 2k - 1, with k = floor(n d) + 1."""
    k = int(n * d) + 1
    m, h = 2 * k - 1, k - n * d
    factorial = np.cumprod(np.concatenate([[1.0], np.arange(1.0, m + 1)]))
    i, j = np.indices((m, m))
    start = np.where(i - j + 1 < 0, 0.0, 1.0)
    powers = h ** np.arange(1, m + 1)
    start[:, 0] -= powers
    start[-1, :] -= powers[::-1]
    start[-1, 0] += (2.0 * h - 1.0) ** m if 2.0 * h > 1.0 else 0.0
    below = i - j + 1 > 0
    start[below] /= factorial[(i - j + 1)[below]]
    # Powers by squaring, each with an exponent of two beside it, as they leave the range of doubles.
    power, exponent = np.eye(m), 0
    square, shift = start, 0
    count = n
    while count:
        if count & 1:
            power, exponent = _rescaled(power @ square, exponent + shift)
        square, shift = _rescaled(square @ square, 2 * shift)
        count >>= 1
    log_ratio = float(np.log(np.arange(1, n + 1) / n).sum())
    value = power[k - 1, k - 1]
    return float(np.exp(np.log(value) + exponent * np.log(2.0) + log_ratio)) if value > 0.0 else 0.0


def _rescaled(matrix: np.ndarray, exponent: int) -> tuple[np.ndarray, int]:
    shift = int(np.frexp(np.abs(matrix).max())[1])
    return np.ldexp(matrix, -shift), exponent + shift
