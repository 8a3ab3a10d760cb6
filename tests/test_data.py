"""Any data frame to columns: kinds, levels and missing values."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ranef.data import Factor, Table, label
from ranef.errors import DataError


def column(values, name: str = "v"):
    """Read one column from whatever holds it."""
    if isinstance(values, pl.Series):
        return Table(pl.DataFrame({name: values})).column(name)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return Table(pa.table({name: values})).column(name)
    return Table(pd.DataFrame({name: values})).column(name)


NUMERIC = [
    pd.Series([1, 2, 3]),
    pd.Series([1, 2, 3], dtype="int8"),
    pd.Series([1, 2, 3], dtype="uint16"),
    pd.Series([1, 2, 3], dtype="float32"),
    pd.Series([1, 2, 3], dtype="Int64"),
    pd.Series([1, 2, 3], dtype="Float64"),
    pd.Series([1, 2, 3], dtype="int64[pyarrow]"),
    pd.Series([1, 2, 3], dtype=object),
    pl.Series([1, 2, 3]),
    pl.Series([1, 2, 3], dtype=pl.UInt8),
    pl.Series([1, 2, 3], dtype=pl.Float32),
    pl.Series([Decimal("1"), Decimal("2"), Decimal("3")]),
    pa.array([1, 2, 3]),
    pa.array([1.0, 2.0, 3.0]),
    pa.chunked_array([[1, 2], [3]]),
]
NUMERIC_MISSING = [
    pd.Series([1, None, 3]),
    pd.Series([1, None, 3], dtype="Int64"),
    pd.Series([1, None, 3], dtype="Float64"),
    pd.Series([1, None, 3], dtype="int64[pyarrow]"),
    pd.Series([1, None, 3], dtype="double[pyarrow]"),
    pd.Series([1, None, 3], dtype=object),
    pl.Series([1, None, 3]),
    pl.Series([1.0, None, 3.0]),
    pl.Series([1.0, float("nan"), 3.0]),
    pl.Series([Decimal("1"), None, Decimal("3")]),
    pa.array([1, None, 3]),
    pa.array([1.0, None, 3.0]),
]
TEXT_MISSING = [
    pd.Series(["b", None, "a"]),
    pd.Series(["b", None, "a"], dtype=object),
    pd.Series(["b", np.nan, "a"], dtype=object),
    pd.Series(["b", None, "a"], dtype="string"),
    pd.Series(["b", None, "a"], dtype="string[pyarrow]"),
    pd.Series(["b", None, "a"], dtype="category"),
    pl.Series(["b", None, "a"]),
    pl.Series(["b", None, "a"], dtype=pl.Categorical),
    pl.Series(["b", None, "a"], dtype=pl.Enum(["a", "b"])),
    pa.array(["b", None, "a"]),
    pa.array(["b", None, "a"], type=pa.large_string()),
    pa.array(["b", None, "a"]).dictionary_encode(),
    pa.chunked_array([["b", None], ["a"]]),
    pa.chunked_array([pa.array(["b", None]).dictionary_encode(), pa.array(["a"]).dictionary_encode()]),
]
BOOL_MISSING = [
    pd.Series([True, None, False], dtype=object),
    pd.Series([True, None, False], dtype="boolean"),
    pd.Series([True, None, False], dtype="bool[pyarrow]"),
    pl.Series([True, None, False]),
    pa.array([True, None, False]),
]


def kind(values) -> str:
    return f"{type(values).__module__.split('.')[0]}-{getattr(values, 'dtype', getattr(values, 'type', ''))}"


@pytest.mark.parametrize("values", NUMERIC, ids=kind)
def test_numbers(values) -> None:
    read = column(values)
    assert read.numbers.dtype == np.float64
    np.testing.assert_array_equal(read.numbers, [1, 2, 3])
    assert not read.missing.any()
    assert read.factor.levels == ("1", "2", "3")


@pytest.mark.parametrize("values", NUMERIC_MISSING, ids=kind)
def test_missing_numbers(values) -> None:
    read = column(values)
    np.testing.assert_array_equal(read.numbers, [1, np.nan, 3])
    np.testing.assert_array_equal(read.missing, [False, True, False])
    assert read.factor.levels == ("1", "3")
    np.testing.assert_array_equal(read.factor.codes, [0, -1, 1])


@pytest.mark.parametrize("values", TEXT_MISSING, ids=kind)
def test_text(values) -> None:
    read = column(values)
    assert read.numbers is None
    assert read.factor.levels == ("a", "b")
    np.testing.assert_array_equal(read.factor.codes, [1, -1, 0])
    np.testing.assert_array_equal(read.missing, [False, True, False])


@pytest.mark.parametrize("values", BOOL_MISSING, ids=kind)
def test_truth_values(values) -> None:
    factor = column(values).factor
    assert (factor.levels, factor.boolean) == (("False", "True"), True)
    np.testing.assert_array_equal(factor.codes, [1, -1, 0])


@pytest.mark.parametrize(
    "values", [pd.Series([True, False]), pl.Series([True, False]), pa.array([True, False])], ids=kind
)
def test_truth_values_without_gaps(values) -> None:
    np.testing.assert_array_equal(column(values).factor.codes, [1, 0])


@pytest.mark.parametrize(
    ("values", "levels", "ordered"),
    [
        (pd.Series(pd.Categorical(["c", "a"], ["z", "c", "a"])), ("c", "a"), False),
        (pd.Series(pd.Categorical(["c", "a"], ["z", "c", "a"], ordered=True)), ("c", "a"), True),
        (pd.Series(pd.Categorical([10, 2], [10, 3, 2])), ("10", "2"), False),
        (pl.Series(["c", "a"], dtype=pl.Enum(["z", "c", "a"])), ("c", "a"), False),
        (pl.Series(["c", "a"], dtype=pl.Categorical), ("a", "c"), False),
        (pa.array(["c", "a"]).dictionary_encode(), ("a", "c"), False),
        (pa.DictionaryArray.from_arrays([1, 2], ["z", "c", "a"], ordered=True), ("c", "a"), True),
        (pd.Series(["c", "B", "a", "10", "9"]), ("10", "9", "B", "a", "c"), False),
    ],
)
def test_the_order_of_levels(values, levels: tuple[str, ...], ordered: bool) -> None:
    factor = column(values).factor
    assert (factor.levels, factor.ordered) == (levels, ordered)
    words = values.to_pylist() if isinstance(values, pa.Array) else values.to_list()
    assert [factor.levels[k] for k in factor.codes] == [str(word) for word in words]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
        pd.Series(pd.to_timedelta([1, 2], unit="s")),
        pd.Series([dt.date(2020, 1, 1), dt.date(2020, 1, 2)]),
        pd.Series([1, "a"], dtype=object),
        pd.Series([[1], [2]]),
        pd.Series([1 + 2j, 3j]),
        pl.Series([dt.date(2020, 1, 1)]),
        pl.Series([[1], [2]]),
        pl.Series([b"a"]),
        pl.Series([{"a": 1}]),
        pa.array([dt.datetime(2020, 1, 1)]),
    ],
    ids=kind,
)
def test_what_a_model_cannot_use_is_named(values) -> None:
    with pytest.raises(DataError, match=r"`when` holds"):
        column(values, "when")


def test_unused_columns_of_any_kind_are_no_trouble() -> None:
    table = Table(pd.DataFrame({"x": [1.0], "when": pd.to_datetime(["2020-01-01"]), 3: [1]}))
    assert table.column("x").numbers.tolist() == [1.0]


@pytest.mark.parametrize("frame", [3, "data.csv", None, [1, 2], np.ones((3, 2)), pd.Series([1])])
def test_what_is_no_frame(frame: object) -> None:
    with pytest.raises(DataError, match="must be a data frame"):
        Table(frame)


def test_lazy_frames_are_asked_to_collect() -> None:
    with pytest.raises(DataError, match=r"lazy.*collect"):
        Table(pl.LazyFrame({"x": [1]}))


def test_two_columns_of_one_name() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["x", "y", "x"])
    with pytest.raises(DataError, match="2 columns called `x`"):
        Table(frame)
    with pytest.raises(DataError, match="2 columns called `x`"):
        Table(pa.table([pa.array([1]), pa.array([2])], names=["x", "x"]))


def test_an_absent_column_is_named_with_its_neighbour() -> None:
    with pytest.raises(DataError, match=r"no column `Dayz` in the data; did you mean `Days`"):
        Table(pd.DataFrame({"Days": [1]})).column("Dayz")


def test_a_mapping_that_is_no_table() -> None:
    with pytest.raises(DataError, match="cannot be made a table"):
        Table({"x": [1, 2], "y": [1]})


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame({"x": [5, 6, 7]}, index=[9, 9, 8]), pl.DataFrame({"x": [5, 6, 7]}), pa.table({"x": [5, 6, 7]})],
)
def test_rows_come_back_as_the_callers_kind(frame) -> None:
    table = Table(frame)
    some = table.rows(np.array([2, 0]))
    assert type(some) is type(frame)
    assert Table(some).column("x").numbers.tolist() == [7, 5]
    assert len(Table(table.rows(None))) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (2.5, "2.5"),
        (np.float64(1e20), "1e+20"),
        (np.int64(4), "4"),
        (True, "True"),
        ("x", "x"),
        (-0.0, "0"),
    ],
)
def test_labels(value: object, text: str) -> None:
    assert label(value) == text


def test_recode_keeps_what_is_known() -> None:
    codes, unknown = Factor(np.array([0, 1, 2, -1]), ("a", "b", "c")).recode(("c", "a"))
    np.testing.assert_array_equal(codes, [1, -1, 0, -1])
    assert unknown == ["b"]
    assert Factor(np.array([0, 0]), ("a", "b")).recode(("a",))[1] == []  # b has no row


def test_take_drops_levels_without_rows() -> None:
    factor = Factor(np.array([0, 1, 2, -1]), ("a", "b", "c"), ordered=True).take(np.array([0, 2, 3]))
    assert (factor.levels, factor.ordered) == (("a", "c"), True)
    np.testing.assert_array_equal(factor.codes, [0, 1, -1])


def test_a_million_labels_are_read_at_once() -> None:
    """Codes come from whole-array operations: a row-by-row loop would take minutes here, not a second or two."""
    words = np.array([f"level {k}" for k in range(1000)])[np.arange(1_000_000) % 1000]
    factor = column(pd.Series(words)).factor
    assert len(factor.levels) == 1000
    assert factor.levels[factor.codes[1234]] == words[1234]


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, -2, 3, 127, -128], dtype=np.int8),
        np.array([2**63 + 7, 2**63 + 5, 2**63 + 7], dtype=np.uint64),
        np.array([-(2**63) + 4, -(2**63), -(2**63) + 4], dtype=np.int64),
        np.array([-(2**63), 2**63 - 1, 0], dtype=np.int64),
        np.array([1, 2, 3], dtype=np.uint8),
    ],
)
def test_whole_numbers_as_levels_whatever_their_width(values) -> None:
    factor = Factor.of(values)
    assert factor.levels == tuple(str(value) for value in sorted(set(values.tolist())))
    assert [factor.levels[code] for code in factor.codes] == [str(value) for value in values.tolist()]
