"""Quantile residuals at places that are given: those of the engine where its own are given, others where others are."""

import numpy as np
import pytest

import models
import ranef as rf
from ranef.prediction.residuals import engine_places, placed_quantile_residuals


def tweedie():
    data = models.grouped(3)
    y = np.random.default_rng(1).gamma(2.0, 1.0, len(data)) * (data["y"] > 0.5)
    return rf.glmm("y ~ x + (1 | g)", data.assign(y=y), family="tweedie")


@pytest.mark.parametrize("fit", [models.owls, models.owls_poisson, models.cbpp, models.salamanders, tweedie])
def test_at_the_engines_own_places_they_are_the_engines(fit):
    fit = fit()
    places = engine_places(fit.nobs, 7)
    assert ((places > 0) & (places < 1)).all()
    # Places come from residuals of Bernoulli trials, back and forth through the normal distribution.
    np.testing.assert_allclose(placed_quantile_residuals(fit, places), fit.residuals("quantile", seed=7), atol=1e-9)


def test_the_place_is_where_a_response_lies_within_its_probability():
    from scipy.special import ndtr, pdtr

    fit = models.owls_poisson()
    y, mean = fit.design.response.y, fit.fitted()
    places = np.random.default_rng(1).random(fit.nobs)
    below = np.where(y > 0, pdtr(np.maximum(y - 1, 0), mean), 0.0)
    expected = below + places * (pdtr(y, mean) - below)
    np.testing.assert_allclose(ndtr(placed_quantile_residuals(fit, places)), expected, atol=1e-12)


def test_a_continuous_response_has_no_places():
    fit = models.sleepstudy_glmm()
    found = placed_quantile_residuals(fit, np.random.default_rng(1).random(fit.nobs))
    assert found.tolist() == fit.residuals("quantile", seed=1).tolist()
