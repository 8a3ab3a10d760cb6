"""Residuals with a known fault: it is found where it is, and not where it is not."""

import math

import numpy as np
import pytest

import ranef as rf
from ranef.checks import draws
from ranef.checks.left_out_groups import is_trend
from ranef.checks.spread import _advice, _brown_forsythe
from ranef.checks.subject import subject_of
from worlds import Sites, has, linear, poisson, row, verdict


def test_the_grouping_that_was_forgotten_is_found_and_named():
    sites = Sites()
    found = poisson(sites.counts(), "y ~ x").check()
    grouping = row(found, "grouping by site")
    assert grouping["verdict"] == "problem"
    assert 'fit.update("y ~ x + (1 | site)")' in grouping["advice"]
    assert verdict(found, "dispersion") == "problem"
    assert repr(found).splitlines()[1].startswith("Begin with grouping by site")
    assert verdict(poisson(sites.counts(), "y ~ x").check(groups="site"), "grouping by site") == "problem"


def test_nothing_is_found_with_the_grouping_in_the_model():
    found = poisson(Sites().counts()).check()
    assert found.verdict == "ok"
    assert not len(found.problems)


def test_a_column_that_groups_nothing_is_looked_at_and_passed():
    sites = Sites()
    data = sites.normal().assign(batch=sites.rng.integers(0, 10, sites.n).astype(str))
    assert verdict(linear(data).check(), "grouping by batch") == "ok"


def test_numbers_that_residuals_follow_are_a_predictor_and_not_a_grouping():
    sites = Sites()
    dose = sites.rng.integers(0, 12, sites.n)
    data = sites.normal(sites.noise() + 0.4 * dose).assign(dose=dose)
    found = row(linear(data).check(), "grouping by dose")
    assert found["verdict"] == "look"
    assert 'fit.update("y ~ x + dose + (1 | site)")' in found["advice"]
    plots = sites.rng.permutation(12)[dose]
    found = row(linear(data.assign(dose=plots)).check(), "grouping by dose")
    assert found["verdict"] == "problem"
    assert "(1 | dose)" in found["advice"]


def test_one_outlying_group_is_found():
    sites = Sites()
    effects = 0.5 * sites.effects
    effects[7] = 4.0
    found = poisson(sites.counts(effects)).check()
    outlying = row(found, "outlying levels")
    assert outlying["verdict"] == "problem"
    assert "s007" in outlying["detail"]


@pytest.mark.parametrize("loud", [lambda site: site == 3, lambda site: site % 2 == 0], ids=["one group", "every other"])
def test_a_variance_that_differs_between_groups_is_found(loud):
    sites = Sites()
    data = sites.normal(np.where(loud(sites.site), 4.0, 1.0) * sites.noise())
    assert verdict(linear(data).check(), "spread between levels of site") == "problem"
    assert verdict(linear(sites.normal()).check(), "spread between levels of site") == "ok"


def test_overdispersion_is_found_and_the_negative_binomial_has_none():
    sites = Sites()
    mean = np.exp(sites.log_mean)
    data = sites.data.assign(y=sites.rng.negative_binomial(1.0, 1.0 / (1.0 + mean)))
    found = row(poisson(data).check(), "dispersion")
    assert found["verdict"] == "problem"
    # The variance is mu + mu^2, with mu about 4: several times mu.
    assert found["statistic"] > 2.5
    assert 'family="nbinom2"' in found["advice"]
    assert verdict(poisson(data, family="nbinom2").check(), "dispersion") == "ok"


def test_underdispersion_is_found():
    sites = Sites()
    # Sums of four Bernoulli trials have half the variance of their mean.
    data = sites.data.assign(y=sites.rng.binomial(4, 0.6, sites.n))
    found = row(poisson(data, "y ~ x").check(), "dispersion")
    assert found["verdict"] == "problem"
    # var / mean = 1 - 0.6, with 200 rows to within 15 %.
    assert found["statistic"] == pytest.approx(0.4, rel=0.15)
    assert "compois" in found["advice"]


def test_successes_among_trials_may_vary_too_much():
    sites = Sites()
    mean = 1.0 / (1.0 + np.exp(-0.5 * sites.data["x"] - sites.effects[sites.site]))
    wild = sites.rng.binomial(12, sites.rng.beta(2.0 * mean, 2.0 * (1.0 - mean)))
    tame = sites.rng.binomial(12, mean)
    for successes, expected in ((wild, "problem"), (tame, "ok")):
        data = sites.data.assign(k=successes, failures=12 - successes)
        fit = rf.glmm("cbind(k, failures) ~ x + (1 | site)", data, family="binomial")
        assert verdict(fit.check(), "dispersion") == expected


