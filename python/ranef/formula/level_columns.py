"""Columns that belong to the levels of one factor, without the zeros.

Beside an indicator of a level, or a covariate times it, a row of a model matrix has a value for its own level and zeros
for the thousands of others. Here such columns take the code of the level and the covariate; all other columns of the
matrix stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_COLUMNS", "LevelColumns", "column_ranges", "column_sds"]

Array = NDArray[np.float64]

#: Fewer columns of one factor than this are as fast as plain columns, which every part of the engine takes.
LEAST_COLUMNS = 64


@dataclass(frozen=True, eq=False)
class LevelColumns:
    """A model matrix most of whose columns belong to the levels of one factor.

    Attributes
    ----------
    dense : float64 array (n, d), by columns
        The other columns.
    places : int array (d,)
        Where in the matrix they stand, ascending.
    codes : uint32 array (n,)
        The level of each row.
    values : tuple of float64 array (n,) or None
        What the indicators are multiplied by, for each kind of column; None for the indicators themselves.
    columns : int array (kinds, levels)
        Where in the matrix the column of a level stands; -1 where it has none.
    """

    dense: Array
    places: NDArray[np.intp]
    codes: NDArray[np.uint32]
    values: tuple[Array | None, ...]
    columns: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the whole matrix."""
        return len(self.codes), len(self.places) + int((self.columns >= 0).sum())

    def __len__(self) -> int:
        return len(self.codes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("the zeros of columns of levels are written anew: no array without a copy")
        whole = np.zeros(self.shape, dtype=np.float64 if dtype is None else dtype, order="F")
        whole[:, self.places] = self.dense
        rows = np.arange(len(self))
        for value, row in zip(self.values, self.columns, strict=True):
            column = row[self.codes]
            there = column >= 0
            whole[rows[there], column[there]] = 1.0 if value is None else value[there]
        return whole

    def without(self, column: int) -> LevelColumns:
        """The same without one of the dense columns."""
        kept = self.places != column
        return LevelColumns(
            np.asfortranarray(self.dense[:, kept]),
            self.places[kept] - (self.places[kept] > column),
            self.codes,
            self.values,
            self.columns - (self.columns > column),
        )

    def beside(self, block: Array) -> LevelColumns:
        """The same with dense columns behind all others."""
        first = self.shape[1]
        return LevelColumns(
            np.asfortranarray(np.column_stack([self.dense, block])),
            np.concatenate([self.places, np.arange(first, first + block.shape[1])]),
            self.codes,
            self.values,
            self.columns,
        )

    def means(self) -> Array:
        """The mean of each column."""
        found = np.empty(self.shape[1])
        found[self.places] = self.dense.mean(axis=0)
        for value, columns in zip(self.values, self.columns, strict=True):
            there = columns >= 0
            found[columns[there]] = np.bincount(self.codes, weights=value, minlength=len(columns))[there] / len(self)
        return found

    def sds(self) -> Array:
        """The standard deviation of each column, over n."""
        found, means, n = np.empty(self.shape[1]), self.means(), len(self)
        found[self.places] = self.dense.std(axis=0)
        for value, columns in zip(self.values, self.columns, strict=True):
            there, size = columns >= 0, len(columns)
            mean = np.where(there, means[columns], 0.0)
            rows = np.bincount(self.codes, minlength=size)
            away = (1.0 if value is None else value) - mean[self.codes]
            square = np.bincount(self.codes, weights=np.square(away), minlength=size) + (n - rows) * np.square(mean)
            found[columns[there]] = np.sqrt(square[there] / n)
        return found

    def ranges(self) -> Array:
        """The largest less the smallest value of each column."""
        found = np.empty(self.shape[1])
        found[self.places] = np.ptp(self.dense, axis=0)
        for value, columns in zip(self.values, self.columns, strict=True):
            there, size = columns >= 0, len(columns)
            # The rows of all other levels hold zeros.
            others = np.bincount(self.codes, minlength=size) < len(self)
            high, low = np.where(others, 0.0, -np.inf), np.where(others, 0.0, np.inf)
            own = np.ones(len(self)) if value is None else value
            np.maximum.at(high, self.codes, own)
            np.minimum.at(low, self.codes, own)
            found[columns[there]] = (high - low)[there]
        return found

    def nothing(self) -> LevelColumns:
        """The same with zeros alone."""
        zeros = np.zeros(len(self))
        values = tuple(zeros for _ in self.values)
        return LevelColumns(np.zeros_like(self.dense), self.places, self.codes, values, self.columns)

    def taken(self, rows: NDArray[np.intp]) -> LevelColumns:
        """Some of the rows, or all in another order."""
        return LevelColumns(
            np.asfortranarray(self.dense[rows]),
            self.places,
            self.codes[rows],
            tuple(None if value is None else value[rows] for value in self.values),
            self.columns,
        )

    def repeated(self, times: int) -> LevelColumns:
        """The rows, one block after the other."""
        return LevelColumns(
            np.asfortranarray(np.tile(self.dense, (times, 1))),
            self.places,
            np.tile(self.codes, times),
            tuple(None if value is None else np.tile(value, times) for value in self.values),
            self.columns,
        )

    def spec(self) -> dict[str, Any]:
        """The matrix as plain values and arrays, the way the engine takes it."""
        return {
            "dense": self.dense,
            "places": [int(place) for place in self.places],
            "codes": np.ascontiguousarray(self.codes, np.uint32),
            "levels": self.columns.shape[1],
            "values": list(self.values),
            "columns": [row.tolist() for row in self.columns],
        }


def column_sds(x: Array | LevelColumns) -> Array:
    """The standard deviation of each column of a model matrix, over n."""
    if isinstance(x, LevelColumns):
        return x.sds()
    dense = np.asarray(x, float)
    # A power of two, so that the same digits come out; without it squares of numbers beyond 1e154 overflow.
    unit = np.ldexp(1.0, np.frexp(np.abs(dense).max(axis=0, initial=0.0))[1] - 1)
    return (dense / unit).std(axis=0) * unit


def column_ranges(x: Array | LevelColumns) -> Array:
    """The largest less the smallest value of each column of a model matrix."""
    return x.ranges() if isinstance(x, LevelColumns) else np.ptp(np.asarray(x, float), axis=0)
