"""Coefficients of several models and densities of parameters draw the numbers of their frames."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

import ranef as rf
from models import cbpp, data, owls, sleepstudy
from ranef.errors import ModelError


def test_coefficients_are_those_of_tidy():
    frame, tidy = owls().plot.coefficients_data(), owls().tidy()
    own = tidy[~tidy["term"].isin(["Intercept"])]
    assert frame["term"].tolist() == own["term"].tolist()
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(frame[column], own[column])
    axis = owls().plot.coefficients().axes[0]
    drawn = axis.lines[0].get_xdata()
    np.testing.assert_allclose(drawn, frame["estimate"])
    assert [text.get_text() for text in axis.get_yticklabels()] == [
        "FoodTreatment[T.Satiated]",
        "SexParent[T.Male]",
        "FoodTreatment[T.Satiated]:\nSexParent[T.Male]",
    ]
    assert axis.get_xlabel() == "coefficient (log scale)"


def test_several_models_have_a_mark_each_and_a_panel_a_component():
    small, large = owls().update(zi=None), owls().update(zi="~ FoodTreatment")
    figure = rf.plot_coefficients({"without": small, "with": large})
    assert [axis.get_title() for axis in figure.axes] == ["mean", "zero inflation"]
    assert figure.axes[1].get_xlabel() == "coefficient (logit scale)"
    frame = rf.plot_coefficients_data({"without": small, "with": large})
    for k, (model, marker) in enumerate((("without", "o"), ("with", "s"))):
        line = figure.axes[0].lines[k]
        assert line.get_marker() == marker
        own = frame[(frame["model"] == model) & (frame["component"] == "cond")]
        np.testing.assert_allclose(line.get_xdata(), own["estimate"])
    # Marks of a term stand apart, the first model's above.
    assert figure.axes[0].lines[0].get_ydata()[0] > figure.axes[0].lines[1].get_ydata()[0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["without", "with"]


def test_ratios_stand_on_a_logarithmic_axis():
    figure = owls().plot.coefficients(exponentiate=True)
    frame, plain = owls().plot.coefficients_data(exponentiate=True), owls().plot.coefficients_data()
    np.testing.assert_allclose(frame["conf_high"], np.exp(plain["conf_high"]))
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "ratio"
    # An identity link has no ratios.
    assert sleepstudy().plot.coefficients_data(exponentiate=True)["estimate"].iloc[0] == pytest.approx(10.467, abs=1e-3)


def test_random_parameters_have_panels_by_what_they_are():
    figure = sleepstudy().plot.coefficients(effects="random")
    assert [axis.get_title() for axis in figure.axes] == [
        "mean: standard deviations of Subject",
        "mean: correlations of Subject",
        "mean: residual",
    ]


def test_thresholds_come_with_the_intercepts():
    fit = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    assert len(fit.plot.coefficients().axes) == 1
    assert [axis.get_title() for axis in fit.plot.coefficients(intercept=True).axes] == ["mean", "thresholds"]


def test_models_without_names_are_told_apart():
    names = rf.plot_coefficients_data([sleepstudy(), sleepstudy()])["model"].tolist()
    assert names == ["Reaction ~ Days + (Days | Subject)", "Reaction ~ Days + (Days | Subject) (2)"]


def test_what_is_refused():
    for refused, told in (
        (lambda: rf.plot_coefficients([1]), "give fits"),
        (lambda: rf.plot_coefficients([]), "give fits"),
        (lambda: sleepstudy().update("Reaction ~ 1 + (1 | Subject)").plot.coefficients(), "intercept=True"),
        (lambda: sleepstudy().plot.density(draws=data("sleepstudy")), "has no `converged`"),
    ):
        with pytest.raises(ModelError, match=told):
            refused()


# -- densities --------------------------------------------------------------------------------------------------------


def test_the_profile_of_a_linear_model_is_a_t_density():
    fit = rf.lmm("Reaction ~ Days", data("sleepstudy"), reml=False)
    frame = fit.plot.density_data(parm="Days")
    estimate, n = fit.fixef()["Days"], 180
    se = fit.tidy().set_index("term").loc["Days", "std_error"]
    # -2 log likelihood of a coefficient is n log(1 + t^2 / n), t over the standard error of maximum likelihood.
    t = (frame["value"] - estimate) / se
    zeta = np.sign(t) * np.sqrt(n * np.log1p(t**2 / n))
    slope = np.gradient(zeta, frame["value"])
    # A spline through ten points.
    np.testing.assert_allclose(frame["density"], stats.norm.pdf(zeta) * slope, rtol=0.02, atol=2e-3 / se)


def test_the_shaded_part_is_the_profile_interval():
    frame = sleepstudy(False).plot.density_data(parm="sd__Days")
    inside = frame[frame["inside"]]["value"]
    ends = sleepstudy(False).confint("profile", parm="sd__Days")[["conf_low", "conf_high"]].to_numpy()[0]
    # A two-hundredth of the reach.
    step = np.diff(frame["value"]).max()
    assert inside.min() == pytest.approx(ends[0], abs=1.5 * step)
    assert inside.max() == pytest.approx(ends[1], abs=1.5 * step)


def test_bootstrap_densities_integrate_to_one_and_stay_where_parameters_can_be():
    draws = cbpp().bootstrap(200, seed=1)
    frame = cbpp().plot.density_data(draws=draws)
    for _, own in frame.groupby("parameter"):
        assert np.trapezoid(own["density"], own["value"]) == pytest.approx(1.0, abs=0.01)
    spread = frame[frame["parameter"] == "sd__Intercept"]
    assert spread["value"].min() >= 0.0
    kept = draws[draws["converged"]]["period[T.2]"]
    inside = frame[(frame["parameter"] == "period[T.2]") & frame["inside"]]["value"]
    assert inside.min() == pytest.approx(kept.quantile(0.025), abs=0.05)
    axis = Figure().subplots()
    assert cbpp().plot.density(ax=axis, draws=draws, parm="period[T.2]") is axis.figure
    assert axis.get_ylabel() == "density (bootstrap)"