def test_binary_responses_have_no_dispersion():
    sites = Sites()
    data = sites.data.assign(y=sites.rng.binomial(1, 0.4, sites.n))
    assert not has(rf.glmm("y ~ x + (1 | site)", data, family="binomial").check(), "dispersion")


def test_excess_zeros_are_found_and_zero_inflation_explains_them():
    sites = Sites()
    data = sites.counts()
    data["y"] *= sites.rng.random(sites.n) > 0.35
    assert verdict(poisson(data).check(), "zeros") == "problem"
    assert verdict(poisson(data, zi="~ 1").check(), "zeros") == "ok"


def test_the_dispersion_ratio_is_pearsons_statistic_over_its_degrees_of_freedom():
    fit = poisson(Sites().counts(), "y ~ x")
    expected = np.sum(fit.residuals("pearson") ** 2) / (fit.nobs - 2)
    # Without random effects the leverages add up to the two coefficients.
    assert row(fit.check(), "dispersion")["statistic"] == pytest.approx(expected, rel=1e-6)


def test_skewed_and_long_tailed_residuals_are_found():
    sites = Sites()
    skewed = sites.normal(sites.rng.exponential(size=sites.n) - 1.0)
    assert verdict(linear(skewed).check(), "distribution") == "problem"
    tailed = linear(sites.normal(sites.rng.standard_t(2, size=sites.n))).check()
    assert verdict(tailed, "outliers") in ("look", "problem")
    assert verdict(linear(sites.normal()).check(), "distribution") == "ok"


def test_a_slip_of_the_pen_is_found_with_its_row():
    data = Sites().normal()
    data.loc[42, "y"] += 12.0
    found = row(linear(data).check(), "outliers")
    assert found["verdict"] == "look"
    assert "42" in found["detail"]


def test_rows_are_those_of_the_callers_data():
    data = Sites().normal()
    data.loc[42, "y"] += 12.0
    data.loc[3, "x"] = np.nan
    assert "beyond 3.29: 42" in row(linear(data).check(), "outliers")["detail"]


def test_a_variance_that_grows_with_the_mean_is_found():
    sites = Sites()
    grown = sites.data.assign(y=np.exp(sites.log_mean + 0.4 * sites.noise()))
    found = row(linear(grown).check(), "spread along")
    assert found["verdict"] == "problem"
    assert "log of the response" in found["advice"]
    assert verdict(linear(grown.assign(y=np.log(grown["y"]))).check(), "spread along") == "ok"


def test_the_test_of_spread_is_koenkers():
    fit = linear(Sites().normal(), "y ~ x", reml=False)
    # Without random effects the residuals are y - X b over sigma sqrt(1 - h), and n R^2 has one degree of freedom.
    x = np.column_stack([np.ones(fit.nobs), fit.design.fixed["cond"].x[:, 1]])
    h = np.einsum("ij,ji->i", x, np.linalg.solve(x.T @ x, x.T))
    r = fit.residuals() / fit.sigma / np.sqrt(1.0 - h)
    r_squared = np.corrcoef(fit.fitted(), r**2)[0, 1] ** 2
    p_value = math.erfc(math.sqrt(fit.nobs * r_squared / 2.0))
    # The leverages of the engine and of this line differ by rounding.
    assert row(fit.check(), "spread along")["p_value"] == pytest.approx(p_value, rel=1e-6)


def serial(n, correlation, rng):
    errors = rng.normal(size=n)
    for i in range(1, n):
        errors[i] += correlation * errors[i - 1]
    return errors


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ x + (1 | site)"])
def test_correlation_in_time_is_found_where_it_is(formula):
    sites = Sites()
    effects = sites.effects if "site" in formula else 0.0 * sites.effects
    rng = np.random.default_rng(5)
    day = np.arange(sites.n)
    alike = sites.normal(serial(sites.n, 0.6, rng), effects).assign(day=day)
    apart = sites.normal(rng.normal(size=sites.n), effects).assign(day=day)
    assert verdict(linear(alike, formula).check(time="day"), "autocorrelation") == "problem"
    assert verdict(linear(apart, formula).check(time="day"), "autocorrelation") == "ok"
    assert not has(linear(alike, formula).check(), "autocorrelation")


