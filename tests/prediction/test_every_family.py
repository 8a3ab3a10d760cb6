"""What every family of the catalogue must answer, plain and zero-inflated: a new one is tested by being in it."""

from functools import cache

import numpy as np
import pytest

import ranef as rf
from family_study import fit, forms, parts, simulate, truths

ROWS, GROUPS = 400, 15


@cache
def fitted(form: str) -> rf.Fit:
    made = simulate(form, truths(form), 0.4, 0.5, ROWS, GROUPS, np.random.default_rng(5))
    return fit(form, made.frame)


def ordered(form: str) -> bool:
    return rf.families.family_named(parts(form)[0]).support == "ordered"


@pytest.mark.parametrize("form", forms())
def test_quantile_residuals_are_standard_normal(form):
    from scipy.stats import kstest

    model = fitted(form)
    for ranef in (True, False):
        residuals = model.residuals("quantile", ranef=ranef, seed=3)
        np.testing.assert_array_equal(residuals, model.residuals("quantile", ranef=ranef, seed=3))
        assert np.isfinite(residuals).all()
    # Estimated parameters and shrunken modes bring the residuals nearer to normal, never further.
    assert kstest(model.residuals("quantile", seed=3), "norm").pvalue > 1e-3


@pytest.mark.parametrize("form", forms())
def test_log_densities_of_rows(form):
    rows = fitted(form).loglik_rows()
    assert rows.shape == (ROWS,)
    assert np.isfinite(rows).all()
    # Given the modes the data are more probable than integrated over all effects.
    assert rows.sum() > fitted(form).loglik


@pytest.mark.parametrize("form", [form for form in forms() if not ordered(form)])
def test_residuals_of_all_kinds(form):
    model = fitted(form)
    raw = model.residuals("response")
    np.testing.assert_allclose(raw + model.fitted(), observed(model), rtol=1e-12, atol=1e-12)
    raw_fixed = model.residuals("response", ranef=False)
    for ranef in (True, False):
        assert np.isfinite(model.residuals("pearson", ranef=ranef)).all()
    standardised = np.asarray(model.residuals("pearson")) / np.asarray(raw)
    assert (standardised[raw != 0] > 0).all()
    if not parts(form)[1]:
        assert np.isfinite(model.residuals("working")).all()
    if np.isnan(model.engine.unit_deviance([True])).all():
        with pytest.raises(rf.ModelError, match="not defined"):
            model.residuals("deviance")
    else:
        assert (np.sign(model.residuals("deviance")) == np.sign(raw)).all()
        assert (np.sign(model.residuals("deviance", ranef=False)) == np.sign(raw_fixed)).all()


def observed(model: rf.Fit) -> np.ndarray:
    response = model.design.response
    return response.y if response.trials is None else response.y / response.trials


@pytest.mark.parametrize("form", forms())
def test_simulated_responses_are_responses(form):
    model = fitted(form)
    draws = model.simulate(2, seed=1)
    assert draws.shape == (ROWS, 2)
    assert not np.isnan(draws).any()
    np.testing.assert_array_equal(draws, model.simulate(2, seed=1))
    if model.design.response.form == "numeric":
        again = model.refit(model.simulate(1, seed=2, ranef=True)[:, 0])
        assert np.isfinite(again.loglik)
