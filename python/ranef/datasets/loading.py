"""Load an example data set, or list them all."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

from ranef.arguments import held_to_its_types
from ranef.datasets.dictionary import Column, dataset_names, describe_dataset, tables
from ranef.datasets.readers import optional_library, pandas_frame, polars_frame, pyarrow_table
from ranef.errors import DataError, did_you_mean
from ranef.frames import frame_from

READERS = {"pandas": pandas_frame, "polars": polars_frame, "pyarrow": pyarrow_table}


@held_to_its_types
def load_dataset(name: str, backend: str = "pandas") -> Any:
    """Load one of the example data sets.

    Factors come as categoricals with their levels in the declared order (pandas ``Categorical``, polars ``Enum``,
    pyarrow dictionary arrays), grouping columns included; column names are those of the R package that distributes
    the data.

    Parameters
    ----------
    name : str
        Name of the data set, in any capitalisation; `list_datasets` gives them all.
    backend : {"pandas", "polars", "pyarrow"}
        Kind of frame to return. The last two need the library installed (``pip install 'ranef[polars]'`` or
        ``'ranef[arrow]'``).

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        A frame of your own: changing it changes nothing else.

    Raises
    ------
    DataError
        For an unknown name (with the nearest one) or backend.
    ImportError
        If the backend's library is not installed.

    Notes
    -----
    A pyarrow dictionary has no place for "this order was declared" beside its ``ordered`` flag, so a model sorts the
    levels of its unordered factors; pandas and polars keep the declared order there too.

    See Also
    --------
    list_datasets : what there is.
    ranef.datasets.describe_dataset : the meaning of the columns, the publication, the terms.

    Examples
    --------
    >>> import ranef as rf
    >>> owls = rf.load_dataset("owls")
    >>> owls.shape
    (599, 8)
    >>> list(owls["FoodTreatment"].cat.categories)
    ['Deprived', 'Satiated']
    """
    read = _reader(backend)
    dictionary = describe_dataset(name)
    return read(_text(dictionary.name), dictionary.columns)


@held_to_its_types
def list_datasets(backend: str = "pandas") -> Any:
    """List the example data sets.

    Parameters
    ----------
    backend : {"pandas", "polars", "pyarrow"}
        Kind of frame to return.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        One row per data set: name, rows, columns, title, design, published, distributed.

    Examples
    --------
    >>> import ranef as rf
    >>> "owls" in set(rf.list_datasets()["name"])
    True
    """
    _reader(backend)
    entries = [describe_dataset(name) for name in dataset_names()]
    table = {
        "name": [entry.name for entry in entries],
        "rows": [entry.rows for entry in entries],
        "columns": [len(entry.columns) for entry in entries],
        "title": [entry.title for entry in entries],
        "design": [entry.design for entry in entries],
        "published": [entry.published for entry in entries],
        "distributed": [entry.distributed for entry in entries],
    }
    return frame_from(table, backend)


def _reader(backend: str) -> Callable[[bytes, tuple[Column, ...]], Any]:
    if backend not in READERS:
        raise DataError(f"`{backend}` is not a data frame backend: {did_you_mean(str(backend), READERS)}")
    if backend != "pandas":
        optional_library(backend)
    return READERS[backend]


def _text(name: str) -> bytes:
    """The table as comma-separated text."""
    plain = tables() / f"{name}.csv"
    return plain.read_bytes() if plain.is_file() else gzip.decompress((tables() / f"{name}.csv.gz").read_bytes())
