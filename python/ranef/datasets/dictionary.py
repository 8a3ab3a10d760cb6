"""The dictionary of a data set: what its columns mean and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

from ranef.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Column:
    """One column of a data set.

    Attributes
    ----------
    name : str
        As in the R package that distributes the data.
    kind : {"factor", "integer", "number"}
        A factor has declared levels; the others are 64-bit numbers.
    meaning : str
        What was recorded.
    unit : str
        Unit of measurement, empty where there is none.
    levels : tuple of str
        Levels of a factor in their declared order, the first being the baseline of treatment contrasts.
    ordered : bool
        Whether the order of the levels carries meaning.
    """

    name: str
    kind: Literal["factor", "integer", "number"]
    meaning: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    ordered: bool = False


@dataclass(frozen=True)
class Dictionary:
    """Everything that is known about a data set apart from its values; printing it gives a page to read.

    Attributes
    ----------
    name, title : str
        The name to load it by, and what it holds.
    rows : int
        Number of observations.
    design : str
        Groups and replication in one line.
    published, distributed, licence : str
        The publication, the package and version that the file was taken from, and the terms.
    columns : tuple of Column
        In the order of the table.
    """

    name: str
    title: str
    rows: int
    design: str
    published: str
    distributed: str
    licence: str
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        width = max(len(column.name) for column in self.columns)
        lines = [
            f"{self.name}: {self.title}",
            f"{self.rows} rows x {len(self.columns)} columns; {self.design}",
            "",
            *(f"  {column.name:<{width}}  {_describe(column)}" for column in self.columns),
            "",
            f"Published: {self.published}",
            f"Distributed with: {self.distributed}",
            f"Terms: {self.licence}",
        ]
        return "\n".join(lines)


def _describe(column: Column) -> str:
    text = column.meaning + (f" ({column.unit})" if column.unit else "")
    if column.kind != "factor":
        return text
    shown = (" < " if column.ordered else ", ").join(column.levels[:8])
    if len(column.levels) > 8:
        shown = f"{len(column.levels)} levels"
    return f"{text}: {shown}"


def tables() -> Traversable:
    """Folder of the packaged tables and dictionaries."""
    return files(__package__) / "tables"


@cache
def dataset_names() -> tuple[str, ...]:
    """Names of all data sets, sorted."""
    return tuple(
        sorted(entry.name.removesuffix(".json") for entry in tables().iterdir() if entry.name.endswith(".json"))
    )


def describe_dataset(name: str) -> Dictionary:
    """Dictionary of a data set: title, design, columns with meaning and unit, publication and terms.

    Parameters
    ----------
    name : str
        Name of the data set, in any capitalisation.

    Returns
    -------
    Dictionary
        A record; `print` it to read it.

    Raises
    ------
    DataError
        For a name that is not there; the message gives the nearest one.

    Examples
    --------
    >>> from ranef.datasets import describe_dataset
    >>> describe_dataset("sleepstudy").columns[0].unit
    'ms'
    """
    known = dataset_names()
    key = str(name).lower()
    if key not in known:
        raise DataError(
            f"there is no data set `{name}` (list_datasets() tells what each one holds): {did_you_mean(key, known)}"
        )
    text = json.loads((tables() / f"{key}.json").read_text(encoding="utf-8"))
    columns = tuple(Column(**{**column, "levels": tuple(column.get("levels", ()))}) for column in text.pop("columns"))
    return Dictionary(name=key, columns=columns, **text)
