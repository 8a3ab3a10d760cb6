"""`Fit.simulate_residuals` and `scaled_residuals`: what they place, what they find, what they say."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import ranef as rf
from models import cbpp, data, owls, sleepstudy
from ranef.plots.canvas import new_axes


def grouped_counts(seed=1, groups=20, size=12, sd=0.8, level=0.8, inflated=(), noise=0.6, apart=None):
    """Poisson counts with a random intercept; in some groups with a variance above it, or one group far from all."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=len(g))
    b = sd * rng.normal(size=groups)
    if apart is not None:
        b[apart] = 3.0
    noise = np.where(np.isin(g, inflated), noise, 0.0) * rng.normal(size=len(g))
    y = rng.poisson(np.exp(level + 0.4 * x + b[g] + noise))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{k:02d}" for k in g], "time": np.arange(len(g))})


def test_residuals_of_a_fit_are_the_places_in_its_own_simulations():
    fit = owls()
    found = fit.simulate_residuals(n=50, seed=4)
    assert (found.simulated == fit.simulate(50, seed=4, ranef=True)).all()
    assert (found.observed == data("owls")["SiblingNegotiation"]).all()
    assert (found.fitted == fit.fitted()).all()
    assert (found.n, found.nobs, found.seed) == (50, 599, 4)
    low, high = (
        (found.simulated < found.observed[:, None]).mean(axis=1),
        (found.simulated <= found.observed[:, None]).mean(axis=1),
    )
    assert ((found.scaled >= low) & (found.scaled <= high)).all()
    assert (fit.simulate_residuals(n=50, seed=4).scaled == found.scaled).all()


@pytest.mark.parametrize("ranef", [True, False, "new", ["Subject"]])
def test_random_effects_are_kept_drawn_or_left_out(ranef):
    fit = sleepstudy()
    found = fit.simulate_residuals(n=400, seed=2, ranef=ranef)
    mean = fit.predict(ranef=False if ranef == "new" else ranef)
    assert (found.fitted == mean).all()
    # Means of 400 simulations are within five standard errors of the fitted ones.
    away = (found.simulated.mean(axis=1) - mean) / found.simulated.std(axis=1) * 20
    assert np.abs(away).max() < 5
    spread = found.simulated.std(axis=1).mean()
    assert spread > 1.3 * fit.sigma if ranef == "new" else spread == pytest.approx(fit.sigma, rel=0.02)


def test_successes_among_trials_are_counts():
    fit = cbpp()
    found = fit.simulate_residuals(n=30, seed=1)
    assert (found.observed == data("cbpp")["incidence"]).all()
    assert found.fitted == pytest.approx(fit.fitted() * data("cbpp")["size"].to_numpy(), rel=1e-14)
    proportion = rf.glmm("incidence / size ~ period + (1 | herd)", data("cbpp"), family="binomial", weights="size")
    again = proportion.simulate_residuals(n=30, seed=1)
    assert (again.observed == found.observed).all()
    assert again.simulated == pytest.approx(found.simulated, abs=1)  # the fits differ by the optimiser's tolerance


def test_ordered_categories_are_numbers():
    fit = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    found = fit.simulate_residuals(n=100, seed=1)
    assert set(np.unique(found.simulated)) <= {1, 2, 3, 4, 5}
    assert found.fitted == pytest.approx(fit.fitted())
    assert found.test_uniformity().p_value > 0.05


def test_dropped_rows_stay_dropped():
    frame = data("sleepstudy").copy()
    frame.loc[[3, 50], "Reaction"] = np.nan
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", frame)
    found = fit.simulate_residuals(n=20, seed=1)
    whole = found.test_quantiles(frame["Days"])
    assert whole == found.test_quantiles("Days")


def test_normal_scale():
    found = owls().simulate_residuals(n=50, seed=4)
    normal = found.residuals()
    inside = (found.scaled > 0) & (found.scaled < 1)
    assert normal[inside] == pytest.approx(stats.norm.ppf(found.scaled[inside]), rel=1e-12)
    assert np.isfinite(normal).all()
    assert np.abs(normal).max() == pytest.approx(stats.norm.isf(0.01)) or (np.abs(normal) < 4).all()
    shifted = found.residuals(lambda p: 10 * p, outliers=(-5, 5))
    assert shifted[inside] == pytest.approx(10 * found.scaled[inside])
    assert set(shifted[~inside]) <= {-5.0, 5.0}


