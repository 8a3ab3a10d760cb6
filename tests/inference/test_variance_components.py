"""Standard deviations and correlations, and their standard errors by the delta method."""

import numpy as np
import pytest

from models import cbpp, dyestuff2, pastes, salamanders, sleepstudy, sleepstudy_glmm, sleepstudy_uncorrelated
from ranef.inference.variance_components import (
    correlation,
    fisher_interval,
    log_interval,
    logit_interval,
    plain_interval,
)


def test_intervals_stay_where_the_parameter_lives():
    low, high = log_interval(0.5, 0.4, 1.96)
    assert 0 < low < 0.5 < high
    assert low * high == pytest.approx(0.25)
    low, high = fisher_interval(0.9, 0.3, 1.96)
    assert -1 < low < 0.9 < high < 1
    assert np.isnan(log_interval(0.0, 0.1, 1.96)).all()
    assert np.isnan(fisher_interval(1.0, 0.1, 1.96)).all()


def test_correlation_of_a_zero_variance_is_undefined():
    assert np.isnan(correlation(np.diag([1.0, 0.0]), 0, 1))


def test_varcorr_has_the_columns_of_lme4():
    frame = sleepstudy().varcorr()
    assert list(frame.columns) == ["component", "group", "var1", "var2", "vcov", "sdcor"]
    assert frame["group"].tolist() == ["Subject"] * 3 + ["Residual"]
    variances = frame[frame["var2"].isna()]
    np.testing.assert_allclose(variances["sdcor"] ** 2, variances["vcov"])
    covariance = frame.iloc[2]
    assert covariance["vcov"] == pytest.approx(covariance["sdcor"] * frame["sdcor"][0] * frame["sdcor"][1])


def test_a_residual_row_belongs_to_a_gaussian_with_one_residual_variance():
    assert "Residual" in set(pastes().varcorr()["group"])
    assert "Residual" in set(sleepstudy_glmm().varcorr()["group"])
    assert "Residual" not in set(cbpp().varcorr()["group"])
    assert "Residual" not in set(salamanders().varcorr()["group"])


def test_independent_terms_have_no_correlation():
    assert sleepstudy_uncorrelated().varcorr()["var2"].isna().all()


def test_random_effects_parameters_are_named_as_broom_mixed_names_them():
    tidy = sleepstudy().tidy("random")
    assert tidy["term"].tolist() == ["sd__Intercept", "sd__Days", "cor__Intercept.Days", "sd__Observation"]
    assert tidy["group"].tolist() == ["Subject", "Subject", "Subject", "Residual"]
    assert tidy[["statistic", "p_value"]].isna().all().all()


def test_standard_errors_agree_with_the_balanced_closed_form():
    # Balanced one-way layout, 18 subjects x 10 days, maximum likelihood: the residual mean square has 162 degrees of
    # freedom, so the information of log(sigma) gives se(sigma) = sigma / sqrt(2 * 162).
    import ranef as rf
    from models import data

    fit = rf.lmm("Reaction ~ 1 + (1 | Subject)", data("sleepstudy"), reml=False)
    tidy = fit.tidy("random").set_index("term")
    residual = tidy.loc["sd__Observation"]
    assert residual["std_error"] == pytest.approx(fit.sigma / np.sqrt(2 * 162), rel=1e-3)
    # tau^2 = (lambda - sigma^2) / 10 with lambda the between mean square; var(lambda) = 2 lambda^2 / 18.
    tau2 = tidy.loc["sd__Intercept", "estimate"] ** 2
    between = fit.sigma**2 + 10 * tau2
    variance = (2 * between**2 / 18 + 2 * fit.sigma**4 / 162) / 100
    expected = np.sqrt(variance) / (2 * np.sqrt(tau2))
    assert tidy.loc["sd__Intercept", "std_error"] == pytest.approx(expected, rel=1e-3)


def test_a_zero_variance_has_no_standard_error():
    row = dyestuff2().tidy("random").iloc[0]
    assert row["estimate"] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(row["conf_low"])
    assert np.isnan(row["conf_high"])


def test_intervals_of_every_scale_at_a_known_place():
    # Of 0.5 with a standard error of 0.1 and two of them to each side.
    assert plain_interval(0.5, 0.1, 2.0) == pytest.approx((0.3, 0.7))
    assert log_interval(0.5, 0.1, 2.0) == pytest.approx((0.5 * np.exp(-0.4), 0.5 * np.exp(0.4)))
    half = 0.2 / 0.75
    assert fisher_interval(0.5, 0.1, 2.0) == pytest.approx(np.tanh(np.arctanh(0.5) + np.array([-half, half])))
    assert logit_interval(0.5, 0.1, 2.0) == pytest.approx((1 / (1 + np.exp(0.8)), 1 / (1 + np.exp(-0.8))))
