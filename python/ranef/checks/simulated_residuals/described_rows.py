"""What is known of the rows whose residuals are looked at: columns of the data, by name, or values that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.errors import DataError, did_you_mean
from ranef.fitting import FittedModel


@dataclass(frozen=True, eq=False)
class DescribedRows:
    """Rows, and where their columns are.

    Attributes
    ----------
    n : int
    numbers : (n,) int array
        Their numbers in the caller's data.
    total : int
        How many rows the caller's data have.
    table : narwhals frame, optional
        Columns of the n rows.
    factors : mapping
        Grouping factors that are no column, such as ``batch:cask``: a label for each row.
    finer : DescribedRows, optional
        The rows that were put together to make these, `groups` of them.
    groups : sequence of int arrays
    """

    n: int
    numbers: np.ndarray
    total: int
    table: Any = None
    factors: Mapping[str, list[str]] = field(default_factory=dict)
    finer: DescribedRows | None = None
    groups: Sequence[np.ndarray] = ()

    def names(self) -> list[str]:
        """Names that can be asked for."""
        if self.finer is not None:
            return self.finer.names()
        return [*(self.table.columns if self.table is not None else ()), *self.factors]

    def values(self, what: Any, argument: str) -> list[Any]:
        """The values of a column, or those given, one for each row.

        Raises
        ------
        DataError
            When there is no such column, values do not fit the rows, or one is missing.
        """
        if self.finer is not None and not (not isinstance(what, str) and _length(what) == self.n):
            return self._of_groups(self.finer.values(what, argument), what, argument)
        if isinstance(what, str):
            if what in self.factors:
                return list(self.factors[what])
            if self.table is None:
                raise DataError(f"{argument}={what!r}: there are no data to take it from; give data=, or the values")
            if what not in self.table.columns:
                raise DataError(f"{argument}={what!r} is no column of the data; {did_you_mean(what, self.names())}")
            found = self.table[what].to_list()
        else:
            length = _length(what)
            if length is None:
                raise DataError(f"{argument}={what!r}: give the name of a column, or a value for each row")
            found = np.asarray(what).tolist() if isinstance(what, np.ndarray) else list(what)
            if length == self.total != self.n:
                found = [found[i] for i in self.numbers.tolist()]
            if len(found) != self.n:
                raise DataError(f"{argument} has {len(found)} values; there are {self.n} rows")
        for i, value in enumerate(found):
            if _is_missing(value):
                raise DataError(f"{argument} is missing in row {self.numbers[i]} (counting from 0)")
        return found

    def measured(self, what: Any, argument: str) -> np.ndarray:
        """The values as numbers; days since 1970 for dates."""
        values = self.values(what, argument)
        try:
            if hasattr(values[0], "isoformat"):
                return np.array(values, "datetime64[us]").astype(float) / 86_400e6
            return np.array([float(value) for value in values])
        except (TypeError, ValueError):
            strange = next(value for value in values if not _is_number(value))
            raise DataError(f"{argument} holds {strange!r}, which is no number and no date") from None

    def levels(self, what: Any, argument: str) -> tuple[list[str], list[np.ndarray]]:
        """Levels in the order of their first row, and the rows of each."""
        values = self.values(what, argument)
        places: dict[Any, list[int]] = {}
        for i, value in enumerate(values):
            try:
                places.setdefault(value, []).append(i)
            except TypeError:
                raise DataError(
                    f"{argument} holds {value!r} in row {self.numbers[i]} (counting from 0), which names no level; "
                    "give texts or numbers, one for each row"
                ) from None
        return [str(value) for value in places], [np.array(rows) for rows in places.values()]

    def together(self, groups: Sequence[np.ndarray]) -> DescribedRows:
        """The groups as rows."""
        count = len(groups)
        return DescribedRows(count, np.arange(count), count, finer=self, groups=groups)

    def _of_groups(self, values: list[Any], what: Any, argument: str) -> list[Any]:
        found = []
        for rows in self.groups:
            own = [values[i] for i in rows]
            if all(value == own[0] for value in own):
                found.append(own[0])
            elif all(_is_number(value) for value in own):
                found.append(float(np.mean([float(value) for value in own])))
            else:
                name = f"={what!r}" if isinstance(what, str) else ""
                raise DataError(
                    f"{argument}{name} differs within the groups of rows that were put together ({own[0]!r} and "
                    f"{next(value for value in own if value != own[0])!r}); give a value for each of {self.n} groups"
                )
        return found


def rows_of_fit(record: FittedModel) -> DescribedRows:
    """The rows that a model was fitted to."""
    table = nw.from_native(record.design.frame, eager_only=True) if record.design.frame is not None else None
    factors = {}
    for term in record.terms():
        if term.smooth is None and (table is None or term.group not in table.columns):
            labels = np.array(term.levels, object)
            factors[term.group] = labels[np.asarray(term.codes, int)].tolist()
    numbers = np.asarray(record.design.rows)
    return DescribedRows(record.nobs, numbers, record.nobs + record.n_dropped, table, factors)


def _length(what: Any) -> int | None:
    try:
        return len(what)
    except TypeError:
        return None


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor different
        return True
    except ValueError:  # an array of several values
        return False


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, str)