def test_groups_are_put_together_with_their_variables():
    found = owls().simulate_residuals(n=50, seed=4)
    nests = found.aggregated("Nest")
    frame = data("owls")
    order = frame["Nest"].drop_duplicates()
    sums = frame.groupby("Nest", observed=True)["SiblingNegotiation"].sum().loc[order]
    assert nests.observed.tolist() == sums.tolist()
    assert nests.nobs == 27
    means = frame.groupby("Nest", observed=True)["BroodSize"].mean().loc[order].to_numpy()
    assert nests.test_quantiles("BroodSize") == nests.test_quantiles(means).__class__(
        **{**nests.test_quantiles(means).__dict__, "effect_text": nests.test_quantiles("BroodSize").effect_text}
    )
    assert owls().simulate_residuals(n=50, seed=4, group_by="Nest").scaled.tolist() == nests.scaled.tolist()
    assert "put together by Nest (sum)" in repr(nests)


def test_times_that_occur_twice_are_put_together():
    found = owls().simulate_residuals(n=50, seed=4)
    test = found.test_temporal("ArrivalTime")
    assert test.effect_text.endswith("(599 rows summed to 317)")
    whole = found.aggregated("ArrivalTime")
    assert whole.nobs == 317


def test_dates_are_times():
    y = np.random.default_rng(1).normal(size=(30, 21))
    days = pd.date_range("2020-01-01", periods=30)
    found = rf.scaled_residuals(y[:, 0], y[:, 1:], data=pd.DataFrame({"day": days}), seed=1)
    assert found.test_temporal("day") == found.test_temporal(np.arange(30))


def test_a_random_effect_left_out_is_found_by_its_groups():
    frame = grouped_counts(size=30, sd=1.0)
    without = rf.glmm("y ~ x", frame, family="poisson").simulate_residuals(n=250, seed=1)
    test = without.test_groups("g")
    assert test.p_value < 1e-6
    assert sum(detail.p_value < 0.05 for detail in test.details[:-1]) >= 5
    assert without.test_dispersion().effect > 1.5
    within = rf.glmm("y ~ x + (1 | g)", frame, family="poisson").simulate_residuals(n=250, seed=1)
    assert within.test_groups("g").p_value > 0.05
    assert within.test_uniformity().p_value > 0.05
    assert 0.7 < within.test_dispersion().effect < 1.3


def test_a_group_apart_is_found_when_the_random_effects_are_drawn_afresh():
    frame = grouped_counts(seed=3, groups=25, size=8, sd=0.3, apart=4)
    fit = rf.glmm("y ~ x + (1 | g)", frame, family="poisson")
    # At the modes the group has its own level: nothing is wrong within groups.
    assert fit.simulate_residuals(n=500, seed=1).test_groups("g").p_value > 0.05
    means = fit.simulate_residuals(n=500, seed=1, ranef="new").aggregated("g")
    assert means.scaled.argmax() == 4
    assert means.scaled[4] > 0.99
    assert means.test_outliers(alternative="greater").effect >= 0.0


def test_a_variance_inflated_in_some_groups_is_found_by_levene():
    frame = grouped_counts(seed=5, groups=16, size=60, sd=0.3, level=2.0, inflated=(0, 1, 2, 3))
    found = rf.glmm("y ~ x + (1 | g)", frame, family="poisson").simulate_residuals(n=250, seed=1)
    spread = found.test_groups("g").details[-1]
    assert spread.test == "equal spread"
    assert spread.p_value < 0.001
    # Distances from the median of a uniform variable are 1/4 on average, and at most 1/2.
    assert spread.effect > 1.4


