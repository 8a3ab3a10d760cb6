"""Frames that go back to the caller."""

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ranef as rf
from ranef.frames import backend_of, frame_from

KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


@pytest.mark.parametrize(("backend", "kind"), KINDS.items())
def test_frame_is_of_the_kind_asked_for_and_keeps_its_order(backend, kind):
    frame = frame_from({"b": ["u", None], "a": [1.5, 2.5]}, backend)
    assert isinstance(frame, kind)
    assert list(frame.columns if backend != "pyarrow" else frame.column_names) == ["b", "a"]
    assert isinstance(frame_from({"x": [1]}, backend_of(frame)), kind)
    assert backend_of({"x": [1]}) == "pandas"


def test_unknown_backend_is_refused_by_name():
    with pytest.raises(rf.DataError, match="'excel' is not one of 'pandas', 'polars', 'pyarrow'"):
        frame_from({"x": [1]}, "excel")
