"""A model matrix without its zeros is the matrix it stands for."""

import numpy as np
import pandas as pd
import pytest

from ranef.formula import columns
from ranef.formula.design import build_design
from ranef.formula.level_columns import LevelColumns, column_ranges, column_sds

FORMULAS = [
    "y ~ x + f",
    "y ~ f + x",
    "y ~ 0 + f + x",
    "y ~ x * f",
    "y ~ f:x + x",
    "y ~ h * f",
    "y ~ f * h",
    "y ~ f:h + poly(x, 2)",
    "y ~ C(f, Treatment('c')) + f:x",
    "y ~ f + s(x, k=5)",
]


@pytest.fixture
def frame():
    rng = np.random.default_rng(3)
    n = 200
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "f": rng.choice(list("abcdefg"), n),
            "h": rng.choice(["p", "q", "r"], n),
        }
    )


def both(monkeypatch, formula, frame, newdata):
    found = []
    for least in (1, 10**9):
        monkeypatch.setattr(columns, "LEAST_COLUMNS", least)
        design = build_design(formula, frame)
        found.append((design.fixed["cond"], design.replay(newdata).x["cond"]))
    return found


@pytest.mark.parametrize("formula", FORMULAS)
def test_columns_names_and_replays_are_those_of_the_whole_matrix(monkeypatch, frame, formula):
    (short, short_new), (whole, whole_new) = both(monkeypatch, formula, frame, frame.iloc[:20])
    assert isinstance(short.x, LevelColumns)
    assert isinstance(whole.x, np.ndarray)
    assert short.names == whole.names
    assert short.term_columns == whole.term_columns
    assert short.x.shape == whole.x.shape
    assert len(short.x) == len(whole.x)
    np.testing.assert_array_equal(np.asarray(short.x), whole.x)
    np.testing.assert_array_equal(np.asarray(short_new), whole_new)


def test_rows_repeat_as_those_of_the_whole_matrix(monkeypatch, frame):
    (short, _), (whole, _) = both(monkeypatch, "y ~ x * f", frame, frame)
    np.testing.assert_array_equal(np.asarray(short.x.repeated(3)), np.tile(whole.x, (3, 1)))


def test_some_rows_are_those_of_the_whole_matrix(monkeypatch, frame):
    (short, _), (whole, _) = both(monkeypatch, "y ~ x * f", frame, frame)
    rows = np.array([5, 5, 199, 0])
    np.testing.assert_array_equal(np.asarray(short.x.taken(rows)), whole.x[rows])


@pytest.mark.parametrize("formula", FORMULAS)
def test_summaries_of_columns_are_those_of_the_whole_matrix(monkeypatch, frame, formula):
    (short, _), (whole, _) = both(monkeypatch, formula, frame, frame)
    np.testing.assert_allclose(short.x.means(), whole.x.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(column_sds(short.x), column_sds(whole.x), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(column_ranges(short.x), column_ranges(whole.x), rtol=1e-14, atol=0)


def test_the_intercept_of_an_ordinal_response_is_left_out(monkeypatch, frame):
    frame["grade"] = pd.cut(frame["y"], 3, labels=["low", "mid", "high"])
    found = []
    for least in (1, 10**9):
        monkeypatch.setattr(columns, "LEAST_COLUMNS", least)
        found.append(build_design("grade ~ x + f", frame, response_kind="ordinal").fixed["cond"])
    assert found[0].names == found[1].names
    np.testing.assert_array_equal(np.asarray(found[0].x), found[1].x)


@pytest.mark.parametrize("formula", ["y ~ x + C(f, Sum)", "y ~ x + h"])
def test_other_codings_and_few_levels_stay_whole(monkeypatch, frame, formula):
    monkeypatch.setattr(columns, "LEAST_COLUMNS", 5)
    assert isinstance(build_design(formula, frame).fixed["cond"].x, np.ndarray)
