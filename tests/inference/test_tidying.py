"""One frame for all estimates."""

import pytest

import ranef as rf
from models import owls
from ranef.inference.tidying import COLUMNS


def test_all_is_fixed_then_random():
    everything = owls().tidy("all")
    assert list(everything.columns) == list(COLUMNS)
    assert everything["effect"].tolist() == ["fixed"] * 5 + ["random"]
    assert everything["term"].tolist()[-1] == "sd__Intercept"


def test_effects_have_three_values():
    with pytest.raises(rf.ModelError, match="effects='ran_pars'"):
        owls().tidy("ran_pars")
