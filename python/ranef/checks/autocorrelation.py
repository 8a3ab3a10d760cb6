"""Whether neighbours in time or space are alike in what the model leaves unexplained."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ranef.checks.finding import Finding
from ranef.checks.subject import Subject

# Correlation of neighbours.
LOOK_AT, PROBLEM_AT = 0.1, 0.2
PERMUTATIONS = 199
# Neighbours of a place, and places or times below which there is nothing to see.
NEIGHBOURS, FEWEST = 5, 10


def in_time(subject: Subject) -> Iterator[Finding]:
    """Correlation of residuals at successive times, within the series of each group.

    Rows of a group at the same time are averaged. The p-value compares with permutations of the times within each
    series, which keep what the effects of a group do to its residuals.
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
    found, expected, p_value = _permuted(subject, values, owner, lambda v: _successive(v, following))
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
    """Moran's I with the five nearest neighbours of every place as weights; rows at one place are averaged.

    Reference: Moran (1950), Biometrika 37, 17-23.
    """
    if not subject.space:
        return
    from scipy.spatial import cKDTree

    points = np.stack([subject.numbers(name, "space") for name in subject.space], axis=1)
    places, which = np.unique(points, axis=0, return_inverse=True)
    which = which.reshape(-1)
    if len(places) < FEWEST:
        return
    values = np.bincount(which, weights=subject.residuals) / np.bincount(which)
    nearest = cKDTree(places).query(places, k=min(NEIGHBOURS, len(places) - 1) + 1)[1]
    neighbours = np.asarray(nearest)[:, 1:]
    found, expected, p_value = _permuted(subject, values, np.zeros(len(values), int), lambda v: _moran(v, neighbours))
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


def _successive(values: np.ndarray, following: np.ndarray) -> float:
    total = float(np.mean(np.square(values)))
    return float(np.mean(values[1:][following] * values[:-1][following])) / total if total > 0.0 else 0.0


def _moran(values: np.ndarray, neighbours: np.ndarray) -> float:
    centred = values - values.mean()
    total = float(np.mean(np.square(centred)))
    return float(np.mean(centred[:, None] * centred[neighbours])) / total if total > 0.0 else 0.0


def _permuted(
    subject: Subject, values: np.ndarray, owner: np.ndarray, statistic: Callable[[np.ndarray], float]
) -> tuple[float, float, float]:
    """A statistic, its mean when values are permuted within their owner, and the p-value of a normal distribution."""
    from scipy.special import ndtr

    rng = np.random.default_rng(subject.seed)
    drawn = np.empty(PERMUTATIONS)
    for r in range(PERMUTATIONS):
        order = np.lexsort((rng.random(len(values)), owner))
        shuffled = np.empty_like(values)
        shuffled[np.argsort(owner, kind="stable")] = values[order]
        drawn[r] = statistic(shuffled)
    found, expected, spread = statistic(values), float(drawn.mean()), float(drawn.std(ddof=1))
    p_value = float(2.0 * ndtr(-abs(found - expected) / spread)) if spread > 0.0 else 1.0
    return float(found), expected, p_value
