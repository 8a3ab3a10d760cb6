"""What stands behind effects in a figure: responses, partial residuals and lines of groups are what they should be."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import ranef as rf
from models import cbpp, data, owls, owls_poisson, sleepstudy
from ranef.errors import ModelError


def arrivals():
    formula = "SiblingNegotiation ~ FoodTreatment * SexParent + ArrivalTime + (ArrivalTime | Nest)"
    return rf.glmm(formula, data("owls"), family="nbinom2")


def test_lines_of_a_group_are_its_coefficients():
    fit = sleepstudy()
    lines = fit.plot.effects_data("Days [0, 9]", layer="lines", lines="Subject")
    wide = fit.coef().pivot_table(index="level", columns="term", values="estimate")
    for row in lines.itertuples():
        expected = wide.loc[row.group, "Intercept"] + wide.loc[row.group, "Days"] * row.Days
        assert row.y == pytest.approx(expected, rel=1e-10)
    axis = fit.plot.effects("Days [0, 9]", lines="Subject").axes[0]
    drawn = [line.get_ydata() for line in axis.lines if line.get_linewidth() < 1.0]
    np.testing.assert_allclose(drawn, lines["y"].to_numpy().reshape(18, 2))


def test_levels_have_lines_where_they_have_rows():
    frame = data("owls")
    lines = arrivals().plot.effects_data("ArrivalTime [22, 28]", "FoodTreatment", layer="lines", lines="Nest")
    met = {tuple(pair) for pair in frame[["Nest", "FoodTreatment"]].drop_duplicates().to_numpy()}
    assert {tuple(pair) for pair in lines[["group", "FoodTreatment"]].drop_duplicates().to_numpy()} == met


def test_a_nested_group_keeps_its_effects_though_a_part_of_it_is_fixed():
    fit = rf.lmm("angle ~ recipe + temp + (1 | recipe:replicate)", data("cake"))
    lines = fit.plot.effects_data("temp [200]", "recipe", layer="lines", lines="recipe:replicate")
    modes = fit.ranef().set_index("level")["estimate"]
    typical = fit.plot.effects_data("temp [200]", "recipe").set_index("recipe")["estimate"]
    assert len(lines) == 45
    for row in lines.itertuples():
        assert row.y == pytest.approx(typical[row.recipe] + modes[row.group], rel=1e-10)


def test_partial_residuals_of_a_linear_model_are_effect_plus_residual():
    frame = data("sleepstudy").assign(z=np.random.default_rng(1).normal(size=180))
    fit = rf.lmm("Reaction ~ Days + z + (1 | Subject)", frame)
    shown = fit.plot.effects_data("Days", layer="residuals")
    beta = fit.fixef()
    expected = beta["Intercept"] + beta["Days"] * frame["Days"] + beta["z"] * frame["z"].mean() + fit.residuals()
    np.testing.assert_allclose(shown["y"], expected, rtol=1e-10)


def test_partial_residuals_under_a_log_link_are_the_effect_times_the_ratio():
    fit = owls_poisson()
    shown = fit.plot.effects_data("FoodTreatment", layer="residuals")
    effect = fit.plot.effects_data("FoodTreatment").set_index("FoodTreatment")["estimate"]
    expected = effect[shown["FoodTreatment"]].to_numpy() * data("owls")["SiblingNegotiation"] / fit.fitted()
    # Where nothing was counted, one minus one times the effect: zero but for the rounding of the ones.
    np.testing.assert_allclose(shown["y"], expected, rtol=1e-9, atol=1e-14)
    link = fit.plot.effects_data("FoodTreatment", layer="residuals", kind="link")
    np.testing.assert_allclose(
        link["y"], np.log(effect[link["FoodTreatment"]].to_numpy()) + fit.residuals("working"), rtol=1e-9
    )


def test_responses_stand_with_their_colour_and_panel():
    fit = arrivals()
    axes = fit.plot.effects("ArrivalTime", ["FoodTreatment", "SexParent"], data=True).axes
    frame = data("owls")
    for axis, sex in zip(axes, ("Female", "Male"), strict=True):
        clouds = [line for line in axis.lines if line.get_linestyle() == "None" and line.get_marker() == "o"]
        for cloud, food in zip(clouds, ("Deprived", "Satiated"), strict=True):
            own = frame[(frame["SexParent"] == sex) & (frame["FoodTreatment"] == food)]
            np.testing.assert_array_equal(cloud.get_xdata(), own["ArrivalTime"])
            np.testing.assert_array_equal(cloud.get_ydata(), own["SiblingNegotiation"])


def test_binary_responses_are_shares():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {"y": rng.integers(0, 2, 400), "x": np.tile(np.arange(4), 100), "g": np.repeat(np.arange(20), 20)}
    )
    fit = rf.glmm("y ~ x + (1 | g)", frame, family="binomial")
    axis = fit.plot.effects("x", data=True).axes[0]
    shares = next(line for line in axis.lines if line.get_linestyle() == "None" and line.get_marker() == "o")
    np.testing.assert_allclose(shares.get_ydata(), frame.groupby("x")["y"].mean())


def test_many_colours_are_a_scale_of_lightness_with_a_short_legend():
    figure = sleepstudy().plot.effects("Days", "Subject")
    lines = figure.axes[0].lines
    colours = {tuple(np.round(line.get_color(), 4)) for line in lines if not isinstance(line.get_color(), str)}
    assert len(colours) == 18
    frame = pd.DataFrame({"y": np.arange(200.0) % 7, "x": np.tile([0.0, 1.0], 100), "g": np.repeat(np.arange(100), 2)})
    many = rf.lmm("y ~ x + (1 | g)", frame).plot.effects("x", "g").legends[0].get_texts()
    assert many[-1].get_text() == "… 99 (100 in all)"


def test_own_axes_and_refusals():
    axis = Figure().subplots()
    assert cbpp().plot.effects("period", ax=axis, lines="herd") is axis.figure
    for refused, told in (
        (lambda: owls().plot.effects("FoodTreatment", residuals=True), "zero inflation"),
        (lambda: owls().plot.effects("FoodTreatment", lines="nest"), "did you mean"),
        (lambda: sleepstudy().plot.effects("Days", data=True, residuals=True), "not both"),
        (lambda: sleepstudy().plot.effects_data("Days", layer="points"), "give 'estimates', 'data'"),
    ):
        with pytest.raises(ModelError, match=told):
            refused()
