"""Influence of rows and groups: against fits of the data without them, closed forms and lme4."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, owls, pastes, penicillin, sleepstudy
from ranef.errors import DataError, ModelError
from ranef.inference.contrasts import denominator

LME4 = json.loads((Path(__file__).parents[1] / "reference" / "influence.json").read_text(encoding="utf-8"))


def without(fit, rows):
    """The same model of the data without some rows, fitted from scratch."""
    return fit.update(data=fit.design.frame.drop(index=fit.design.frame.index[rows]))


def parameters(fit):
    tidy = fit.tidy("all")
    return tidy["estimate"].to_numpy()


@pytest.mark.parametrize("model", [sleepstudy, cbpp], ids=["sleepstudy", "cbpp"])
def test_exact_is_the_fit_without_the_group(model):
    fit = model()
    codes = fit.design.random[0].codes
    found = fit.influence(fit.design.random[0].group)
    assert found.method == "exact"
    table = found.table
    k, full = len(fit.fixef()), fit.vcov()
    for level in (0, 3, codes.max()):
        brute = without(fit, np.flatnonzero(codes == level))
        row = table.iloc[level]
        change = fit.estimates("cond") - brute.estimates("cond")
        # Each search ends within 1e-4 standard errors of the optimum, and mostly within 1e-6.
        dfbetas = change / np.sqrt(np.diag(brute.vcov()))
        got = [row[f"dfbetas__{name}"] for name in fit.fixef()]
        np.testing.assert_allclose(got, dfbetas, atol=2e-4)
        distance = change @ np.linalg.solve(full, change) / k
        assert row["cooks_distance"] == pytest.approx(distance, abs=1e-4)
        ratio = np.linalg.det(brute.vcov()) / np.linalg.det(full)
        assert row["covratio"] == pytest.approx(ratio, rel=1e-3)
        sds = found.estimates
        sds = sds[(sds["level"] == row["level"]) & sds["group"].notna()]["without"].to_numpy()
        np.testing.assert_allclose(sds, parameters(brute)[k:], rtol=1e-3, atol=1e-3)
        assert row["converged"]


def test_exact_is_the_fit_without_the_row():
    fit = cbpp()
    found = fit.influence()
    for i in (2, 36, 48):
        change = fit.estimates("cond") - without(fit, [i]).estimates("cond")
        # Of four coefficients whose standard errors are about 0.3, found to 1e-4 of them.
        assert found.cooks_distance[i] == pytest.approx(
            change @ np.linalg.solve(fit.vcov(), change) / 4, rel=1e-3, abs=1e-6
        )


@pytest.mark.parametrize("name", ["sleepstudy", "cbpp"])
def test_lme4_finds_the_same(name):
    """lme4's Cook's distance has (G - p) / G in it, its DFBETAS the other sign."""
    fit, want = {"sleepstudy": sleepstudy, "cbpp": cbpp}[name](), LME4[name]
    found = fit.influence(fit.design.random[0].group)
    table, k = found.table, len(fit.fixef())
    assert table["level"].tolist() == want["level"]
    estimates = found.estimates
    means = estimates[estimates["group"].isna()]["without"].to_numpy().reshape(-1, k)
    # lmer is exact to its optimiser; glmer's inner iterations stop early.
    tolerance = {"sleepstudy": 2e-5, "cbpp": 5e-4}[name]
    np.testing.assert_allclose(means, want["fixef"], rtol=tolerance, atol=tolerance)
    if name == "sleepstudy":
        groups = len(want["level"])
        np.testing.assert_allclose(found.cooks_distance * (groups - k) / groups, want["cooks_distance"], rtol=2e-3)
        np.testing.assert_allclose(-found.dfbetas.iloc[:, 1:].to_numpy(), want["dfbetas"], atol=1e-4)
        sds = estimates[estimates["term"].str.startswith("sd__")]["without"].to_numpy().reshape(groups, 3)
        residual, intercept, _, days = np.array(want["var_cov"]).T
        np.testing.assert_allclose(sds**2, np.column_stack([intercept, days, residual]), rtol=2e-3)


def closed_form(fit, v, rows):
    """b without some rows at the same V, from the normal equations of the rest."""
    left = np.setdiff1d(np.arange(fit.nobs), rows)
    x, y, inverse = fit.design.fixed["cond"].x[left], fit.design.response.y[left], np.linalg.inv(v[np.ix_(left, left)])
    bread = np.linalg.inv(x.T @ inverse @ x)
    return bread @ x.T @ inverse @ y, bread


def covariance(fit):
    v = fit.sigma**2 * np.eye(fit.nobs)
    for term, sigma in zip(fit.design.random, fit.engine.covariance, strict=True):
        v += (term.codes[:, None] == term.codes) * (term.columns @ sigma @ term.columns.T)
    return v


@pytest.mark.parametrize("group", [None, "batch", "batch:cask"])
def test_one_step_of_nested_effects_is_the_closed_form(group):
    frame = data("pastes").copy()
    frame["strong"] = (frame["batch"].astype(str) < "D").astype(float)
    fit = rf.lmm("strength ~ strong + (1 | batch/cask)", frame)
    check_closed_form(fit, group)


@pytest.mark.parametrize("group", [None, "plate", "sample"])
def test_one_step_of_crossed_effects_is_the_closed_form(group):
    check_closed_form(penicillin(), group)


def check_closed_form(fit, group):
    found = fit.influence(group, method="one-step")
    assert found.method == "one-step"
    v, full = covariance(fit), fit.vcov()
    codes = np.arange(fit.nobs)
    if group is not None:
        codes = next(term.codes for term in fit.design.random if term.group == group)
    table = found.table
    for level in (0, 1, codes.max()):
        b, bread = closed_form(fit, v, np.flatnonzero(codes == level))
        change = fit.estimates("cond") - b
        row = table.iloc[level]
        # Both sides solve systems of condition 1e3.
        np.testing.assert_allclose(
            [row[f"dfbetas__{name}"] for name in fit.fixef()], change / np.sqrt(np.diag(bread)), rtol=1e-6, atol=1e-9
        )
        distance = change @ np.linalg.solve(full, change) / len(change)
        assert row["cooks_distance"] == pytest.approx(distance, rel=1e-6)
        assert row["covratio"] == pytest.approx(np.linalg.det(bread) / np.linalg.det(full), rel=1e-6)


def test_one_step_with_weights_is_the_closed_form():
    sleep = data("sleepstudy").copy()
    sleep["w"] = np.random.default_rng(1).uniform(0.5, 2.0, len(sleep))
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep, weights="w")
    v = covariance(fit) + fit.sigma**2 * np.diag(1 / sleep["w"] - 1)
    b, _ = closed_form(fit, v, np.arange(10))
    change = fit.estimates("cond") - b
    found = fit.influence("Subject", method="one-step").cooks_distance[0]
    assert found == pytest.approx(change @ np.linalg.solve(fit.vcov(), change) / 2, rel=1e-6)


def test_one_step_of_a_generalised_model_is_a_newton_step():
    # From the estimates, the step towards the fit without a herd leaves a gradient of second order in the step.
    fit = cbpp()
    exact, step = fit.influence("herd"), fit.influence("herd", method="one-step")
    assert np.isnan(step.table["change__sd__Intercept"]).all()
    small = exact.cooks_distance < 0.1
    assert small.sum() >= 8
    estimates = {name: found.estimates for name, found in (("exact", exact), ("step", step))}
    se = np.tile(np.sqrt(np.diag(fit.vcov())), 15).reshape(15, 4)
    change = {
        name: (t["estimate"] - t["without"])[t["group"].isna()].to_numpy().reshape(15, 4) / se
        for name, t in estimates.items()
    }
    # In standard errors, where the change itself is up to 0.6 of them; its square is the size of the error.
    error = np.max(abs(change["exact"] - change["step"])[small])
    assert error < 0.1
    assert error < 0.25 * np.max(abs(change["exact"])[small])


def test_one_step_of_rows_within_clusters():
    fit = cbpp()
    exact, step = fit.influence(), fit.influence(method="one-step")
    assert np.corrcoef(exact.cooks_distance, step.cooks_distance)[0, 1] > 0.97
    assert len(set(exact.table["row"])) == 56


def test_one_step_of_a_group_that_crosses_clusters():
    # Deleting a period takes its coefficient with it, a size class does not.
    frame = data("cbpp").copy()
    frame["large"] = np.where(frame["size"] > 15, "large", np.where(frame["size"] > 8, "middle", "small"))
    fit = rf.glmm("cbind(incidence, size - incidence) ~ period + (1 | herd)", frame, family="binomial")
    found = fit.influence("large", method="one-step")
    assert sorted(found.table["level"]) == ["large", "middle", "small"]
    assert np.isfinite(found.cooks_distance).all()
    gone = fit.influence("period", method="one-step").table
    assert np.isnan(gone["cooks_distance"].iloc[1])
    assert "use method='exact'" in gone["note"].iloc[1]


def test_an_effect_that_needs_the_group_is_named():
    fit = cbpp()
    table = fit.influence("period").table
    assert np.isnan(table["dfbetas__period[T.2]"].iloc[1])
    assert np.isfinite(table["dfbetas__period[T.3]"].iloc[1])
    assert np.isnan(table["cooks_distance"].iloc[1])
    assert table["note"].iloc[1] == "cannot be estimated without it: period[T.2]"
    # Without the reference the other coefficients are of another one.
    assert table.filter(like="dfbetas").iloc[0].isna().all()
    assert table["note"].iloc[0] == "cannot be estimated without it: Intercept, period[T.2], period[T.3], period[T.4]"
    left = data("cbpp")[data("cbpp")["period"].astype(str) != "2"]
    change = fit.fixef()["period[T.3]"] - fit.update(data=left).fixef()["period[T.3]"]
    assert table["dfbetas__period[T.3]"].iloc[1] == pytest.approx(change / 0.32, rel=0.1)
    linear = rf.lmm("Reaction ~ factor(Days) + (1 | Subject)", data("sleepstudy"))
    for method in ("exact", "one-step"):
        found = linear.influence("Days", method=method).table
        assert np.isnan(found["cooks_distance"].iloc[4])
        assert "cannot be estimated without it" in found["note"].iloc[4]


@pytest.mark.parametrize("unit", [-1e6, 1e-6])
def test_an_effect_that_needs_the_group_is_named_whatever_the_units_of_the_others(unit):
    frame = data("sleepstudy").assign(z=lambda d: unit * (d["Days"] + np.arange(180) % 7))
    fit = rf.lmm("Reaction ~ factor(Days) + z + (1 | Subject)", frame)
    table = fit.influence("Days", method="exact").table
    assert list(table["note"][1:3]) == [
        "cannot be estimated without it: factor(Days)[T.1]",
        "cannot be estimated without it: factor(Days)[T.2]",
    ]


def test_the_spread_of_a_family_is_that_of_the_fit_without_the_group():
    frame = data("sleepstudy")
    fit = rf.glmm("Reaction ~ Days + (1 | Subject)", frame, family="gamma", link="log")
    table = fit.influence("Subject", method="exact").table
    left = fit.update(data=frame[frame["Subject"].astype(str) != str(table["level"][0])])
    # Both searches end within 1e-7 standard errors of their maximum.
    assert table["change__sigma"][0] == pytest.approx(left.sigma - fit.sigma, rel=1e-5)


def test_a_group_without_which_there_is_no_fit_is_told():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": ["a"] * 20 + ["b"] * 2 + ["c"], "x": rng.normal(size=23), "z": rng.normal(size=23)})
    frame["y"] = frame["x"] + rng.normal(size=23) + frame["g"].map({"a": 0.0, "b": 2.0, "c": -2.0})
    table = rf.lmm("y ~ x + z + (1 | g)", frame).influence("g", method="exact").table
    assert list(table["note"]) == ["3 rows cannot determine 3 fixed effects and a residual variance", "", ""]
    assert list(table["converged"]) == [False, True, True]
    assert table["cooks_distance"].isna().tolist() == [True, False, False]


def test_leverage_of_a_group_is_that_of_its_rows():
    fit = sleepstudy()
    rows, groups = fit.influence(method="one-step").leverage, fit.influence("Subject", method="one-step").leverage
    codes = fit.design.random[0].codes
    np.testing.assert_allclose(np.bincount(codes, rows), groups, rtol=1e-12)
    np.testing.assert_allclose(rows, fit.augment()["leverage"], rtol=1e-12)


def test_threads_do_not_matter():
    fit = sleepstudy()
    one, four = fit.influence("Subject", threads=1).table, fit.influence("Subject", threads=4).table
    pd.testing.assert_frame_equal(one, four, check_exact=True)


def test_groups_in_many_ways_and_dropped_rows():
    sleep = data("sleepstudy").copy()
    sleep.loc[[4, 90], "Reaction"] = np.nan
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    wanted = fit.influence("Subject", method="one-step").cooks_distance
    np.testing.assert_array_equal(fit.influence(sleep["Subject"], method="one-step").cooks_distance, wanted)
    rows = fit.influence(method="one-step").table["row"].tolist()
    assert len(rows) == 178
    assert 4 not in rows
    assert 179 in rows


@pytest.mark.parametrize(
    "fit",
    [
        lambda: owls(),
        lambda: rf.lmm(
            "distance ~ age * Sex + (1 | Subject)",
            data("orthodont"),
            correlation="car1(age | Subject)",
            dispersion="~ Sex",
        ),
        lambda: rf.glmm("Reaction ~ Days + ar1(0 + factor(Days) | Subject)", data("sleepstudy"), family="gaussian"),
        lambda: rf.lmm("Reaction ~ s(Days) + (1 | Subject)", data("sleepstudy")),
        lambda: rf.lmm(
            "Reaction ~ Days + (Days | Subject)", data("sleepstudy"), priors={"sd": rf.prior.half_t(3, 50)}, reml=False
        ),
        lambda: rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), fixed={"Days": 10.0}, reml=False),
    ],
    ids=["zero-inflated", "correlated", "structured", "smooth", "prior", "held"],
)
def test_exact_works_for_any_model(fit):
    fit = fit()
    group = fit.design.random[-1].group if fit.design.smooths else fit.design.random[0].group
    group = "Subject" if "Subject" in fit.ngroups else group
    levels = fit.influence(group, threads=2)
    codes = next(term.codes for term in fit.design.random if term.group == group)
    brute = without(fit, np.flatnonzero(codes == 1))
    free = ~fit.held("cond")
    change = (fit.estimates("cond") - brute.estimates("cond"))[free]
    distance = change @ np.linalg.solve(fit.vcov()[np.ix_(free, free)], change) / len(change)
    assert levels.table["converged"].all()
    # Two searches from different starts; a smooth has a basis that is learned from the rows, so only its span agrees.
    if not fit.design.smooths:
        assert levels.cooks_distance[1] == pytest.approx(distance, rel=5e-3, abs=1e-5)


def test_singular_fits_start_again():
    frame = data("dyestuff2")
    fit = rf.lmm("Yield ~ 1 + (1 | Batch)", frame, reml=False)
    assert fit.singular
    found = fit.influence("Batch")
    brute = without(fit, np.flatnonzero(fit.design.random[0].codes == 2))
    np.testing.assert_allclose(
        found.table["change__sd__Intercept"].iloc[2], brute.tidy("random")["estimate"].iloc[0], atol=1e-6
    )


def test_text_and_picture():
    found = sleepstudy().influence("Subject")
    text = repr(found)
    assert text.splitlines()[0] == "18 levels of Subject left out in turn (refits)"
    assert "309" in text.splitlines()[2]
    assert "... and 12 more" in text
    assert "<td>309</td>" in found._repr_html_()
    figure = found.plot()
    (axis,) = figure.axes
    assert len(axis.get_yticklabels()) == 18
    # The largest is on top.
    assert axis.get_yticklabels()[-1].get_text() == "309"
    rows = pastes().influence(method="one-step")
    (axis,) = rows.plot().axes
    drawn = axis.collections[-1].get_offsets()
    np.testing.assert_allclose(drawn[:, 1], rows.cooks_distance, rtol=1e-12)


def test_progress_goes_to_standard_error(capsys):
    sleepstudy().influence(progress=True)
    said = capsys.readouterr().err
    assert "influence: 100 of 180" in said
    assert "influence: 180 sets left out, 0 without an answer" in said


def test_default_is_one_step_for_many_rows():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"g": np.repeat(np.arange(110), 10), "x": rng.normal(size=1100)})
    frame["y"] = frame["x"] + rng.normal(size=110)[frame["g"]] + rng.normal(size=1100)
    fit = rf.lmm("y ~ x + (1 | g)", frame)
    found = fit.influence()
    assert found.method == "one-step"
    assert np.isfinite(found.cooks_distance).all()


def test_other_frames_come_back():
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy", "polars"))
    assert type(fit.influence("Subject", method="one-step").table).__module__.startswith("polars")
    assert denominator(fit, vcov="CR2").component == "cond"


ERRORS = {
    "method": (lambda: sleepstudy().influence(method="jackknife"), ModelError, "give one of 'exact', 'one-step'"),
    "group": (lambda: sleepstudy().influence("Subjekt"), DataError, "did you mean `Subject`?"),
    "length": (lambda: sleepstudy().influence([1, 2]), DataError, "has 2 values; the model was fitted to 180 rows"),
    "number": (lambda: sleepstudy().influence(3), DataError, "give the name of a grouping factor or column"),
    "only": (lambda: sleepstudy().influence(["a"] * 180), DataError, "all rows are of `a`; without it nothing is left"),
    "missing": (lambda: sleepstudy().influence([None] + ["a"] * 179), DataError, "is missing in row 0"),
    "correlated": (
        lambda: rf.lmm("distance ~ age", data("orthodont"), correlation="car1(age | Subject)").influence(
            "Subject", method="one-step"
        ),
        ModelError,
        "not there for correlated residuals",
    ),
    "restricted": (
        lambda: rf.glmm(
            "cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), family="binomial", reml=True
        ).influence("herd", method="one-step"),
        ModelError,
        "fit with reml=False",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_refused(name):
    ask, error, text = ERRORS[name]
    with pytest.raises(error) as caught:
        ask()
    assert text in str(caught.value)


def test_large_groups_are_left_out_by_the_rows_that_stay(monkeypatch):
    # Of a group of many rows the inverse of the others is formed anew: two formulas for one change.
    fit = penicillin()
    by_group = fit.influence("plate", method="one-step").table
    monkeypatch.setattr("ranef.inference.deletion.closed_form.LARGE_SET", 0)
    by_rest = fit.influence("plate", method="one-step").table
    for column in by_group.select_dtypes("number"):
        np.testing.assert_allclose(by_rest[column], by_group[column], rtol=1e-8, atol=1e-10)
