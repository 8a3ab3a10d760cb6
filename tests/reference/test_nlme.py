"""Correlated and heteroscedastic residuals against R's nlme: likelihood, estimates, uncertainty, fitted values."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf

HERE = Path(__file__).parent
CASES = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "nlme").glob("*.json"))}
# nlme stops at relative changes of 1e-10; where the variance depends on the fitted mean its last cycle leaves 4e-6.
LOGLIK = 1e-5
# The same of estimates, in standard errors, and of their standard errors, relative.
ESTIMATE = 1e-4
STD_ERROR = 1e-5
# Relative, of correlation parameters and rows: 1e-6 where the likelihood is flattest.
PARAMETER = 5e-5
# Of an interval's length: nlme takes its Hessian by differences of the likelihood. Not for compound symmetry, whose
# interval nlme forms on another scale.
INTERVAL = 0.01


@cache
def data(name):
    path = HERE / "data" / f"{name}.csv.gz"
    return pd.read_csv(path) if path.exists() else rf.load_dataset(name)


@cache
def fitted(name):
    case = CASES[name]
    return rf.lmm(
        case["formula"],
        data(case["data"]),
        reml=case["reml"],
        correlation=case["correlation"],
        dispersion=case["dispersion"],
    )


def parameters(fit, correlation):
    """Estimates of the correlation's parameters or of the variance functions', in order."""
    found = fit.engine.residual_parameters()
    return [estimate for function, _, _, estimate, _ in found if (function is None) == correlation]


def in_order_of_r(case, values):
    """nlme lists the correlations of occasions 1 and 2, 1 and 3, ...; ranef 1 and 2, 1 and 3, 2 and 3, ..."""
    if not str(case["correlation"]).startswith("us("):
        return list(values)
    count = int((1 + np.sqrt(1 + 8 * len(values))) / 2)
    places = {pair: k for k, pair in enumerate((i, j) for j in range(count) for i in range(j))}
    return [values[places[i, j]] for i in range(count) for j in range(i + 1, count)]


@pytest.mark.parametrize("name", CASES)
def test_likelihood_and_number_of_parameters(name):
    case, fit = CASES[name], fitted(name)
    assert fit.converged
    assert fit.loglik == pytest.approx(case["logLik"], abs=LOGLIK)
    assert (fit.npar, fit.nobs) == (case["df"], case["n"])
    assert fit.aic == pytest.approx(case["AIC"], abs=2 * LOGLIK)


@pytest.mark.parametrize("name", CASES)
def test_fixed_effects(name):
    case, fit = CASES[name], fitted(name)
    estimate, error = np.array(list(fit.fixef().values())), np.sqrt(np.diag(fit.vcov()))
    expected, expected_error = (np.array(list(case[key].values())) for key in ("fixef", "se"))
    if case["gls"] and not case["reml"]:
        # gls, unlike lme, scales the covariance of maximum likelihood by n / (n - p).
        expected_error = expected_error * np.sqrt(1.0 - len(expected) / case["n"])
    assert np.abs(estimate - expected).max() < ESTIMATE * expected_error.max()
    assert (np.abs(estimate - expected) < ESTIMATE * expected_error).all()
    np.testing.assert_allclose(error, expected_error, rtol=STD_ERROR)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "correlation_parameters" in case])
def test_correlation_parameters(name):
    case, fit = CASES[name], fitted(name)
    expected = np.atleast_1d(case["correlation_parameters"])
    np.testing.assert_allclose(in_order_of_r(case, parameters(fit, True)), expected, rtol=PARAMETER)


POWERS = [name for name, case in CASES.items() if "power" in str(case["dispersion"])]


@pytest.mark.parametrize("name", POWERS)
def test_variance_functions(name):
    case, fit = CASES[name], fitted(name)
    found = parameters(fit, False)
    expected = np.atleast_1d(case["dispersion_parameters"])[-len(found) :]
    # The constant of gls_dialyzer_constpower is zero, which nlme reaches to 6e-8.
    np.testing.assert_allclose(found, expected, rtol=PARAMETER, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_fitted_values_and_residuals(name):
    case, fit = CASES[name], fitted(name)
    np.testing.assert_allclose(fit.fitted()[:5], case["fitted_first"], rtol=PARAMETER)
    np.testing.assert_allclose(fit.residuals("pearson")[:5], case["pearson_first"], rtol=PARAMETER, atol=PARAMETER)
    # nlme decorrelates compound symmetry by another root of the matrix.
    if not str(case["correlation"]).startswith("cs("):
        found = fit.residuals("normalized")[:5]
        np.testing.assert_allclose(found, case["normalized_first"], rtol=PARAMETER, atol=PARAMETER)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "random_sds" in case])
def test_random_effects(name):
    case, fit = CASES[name], fitted(name)
    table = fit.varcorr()
    table = table[(table["group"] != "Residual") & table["var2"].isna()]
    found = {group: part["sdcor"].tolist() for group, part in table.groupby("group", sort=False)}
    expected = {group: list(sds.values()) for group, sds in case["random_sds"].items()}
    # nlme calls nested factors by their own names only. A variance of zero is one of 1e-4 standard errors there.
    for group, sds in expected.items():
        own = next(values for key, values in found.items() if key.split(":")[-1] == group)
        np.testing.assert_allclose(own, sds, rtol=PARAMETER, atol=0.02)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "ranef" in case])
def test_conditional_modes(name):
    case, fit = CASES[name], fitted(name)
    table = fit.ranef()
    for k, level in enumerate(case["ranef"]["levels"]):
        found = table.loc[table["level"] == level, "estimate"].to_numpy()
        spread = np.abs(case["ranef"]["values"]).max()
        np.testing.assert_allclose(found, case["ranef"]["values"][k], rtol=PARAMETER, atol=PARAMETER * spread)


SCALED = ("ar1(", "car1(", "exp(", "gau(", "us(")


# intervals() of nlme finds no covariance for one of the cases.
KNOWN = [n for n, c in CASES.items() if "correlation_intervals" in c and c["correlation"].startswith(SCALED)]


@pytest.mark.parametrize("name", KNOWN)
def test_intervals_of_the_correlation(name):
    case, fit = CASES[name], fitted(name)
    table = fit.confint()
    own = table[table["term"].str.match(r"(phi|rho|range|nugget)__|cor__\d+\.\d+$")]
    expected = np.array(case["correlation_intervals"])
    for column, place in (("conf_low", 0), ("conf_high", 2)):
        found = np.array(in_order_of_r(case, own[column].to_list()))
        assert (np.abs(found - expected[:, place]) < INTERVAL * (expected[:, 2] - expected[:, 0])).all()


def test_the_ratio_of_standard_deviations_is_the_exponential_of_its_coefficient():
    fit = fitted("lme_orthodont_varident")
    (_, ratio) = np.exp(list(fit.fixef("disp").values()))
    # Pinheiro & Bates's model with the sexes exchanged: nlme counts from the other one.
    assert ratio == pytest.approx(1.0 / CASES["lme_orthodont_varident"]["dispersion_parameters"], rel=PARAMETER)
    assert fit.sigma == pytest.approx(1.66982, rel=1e-5)
    assert ratio == pytest.approx(0.46789, rel=1e-5)
