"""Figures of residuals and responses draw the numbers of their frames, and those are what they are said to be."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

import ranef as rf
from models import cbpp, data, owls, salamanders, sleepstudy
from ranef.plots import local_regression
from ranef.plots.local_regression import local_line


def counts(groups=60, rows=20, seed=3):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), rows)
    x = rng.normal(size=len(g))
    y = rng.poisson(np.exp(1.0 + 0.4 * x + 0.7 * rng.normal(size=groups)[g]))
    return pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})


# -- the smooth line --------------------------------------------------------------------------------------------------


def test_a_straight_line_is_found_exactly():
    x = np.sort(np.random.default_rng(1).exponential(size=90))
    line = local_line(x, 3.0 - 2.0 * x)
    np.testing.assert_allclose(line.estimate, 3.0 - 2.0 * line.x, atol=1e-10)
    np.testing.assert_allclose(line.sd, 0.0, atol=1e-7)


def test_the_band_holds_the_line_as_often_as_it_says():
    rng, x = np.random.default_rng(2), np.linspace(0.0, 1.0, 60)
    inside = []
    for _ in range(400):
        line = local_line(x, rng.normal(size=60))
        inside.append((line.conf_low <= 0.0) & (line.conf_high >= 0.0))
    share = np.mean(inside, axis=0)
    # The normal quantile, with about 55 degrees of freedom left for the spread: 94 %. 4 standard errors are 5 %.
    assert np.all(share > 0.89)
    assert np.all(share < 0.99)


def test_many_points_give_the_line_of_all(monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.normal(size=1500)
    y = np.sin(x) + rng.normal(size=1500)
    whole = local_line(x, y)
    monkeypatch.setattr(local_regression, "MOST", 300)
    binned = local_line(x, y)
    # Bins of five points are far narrower than the span.
    np.testing.assert_allclose(binned.estimate, np.interp(binned.x, whole.x, whole.estimate), atol=0.03)
    np.testing.assert_allclose(
        binned.conf_high - binned.conf_low, np.interp(binned.x, whole.x, whole.conf_high - whole.conf_low), rtol=0.1
    )


def test_few_places_have_no_line():
    assert local_line(np.tile([0.0, 1.0, 2.0], 30), np.zeros(90)) is None


# -- residuals --------------------------------------------------------------------------------------------------------


def test_points_are_the_residuals_of_the_fit():
    frame = owls().plot.residuals_data(seed=4)
    np.testing.assert_allclose(frame["residual"], owls().residuals("quantile", seed=4))
    np.testing.assert_allclose(frame["fitted"], owls().predict(kind="link"))
    axis = owls().plot.residuals(seed=4).axes[0]
    cloud = next(line for line in axis.lines if len(line.get_xdata()) == len(frame))
    np.testing.assert_allclose(cloud.get_ydata(), frame["residual"])
    trend = owls().plot.residuals_data(seed=4, layer="trend")
    drawn = next(line for line in axis.lines if line.get_label() == "mean")
    np.testing.assert_allclose(drawn.get_ydata(), trend["estimate"])
    assert axis.get_xlabel() == "fitted value, log scale"
    assert axis.get_ylabel() == "quantile residual (standard normal)"


def test_kinds_and_their_labels():
    fit = sleepstudy()
    np.testing.assert_allclose(fit.plot.residuals_data()["residual"], fit.residuals("pearson"))
    np.testing.assert_allclose(
        fit.plot.residuals_data(ranef=False, kind="response")["residual"], fit.residuals(ranef=False)
    )
    assert fit.plot.residuals(ranef=False, kind="response").axes[0].get_ylabel() == "population residual of Reaction"
    serial = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), correlation="ar1(Days | Subject)")
    np.testing.assert_allclose(serial.plot.residuals_data()["residual"], serial.residuals("normalized"))


def test_bars_of_a_factor_are_quantiles():
    frame = owls().plot.residuals_data("FoodTreatment")
    bars = owls().plot.residuals_data("FoodTreatment", layer="levels")
    for level, own in frame.groupby("FoodTreatment"):
        row = bars[bars["FoodTreatment"] == level].iloc[0]
        assert row["rows"] == len(own)
        assert row["q25"] == pytest.approx(np.quantile(own["residual"], 0.25))
    axis = owls().plot.residuals("FoodTreatment").axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["Deprived", "Satiated"]
    np.testing.assert_allclose(axis.lines[-1].get_ydata(), bars["q50"])


def test_numbers_that_group_are_levels():
    frame = data("sleepstudy").assign(Subject=data("sleepstudy")["Subject"].astype(int))
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", frame)
    assert len(fit.plot.residuals_data("Subject", layer="levels")) == 18
    assert fit.plot.residuals("Days").axes[0].get_xlabel() == "Days"


def test_marginal_residuals_are_standard_normal_under_the_model():
    fit = rf.glmm("y ~ x + (1 | g)", counts(), family="poisson")
    marginal = fit.plot.residuals_data(ranef="new")["residual"].to_numpy()
    # Residuals of a group are alike, so their mean is that of 60 groups: 5 standard errors.
    assert abs(marginal.mean()) < 5.0 * marginal.reshape(60, 20).mean(axis=1).std() / np.sqrt(60)
    assert marginal.std() == pytest.approx(1.0, abs=0.12)
    population = fit.plot.residuals_data(ranef=False)["residual"]
    assert population.std() > 1.3  # what they are without the random effects' variance


# -- QQ plots ---------------------------------------------------------------------------------------------------------


def test_qq_plots_sort_what_they_show():
    frame = owls().plot.qq_data(seed=4)
    np.testing.assert_allclose(frame["sample"], np.sort(owls().residuals("quantile", seed=4)))
    n = len(frame)
    np.testing.assert_allclose(frame["theoretical"], stats.norm.ppf((np.arange(1, n + 1) - 0.5) / n))
    # The least of n uniform values is below p with probability 1 - (1 - p)^n.
    assert frame["conf_low"].iloc[0] == pytest.approx(stats.norm.ppf(1.0 - 0.975 ** (1.0 / n)), rel=1e-9)
    drawn = owls().plot.qq(seed=4).axes[0].lines[-1].get_ydata()
    np.testing.assert_allclose(drawn, frame["sample"])


def test_random_effects_have_a_panel_a_term():
    figure = sleepstudy().plot.qq("ranef")
    assert [axis.get_title() for axis in figure.axes] == ["Subject: Intercept", "Subject: Days"]
    frame = sleepstudy().plot.qq_data("ranef")
    modes = sleepstudy().ranef()
    days = modes[modes["term"] == "Days"]["estimate"].to_numpy()
    shown = frame[frame["panel"] == "Subject: Days"]["sample"].to_numpy()
    # Balanced data: all modes are divided by the same standard deviation.
    assert np.ptp(shown / np.sort(days)) < 1e-6


# -- responses --------------------------------------------------------------------------------------------------------


def test_responses_are_counted_and_so_are_draws():
    frame = salamanders().plot.responses_data()
    y = data("salamanders")["count"]
    assert frame["observed"].tolist()[:3] == [(y == k).sum() for k in range(3)]
    draws = salamanders().simulate(100, seed=1)
    assert frame["expected"].tolist()[:3] == pytest.approx([(draws == k).sum() / 100 for k in range(3)])
    axis = salamanders().plot.responses().axes[0]
    bars = axis.patches[: len(frame)]
    np.testing.assert_allclose([bar.get_height() for bar in bars], np.sqrt(frame["observed"]))
    np.testing.assert_allclose([bar.get_y() for bar in bars], np.sqrt(frame["expected"]) - np.sqrt(frame["observed"]))


def test_a_continuous_response_has_a_histogram_of_all_rows():
    frame = sleepstudy().plot.responses_data()
    assert frame["observed"].sum() == 180
    assert (frame["conf_low"] <= frame["conf_high"]).all()
    assert sleepstudy().plot.responses().axes[0].get_xlabel() == "Reaction"


def test_categories_are_named():
    fit = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    axis = fit.plot.responses().axes[0]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    assert fit.plot.responses_data()["observed"].tolist() == data("wine")["rating"].value_counts(sort=False).tolist()


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_and_its_frame_have_the_same_panels():
    for fit in (sleepstudy(), cbpp()):
        figure, frame = fit.plot.diagnostics(), fit.plot.diagnostics_data()
        assert list(dict.fromkeys(frame["panel"])) == [axis.get_title() for axis in figure.axes]
    marginal = sleepstudy().plot.diagnostics_data().query("panel == 'marginal residuals'")
    np.testing.assert_allclose(marginal["y"], sleepstudy().residuals(ranef=False))


def test_a_model_without_groups_has_its_page_too():
    fit = sleepstudy().update("Reaction ~ Days")
    assert len(fit.plot.diagnostics().axes) == 4


def test_pages_are_drawn_on_axes_that_are_given():
    own = Figure()
    axes = own.subplots(2, 3).ravel()
    assert sleepstudy().plot.diagnostics(ax=axes) is own
    other = Figure()
    assert sleepstudy().check().plot(ax=other.subplots(2, 3)) is other
    assert sleepstudy().plot.residuals(ax=Figure().subplots()) is not own
