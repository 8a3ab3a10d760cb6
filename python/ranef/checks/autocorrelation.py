"""Whether neighbours in time or space are alike in what the model leaves unexplained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import Finding
from ranef.checks.moran import moran
from ranef.checks.permutation_moments import permutation_moments
from ranef.checks.subject import Subject

# Correlation of neighbours.
LOOK_AT, PROBLEM_AT = 0.1, 0.2
# Neighbours of a place, and places or times below which there is nothing to see.
NEIGHBOURS, FEWEST = 5, 10


def in_time(subject: Subject) -> Iterator[Finding]:
    """Correlation of residuals at successive times, within the series of each group.

    Rows of a group at the same time are averaged. The p-value is that of a normal distribution with the mean and
    variance over all permutations of the times within each series, which keep what the effects of a group do to its
    residuals.
    """
    if subject.time is None:
        return
    times = subject.numbers(subject.time, "time")
    series, group = _series(subject)
    keys = np.stack([series.astype(float), times], axis=1)
    places, which = np.unique(keys, axis=0, return_inverse=True)
    which = which.reshape(-1)
    values = np.bincount(which, weights=subject.residuals) / np.bincount(which)
    owner = places[:, 0].astype(int)
    following = owner[1:] == owner[:-1]
    if following.sum() < FEWEST:
        return
    found, expected, p_value = _successive(values, owner, following)
    where = f" within {group}" if group else ""
    yield Finding(
        f"autocorrelation in {subject.time}",
        found,
        "correlation of successive residuals",
        f"successive residuals{where} correlate by {found:.2f} ({expected:.2f} expected)",
        f"Rows close in time are alike, so that standard errors are wrong: {_in_time(subject, group)}",
        p_value=p_value,
        size=abs(found - expected),
        look_at=LOOK_AT,
        problem_at=PROBLEM_AT,
    )


def in_space(subject: Subject) -> Iterator[Finding]:
    """Moran's I with the five nearest neighbours of every place as weights; rows at one place are averaged."""
    if not subject.space:
        return
    from scipy.sparse import coo_array
    from scipy.spatial import cKDTree

    points = np.stack([subject.numbers(name, "space") for name in subject.space], axis=1)
    places, which = np.unique(points, axis=0, return_inverse=True)
    which = which.reshape(-1)
    if len(places) < FEWEST:
        return
    values = np.bincount(which, weights=subject.residuals) / np.bincount(which)
    count, near = len(places), min(NEIGHBOURS, len(places) - 1)
    neighbours = np.asarray(cKDTree(places).query(places, k=near + 1)[1])[:, 1:]
    ends = np.repeat(np.arange(count), near), neighbours.reshape(-1)
    measured = moran(values, coo_array((np.ones(count * near), ends), shape=(count, count)).tocsr())
    if measured is None:
        return
    found, expected, p_value = measured.index, measured.expected, two_sided(measured.z)
    left = " + ".join(subject.space)
    yield Finding(
        f"autocorrelation in {', '.join(subject.space)}",
        found,
        f"Moran's I, {NEIGHBOURS} nearest neighbours",
        f"residuals of neighbouring places correlate by {found:.2f} ({expected:.2f} expected)",
        "Places close to each other are alike, so that standard errors are wrong. Add a smooth surface, "
        f"`s({', '.join(subject.space)})`, or effects tied over space, `exp({left} | all)` with a column `all` that is "
        "the same in every row.",
        p_value=p_value,
        size=abs(found - expected),
        look_at=LOOK_AT,
        problem_at=PROBLEM_AT,
    )


def _series(subject: Subject) -> tuple[np.ndarray, str]:
    """The series each row belongs to: the levels of the grouping factor with the most of them."""
    own = [(t, term) for t, term in subject.grouped if len(term.levels) < subject.record.nobs / 2]
    if not own:
        return np.zeros(subject.record.nobs, int), ""
    term = max((term for _, term in own), key=lambda term: len(term.levels))
    return np.asarray(term.codes, int), term.group


def _in_time(subject: Subject, group: str) -> str:
    record = subject.record
    if record.model.linear and record.model.correlation is None:
        return f'`fit.update(correlation="car1({subject.time} | {group or 1})")`.'
    return f"add effects tied over time, `ar1(0 + factor({subject.time}) | {group or 'all'})`."


def _successive(values: np.ndarray, owner: np.ndarray, following: np.ndarray) -> tuple[float, float, float]:
    """Mean product of successive values over their mean square, its mean under permutations, and the p-value."""
    series = np.unique(owner, return_inverse=True)[1].reshape(-1)
    m = np.bincount(series).astype(float)
    # A weight of one from each value to the next: of m values, m - 1 pairs, which share an end m - 2 times each way.
    s0 = m - 1.0
    s2 = np.where(m > 1.0, 4.0 * m - 6.0, 0.0)
    mean, variance = permutation_moments(values, series, s0, s0, s2)
    total = float(following.sum()) * float(np.mean(np.square(values)))
    if not total > 0.0:
        return 0.0, 0.0, 1.0
    observed = float(np.sum(values[1:][following] * values[:-1][following]))
    p_value = two_sided((observed - mean) / np.sqrt(variance)) if variance > 0.0 else 1.0
    return observed / total, mean / total, p_value


def two_sided(z: float) -> float:
    """The probability that a standard normal value is as far from zero."""
    from scipy.special import ndtr

    return float(2.0 * ndtr(-abs(z)))
