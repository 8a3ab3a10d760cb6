"""Fixed effects and their tests."""

import numpy as np
import pytest

import ranef as rf
from models import owls, salamanders, sleepstudy


def test_columns_belong_together():
    tidy = sleepstudy().tidy(ddf="asymptotic")
    assert tidy["term"].tolist() == ["Intercept", "Days"]
    np.testing.assert_allclose(tidy["statistic"], tidy["estimate"] / tidy["std_error"])
    np.testing.assert_allclose(tidy["std_error"], np.sqrt(np.diag(sleepstudy().vcov())))
    np.testing.assert_allclose(tidy["conf_high"] - tidy["estimate"], 1.959963984540054 * tidy["std_error"])
    assert np.isinf(tidy["df"]).all()


def test_degrees_of_freedom_widen_the_interval():
    z, t, default = (sleepstudy().tidy(ddf=ddf) for ddf in ("asymptotic", "residual", None))
    assert t["df"].tolist() == [178.0, 178.0]
    assert (t["conf_high"] > z["conf_high"]).all()
    assert (t["p_value"] > z["p_value"]).all()
    # A balanced design: there are 18 subjects.
    np.testing.assert_allclose(default["df"], 17.0, rtol=1e-6)
    assert (default["conf_high"] > t["conf_high"]).all()


def test_a_method_that_is_not_there_is_answered_with_those_that_are():
    expected = "ddf='kenward' is not available; give one of 'satterthwaite', 'kenward-roger', 'residual', 'asymptotic'"
    with pytest.raises(rf.ModelError, match=expected):
        sleepstudy().tidy(ddf="kenward")


def test_generalized_models_are_told_that_they_have_no_degrees_of_freedom():
    assert np.isinf(owls().tidy()["df"]).all()
    with pytest.raises(rf.ModelError, match="are for Gaussian responses, and this model's family is nbinom2"):
        owls().tidy(ddf="satterthwaite")


def test_every_component_with_a_formula_has_its_rows():
    assert owls().tidy()["component"].tolist() == ["cond"] * 4 + ["zi"]
    assert salamanders().tidy()["component"].tolist() == ["cond"] * 8 + ["disp"] * 2
    assert owls().fixef("disp").keys() == {"Intercept"}


def test_a_wider_level_gives_a_wider_interval():
    assert (sleepstudy().tidy(level=0.99)["conf_low"] < sleepstudy().tidy()["conf_low"]).all()
