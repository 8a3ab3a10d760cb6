"""lmm, glmm and Fit as users hold them."""

import inspect

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ranef as rf
from models import cbpp, data, owls, sleepstudy

KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


def test_signatures_are_those_of_the_documentation():
    documented = [
        "formula", "data", "reml", "weights", "offset", "contrasts", "missing", "start", "control",
    ]  # fmt: skip
    assert list(inspect.signature(rf.lmm).parameters)[: len(documented)] == documented
    documented = [
        "formula", "data", "family", "link", "zi", "dispersion", "shape", "reml", "quadrature", "weights", "offset",
        "contrasts", "priors", "missing", "start", "control",
    ]  # fmt: skip
    assert list(inspect.signature(rf.glmm).parameters)[: len(documented)] == documented


@pytest.mark.parametrize(("backend", "kind"), KINDS.items())
def test_frames_come_back_in_the_kind_that_came_in(backend, kind):
    sleep = data("sleepstudy", backend)
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    assert fit.loglik == pytest.approx(sleepstudy().loglik, abs=1e-7)
    frames = [fit.tidy(), fit.tidy("all"), fit.varcorr(), fit.ranef(), fit.coef(), fit.glance(), fit.augment()]
    frames += [fit.predict(se=True), fit.predict(sleep, interval="prediction"), fit.plot.ranef_data()]
    assert all(isinstance(frame, kind) for frame in frames)


def test_the_callers_frame_is_not_changed():
    sleep = data("sleepstudy").copy()
    before = sleep.copy()
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    fit.augment()
    fit.predict(sleep, se=True)
    pd.testing.assert_frame_equal(sleep, before)


def test_update_changes_the_formula_and_keeps_the_rest():
    fit = sleepstudy(reml=False)
    smaller = fit.update(". ~ . - Days")
    assert list(smaller.fixef()) == ["Intercept"]
    assert smaller.method == "ml"
    assert smaller.ngroups == fit.ngroups
    assert smaller.loglik < fit.loglik


def test_update_changes_arguments_and_data():
    fit = sleepstudy()
    assert fit.update(reml=False).loglik == pytest.approx(sleepstudy(reml=False).loglik, abs=1e-6)
    assert fit.update(data=data("sleepstudy").head(90)).nobs == 90
    plain = owls().update(zi=None, family="poisson")
    assert plain.family == "poisson"
    assert plain.model.components == ("cond",)


def test_update_repeats_array_arguments_for_the_rows_used():
    sleep = data("sleepstudy").copy()
    sleep.loc[0, "Reaction"] = float("nan")
    weights = [1.0 + (i % 3) for i in range(180)]
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, weights=weights)
    assert fit.update(reml=True).loglik == pytest.approx(fit.loglik, abs=1e-7)


def test_update_names_an_argument_it_does_not_know():
    with pytest.raises(rf.ModelError, match=r"update\(zi\): arguments are formula, reml"):
        sleepstudy().update(zi="~ 1")


def test_a_fit_prints_its_summary_and_cannot_be_changed():
    fit = cbpp()
    assert repr(fit) == str(fit.summary())
    with pytest.raises(AttributeError):
        fit.engine = None


def test_fixef_and_vcov_go_together():
    fit = owls()
    for component in ("cond", "zi", "disp"):
        assert fit.vcov(component).shape == (len(fit.fixef(component)),) * 2
    with pytest.raises(rf.ModelError, match="no component 'shape'; it has cond, disp, zi"):
        fit.fixef("shape")


def test_vcov_is_a_copy():
    fit = cbpp()
    fit.vcov()[:] = 0.0
    assert fit.vcov()[0, 0] > 0.0
