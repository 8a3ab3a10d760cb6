"""Sums over pairs of neighbours, and what they are when values are dealt to their places at random.

    T = sum_ij w_ij a_i a_j,    i != j

Over all permutations of the values of a series of m, the mean of a product depends on which indices agree alone. With
S0 = sum w_ij, S1 = sum (w_ij + w_ji)^2 / 2 and S2 = sum_i (w_i. + w_.i)^2, two pairs of the square of T share both
indices with weight S1, one with weight S2 - 2 S1, and none with weight S0^2 - S2 + S1.

Reference: Cliff & Ord (1981), Spatial Processes, section 1.5, who have it for values about their mean.
"""

from __future__ import annotations

import numpy as np


def permutation_moments(
    values: np.ndarray, series: np.ndarray, s0: np.ndarray, s1: np.ndarray, s2: np.ndarray
) -> tuple[float, float]:
    """Mean and variance of T when values are permuted within their series.

    Parameters
    ----------
    values : (n,) array
    series : (n,) int array
        The series of each value, from zero.
    s0, s1, s2 : (series,) arrays
        Sums of the weights of each series.
    """
    m = np.bincount(series, minlength=len(s0)).astype(float)
    p1, p2, p3, p4 = (np.bincount(series, weights=values**k, minlength=len(s0)) for k in (1, 2, 3, 4))

    def mean(total: np.ndarray, indices: int) -> np.ndarray:
        """The mean product over different indices from its sum; there is none of more indices than values."""
        ways = np.prod([m - k for k in range(indices)], axis=0)
        return np.divide(total, ways, out=np.zeros_like(total), where=ways > 0.0)

    both = mean(p1**2 - p2, 2)
    square = s1 * mean(p2**2 - p4, 2)
    square += (s2 - 2.0 * s1) * mean(p2 * p1**2 - p2**2 - 2.0 * p1 * p3 + 2.0 * p4, 3)
    square += (s0**2 - s2 + s1) * mean(p1**4 - 6.0 * p1**2 * p2 + 3.0 * p2**2 + 8.0 * p1 * p3 - 6.0 * p4, 4)
    return float(np.sum(s0 * both)), float(np.sum(np.maximum(square - (s0 * both) ** 2, 0.0)))
