"""Intervals: Wald as tidy has them, profiles against R's, bootstrap against the quantiles of its replicates."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, dyestuff2, owls, penicillin, sleepstudy


@cache
def dyestuff_ml():
    return rf.lmm("Yield ~ 1 + (1 | Batch)", data("dyestuff"), reml=False)


@cache
def penicillin_ml():
    return rf.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", data("penicillin"), reml=False)


# confint(method = "profile") of lme4 1.1-31. It interpolates a spline through a grid of zeta: a few units of the fourth
# digit of the interval's width are its own.
PROFILES = {
    "sleepstudy": (
        lambda: sleepstudy(reml=False),
        {
            (None, "Intercept"): (237.680695489443, 265.12951461867),
            (None, "Days"): (7.35865326004694, 13.5759187522512),
            ("Subject", "sd__Intercept"): (14.3815878573371, 37.7159962543971),
            ("Subject", "sd__Days"): (3.80116410218277, 8.7533831598993),
            ("Subject", "cor__Intercept.Days"): (-0.481500738786591, 0.684985970751721),
            ("Residual", "sd__Observation"): (22.8982668765637, 28.8579965399891),
        },
    ),
    "penicillin": (
        penicillin_ml,
        {
            (None, "Intercept"): (21.2666273835443, 24.6778176174488),
            ("plate", "sd__Intercept"): (0.633565787573865, 1.18210398414436),
            ("sample", "sd__Intercept"): (1.0957892643649, 3.55629191473015),
            ("Residual", "sd__Observation"): (0.485845400176453, 0.629453478513599),
        },
    ),
    "dyestuff": (
        dyestuff_ml,
        {
            (None, "Intercept"): (1486.45149996883, 1568.54849436813),
            ("Batch", "sd__Intercept"): (12.1985352008205, 84.0630467201726),
            ("Residual", "sd__Observation"): (38.2299848823972, 67.6576962451717),
        },
    ),
    "cbpp": (
        cbpp,
        {
            (None, "Intercept"): (-1.90115610717961, -0.94779139327095),
            (None, "period[T.2]"): (-1.61667866417087, -0.407840519031395),
            (None, "period[T.3]"): (-1.80091762596129, -0.511610305740547),
            (None, "period[T.4]"): (-2.50060071289973, -0.800831042456708),
            ("herd", "sd__Intercept"): (0.346094461622566, 1.09988189937144),
        },
    ),
}


def by_key(frame):
    return {
        (None if row["group"] is None or row["group"] != row["group"] else row["group"], row["term"]): row
        for row in frame.to_dict("records")
    }


@pytest.mark.parametrize("name", PROFILES)
def test_profile_intervals_are_r_s(name):
    model, expected = PROFILES[name]
    found = by_key(model().confint("profile"))
    assert set(found) == set(expected)
    for key, (low, high) in expected.items():
        tolerance = 1e-3 * (high - low)
        assert found[key]["conf_low"] == pytest.approx(low, abs=tolerance), key
        assert found[key]["conf_high"] == pytest.approx(high, abs=tolerance), key
        assert found[key]["note"] == ""


def test_profiles_of_a_reml_fit_are_of_maximum_likelihood_and_say_so():
    reml, ml = sleepstudy().confint("profile"), sleepstudy(reml=False).confint("profile")
    assert set(reml["note"]) == {"refitted by maximum likelihood"}
    np.testing.assert_allclose(
        reml[["estimate", "conf_low", "conf_high"]], ml[["estimate", "conf_low", "conf_high"]], rtol=1e-4
    )


def test_wald_intervals_are_those_of_tidy():
    fit = sleepstudy()
    frame, tidy = fit.confint(level=0.9), fit.tidy("all", level=0.9)
    for name in ("component", "term", "estimate", "conf_low", "conf_high"):
        assert frame[name].tolist() == tidy[name].tolist()


def test_bootstrap_intervals_are_quantiles_of_the_replicates():
    fit = sleepstudy()
    draws, frame = fit.bootstrap(200, seed=4), fit.confint("bootstrap", n=200, seed=4, parm="sd__Days")
    assert frame["conf_low"].item() == pytest.approx(np.quantile(draws["sd__Days"], 0.025))
    basic = fit.confint("bootstrap", n=200, seed=4, parm="sd__Days", kind="basic")
    assert basic["conf_low"].item() == pytest.approx(
        2 * frame["estimate"].item() - np.quantile(draws["sd__Days"], 0.975)
    )


def test_a_standard_deviation_of_zero_is_the_lower_end():
    row = by_key(dyestuff2().confint("profile"))["Batch", "sd__Intercept"]
    assert row["estimate"] == row["conf_low"] == 0.0
    assert row["conf_high"] > 0.5
    assert row["note"] == "lower: the estimate is zero"
    wald = by_key(dyestuff2().confint("wald"))["Batch", "sd__Intercept"]
    assert np.isnan(wald["conf_low"])
    assert "edge" in wald["note"]


def test_zero_inside_the_interval_is_told():
    # dyestuff at 99.9 %: the likelihood without batches is within the interval.
    row = by_key(dyestuff_ml().confint("profile", level=0.999))["Batch", "sd__Intercept"]
    assert row["conf_low"] == 0.0
    assert row["note"] == "lower: zero is inside the interval"


def test_every_component_has_intervals():
    fit = owls()
    for method in ("wald", "profile"):
        frame = fit.confint(method)
        assert set(frame["component"]) == {"cond", "zi", "disp"}
        assert (frame["conf_low"] < frame["estimate"]).all()
        assert (frame["estimate"] < frame["conf_high"]).all()
        assert frame["term"].tolist()[-1] == "sigma"


def test_shapes_dispersions_and_thresholds_have_profiles():
    frame = pd.read_csv(Path(__file__).parents[1] / "reference/data/sim_cont.csv.gz")
    heavy = rf.glmm("y_t ~ x + (1 | g)", frame, family="student_t")
    profile, wald = heavy.confint("profile"), heavy.confint("wald")
    assert set(profile["component"]) == {"cond", "shape", "disp"}
    assert profile["conf_low"].lt(profile["estimate"]).all()
    assert profile["conf_high"].gt(profile["estimate"]).all()
    # The likelihood of 300 rows in 30 groups is not far from quadratic.
    width = (profile["conf_high"] - profile["conf_low"]) / (wald["conf_high"] - wald["conf_low"])
    assert width.between(0.9, 1.2).all()
    wine = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    # The lower end of 4|5 is below the estimate of 3|4, which has to move along.
    thresholds = wine.confint("profile", parm=["1|2", "2|3", "3|4", "4|5"])
    assert (thresholds["note"] == "").all()
    assert thresholds["conf_low"].is_monotonic_increasing


def test_a_profile_agrees_with_fits_that_hold_the_coefficient():
    # The coefficient of Days moved into the offset, and all else fitted again.
    fit = sleepstudy(reml=False)
    frame = fit.profile("Days").data
    sleep = data("sleepstudy")
    for value, zeta in frame[["value", "zeta"]].to_numpy()[::3]:
        held = rf.lmm("Reaction ~ 1 + (Days | Subject)", sleep, offset=value * sleep["Days"].to_numpy(), reml=False)
        assert abs(zeta) == pytest.approx(np.sqrt(max(held.deviance - fit.deviance, 0.0)), abs=1e-4)


def test_profiles_do_not_depend_on_threads():
    one, three = (cbpp().profile(threads=threads).data for threads in (1, 3))
    assert one.equals(three)


def test_profile_data_rise_through_zero():
    for _, rows in penicillin().profile().data.groupby("parameter"):
        assert (np.diff(rows["value"]) > 0).all()
        assert (np.diff(rows["zeta"]) > 0).all()
        assert (rows["zeta"] == 0).sum() == 1
