"""Responses drawn from a fit, and where the observed one lies among them.

The only file of the checks that draws: what a check needs is a statistic of the response, and how it varies under the
model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ranef.checks.subject import Subject
from ranef.conditioning import Conditioning
from ranef.simulation import simulate

# Draws in all, fewer with many rows, and how many numbers are held at a time.
DRAWS, FEWEST = 250, 40
NUMBERS = 2_000_000
HELD = 4_000_000


@dataclass(frozen=True)
class Drawn:
    """A statistic of the observed response among those of drawn ones.

    Attributes
    ----------
    expected, spread : float
        Mean and standard deviation of the drawn statistics.
    p_value : float
        Two-sided. Inside the drawn values it counts them; outside it is the tail of a normal distribution with their
        mean and standard deviation, since counting cannot tell one in a thousand from one in a million.
    """

    expected: float
    spread: float
    p_value: float


def drawn(
    subject: Subject,
    statistic: Callable[[np.ndarray], np.ndarray],
    observed: float,
    ranef: Conditioning,
    scale: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Drawn:
    """Compare an observed statistic with draws of the fit.

    Parameters
    ----------
    subject : Subject
    statistic : function
        Of responses (n, m), in the form of the response, to (m,).
    observed : float
    ranef : "new" or bool
        What becomes of the random effects in the draws.
    scale : function
        What makes the statistic roughly normal: the log of a ratio.
    """
    n = subject.record.nobs
    count = int(np.clip(NUMBERS // max(n, 1), FEWEST, DRAWS))
    chunk = max(1, min(count, HELD // max(n, 1)))
    values: list[np.ndarray] = []
    for first in range(0, count, chunk):
        some = simulate(subject.record, min(chunk, count - first), subject.seed + first, ranef)
        values.append(np.asarray(statistic(some), float))
    found = np.concatenate(values)
    return Drawn(float(found.mean()), float(found.std(ddof=1)), tail(found, observed, scale))


def tail(values: np.ndarray, observed: float, scale: Callable[[np.ndarray], np.ndarray] = np.asarray) -> float:
    """Two-sided p-value of an observed value among drawn ones."""
    from scipy.special import ndtr

    values, at = np.asarray(scale(values), float), float(scale(np.asarray(observed, float)))
    m = len(values)
    above = (1 + np.sum(values >= at)) / (m + 1)
    below = (1 + np.sum(values <= at)) / (m + 1)
    counted = min(1.0, 2.0 * min(above, below))
    if counted > 2.0 / (m + 1):
        return float(counted)
    spread = values.std(ddof=1)
    if not spread > 0.0:
        return 1.0 if math.isclose(at, float(values.mean())) else 0.0
    return float(min(counted, 2.0 * ndtr(-abs(at - values.mean()) / spread)))
