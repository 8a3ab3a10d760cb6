"""Conditional AIC: closed forms against differences of refits, and definitions against direct computation."""

import numpy as np
import pytest

import ranef as rf
from models import data, dyestuff2, owls, penicillin, sleepstudy, sleepstudy_glmm
from ranef.inference import conditional_aic


def derivative_of_refits(fit, step):
    """sum_i d yhat_i / d y_i with variances estimated anew, by central differences."""
    y, total = np.asarray(fit.design.response.y), 0.0
    for i in range(len(y)):
        up, down = y.copy(), y.copy()
        up[i] += step
        down[i] -= step
        total += (fit.refit(up).fitted()[i] - fit.refit(down).fitted()[i]) / (2 * step)
    return total


WEIGHTS = np.random.default_rng(1).uniform(0.5, 2.0, 180)
GAUSSIAN = {
    "reml": (lambda: sleepstudy(), 1.0),
    "ml": (lambda: sleepstudy(reml=False), 1.0),
    "crossed": (penicillin, 0.1),
    "weights": (
        lambda: rf.lmm("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", data("sleepstudy"), weights=WEIGHTS),
        1.0,
    ),
    "homcs": (lambda: rf.lmm("score ~ 1 + homcs(0 + Machine | Worker)", data("machines")), 0.2),
    "diag": (lambda: rf.lmm("Reaction ~ Days + diag(Days | Subject)", data("sleepstudy")), 1.0),
    "smooth": (lambda: rf.lmm("Reaction ~ s(Days) + (1 | Subject)", data("sleepstudy")), 1.0),
}


@pytest.mark.parametrize("name", GAUSSIAN)
def test_degrees_of_freedom_are_the_derivative_of_the_fitted_values(name):
    make, step = GAUSSIAN[name]
    fit = make()
    found = fit.caic().iloc[0]
    assert found["method"] == "exact"
    # The error of central differences with steps of a few hundredths of a residual standard deviation.
    assert found["df"] == pytest.approx(derivative_of_refits(fit, step) + 1.0, abs=2e-3)
    assert found["caic"] == pytest.approx(-2 * found["loglik"] + 2 * found["df"])
    assert found["loglik"] == pytest.approx(fit.loglik_rows().sum())


def test_the_correction_is_not_nothing():
    # Four parameters of the covariance and sigma move: more than a degree of freedom here.
    assert sleepstudy().caic()["df"][0] > sleepstudy().caic("leverage")["df"][0] + 1


@pytest.mark.parametrize("unit", [1e-7, 1e7])
def test_the_unit_of_the_response_does_not_count(unit):
    small = rf.lmm("y ~ Days + (Days | Subject)", data("sleepstudy").assign(y=lambda d: unit * d["Reaction"]))
    assert small.caic()["method"][0] == "exact"
    # Both searches end within 1e-7 standard errors of their maximum.
    assert small.caic()["df"][0] == pytest.approx(sleepstudy().caic()["df"][0], rel=1e-6)


def test_more_random_effects_than_dense_matrices_hold_are_counted_by_leverages(monkeypatch):
    monkeypatch.setattr(conditional_aic, "MOST_EFFECTS", 36)
    assert conditional_aic.why_not_exact(sleepstudy()) == ""
    monkeypatch.setattr(conditional_aic, "MOST_EFFECTS", 35)
    assert conditional_aic.why_not_exact(sleepstudy()) == "36 random effects are too many for dense matrices"
    assert sleepstudy().caic()["method"][0] == "leverage"


def test_a_variance_of_zero_counts_nothing():
    # One mean and the residual variance.
    assert dyestuff2().caic()["df"][0] == pytest.approx(2.0)


def test_a_poisson_model_without_random_effects_counts_about_its_coefficients():
    fit = rf.glmm("TICKS ~ YEAR", data("grouseticks"), family="poisson")
    y = data("grouseticks")["TICKS"].to_numpy(float)
    year = data("grouseticks")["YEAR"].astype(str).to_numpy()
    # In closed form: the mean of each year is its average count.
    total = 0.0
    for level in np.unique(year):
        own, n = y[year == level], (year == level).sum()
        mean = own.sum() / n
        total += (own * (np.log(mean) - np.log(mean - 1 / n))).sum()
    assert fit.caic()["df"][0] == pytest.approx(total, rel=1e-5)


def test_a_binary_model_without_random_effects_has_efron_s_penalty():
    fit = rf.glmm("y ~ 1", data("bacteria"), family="binomial")
    y = np.asarray(fit.design.response.y)
    n, ones = len(y), y.sum()

    def logit(k):
        return np.log(k / (n - k))

    p = ones / n
    expected = p * (1 - p) * (ones * (logit(ones) - logit(ones - 1)) + (n - ones) * (logit(ones + 1) - logit(ones)))
    assert fit.caic()["df"][0] == pytest.approx(expected, rel=1e-6)


def test_other_families_use_leverages():
    fit = owls()
    found = fit.caic().iloc[0]
    # One dispersion, one coefficient of the zero inflation.
    assert found["df"] == pytest.approx(fit.engine.leverage().sum() + 2)
    assert found["note"] == "given the variances of the random effects"
    # What the closed form adds is the estimation of the variances.
    assert sleepstudy_glmm().caic()["df"][0] < sleepstudy(reml=False).caic()["df"][0]


def test_threads_do_not_matter():
    fit = rf.glmm("y ~ trt + (1 | ID)", data("bacteria"), family="binomial")
    assert fit.caic(threads=1).equals(fit.caic(threads=3))
    assert 5 < fit.caic()["df"][0] < len(data("bacteria")["ID"].unique())
