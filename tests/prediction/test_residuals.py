"""Residuals by their definitions."""

import numpy as np
import pytest
from scipy.special import xlogy

import ranef as rf
from models import cbpp, data, owls, owls_poisson, sleepstudy


def test_linear_model():
    fit, y = sleepstudy(), data("sleepstudy")["Reaction"].to_numpy(float)
    np.testing.assert_allclose(fit.residuals(), y - fit.fitted())
    np.testing.assert_allclose(fit.residuals(ranef=False), y - fit.predict(ranef=False))
    # Without weights the Pearson residual is the raw one, as in lme4: sigma is not divided out.
    np.testing.assert_allclose(fit.residuals("pearson"), fit.residuals(), rtol=1e-9)
    np.testing.assert_allclose(fit.residuals("pearson", ranef=False), fit.residuals(ranef=False), rtol=1e-9)


def test_precision_weights_scale_the_pearson_residual():
    sleep = data("sleepstudy").assign(w=np.tile([1.0, 4.0], 90))
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, weights="w")
    np.testing.assert_allclose(fit.residuals("pearson"), fit.residuals() * np.sqrt(sleep["w"]), rtol=1e-9)


def test_poisson():
    fit, y = owls_poisson(), data("owls")["SiblingNegotiation"].to_numpy(float)
    mu = fit.fitted()
    np.testing.assert_allclose(fit.residuals("pearson"), (y - mu) / np.sqrt(mu), rtol=1e-9)
    np.testing.assert_allclose(fit.residuals("working"), (y - mu) / mu, rtol=1e-9)
    log_ratio = np.log(np.where(y > 0, y / mu, 1.0))
    deviance = np.sign(y - mu) * np.sqrt(2 * (y * log_ratio - (y - mu)))
    np.testing.assert_allclose(fit.residuals("deviance"), deviance, rtol=1e-6)


def test_binomial_counts_are_proportions():
    fit, herds = cbpp(), data("cbpp")
    size, p = herds["size"].to_numpy(float), fit.fitted()
    raw = herds["incidence"] / size - p
    np.testing.assert_allclose(fit.residuals(), raw)
    np.testing.assert_allclose(fit.residuals("pearson"), raw / np.sqrt(p * (1 - p) / size), rtol=1e-9)
    population = fit.predict(ranef=False)
    expected = (herds["incidence"] / size - population) / np.sqrt(population * (1 - population) / size)
    np.testing.assert_allclose(fit.residuals("pearson", ranef=False), expected, rtol=1e-9)


def test_zero_inflation_enters_the_variance():
    fit, y = owls(), data("owls")["SiblingNegotiation"].to_numpy(float)
    mu, p = fit.predict(kind="conditional"), fit.predict(kind="zprob")
    variance = (1 - p) * (mu + mu**2 / fit.sigma + p * mu**2)
    np.testing.assert_allclose(fit.residuals("pearson"), (y - (1 - p) * mu) / np.sqrt(variance), rtol=1e-8)


def test_what_is_not_defined_is_refused():
    with pytest.raises(rf.ModelError, match="give one of 'response', 'pearson'"):
        sleepstudy().residuals("student")
    with pytest.raises(rf.ModelError, match="zero inflation"):
        owls().residuals("working")


def test_residuals_without_random_effects_are_those_of_the_fixed_part():
    fit = cbpp()
    response = fit.design.response
    y, n, p = np.asarray(response.y), np.asarray(response.trials), np.asarray(fit.predict(ranef=False))
    raw = y / n - p
    np.testing.assert_allclose(fit.residuals("pearson", ranef=False), raw / np.sqrt(p * (1 - p) / n), rtol=1e-12)
    unit = 2 * (xlogy(y, y / (n * p)) + xlogy(n - y, (n - y) / (n - n * p)))
    np.testing.assert_allclose(fit.residuals("deviance", ranef=False), np.sign(raw) * np.sqrt(unit), rtol=1e-9)


def test_quantile_residuals_of_a_gaussian_are_standardised():
    for weights in (None, "w"):
        sleep = data("sleepstudy").assign(w=np.tile([1.0, 4.0], 90))
        fit = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, weights=weights)
        for ranef in (True, False):
            expected = fit.residuals("pearson", ranef=ranef) / fit.sigma
            np.testing.assert_allclose(fit.residuals("quantile", ranef=ranef), expected, atol=1e-10)


def test_quantile_residuals_follow_the_seed():
    fit = owls()
    np.testing.assert_array_equal(fit.residuals("quantile", seed=1), fit.residuals("quantile", seed=1))
    assert (fit.residuals("quantile", seed=1) != fit.residuals("quantile", seed=2)).any()
    with pytest.raises(rf.ModelError, match="only quantile residuals are random"):
        fit.residuals("pearson", seed=1)


def test_quantile_residuals_of_a_zero_inflated_count_lie_within_its_probability():
    from scipy.stats import nbinom, norm

    fit, y = owls(), data("owls")["SiblingNegotiation"].to_numpy(float)
    size, mu, zero = fit.sigma, fit.predict(kind="conditional"), fit.predict(kind="zprob")
    plain = nbinom(size, size / (size + mu))
    upto = zero + (1 - zero) * plain.cdf(y)
    below = np.where(y > 0, zero + (1 - zero) * plain.cdf(y - 1), 0.0)
    place = norm.cdf(fit.residuals("quantile", seed=1))
    assert (place >= below - 1e-12).all()
    assert (place <= upto + 1e-12).all()
