"""New responses from a fit."""

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, owls, sleepstudy


def test_a_seed_repeats_its_draws():
    fit = sleepstudy()
    np.testing.assert_array_equal(fit.simulate(4, seed=5), fit.simulate(4, seed=5))
    assert not np.array_equal(fit.simulate(4, seed=5), fit.simulate(4, seed=6))
    assert fit.simulate(4).shape == (180, 4)


def test_draws_have_the_moments_of_the_model():
    fit = sleepstudy()
    draws = 4000
    variance = fit.sigma**2
    z = np.column_stack([np.ones(180), data("sleepstudy")["Days"]])
    marginal = variance + np.einsum("ij,jk,ik->i", z, fit.engine.covariance[0], z)
    for ranef, mean, spread in (
        (True, fit.fitted(), np.full(180, variance)),
        (False, fit.predict(ranef=False), np.full(180, variance)),
        ("new", fit.predict(ranef=False), marginal),
    ):
        y = fit.simulate(draws, seed=11, ranef=ranef)
        # Five standard errors of a mean and of a variance of normal draws; 180 rows are compared at once.
        assert np.max(np.abs(y.mean(axis=1) - mean) / np.sqrt(spread / draws)) < 5
        assert np.max(np.abs(y.var(axis=1) / spread - 1)) < 5 * np.sqrt(2 / draws)


def test_random_effects_drawn_afresh_are_shared_within_a_level():
    draws = sleepstudy().simulate(3000, seed=2)
    first, last, other = draws[0], draws[9], draws[10]
    assert np.corrcoef(first, last)[0, 1] > 0.2
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.1


def test_draws_stay_in_the_support():
    counts = owls().simulate(20, seed=1)
    assert (counts >= 0).all()
    assert (counts == np.round(counts)).all()
    successes = cbpp().simulate(20, seed=1)
    assert (successes <= data("cbpp")["size"].to_numpy()[:, None]).all()


def test_new_rows_and_new_levels():
    fit = sleepstudy()
    new = data("sleepstudy").head(3).assign(Subject="somebody")
    assert fit.simulate(5, seed=1, newdata=new).shape == (3, 5)
    with pytest.raises(rf.DataError, match="somebody"):
        fit.simulate(5, seed=1, newdata=new, ranef=True)


@pytest.mark.parametrize("wrong", [0, 2.5, True])
def test_a_number_of_draws_that_is_none(wrong):
    with pytest.raises(rf.ModelError, match="whole number"):
        sleepstudy().simulate(wrong)


def test_a_seed_that_is_none():
    with pytest.raises(rf.ModelError, match="seed=-1"):
        sleepstudy().simulate(1, seed=-1)
