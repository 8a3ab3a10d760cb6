"""Answers that are a table with more to ask of it: they give their columns, and print as it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from ranef.frames import IntoFrame
from ranef.reports.summary import Section
from ranef.session.answers import Answers


class Tabled:
    """A table of a fit.

    Attributes
    ----------
    table : data frame
        Of the kind that the data of the fit came in.
    """

    _fit: Answers
    _columns: Mapping[str, Any]

    @property
    def table(self) -> IntoFrame:
        """The table as a frame of the kind that the data of the fit came in."""
        return self._fit._frame(self._columns)

    @property
    def columns(self) -> list[str]:
        """Names of the table's columns."""
        return list(self._columns)

    def __getitem__(self, name: str) -> Any:
        """A column of the table."""
        return self.table[name]

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))


class PrintedTable(Tabled):
    """A table that prints, and shows itself in notebooks, as a section of a report."""

    @abstractmethod
    def _section(self) -> Section:
        """The table as it is printed."""

    def __repr__(self) -> str:
        return self._section().text()

    def _repr_html_(self) -> str:
        style = "font-variant-numeric:tabular-nums"
        return f'<div class="ranef-summary" style="{style}">\n{self._section().html()}\n</div>'
