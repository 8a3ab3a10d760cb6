"""The bootstrap by cases: what is drawn, that copies are new levels, and agreement with what theory says."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import ranef as rf
from models import cbpp, data, owls, pastes, penicillin, sleepstudy
from ranef.inference.bootstrap import plan, replicates, value_of
from ranef.inference.intervals import wald_intervals
from ranef.inference.natural_parameters import natural_parameters
from ranef.inference.resampling import resampled, rows_by_level, unit_of


@pytest.mark.parametrize("model", [sleepstudy, pastes, penicillin, cbpp, owls])
def test_values_are_found_at_their_places(model):
    fit = model()
    estimates = wald_intervals(fit, 0.95, None)["estimate"]
    assert [value_of(p, fit) for p in natural_parameters(fit)] == pytest.approx(estimates)


def test_rows_of_a_level_keep_their_order():
    codes = np.random.default_rng(3).integers(0, 5, 4000)
    parts = rows_by_level(codes)
    assert [len(part) for part in parts] == np.bincount(codes).tolist()
    for level, part in enumerate(parts):
        np.testing.assert_array_equal(part, np.flatnonzero(codes == level))


def test_copies_are_levels_of_their_own():
    fit = sleepstudy()
    model = resampled(fit, unit_of(fit, None), np.random.default_rng(1), frame=True)
    (term,) = model.design.random
    assert len(set(term.levels)) == 18
    assert (np.bincount(term.codes) == 10).all()
    drawn = [level.split(" ")[0] for level in term.levels]
    assert len(set(drawn)) < 18
    # Rows keep their values: those of a copy are those of its subject.
    frame = data("sleepstudy")
    for code, label in enumerate(drawn):
        own = frame[frame["Subject"].astype(str) == label]["Reaction"].to_numpy()
        np.testing.assert_array_equal(np.asarray(model.design.response.y)[term.codes == code], own)
    np.testing.assert_array_equal(model.design.frame["Reaction"], model.design.response.y)


def test_correlated_residuals_go_with_their_group():
    # From ten days of the first subject to three of the last ones.
    frame = data("sleepstudy")[lambda d: d["Days"] + np.arange(180) // 25 < 10]
    fit = rf.lmm("Reaction ~ Days", frame, reml=False, correlation="ar1(Days | Subject)")
    model = resampled(fit, unit_of(fit, "Subject"), np.random.default_rng(4), frame=True)
    part, y = model.design.residual.correlation, np.asarray(model.design.response.y)
    # Each copy is a block of its own with the days of its subject, in the order of the rows.
    assert len(part.codes) == len(part.places) == len(y)
    assert len(part.levels) == part.codes.max() + 1 == 18
    assert part.largest == np.bincount(part.codes).max()
    places = np.asarray(part.places)[:, 0]
    of_response = dict(zip(np.asarray(fit.design.response.y), frame["Days"], strict=True))
    for code in range(18):
        own = part.codes == code
        assert (places[own] - places[own].min()).tolist() == [of_response[value] for value in y[own]]


def test_covariates_of_residual_variances_go_with_their_rows():
    frame = data("sleepstudy").assign(day=lambda d: d["Days"] + 1.0 + np.arange(180) / 200)
    fit = rf.lmm("Reaction ~ Days", frame, reml=False, dispersion="~ power(day)")
    model = resampled(fit, unit_of(fit, None), np.random.default_rng(1), frame=True)
    np.testing.assert_array_equal(model.design.residual.spreads[0].covariate, model.design.frame["day"])


def test_nested_factors_go_with_their_group_and_crossed_ones_keep_their_levels():
    nested = pastes().bootstrap(3, lambda fit: fit.ngroups, seed=1, kind="cases")
    assert (nested["batch"] == 10).all()
    assert (nested["batch:cask"] == 30).all()
    crossed = penicillin().bootstrap(3, lambda fit: fit.ngroups, seed=1, kind="cases", group="plate")
    assert (crossed["plate"] == 24).all()
    assert (crossed["sample"] == 6).all()


def test_without_groups_rows_are_drawn():
    fit = rf.lmm("Reaction ~ Days", data("sleepstudy"), reml=False)
    draws = fit.bootstrap(400, seed=2, kind="cases")
    y, x = np.asarray(fit.design.response.y), np.asarray(fit.design.fixed["cond"].x)
    bread, residual = np.linalg.inv(x.T @ x), fit.residuals()
    sandwich = np.sqrt(np.diag(bread @ (x.T * residual**2) @ x @ bread))
    # The bootstrap by rows estimates White's standard errors; four Monte Carlo errors of a standard deviation, and 3 %.
    ratio = np.array([draws["Intercept"].std(), draws["Days"].std()]) / sandwich
    assert (np.abs(np.log(ratio)) < 4 / np.sqrt(2 * 400) + 0.03).all()
    assert len(y) == 180


def test_spread_of_balanced_slopes_is_that_between_subjects():
    # Balanced: the estimate is the mean of the subjects' own slopes, so its bootstrap is that of a mean of 18.
    fit = sleepstudy()
    slopes = [np.polyfit(own["Days"], own["Reaction"], 1)[0] for _, own in data("sleepstudy").groupby("Subject")]
    draws = fit.bootstrap(1000, "fixef", seed=1, kind="cases")
    assert list(draws.columns) == ["replicate", "converged", "singular", "loglik", "Intercept", "Days"]
    # Four Monte Carlo standard errors of a standard deviation.
    assert draws["Days"].std() == pytest.approx(np.std(slopes) / np.sqrt(18), rel=4 / np.sqrt(2 * 1000))


def test_replicates_depend_on_seed_and_number_alone():
    fit = cbpp()
    one, two = (fit.bootstrap(n, seed=7, kind="cases", threads=t) for n, t in ((12, 1), (70, 2)))
    assert one.equals(two.head(12))
    assert not one.equals(fit.bootstrap(12, seed=8, kind="cases"))


def test_a_resample_that_misses_a_level_failed():
    frame = data("sleepstudy").assign(rare=lambda d: np.where(d["Subject"].astype(str) == "308", "a", "b"))
    fit = rf.lmm("Reaction ~ rare + Days + (1 | Subject)", frame)
    draws = fit.bootstrap(40, seed=1, kind="cases")
    # Subject 308 is missed with probability (17/18)^18 = 0.36.
    assert 4 < draws.attrs["failed"] < 26
    assert draws.loc[~draws["converged"], "Days"].isna().all()


def test_zero_inflation_weights_correlations_and_other_frames():
    draws = owls().bootstrap(4, seed=1, kind="cases")
    assert "zi__Intercept" in draws.columns
    serial = rf.lmm("Reaction ~ Days", data("sleepstudy"), correlation="ar1(Days | Subject)", dispersion="~ exp(Days)")
    assert serial.bootstrap(3, seed=1, kind="cases")["phi__ar1"].between(0, 1).all()
    weighted = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy", "polars"), weights=np.linspace(1, 2, 180))
    assert isinstance(weighted.bootstrap(3, lambda fit: fit.aic, seed=1, kind="cases"), pl.DataFrame)


def test_statistics_by_name():
    fit = sleepstudy()
    shares = fit.bootstrap(3, "r2", seed=1)
    assert list(shares.columns)[-2:] == ["marginal", "conditional"]
    assert list(fit.bootstrap(3, "icc", seed=1, kind="cases").columns)[-2:] == ["adjusted", "unadjusted"]
    variances = fit.bootstrap(3, "variances", seed=1)
    assert "Days" not in variances.columns
    np.testing.assert_array_equal(variances["sd__Days"], fit.bootstrap(3, seed=1)["sd__Days"])


@pytest.mark.parametrize("kind", ["parametric", "cases"])
def test_other_processes_give_the_same_replicates(kind):
    joblib = pytest.importorskip("joblib")
    fit = cbpp()
    own = fit.bootstrap(110, seed=3, kind=kind)
    # One worker runs in this process; parcels are made and put together all the same.
    there = fit.bootstrap(110, seed=3, kind=kind, backend=joblib.Parallel(n_jobs=1))
    assert own.equals(there)
    assert there.attrs == own.attrs
    # A response from refit() is not the one in the data.
    moved = fit.refit(fit.simulate(1, seed=1)[:, 0])
    np.testing.assert_allclose(
        moved.bootstrap(4, seed=3, kind=kind, backend=joblib.Parallel(n_jobs=1))["loglik"],
        moved.bootstrap(4, seed=3, kind=kind)["loglik"],
    )


@pytest.mark.slow
def test_processes_of_joblib():
    pytest.importorskip("joblib")
    fit = sleepstudy()
    there = fit.bootstrap(110, lambda refit: refit.aic, seed=3, threads=2, backend="joblib")
    assert there.equals(fit.bootstrap(110, lambda refit: refit.aic, seed=3))


def test_progress_is_written_when_asked_for(capsys):
    sleepstudy().bootstrap(60, seed=1, kind="cases", progress=True)
    assert "bootstrap: 60 of 60 replicates" in capsys.readouterr().err


def test_a_plan_begins_where_it_is_told_to():
    fit = sleepstudy()
    what = plan(fit, 5, None, 1, None, None)
    later = replicates(fit, replace(what, first=3, n=2), fit._with_response)
    assert later["replicate"].tolist() == [3, 4]
    np.testing.assert_array_equal(later["Days"], fit.bootstrap(5, seed=1)["Days"][3:])


def test_intervals_by_cases():
    fit = sleepstudy()
    draws = fit.bootstrap(100, seed=5, kind="cases")
    found = fit.confint("bootstrap", n=100, seed=5, resampling="cases").set_index("term")
    assert found.loc["Days", ["conf_low", "conf_high"]].tolist() == draws["Days"].quantile([0.025, 0.975]).tolist()
    # By cases the correlation of residuals has replicates too.
    serial = rf.lmm("Reaction ~ Days", data("sleepstudy"), correlation="ar1(Days | Subject)")
    rows = serial.confint("bootstrap", n=30, seed=5, resampling="cases").set_index("term")
    assert rows.loc["phi__ar1", "conf_low"] < rows.loc["phi__ar1", "estimate"] < rows.loc["phi__ar1", "conf_high"]
