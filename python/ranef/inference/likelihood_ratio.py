"""Reference distributions of likelihood ratios: chi-squares, and their mixtures at the edge of the parameter space."""

from __future__ import annotations

# Twice a difference of log-likelihoods that counts as none: what two searches for one optimum may differ by.
ZERO = 1e-6


def upper_tail(statistic: float, df: int) -> float:
    """P(chi-square with df >= statistic); without degrees of freedom it is a point mass at zero."""
    from scipy.special import chdtrc

    if df <= 0:
        return float(statistic <= ZERO)
    return float(chdtrc(df, max(statistic, 0.0)))


def boundary_tail(statistic: float, df: int) -> float:
    """The same of the mixture of chi-squares with df - 1 and df, half each: one variance, and its covariances, zero.

    Reference: Self & Liang (1987), JASA 82, 605-610, case 5 and 6; Stram & Lee (1994), Biometrics 50, 1171-1177.
    """
    if df <= 0:
        return float("nan")
    return 0.5 * (upper_tail(statistic, df - 1) + upper_tail(statistic, df))
