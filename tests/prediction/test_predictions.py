"""Predictions, their standard errors and intervals."""

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, owls, owls_poisson, pastes, penicillin, salamanders, sleepstudy

FITS = {"sleepstudy": sleepstudy, "cbpp": cbpp, "owls": owls, "pastes": pastes}


@pytest.mark.parametrize("name", FITS)
def test_the_data_of_the_fit_predict_the_fitted_values(name):
    fit = FITS[name]()
    np.testing.assert_allclose(fit.predict(data(name)), fit.fitted(), rtol=1e-9)
    np.testing.assert_allclose(fit.predict(se=True)["estimate"], fit.fitted(), rtol=1e-9)


def test_the_population_is_x_beta_with_its_standard_error():
    fit = sleepstudy()
    x = np.column_stack([np.ones(180), data("sleepstudy")["Days"]])
    out = fit.predict(kind="link", ranef=False, se=True)
    np.testing.assert_allclose(out["estimate"], x @ np.array(list(fit.fixef().values())), rtol=1e-10)
    np.testing.assert_allclose(out["std_error"], np.sqrt(np.einsum("ij,jk,ik->i", x, fit.vcov(), x)), rtol=1e-6)


def test_a_list_keeps_the_terms_it_names():
    fit = penicillin()
    modes = fit.ranef().set_index(["group", "level"])["estimate"]
    samples = modes["sample"].loc[data("penicillin")["sample"].astype(str)].to_numpy()
    expected = fit.fixef()["Intercept"] + samples
    np.testing.assert_allclose(fit.predict(ranef=["sample"]), expected, rtol=1e-10)
    np.testing.assert_allclose(fit.predict(ranef=["(1 | sample)"]), expected, rtol=1e-10)
    np.testing.assert_allclose(fit.predict(ranef=["plate", "sample"]), fit.fitted(), rtol=1e-10)


def test_a_new_level_stands_for_the_population_and_widens_the_error():
    fit = sleepstudy()
    new = data("sleepstudy").head(5).assign(Subject="nobody")
    with pytest.raises(rf.DataError, match="nobody"):
        fit.predict(new)
    out = fit.predict(new, new_levels="population", se=True)
    population = fit.predict(new, ranef=False, se=True)
    np.testing.assert_allclose(out["estimate"], population["estimate"], rtol=1e-10)
    z = np.column_stack([np.ones(5), new["Days"]])
    spread = np.einsum("ij,jk,ik->i", z, fit.engine.covariance[0], z)
    np.testing.assert_allclose(out["std_error"] ** 2, population["std_error"] ** 2 + spread, rtol=1e-6)


def test_the_parts_of_a_zero_inflated_mean():
    fit = owls()
    conditional, zero, response = (fit.predict(kind=kind) for kind in ("conditional", "zprob", "response"))
    np.testing.assert_allclose(response, (1 - zero) * conditional, rtol=1e-10)
    np.testing.assert_allclose(conditional, np.exp(fit.predict(kind="link")), rtol=1e-10)
    np.testing.assert_allclose(zero, 1 / (1 + np.exp(-fit.predict(kind="zlink"))), rtol=1e-10)


def test_dispersion_follows_its_formula():
    fit = salamanders()
    coefficients = fit.fixef("disp")
    expected = np.exp(coefficients["Intercept"] + coefficients["DOY"] * data("salamanders")["DOY"])
    np.testing.assert_allclose(fit.predict(kind="dispersion"), expected, rtol=1e-8)


def test_confidence_intervals_are_formed_on_the_link_scale():
    fit = cbpp()
    link, response = fit.predict(kind="link", se=True), fit.predict(interval="confidence")
    for end in ("conf_low", "conf_high"):
        np.testing.assert_allclose(response[end], 1 / (1 + np.exp(-link[end])), rtol=1e-8)
    assert ((response["conf_low"] > 0) & (response["conf_high"] < 1)).all()


def test_standard_errors_follow_the_delta_method():
    fit = cbpp()
    link, response = fit.predict(kind="link", se=True), fit.predict(se=True)
    slope = response["estimate"] * (1 - response["estimate"])
    np.testing.assert_allclose(response["std_error"], slope * link["std_error"], rtol=1e-8)


def test_a_gaussian_prediction_interval_adds_the_residual_variance():
    fit = sleepstudy()
    out = fit.predict(interval="prediction")
    half = 1.959963984540054 * np.sqrt(out["std_error"] ** 2 + fit.sigma**2)
    np.testing.assert_allclose(out["conf_high"] - out["estimate"], half, rtol=1e-8)


def test_a_simulated_prediction_interval_covers_its_share():
    fit = owls_poisson()
    out = fit.predict(interval="prediction", level=0.9)
    new = fit.simulate(200, seed=8, ranef=True)
    inside = (new >= out["conf_low"].to_numpy()[:, None]) & (new <= out["conf_high"].to_numpy()[:, None])
    # Discrete quantiles cover at least their level; the draws also carry the uncertainty of the mean.
    assert 0.89 < inside.mean() < 0.97
    again = fit.predict(interval="prediction", level=0.9)
    np.testing.assert_array_equal(out["conf_high"], again["conf_high"])


def test_what_cannot_be_asked_is_refused():
    fit = sleepstudy()
    with pytest.raises(rf.ModelError, match="kind='mean'"):
        fit.predict(kind="mean")
    with pytest.raises(rf.ModelError, match="no zero inflation"):
        fit.predict(kind="zprob")
    with pytest.raises(rf.ModelError, match="interval='credible'"):
        fit.predict(interval="credible")
    with pytest.raises(rf.ModelError, match="goes with kind='response'"):
        fit.predict(kind="link", interval="prediction")
    with pytest.raises(rf.DataError, match="Days"):
        fit.predict(data("sleepstudy").drop(columns="Days"))
