"""A cumulative mixed model against clmm of R's ordinal: likelihood, estimates, modes, probabilities."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ranef as rf
from ranef import _engine
from reference_cases import r_name

ORDINAL = Path(__file__).parent / "ordinal"
CASE = json.loads((ORDINAL / "clmm_wine_laplace.json").read_text())
TEN_POINTS = json.loads((ORDINAL / "clmm_wine_agq10.json").read_text())
# clmm stops at a gradient of 2e-5, whose effect on the log-likelihood is of its square.
LOGLIK = 1e-8
# The same gradient over a curvature of a few: estimates and modes.
ESTIMATE = 2e-5
# clmm 2022.11.16 takes its Hessian as differences of an inexact gradient: its standard errors are right to 2 %.
STD_ERROR = 2e-2


@cache
def wine():
    return rf.glmm(CASE["formula"], rf.load_dataset("wine"), family="cumulative")


def test_the_likelihood_is_that_of_clmm():
    fit = wine()
    assert fit.converged
    assert fit.loglik == pytest.approx(CASE["logLik"], abs=LOGLIK)
    assert (fit.npar, fit.nobs) == (CASE["df"], CASE["n"])
    assert fit.aic == pytest.approx(CASE["AIC"], abs=2 * LOGLIK)


def test_thresholds_and_effects_are_those_of_clmm():
    fit = wine()
    reference = CASE["se"]["thresholds_and_beta"]
    assert list(fit.fixef("threshold")) == list(CASE["thresholds"])
    assert [r_name(name) for name in fit.fixef()] == list(CASE["fixef"]["cond"])
    for component, estimates in (("threshold", CASE["thresholds"]), ("cond", CASE["fixef"]["cond"])):
        np.testing.assert_allclose(list(fit.fixef(component).values()), list(estimates.values()), atol=ESTIMATE)
        errors = np.sqrt(np.diag(fit.vcov(component)))
        np.testing.assert_allclose(errors, [reference[name] for name in estimates], rtol=STD_ERROR)


def test_quadrature_is_that_of_clmm():
    fit = rf.glmm(TEN_POINTS["formula"], rf.load_dataset("wine"), family="cumulative", quadrature=10)
    assert fit.converged
    assert fit.loglik == pytest.approx(TEN_POINTS["logLik"], abs=LOGLIK)
    for component, estimates in (("threshold", TEN_POINTS["thresholds"]), ("cond", TEN_POINTS["fixef"]["cond"])):
        np.testing.assert_allclose(list(fit.fixef(component).values()), list(estimates.values()), atol=ESTIMATE)


def test_standard_errors_are_those_of_the_curvature_of_the_log_likelihood():
    fit = wine()
    engine = _engine.Model(fit.model.spec())
    at = np.r_[list(fit.fixef().values()), list(fit.fixef("threshold").values()), fit.varcorr()["sdcor"][0]]

    def value(x):
        beta = [x[:2], *(x[[j]] for j in range(2, 6))]
        return engine.evaluate(beta, [np.array([[x[6]]])], gradient=False)["value"]

    steps = 0.02 * np.eye(7)
    hessian = np.empty((7, 7))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps):
            corners = [value(at + s * a + t * b) * s * t for s in (-1, 1) for t in (-1, 1)]
            hessian[i, j] = sum(corners) / (4 * 0.02**2)
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    ours = np.sqrt(np.r_[np.diag(fit.vcov()), np.diag(fit.vcov("threshold"))])
    # Differences of second order with a step of a thirtieth of a standard error: about (1/30)^2.
    np.testing.assert_allclose(ours, errors[:6], rtol=2e-3)


def test_random_effects_are_those_of_clmm():
    fit = wine()
    card = CASE["varcorr"]["cond"]["judge"]
    assert fit.varcorr()["sdcor"][0] == pytest.approx(card["stddev"][0], abs=ESTIMATE)
    modes = fit.ranef()
    values = CASE["ranef"]["cond"]["judge"]["values"]
    np.testing.assert_allclose(modes["estimate"], [values[level][0] for level in modes["level"]], atol=1e-4)
    # clmm's conditional standard deviations hold the parameters at their estimates.
    errors = CASE["ranef"]["cond"]["judge"]["condsd"]
    ours = fit.ranef(uncertainty="conditional")["std_error"]
    np.testing.assert_allclose(ours, [errors[level][0] for level in modes["level"]], rtol=1e-4)


def test_fitted_probabilities_are_those_of_clmm():
    # clmm's `fitted` are the probabilities of the observed categories.
    fit = wine()
    probabilities = fit.predict(kind="probability")
    observed = rf.load_dataset("wine")["rating"].astype(str)
    ours = [probabilities[category].iloc[i] for i, category in enumerate(observed)]
    np.testing.assert_allclose(ours[: len(CASE["fitted"])], CASE["fitted"], atol=ESTIMATE)
