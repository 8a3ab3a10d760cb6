"""Responses drawn from a fit, and where the observed one lies among them.

The only file of the checks that draws: what a check needs is a sum over the rows, and how it varies under the model.
The same data written down otherwise, with rows in another order or levels of other names, get the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.checks.subject import Subject
from ranef.formula.level_columns import LevelColumns
from ranef.newdata import LEFT_OUT, engine_rows

# Draws in all, fewer with many rows, and how many numbers are drawn, and held at a time.
DRAWS, FEWEST = 250, 2
NUMBERS = 2_000_000
HELD = 4_000_000
# Draws from which on their own distribution is looked at.
ENOUGH = 40

Contribution = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Drawn:
    """A sum over the rows of the observed response, among those of drawn ones.

    Attributes
    ----------
    expected, spread : float
        Mean and standard deviation of the sum.
    p_value : float
        Two-sided. Inside the drawn values it counts them; outside it is the tail of a normal distribution with their
        mean and standard deviation, since counting cannot tell one in a thousand from one in a million.
    """

    expected: float
    spread: float
    p_value: float


def drawn_at_modes(subject: Subject, contribution: Contribution, observed: float) -> Drawn:
    """Compare an observed sum with draws at the conditional modes, where rows are independent.

    Parameters
    ----------
    subject : Subject
    contribution : function
        Of responses in the numbers of the family, (n, m), to what each adds to the sum, (n, m).
    observed : float
        Positive, or zero.
    """
    sums: list[np.ndarray] = []
    squares = 0.0
    for some in _at_modes(subject):
        parts = np.asarray(contribution(some), float)
        sums.append(parts.sum(axis=0))
        squares += float(np.square(parts - parts.mean(axis=1, keepdims=True)).sum()) / max(parts.shape[1] - 1, 1)
    found = np.concatenate(sums)
    if len(found) >= ENOUGH:
        return Drawn(float(found.mean()), float(found.std(ddof=1)), tail(found, observed))
    from scipy.special import ndtr

    # Of many rows two draws tell how much each varies, and a sum of many rows is normal.
    expected, spread = float(found.mean()), math.sqrt(squares / len(sums))
    off = abs(observed - expected) / (spread * math.sqrt(1.0 + 1.0 / len(found))) if spread > 0.0 else 0.0
    return Drawn(expected, spread, float(2.0 * ndtr(-off)))


def expected_anew(subject: Subject, contribution: Contribution) -> float:
    """The expected sum where the effects of groups are drawn afresh.

    An expectation of a sum does not depend on which rows share an effect: each row has effects of its own, so that few
    groups do not make it uncertain.
    """
    return float(np.mean([np.asarray(contribution(some), float).sum(axis=0).mean() for some in _anew(subject)]))


def _at_modes(subject: Subject) -> Iterator[np.ndarray]:
    rows, terms = _ordered_rows(subject), ["fixed"] * len(subject.record.terms())
    for first, count in _pieces(subject.record.nobs):
        yield _back(subject, subject.record.engine.simulate(count, subject.seed + first, terms, rows))


def _anew(subject: Subject) -> Iterator[np.ndarray]:
    record = subject.record
    rows = _ordered_rows(subject)
    own = {t for t, _ in subject.grouped}
    terms = ["fixed" if term.smooth is not None else "new" for term in record.terms()]
    rows["codes"] = [
        np.full(record.nobs, LEFT_OUT, np.int64) if t in own else codes for t, codes in enumerate(rows["codes"])
    ]
    terms = ["fixed" if t in own else what for t, what in enumerate(terms)]
    offsets = [np.zeros(record.nobs) if part is None else np.asarray(part, float) for part in rows["offset"]]
    rng = np.random.default_rng(subject.seed)
    for first, count in _pieces(record.nobs):
        drawn = []
        for r in range(count):
            eta = [part.copy() for part in offsets]
            for t, term in subject.grouped:
                factor = np.asarray(record.engine.factor[t], float)
                b = rng.standard_normal((record.nobs, factor.shape[1])) @ factor.T
                eta[record.model.predictor(term.component)] += np.einsum("ij,ij->i", rows["columns"][t], b)
            drawn.append(record.engine.simulate(1, subject.seed + first + r, terms, rows | {"offset": eta}))
        yield _back(subject, np.concatenate(drawn, axis=1))


def _pieces(n: int) -> Iterator[tuple[int, int]]:
    """The first of the draws that are held at a time, and their number."""
    count = int(np.clip(NUMBERS // max(n, 1), FEWEST, DRAWS))
    step = max(FEWEST, min(count, HELD // max(n, 1)))
    for first in range(0, count, step):
        yield first, min(step, count - first)


def _ordered_rows(subject: Subject) -> dict[str, Any]:
    """The rows of the fit, in the order in which something is drawn for them."""
    record, order = subject.record, subject.order
    record.model.family.require("simulate", "new responses")
    rows = engine_rows(record, None, [True] * len(record.terms()))
    trials = record.design.response.trials
    return {
        "x": [x.taken(order) if isinstance(x, LevelColumns) else np.asarray(x)[order] for x in rows["x"]],
        "offset": [None if part is None else np.asarray(part, float)[order] for part in rows["offset"]],
        "codes": [codes[order] for codes in rows["codes"]],
        "columns": [columns[order] for columns in rows["columns"]],
        "trials": None if trials is None else np.asarray(trials, float)[order],
    }


def _back(subject: Subject, drawn: Any) -> np.ndarray:
    """Draws in the order in which the rows stand."""
    drawn = np.asarray(drawn, float)
    found = np.empty_like(drawn)
    found[subject.order] = drawn
    return found


def tail(values: np.ndarray, observed: float) -> float:
    """Two-sided p-value of an observed value, positive or zero, among drawn ones; their logs are roughly normal."""
    from scipy.special import ndtr

    m = len(values)
    above = (1 + np.sum(values >= observed)) / (m + 1)
    below = (1 + np.sum(values <= observed)) / (m + 1)
    counted = min(1.0, 2.0 * min(above, below))
    if counted > 2.0 / (m + 1):
        return float(counted)
    logs, at = np.log(np.maximum(values, 1e-300)), math.log(max(observed, 1e-300))
    spread = logs.std(ddof=1)
    if not spread > 0.0:
        return 1.0 if math.isclose(at, float(logs.mean())) else 0.0
    return float(min(counted, 2.0 * ndtr(-abs(at - logs.mean()) / spread)))
