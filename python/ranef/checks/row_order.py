"""An order of the rows that depends on what they say alone: not on where they stand, on names of levels or on units.

What is drawn for a row is drawn in this order, so that the same data written down otherwise get the same draws. Rows
are ordered by their response and their linear predictors, which know a level by its effect; rows that are alike in both
by the other columns of the data, numbers before names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ranef.checks.standard_form import describing_columns
from ranef.fitting import FittedModel

# Rows beyond which the order in which they stand is taken: with so many, no verdict hangs on single draws.
MANY_ROWS = 50_000
# Values nearer than this share of their range are the same but for rounding.
ROUNDING = 1e-9


def row_order(record: FittedModel) -> np.ndarray:
    """The rows in their order, (n,)."""
    n = record.nobs
    if n > MANY_ROWS:
        return np.arange(n)
    place, met = np.zeros(n, np.int64), 1
    for ranks in _keys(record):
        found, place = np.unique(place * (int(ranks.max()) + 1) + ranks, return_inverse=True)
        place, met = place.reshape(-1), len(found)
        if met == n:
            break
    return np.argsort(place, kind="stable")


def _keys(record: FittedModel) -> Iterator[np.ndarray]:
    """Ranks of the rows by one thing after the other, the first first."""
    response = record.design.response
    yield _ranks(np.asarray(response.y, float))
    if response.trials is not None:
        yield _ranks(np.asarray(response.trials, float))
    for predictor in np.asarray(record.engine.linear_predictor, float).T:
        yield _ranks(predictor)
    for series in sorted(describing_columns(record.design), key=lambda series: _kind(series.dtype)):
        if _kind(series.dtype) < 2:
            yield _ranks(np.asarray(series.to_numpy(), float))
        else:
            yield np.unique([str(value) for value in series.to_list()], return_inverse=True)[1].reshape(-1)


def _kind(dtype: Any) -> int:
    """Measurements, then whole numbers, which may be names, then names."""
    return 0 if dtype.is_float() else 1 if dtype.is_integer() else 2


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from zero; values that differ by rounding have the same."""
    finite = values[np.isfinite(values)]
    span = float(np.ptp(finite)) if len(finite) else 0.0
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore"):
        steps = np.diff(values[order]) > ROUNDING * span
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(steps)])
    return ranks
