"""One small data set, in every kind of frame."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest


@pytest.fixture(scope="session")
def plots() -> pd.DataFrame:
    """Return forty rows with a column of every kind a formula may use."""
    rng = np.random.default_rng(20)
    n = 40
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(1, 5, size=n),
            "z": rng.normal(size=n),
            "k": rng.integers(0, 7, size=n),
            "f": pd.Categorical(rng.permutation(np.resize(["a", "b", "c"], n))),
            "h": rng.permutation(np.resize(["v", "u"], n)),
            "b": rng.permutation(np.resize([True, False, False], n)),
            "o": pd.Categorical(rng.permutation(np.resize(["lo", "mid", "hi"], n)), ["lo", "mid", "hi"], ordered=True),
            "g": rng.permutation(np.resize([3, 1, 20, 7], n)),
            "s": rng.integers(0, 4, size=n),
            "m": rng.integers(4, 9, size=n),
            "my x": rng.normal(size=n),
            "a.b": rng.normal(size=n),
        }
    )


@pytest.fixture(params=["pandas", "polars", "pyarrow"])
def backend(request: pytest.FixtureRequest) -> str:
    """Name every data frame library in turn."""
    return str(request.param)


@pytest.fixture
def convert(backend: str):
    """Turn a pandas frame into that library's, a declared order of levels into its way to declare one."""

    def to_backend(frame: pd.DataFrame):
        if backend == "pandas":
            return frame
        if backend == "pyarrow":
            return pa.Table.from_pandas(frame, preserve_index=False)
        columns = {}
        for name in frame.columns:
            series = frame[name]
            if isinstance(series.dtype, pd.CategoricalDtype):
                words = [None if pd.isna(value) else value for value in series]
                columns[name] = pl.Series(words, dtype=pl.Enum(list(series.cat.categories)))
            else:
                columns[name] = pl.Series([None if pd.isna(value) else value for value in series.to_list()])
        return pl.DataFrame(columns)

    return to_backend
