"""Moran's I: how alike neighbours are, and what it is when values are dealt to their places at random.

    I = (n / sum w) sum_ij w_ij e_i e_j / sum e^2,    e the values about their mean

References: Moran (1950), Biometrika 37, 17-23; Cliff & Ord (1981), Spatial Processes, section 1.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.checks.permutation_moments import permutation_moments


@dataclass(frozen=True)
class Moran:
    """The index, with its mean and standard deviation over all permutations of the values.

    Attributes
    ----------
    index, expected, spread : float
    """

    index: float
    expected: float
    spread: float

    @property
    def z(self) -> float:
        """The index in standard deviations from its mean; zero where it cannot vary."""
        return (self.index - self.expected) / self.spread if self.spread > 0.0 else 0.0


def moran(values: np.ndarray, weights: Any) -> Moran | None:
    """The index of values, None where they are all equal.

    Parameters
    ----------
    values : (n,) array
    weights : (n, n) array or sparse array
        Zero on the diagonal.
    """
    n = len(values)
    e = values - values.mean()
    square = float(e @ e)
    if not square > 0.0:
        return None
    s0 = float(weights.sum())
    both = weights + weights.T
    s1 = 0.5 * float((both * both).sum())
    s2 = float(np.square(np.asarray(both.sum(axis=1))).sum())
    scale = n / (s0 * square)
    series = np.zeros(n, np.intp)
    mean, variance = permutation_moments(e, series, *(np.array([s]) for s in (s0, s1, s2)))
    return Moran(scale * float(e @ (weights @ e)), scale * mean, scale * math.sqrt(variance))