def test_tests_come_as_one_frame_of_the_callers_kind():
    found = owls().simulate_residuals(n=50, seed=4)
    frame = found.tests()
    assert frame["test"].tolist() == ["uniformity", "dispersion", "outliers", "zero inflation", "quantiles"]
    assert frame["p_value"][1] == found.test_dispersion().p_value
    fit = rf.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", pl.DataFrame(data("cbpp")), family="binomial"
    )
    assert isinstance(fit.simulate_residuals(n=20, seed=1).tests(), pl.DataFrame)


def test_binary_responses_come_with_advice():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"y": rng.integers(0, 2, 120), "g": np.repeat(list("abcdefghij"), 12)})
    found = rf.glmm("y ~ 1 + (1 | g)", frame, family="binomial").simulate_residuals(n=100, seed=1)
    assert "single 0/1 responses tell little" in repr(found)
    assert "zero inflation" not in found.tests()["test"].tolist()
    assert "single 0/1" not in repr(found.aggregated("g"))


def test_text_and_html_hold_every_test_and_say_what_many_rows_mean():
    rng = np.random.default_rng(3)
    found = rf.scaled_residuals(rng.normal(size=2000), rng.normal(size=(2000, 60)), rng.normal(size=2000), seed=1)
    text, page = repr(found), found._repr_html_()
    for word in ("uniformity", "dispersion", "outliers", "quantiles", "with 2000 rows p-values are small"):
        assert word in text
        assert word in page
    assert "<table>" in page


def test_simulations_of_another_package():
    rng = np.random.default_rng(4)
    y, s = rng.poisson(3, 70), rng.poisson(3, (70, 80))
    found = rf.scaled_residuals(y.tolist(), pd.DataFrame(s), data=pl.DataFrame({"site": ["a", "b"] * 35}), seed=1)
    assert found.fitted == pytest.approx(s.mean(axis=1))
    assert found.test_groups("site").test == "groups"
    assert isinstance(found.tests(), pl.DataFrame)
    assert rf.scaled_residuals(y, s, group_by=["a", "b"] * 35, seed=1).nobs == 2


@pytest.mark.parametrize("seed", range(3))
def test_conditional_residuals_of_a_right_model_are_uniform(seed):
    fit = rf.glmm("y ~ x + (1 | g)", grouped_counts(seed=20 + seed), family="poisson")
    found = fit.simulate_residuals(n=250, seed=1)
    assert found.test_uniformity().p_value > 0.01
    assert found.test_outliers().p_value > 0.01


def test_figures_draw_the_residuals():
    found = owls().simulate_residuals(n=50, seed=4)
    figure = found.plot()
    left, right = figure.axes
    points = next(line for line in left.get_lines() if line.get_marker() == "o")
    assert (points.get_ydata() == np.sort(found.scaled)).all()
    assert left.get_title(loc="left").count("(p") == 4
    curves = [line for line in right.get_lines() if len(line.get_xdata()) == 101]
    assert len(curves) == 3
    assert right.get_xlabel() == "fitted value (rank)"
    _, axes = new_axes(1, 2, 6.0, 3.0)
    assert found.plot(axes) is axes[0].figure
    assert found.plot_qq(axes[0]) is axes[0].figure
    levels = found.plot_against("FoodTreatment").axes[0]
    assert [tick.get_text() for tick in levels.get_xticklabels()] == ["Deprived", "Satiated"]
    bars = found.hist().axes[0].patches
    assert sum(bar.get_height() for bar in bars if hasattr(bar, "get_height") and bar.get_height() < 599) >= 599
    assert found.plot_against("Nest").axes[0].get_title(loc="left").startswith("groups (p")


def test_many_rows_are_drawn_as_density():
    rng = np.random.default_rng(5)
    found = rf.scaled_residuals(rng.normal(size=6000), rng.normal(size=(6000, 40)), rng.normal(size=6000), seed=1)
    figure = found.plot()
    assert len(figure.axes) == 3  # the colour bar is the third
    assert figure.axes[1].collections[0].get_array().sum() == 6000


def test_every_test_has_a_p_value_and_an_effect_in_words():
    found = owls().simulate_residuals(n=30, seed=1)
    for name in ("uniformity", "dispersion", "outliers", "zero_inflation", "quantiles"):
        test = getattr(found, f"test_{name}")()
        assert 0.0 <= test.p_value <= 1.0
        assert test.effect_text