def test_dates_are_times():
    sites = Sites()
    rng = np.random.default_rng(5)
    dates = np.datetime64("2020-01-01") + np.arange(sites.n)
    data = sites.normal(serial(sites.n, 0.6, rng)).assign(day=dates.astype("datetime64[ns]"))
    assert verdict(linear(data).check(time="day"), "autocorrelation") == "problem"


def test_a_model_of_the_correlation_takes_it_away():
    sites = Sites()
    data = sites.normal(serial(sites.n, 0.6, np.random.default_rng(5))).assign(day=np.arange(sites.n))
    fit = linear(data, correlation="ar1(day | site)")
    assert verdict(fit.check(time="day"), "autocorrelation") == "ok"


def test_correlation_in_space_is_found_where_it_is():
    sites = Sites(sd=0.0)
    u, v = sites.rng.random(sites.n), sites.rng.random(sites.n)
    surface = 1.5 * np.sin(6.0 * u) * np.cos(6.0 * v)
    alike = sites.normal(surface + sites.noise()).assign(u=u, v=v)
    apart = sites.normal().assign(u=u, v=v)
    assert verdict(linear(alike, "y ~ x").check(space=["u", "v"]), "autocorrelation") == "problem"
    assert verdict(linear(apart, "y ~ x").check(space=["u", "v"]), "autocorrelation") == "ok"


def test_with_many_rows_a_small_departure_is_no_problem():
    sites = Sites(sites=100, rows=100)
    lot = np.tile(np.arange(100), 100)
    # A correlation within lots of 0.15^2 = 0.02: an F of about 3 on 99 degrees of freedom.
    data = sites.normal().assign(lot=lot)
    data["y"] += 0.15 * sites.rng.normal(size=100)[lot]
    found = row(linear(data).check(), "grouping by lot")
    assert found["p_value"] < 1e-4
    assert found["verdict"] == "ok"
    assert "too small to matter" in found["advice"]


def of(fit):
    return subject_of(fit, None, None, None, None, 1)


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_spreads_of_levels_are_compared_in_any_unit(unit):
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(12), 15)
    residuals = rng.normal(size=180) * np.exp(0.4 * rng.normal(size=12))[codes]
    expected, found = _brown_forsythe(residuals, codes, 12), _brown_forsythe(unit * residuals, codes, 12)
    assert expected[1] > 0.2
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_dispersion_that_varies_is_advised_where_there_is_one():
    data = Sites(1).counts()
    data["y"] += 1.0
    with_dispersion = poisson(data, family="gamma", link="log")
    assert "Let the dispersion follow a predictor" in _advice(of(with_dispersion), False)
    assert "than this family's" in _advice(of(poisson(data)), False)
    assert 'family="nbinom1"' in _advice(of(poisson(data, family="nbinom2")), False)


def test_few_draws_tell_how_much_the_sum_of_many_rows_varies(monkeypatch):
    fit = poisson(Sites(1, rows=50).counts())
    monkeypatch.setattr(draws, "NUMBERS", 20 * fit.nobs)
    mean, sd = fit.fitted().sum(), math.sqrt(fit.fitted().sum())
    found = draws.drawn_at_modes(of(fit), lambda y: y, mean + 2.0 * sd)
    # A variance of 20 draws of each of 1000 rows is known to 1 %; the mean of 20 sums to a fourth of their spread.
    assert found.spread == pytest.approx(sd, rel=0.05)
    assert abs(found.expected - mean) < sd
    off = (mean + 2.0 * sd - found.expected) / (found.spread * math.sqrt(1.0 + 1.0 / 20))
    assert found.p_value == pytest.approx(math.erfc(off / math.sqrt(2.0)), rel=1e-9)


@pytest.mark.parametrize("slope", [-1.0, 1.0])
def test_a_trend_of_either_sign_is_no_grouping(slope):
    sites = Sites(1)
    dose = np.arange(sites.n) % 8
    fit = linear(sites.normal().assign(dose=dose, y=lambda d: d["y"] + slope * dose))
    assert is_trend(of(fit), "dose", dose, 8)
    odd = linear(sites.normal().assign(dose=dose, y=lambda d: d["y"] + slope * (dose % 2)))
    assert not is_trend(of(odd), "dose", dose, 8)
