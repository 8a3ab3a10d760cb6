"""A smooth line through points: local linear regression with a pointwise band.

At each place the points nearest to it count, a share `SPAN` of all, with Cleveland's tricube weights; the band is
estimate -+ z s sqrt(sum of the squared weights of the responses), s the spread of the points about the line near there.

Reference: Cleveland (1979), Journal of the American Statistical Association 74, 829-836.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPAN = 0.66
PLACES = 80
# Places along the variable up to which points are taken one by one; more are put together in bins of equal numbers.
MOST = 2_000
# Fewer distinct places than this have no line.
FEWEST = 6


@dataclass(frozen=True)
class LocalLine:
    """A line along x: estimate with its band, and the standard deviation of the points about it."""

    x: np.ndarray
    estimate: np.ndarray
    conf_low: np.ndarray
    conf_high: np.ndarray
    sd: np.ndarray


def local_line(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> LocalLine | None:
    """The line; None where x has too few distinct values for one."""
    from scipy.special import ndtri

    used = np.isfinite(x) & np.isfinite(y)
    x, y = np.asarray(x, float)[used], np.asarray(y, float)[used]
    if len(np.unique(x)) < FEWEST:
        return None
    at, mean, inside, count = _binned(x, y)
    # Places are dense where points are, so that a few far points do not take most of them.
    even, ranked = np.linspace(at[0], at[-1], PLACES // 2), np.quantile(x, np.linspace(0.0, 1.0, PLACES // 2))
    places = np.unique(np.r_[even, ranked.clip(at[0], at[-1])])
    weights = np.array([_operator(at, count, place) for place in places])
    estimate = weights @ mean
    off = mean - np.interp(at, places, estimate)
    near = np.array([_tricube(at, count, place) for place in places]) * count
    # The line takes some of the spread with it.
    used_up = 1.0 + 2.0 / (SPAN * count.sum())
    sd = np.sqrt(near @ (inside + off**2) / near.sum(axis=1)) * used_up
    half = float(ndtri(0.5 + level / 2.0)) * sd * np.sqrt((weights**2 / count).sum(axis=1))
    return LocalLine(places, estimate, estimate - half, estimate + half, sd)


def _binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Places in ascending order, and the mean, the variance and the number of the points at each."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    starts = np.flatnonzero(np.r_[True, np.diff(x) > 0])
    if len(starts) > MOST:
        starts = np.unique(np.linspace(0, len(x), MOST, endpoint=False).astype(int))
    count = np.diff(np.r_[starts, len(x)]).astype(float)
    at, mean = np.add.reduceat(x, starts) / count, np.add.reduceat(y, starts) / count
    inside = np.add.reduceat((y - np.repeat(mean, count.astype(int))) ** 2, starts) / count
    return at, mean, inside, count


def _tricube(at: np.ndarray, count: np.ndarray, place: float) -> np.ndarray:
    distance = np.abs(at - place)
    order = np.argsort(distance, kind="stable")
    reached = int(np.searchsorted(np.cumsum(count[order]), SPAN * count.sum()))
    # Two further places at least, or there would be no slope.
    width = max(distance[order[min(max(reached, 3), len(at) - 1)]], 1e-300) * 1.0001
    found: np.ndarray = (1.0 - np.minimum(distance / width, 1.0) ** 3) ** 3
    return found


def _operator(at: np.ndarray, count: np.ndarray, place: float) -> np.ndarray:
    """The weights of the means in the local line's height at a place."""
    w = _tricube(at, count, place) * count
    w = w / w.sum()
    centre = w @ at
    spread = w @ (at - centre) ** 2
    slope = (at - centre) * (place - centre) / spread if spread > 0 else 0.0
    found: np.ndarray = w * (1.0 + slope)
    return found
