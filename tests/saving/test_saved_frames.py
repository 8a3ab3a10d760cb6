"""Frames return as they were: values, types, missing values, index, kind of frame."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

import ranef as rf
from ranef.saving import tables
from ranef.saving.values import Reader, Writer


def there_and_back(frame, columns=None):
    """A frame written and read, and the names of the columns left out."""
    writer = Writer()
    card, left_out = tables.stored(frame, writer.array, columns)
    reader = Reader({"fit.json": writer.json(card), **writer.members})
    return reader.frame(reader.json()), left_out


PANDAS = {
    "numbers": pd.DataFrame(
        {
            "int8": np.array([1, -2, 3], np.int8),
            "uint64": np.array([2**63, 1, 2], np.uint64),
            "float32": np.array([1.5, np.nan, -0.0], np.float32),
            "float64": [np.inf, 1 / 3, np.nan],
            "truth": [True, False, True],
            "day": pd.to_datetime(["2026-11-28", None, "2026-12-01"]),
            "zoned": pd.to_datetime(["2026-11-28", None, "2026-12-01"]).tz_localize("Europe/Vienna"),
            "span": pd.to_timedelta([1, 2, None], unit="s"),
        }
    ),
    "text": pd.DataFrame(
        {
            "str": pd.Series(["a", None, "ü"], dtype="str"),
            "python": pd.Series(["a", None, "b"], dtype="string[python]"),
            "pyarrow": pd.Series(["a", None, "b"], dtype="string[pyarrow]"),
            "object": pd.Series(["a", "b", "a"], dtype=object),
            "category": pd.Categorical(["x", None, "z"], categories=["z", "y", "x"]),
            "ordered": pd.Categorical(["x", None, "z"], categories=["z", "y", "x"], ordered=True),
            "of numbers": pd.Categorical([3, 1, 3], categories=[3, 2, 1]),
        }
    ),
    "nullable": pd.DataFrame(
        {
            "Int64": pd.array([1, None, 3], dtype="Int64"),
            "UInt8": pd.array([1, 2, 3], dtype="UInt8"),
            "Float32": pd.array([1.5, None, 3], dtype="Float32"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "arrow": pd.array([1, None, 3], dtype="int64[pyarrow]"),
            "arrow bool": pd.array([True, None, False], dtype="bool[pyarrow]"),
            "arrow double": pd.array([1.5, None, 2.5], dtype="double[pyarrow]"),
        }
    ),
    "objects": pd.DataFrame(
        {"mixed": pd.Series([1, 2.5, None], dtype=object), "n": pd.Series([1, 2, 3], dtype=object)}
    ),
    "named index": pd.DataFrame({"x": [1, 2, 3]}, index=pd.Index(["a", "b", "c"], name="who")),
    "steps": pd.DataFrame({"x": [1, 2, 3]}, index=pd.RangeIndex(5, 11, 2)),
    "rows kept": pd.DataFrame({"x": [1, 2, 3]}, index=[0, 4, 9]),
    "two levels": pd.DataFrame({"x": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["g", None])),
    "no rows": pd.DataFrame({"x": pd.Series([], dtype=float), "g": pd.Categorical([], categories=["a"])}),
}


@pytest.mark.parametrize("name", PANDAS)
def test_pandas(name):
    found, left_out = there_and_back(PANDAS[name])
    assert_frame_equal(found, PANDAS[name])
    assert not left_out


def test_polars():
    frame = pl.DataFrame(
        {
            "Int16": pl.Series([1, None, 3], dtype=pl.Int16),
            "UInt64": pl.Series([2**64 - 1, 0, 1], dtype=pl.UInt64),
            "Float32": pl.Series([1.5, None, float("nan")], dtype=pl.Float32),
            "Float64": [0.1, float("inf"), None],
            "Boolean": [True, None, False],
            "String": ["ü", None, "a"],
            "Categorical": pl.Series(["b", "a", None], dtype=pl.Categorical),
            "Enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["b", "c", "a"])),
            "Date": [datetime.date(2026, 11, 28), None, datetime.date(1900, 1, 1)],
            "Datetime": pl.Series([datetime.datetime(2026, 11, 28, 5), None, None], dtype=pl.Datetime("ms")),
            "zoned": pl.Series([datetime.datetime(2026, 11, 28, 5), None, None]).dt.replace_time_zone("Europe/Vienna"),
            "Duration": pl.Series([datetime.timedelta(1), None, None], dtype=pl.Duration("us")),
            "Time": [datetime.time(5, 6), None, None],
        }
    )
    found, left_out = there_and_back(frame)
    assert found.equals(frame, null_equal=True)
    assert found.schema == frame.schema
    assert not left_out


def test_pyarrow():
    frame = pa.table(
        {
            "int8": pa.array([1, None, 3], pa.int8()),
            "uint64": pa.array([2**64 - 1, 0, 1], pa.uint64()),
            "float": pa.array([1.5, None, 2.5], pa.float32()),
            "double": pa.array([0.1, float("inf"), None]),
            "bool": pa.array([True, None, False]),
            "string": pa.array(["ü", None, "a"]),
            "large_string": pa.array(["a", None, "b"], pa.large_string()),
            "dictionary": pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), pa.array(["z", "a"])),
            "ordered": pa.DictionaryArray.from_arrays(pa.array([1, None, 0]), pa.array(["z", "a"]), ordered=True),
            "date32": pa.array([datetime.date(2026, 11, 28), None, None]),
            "timestamp": pa.array([datetime.datetime(2026, 11, 28), None, None], pa.timestamp("ms")),
            "zoned": pa.array([datetime.datetime(2026, 11, 28), None, None], pa.timestamp("us", "Europe/Vienna")),
            "duration": pa.array([datetime.timedelta(1), None, None], pa.duration("s")),
            "time": pa.array([datetime.time(5), None, None], pa.time64("us")),
        }
    )
    found, left_out = there_and_back(frame)
    assert found.schema == frame.schema
    assert found.equals(frame)
    assert not left_out


def test_a_table_in_pieces_comes_back_whole():
    one = pa.table({"g": pa.array(["b", "a"]).dictionary_encode(), "x": [1.0, 2.0]})
    two = pa.table({"g": pa.array(["c", "b"]).dictionary_encode(), "x": [3.0, None]})
    both = pa.concat_tables([one, two])
    found, _ = there_and_back(both)
    assert found.to_pydict() == both.to_pydict()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1.0], "list": [[1, 2]], "period": pd.period_range("2026", periods=1)}),
        pl.DataFrame({"x": [1.0], "list": [[1, 2]], "period": [{"a": 1}]}),
        pa.table({"x": [1.0], "list": [[1, 2]], "period": [{"a": 1}]}),
    ],
    ids=["pandas", "polars", "pyarrow"],
)
def test_what_has_no_place_is_told(frame):
    found, left_out = there_and_back(frame)
    assert left_out == ["list", "period"]
    assert list(found.columns if hasattr(found, "to_dict") else found.column_names) == ["x"]


def test_only_the_columns_asked_for_are_stored():
    found, _ = there_and_back(pd.DataFrame({"a": [1], "b": [2], "c": [3]}), ("a", "c"))
    assert list(found.columns) == ["a", "c"]


def test_a_frame_whose_library_is_missing_names_it(monkeypatch):
    writer = Writer()
    card, _ = tables.stored(pl.DataFrame({"x": [1.0]}), writer.array)

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(tables.importlib, "import_module", absent)
    with pytest.raises(rf.SavedFitError, match="install polars"):
        tables.rebuilt(card, lambda number: np.zeros(1))
