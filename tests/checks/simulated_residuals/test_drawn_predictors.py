"""Predictors drawn from what the data leave open about them: their distribution, and what residuals there are."""

import numpy as np
import pandas as pd
import pytest

import models
import ranef as rf
from ranef.checks.simulated_residuals.drawn_predictors import drawn_predictors, simulated_at
from ranef.errors import ModelError


def draws(fit, count):
    return np.array([drawn_predictors(fit, seed) for seed in range(count)])


def test_of_a_linear_mixed_model_they_have_the_distribution_given_the_data():
    fit = models.sleepstudy_uncorrelated()
    found = draws(fit, 400)[:, :, 0]
    # Given the variances the predictors are normal about those of the fit, with the covariance sigma^2 (I - sigma^2 P).
    x, n = fit.design.fixed["cond"].x, fit.nobs
    v = np.zeros((n, n))
    for term, sigma in zip(fit.design.random, fit.engine.covariance, strict=True):
        same = np.equal.outer(term.codes, term.codes)
        v += same * (term.columns @ sigma @ term.columns.T)
    total = np.linalg.inv(v + fit.sigma**2 * np.eye(n))
    p = total - total @ x @ np.linalg.solve(x.T @ total @ x, x.T @ total)
    expected = fit.sigma**2 * (1.0 - fit.sigma**2 * np.diag(p))
    # Variances of 400 draws have an error of 7 %, their mean over 180 rows of 2 %; that of the estimated variances adds
    # some percent.
    assert np.mean(found.var(axis=0) / expected) == pytest.approx(1.0, abs=0.12)
    away = (found.mean(axis=0) - fit.fitted()) / np.sqrt(expected / 400)
    assert np.abs(away).max() < 4.5


def test_the_same_seed_draws_the_same():
    fit = models.cbpp()
    first, again, other = (drawn_predictors(fit, seed) for seed in (3, 3, 4))
    assert first.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize("fit", [models.owls, models.cbpp, models.salamanders, models.sleepstudy, models.pastes])
def test_responses_are_simulated_at_given_predictors(fit):
    fit = fit()
    here = np.asarray(fit.engine.linear_predictor)
    simulated, mean = simulated_at(fit, here, 2000, 1)
    trials = fit.design.response.trials
    np.testing.assert_allclose(mean, fit.fitted() * (1.0 if trials is None else trials), rtol=1e-10)
    # Means of 2000 responses, in standard errors: the largest of 600 or fewer is within 4.5, but for skewed ones.
    away = (simulated.mean(axis=1) - mean) / np.maximum(simulated.std(axis=1), 1e-3) * np.sqrt(2000)
    assert np.abs(away).max() < 5.5


def test_the_dispersion_of_a_fit_is_one_there_and_below_one_at_the_modes():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(60), 5)
    data = pd.DataFrame({"y": rng.poisson(np.exp(0.5 + 0.7 * rng.normal(size=60)[g])), "g": g.astype(str)})
    fit = rf.glmm("y ~ 1 + (1 | g)", data, family="poisson")
    ratios = [fit.simulate_residuals(n=100, seed=s, ranef="posterior").test_dispersion().effect for s in range(30)]
    modes = fit.simulate_residuals(n=1000, seed=1).test_dispersion().effect
    # 60 effects of 300 rows: about 0.85 at the modes.
    assert np.mean(ratios) - modes > 0.08
    assert fit.simulate_residuals(n=50, seed=1, ranef="posterior").scaled.shape == (300,)


def test_what_it_is_not_for_is_refused():
    with pytest.raises(ModelError, match="takes the fitting into account itself"):
        models.cbpp().simulate_residuals(n=10, ranef="posterior", refit=True)
    correlated = rf.lmm("Reaction ~ Days", models.data("sleepstudy"), correlation="ar1(Days | Subject)")
    with pytest.raises(ModelError, match="independent residuals"):
        correlated.simulate_residuals(n=10, ranef="posterior")


def test_spreads_are_mirrored_around_those_of_the_fit():
    fit = models.sleepstudy_glmm()
    column = fit.model.predictor("disp")
    here = np.exp(-0.5 * np.asarray(fit.engine.linear_predictor)[0, column])
    found = np.exp(-0.5 * draws(fit, 60)[:, 0, column])
    # 1 / sqrt(sigma) of 180 rows varies by 3 %; its mean is that of the fit but for the bias of sigma.
    assert found.mean() == pytest.approx(here, rel=0.05)
    assert 0.01 < found.std() / here < 0.06
