"""From the packaged text to a data frame: one reader per data frame library, none going through another.

Every reader gives the same table: factors as categoricals with the declared levels in the declared order, whole
numbers as 64-bit integers, other numbers as 64-bit floats. Each library is imported only when its frame is asked for.
"""

from __future__ import annotations

import importlib
import io
from typing import Any

from ranef.datasets.dictionary import Column


def pandas_frame(text: bytes, columns: tuple[Column, ...]) -> Any:
    """`pandas.DataFrame` with `Categorical` factors."""
    import pandas as pd

    dtypes: dict[str, Any] = {
        column.name: pd.CategoricalDtype(list(column.levels), ordered=column.ordered)
        if column.kind == "factor"
        else {"integer": "int64", "number": "float64"}[column.kind]
        for column in columns
    }
    # "N/A" and the like are ordinary labels here: only an empty field is missing.
    return pd.read_csv(io.BytesIO(text), dtype=dtypes, keep_default_na=False, na_values=[""])


def polars_frame(text: bytes, columns: tuple[Column, ...]) -> Any:
    """`polars.DataFrame` with `Enum` factors, whose order is that of the declared levels."""
    pl = optional_library("polars")
    schema = {
        column.name: pl.Enum(list(column.levels))
        if column.kind == "factor"
        else {"integer": pl.Int64, "number": pl.Float64}[column.kind]
        for column in columns
    }
    return pl.read_csv(io.BytesIO(text), schema=schema)


def pyarrow_table(text: bytes, columns: tuple[Column, ...]) -> Any:
    """`pyarrow.Table` with dictionary-encoded factors that keep the `ordered` flag."""
    pa = optional_library("pyarrow")
    from pyarrow import compute, csv

    kinds = {"factor": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    table = csv.read_csv(
        io.BytesIO(text),
        convert_options=csv.ConvertOptions(
            column_types={column.name: kinds[column.kind] for column in columns},
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    for position, column in enumerate(columns):
        if column.kind == "factor":
            levels = pa.array(column.levels, pa.string())
            codes = compute.index_in(table.column(column.name).combine_chunks(), value_set=levels)
            factor = pa.DictionaryArray.from_arrays(codes, levels, ordered=column.ordered)
            table = table.set_column(position, column.name, factor)
    return table


def optional_library(module: str) -> Any:
    """Import polars or pyarrow, or say how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = {"pyarrow": "arrow"}.get(module, module)
        raise ImportError(
            f'backend="{module}" needs {module}, which is not installed: '
            f"pip install 'ranef[{extra}]' brings it, and backend=\"pandas\" needs nothing more"
        ) from error
