"""Where a formula finds its columns: the rows of the fit, or new data read as the fit read its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranef.data import Column, Factor, Table
from ranef.errors import DataError, did_you_mean

__all__ = ["FitFrame", "NewFrame", "Schema"]


@dataclass(frozen=True, slots=True)
class Schema:
    """How a column was read when the model was fitted: as numbers (``levels`` is None) or as a factor."""

    levels: tuple[str, ...] | None
    ordered: bool = False
    boolean: bool = False


class FitFrame:
    """The rows a model is fitted to; remembers how each column was read.

    Parameters
    ----------
    table : Table
    rows : int array or None
        Positions of the rows kept; None when all are.
    """

    def __init__(self, table: Table, rows: NDArray[np.intp] | None) -> None:
        self.table = table
        self.rows = rows
        self.what = table.what
        self.names = table.names
        self.schema: dict[str, Schema] = {}
        self._n = len(table) if rows is None else len(rows)
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return self._n

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def column(self, name: str) -> Column:
        """Read one column as what it is: numbers, or a factor."""
        column = self._kept(name)
        factor = column.category
        self.schema[name] = Schema(None) if factor is None else Schema(factor.levels, factor.ordered, factor.boolean)
        return column

    def group(self, name: str) -> Factor:
        """Read one column as a grouping factor."""
        return self._kept(name).factor

    def _kept(self, name: str) -> Column:
        if name not in self._columns:
            column = self.table.column(name).take(self.rows)
            column.check_finite(self.rows)
            self._columns[name] = column
        return self._columns[name]


class NewFrame:
    """New data, made to speak the language of the fit.

    Parameters
    ----------
    table : Table
    schema : dict of str to Schema
        How the fit read each column.
    """

    def __init__(self, table: Table, schema: dict[str, Schema]) -> None:
        self.rows: NDArray[np.intp] | None = None
        self.table = table
        self.schema = schema
        self.what = table.what
        self.names = table.names
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, name: object) -> bool:
        return name in self.table

    def require(self, name: str) -> None:
        """Refuse a column that is absent or has missing values, naming it."""
        if name not in self.table:
            raise DataError(
                f"{self.what} has no column `{name}`, which the model uses; {did_you_mean(name, self.table.names)}"
            )
        missing = self.table.column(name).missing
        if missing.any():
            raise DataError(
                f"`{name}` is missing in row {int(np.flatnonzero(missing)[0])} of {self.what} (counting from 0), and "
                f"in {int(missing.sum())} row{'s' if missing.sum() > 1 else ''} in all; fill in or drop these rows"
            )

    def column(self, name: str) -> Column:
        """Read one column with the levels the fit knew.

        Raises
        ------
        DataError
            At a level the fit has not seen, and at text where the fit had numbers.
        """
        if name not in self._columns:
            self._columns[name] = self._as_fitted(name)
        return self._columns[name]

    def group(self, name: str) -> Factor:
        """Read one column as a grouping factor; its levels may be new."""
        return self.table.column(name).factor

    def _as_fitted(self, name: str) -> Column:
        column = self.table.column(name)
        known = self.schema[name]
        if known.levels is None:
            if column.category is not None and column.category.boolean:
                return Column(name, column.category.codes.astype(np.float64))
            if column.numbers is None:
                raise DataError(
                    f"`{name}` was numeric when the model was fitted; {self.what} has text there "
                    f"('{column.factor.levels[0] if column.factor.levels else ''}')"
                )
            column.check_finite()
            return column
        codes, unknown = column.factor.recode(known.levels)
        if unknown:
            raise DataError(
                f"`{name}` has the level '{unknown[0]}' in {self.what}, which the model has not seen; "
                f"it knows {', '.join(known.levels[:20])}{', ...' if len(known.levels) > 20 else ''}"
            )
        return Column(name, category=Factor(codes, known.levels, known.ordered, known.boolean))
