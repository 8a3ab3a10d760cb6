"""New rows in the engine's layout."""

import numpy as np
import pytest

import ranef as rf
from models import data, pastes, sleepstudy
from ranef.newdata import LEFT_OUT, UNKNOWN_LEVEL, engine_rows, repeat_rows


def test_the_fits_rows_replayed_are_the_fits_rows():
    fit = sleepstudy()
    own, new = engine_rows(fit, None, [True]), engine_rows(fit, data("sleepstudy"), [True])
    np.testing.assert_array_equal(own["x"][0], new["x"][0])
    np.testing.assert_array_equal(own["codes"][0], new["codes"][0])


def test_a_term_left_out_needs_no_column():
    rows = engine_rows(sleepstudy(), data("sleepstudy").drop(columns="Subject").head(2), [False])
    assert (rows["codes"][0] == LEFT_OUT).all()


def test_a_new_level_raises_unless_told():
    new = data("sleepstudy").head(2).assign(Subject=["308", "nobody"])
    with pytest.raises(rf.DataError, match="grouping factor Subject: level 'nobody' was not in the data of the fit"):
        engine_rows(sleepstudy(), new, [True])
    assert engine_rows(sleepstudy(), new, [True], "population")["codes"][0].tolist() == [0, UNKNOWN_LEVEL]


def test_new_levels_has_two_meanings():
    with pytest.raises(rf.ModelError, match="new_levels='zero'"):
        engine_rows(sleepstudy(), None, [True], "zero")


def test_repeated_rows_come_block_by_block():
    rows = engine_rows(pastes(), data("pastes").head(3), [True, True])
    twice = repeat_rows(rows, 2)
    assert twice["codes"][0].tolist() == rows["codes"][0].tolist() * 2
    assert twice["x"][0].shape == (6, 1)
