"""Power by simulation: closed forms where there are some, designs, parameters, and reproducibility."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.stats import binomtest, norm

import ranef as rf
from models import cbpp, data, owls, penicillin, sleepstudy
from ranef.inference.power import (
    clopper_pearson,
    draw,
    extended,
    factors_of,
    spread_out,
    truth_of_fit,
    truth_of_parameters,
)

DESIGN = pd.DataFrame({"g": np.repeat(np.arange(30), 6).astype(str), "x": np.tile(np.arange(6.0), 30)})


def test_power_of_a_balanced_slope_is_the_normal_s():
    # Var(slope) = (sd_x^2 + sigma^2 / sum (x - xbar)^2) / groups: balanced, so exact.
    sd, sigma, beta, groups = 0.5, 1.0, 0.3, 30
    error = np.sqrt((sd**2 + sigma**2 / 17.5) / groups)
    expected = norm.cdf(beta / error - 1.96) + norm.cdf(-beta / error - 1.96)
    parameters = {"Intercept": 1, "x": beta, "sd(g, Intercept)": 1, "sd(g, x)": sd, "sigma": sigma}
    found = rf.power("y ~ x + (x | g)", DESIGN, parameters=parameters, test="x", ddf="asymptotic", n_sim=1500, seed=1)
    # Four Monte Carlo standard errors, and 0.02 for the estimated standard error with 29 degrees of freedom.
    assert found.table["power"][0] == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 1500) + 0.02)


def test_without_an_effect_the_power_is_alpha():
    parameters = {"Intercept": 0, "x": 0.0, "sd(g)": 0.7}
    arguments = {"parameters": parameters, "family": "poisson", "test": "x", "n_sim": 1500, "seed": 3}
    for method in ("wald", "lrt"):
        row = rf.power("y ~ x + (1 | g)", DESIGN, method=method, alpha=0.1, **arguments).table.iloc[0]
        # Four Monte Carlo standard errors; the asymptotic tests are a little liberal with 30 groups.
        assert abs(row["power"] - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 1500) + 0.005


def test_more_levels_more_rows_and_larger_effects():
    fit = sleepstudy()
    by_levels = rf.power(fit, effect={"Days": 5}, along={"Subject": [9, 18, 30]}, n_sim=100, seed=1).table
    assert by_levels["rows"].tolist() == [90, 180, 300]
    assert by_levels["power"].is_monotonic_increasing
    by_effects = rf.power(fit, effect={"Days": [2, 4, 8]}, n_sim=100, seed=1).table
    assert by_effects["power"].is_monotonic_increasing
    both = rf.power(fit, test="Days", effect={"Days": [4]}, within={"Subject": [4, 20]}, n_sim=100, seed=1).table
    assert both.columns.tolist()[:2] == ["Days", "rows in Subject"]
    assert both["rows"].tolist() == [72, 360]
    assert both["power"].is_monotonic_increasing


def test_levels_are_copied_evenly_and_are_new():
    model = extended(sleepstudy().model, {"Subject": 40}, {})
    (term,) = model.design.random
    assert len(term.levels) == 40 == len(set(term.levels))
    assert (np.bincount(term.codes) == 10).all()
    assert spread_out(18, 40)[-4:].tolist() == [0, 4, 9, 13]
    fewer = extended(sleepstudy().model, {}, {"Subject": 5})
    assert np.asarray(fewer.design.fixed["cond"].x)[:5, 1].tolist() == [0, 2, 4, 6, 8]
    crossed = extended(penicillin().model, {"plate": 50}, {})
    assert [len(t.levels) for t in crossed.design.random] == [50, 6]


def test_draws_have_the_model_s_moments():
    fit = sleepstudy()
    truth = truth_of_fit(fit)
    draws = np.array([draw(truth, fit.model, factors_of(truth), np.random.default_rng((1, r))) for r in range(2000)])
    z = np.asarray(fit.design.random[0].columns)
    sigma = fit.engine.covariance[0]
    expected = np.einsum("ij,jk,ik->i", z, sigma, z) + fit.sigma**2
    # Five Monte Carlo standard errors of a variance, over 180 rows.
    assert (np.abs(draws.var(axis=0) / expected - 1) < 5 * np.sqrt(2 / 2000)).all()
    assert np.abs((draws.mean(axis=0) - fit.predict(ranef=False)) / np.sqrt(expected / 2000)).max() < 5
    # Two rows of a subject: their covariance.
    pair = np.cov(draws[:, 2], draws[:, 7])[0, 1]
    error = np.sqrt((expected[2] * expected[7] + (z[2] @ sigma @ z[7]) ** 2) / 2000)
    assert abs(pair - z[2] @ sigma @ z[7]) < 4 * error


def test_parameters_by_name_are_a_fit_s():
    fit = sleepstudy()
    sds = fit.varcorr()
    parameters = fit.fixef() | {
        "sd(Subject, Intercept)": sds["sdcor"][0],
        "sd(Subject, Days)": sds["sdcor"][1],
        "cor(Subject)": sds["sdcor"][2],
        "sigma": fit.sigma,
    }
    given, found = truth_of_parameters(fit.model, parameters), truth_of_fit(fit)
    for a, b in zip((*given.beta, *given.covariance), (*found.beta, *found.covariance), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    as_data = rf.power(fit.formula, data("sleepstudy"), parameters=parameters, test="Days", n_sim=20, seed=1).table
    np.testing.assert_array_equal(as_data["power"], rf.power(fit, test="Days", n_sim=20, seed=1).table["power"])


def test_draws_depend_on_the_seed_and_their_number_alone():
    fit, calls = cbpp(), []

    def test(drawn):
        calls.append(drawn.fixef()["Intercept"])
        return drawn.tidy()["p_value"][1]

    for n, threads in ((5, 1), (60, 2)):
        rf.power(fit, test=test, n_sim=n, seed=3, threads=threads)
    few, many = calls[:5], calls[5:]
    # Threads may finish in any order.
    assert set(few) <= set(many)
    own = rf.power(fit, test="period[T.2]", n_sim=60, seed=3).table
    assert own.equals(rf.power(fit, test=test, n_sim=60, seed=3).table)


def test_terms_components_families_and_frames():
    assert rf.power(cbpp(), test="period", n_sim=40, seed=1).table["power"][0] > 0.9
    inflated = rf.glmm("count ~ mined + (1 | site)", data("salamanders"), family="poisson", zi="~ mined")
    assert rf.power(inflated, test="zi: mined[T.no]", n_sim=10, seed=1).table["power"][0] > 0
    wine = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    assert rf.power(wine, test="temp", n_sim=10, seed=1).table["power"][0] > 0.8
    assert rf.power(owls(), test="FoodTreatment:SexParent", n_sim=10, seed=1).table["n_sim"][0] == 10
    polars = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy", "polars"))
    assert isinstance(rf.power(polars, test="Days", n_sim=5, seed=1).table, pl.DataFrame)
    trials = data("cbpp").assign(share=lambda d: d["incidence"] / d["size"])
    share = rf.glmm("share ~ period + (1 | herd)", trials, family="binomial", weights="size")
    # The same model of the same data, drawn with the same numbers.
    found = [rf.power(fit, test="period[T.4]", n_sim=30, seed=2).table["power"][0] for fit in (share, cbpp())]
    assert found[0] == found[1]


def test_precision_weights_are_kept():
    weights = np.where(np.arange(180) % 2 == 0, 100.0, 1.0)
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), weights=weights)
    truth = truth_of_fit(fit)
    draws = np.array([draw(truth, fit.model, factors_of(truth), np.random.default_rng((1, r))) for r in range(800)])
    spread = np.diff(draws[:, :3], axis=1).var(axis=0)
    between = fit.sigma**2 * (1 / 100 + 1)
    assert spread == pytest.approx([between, between], rel=5 * np.sqrt(2 / 800))


def test_weights_stay_with_the_rows_that_are_copied():
    weights = np.linspace(1.0, 2.0, 180)
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), weights=weights)
    more = extended(fit.model, {"Subject": 36}, {})
    y, w = (np.asarray(values) for values in (more.design.response.y, more.design.weights))
    assert len(w) == len(y) == 360
    # Every response of the study is another number.
    of_response = dict(zip(np.asarray(fit.design.response.y), weights, strict=True))
    assert list(w) == [of_response[value] for value in y]


def test_one_simulation_is_enough_to_ask_for():
    table = rf.power(sleepstudy(), effect={"Days": 10}, n_sim=1, seed=1).table
    assert table["n_sim"].tolist() == [1]
    assert table["power"][0] in (0.0, 1.0)


def test_intervals_are_exact():
    for hits, n in ((0, 10), (3, 10), (10, 10), (950, 1000)):
        interval = binomtest(hits, n).proportion_ci(0.95, method="exact")
        assert clopper_pearson(hits, n, 0.95) == pytest.approx((interval.low, interval.high))


def test_it_is_printed_and_drawn(capsys):
    found = rf.power(sleepstudy(), effect={"Days": [3, 6]}, along={"Subject": [9, 18]}, n_sim=20, seed=1, progress=True)
    assert "20 of 20 simulations" in capsys.readouterr().err
    assert "Power of the test of Days (Wald test, alpha = 0.05)" in str(found)
    assert "<table>" in found._repr_html_()
    (axis,) = found.plot().axes
    assert axis.get_xlabel() == "Days"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["Subject = 9", "Subject = 18"]
