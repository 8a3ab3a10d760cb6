"""A family of the user's: as good as a built-in one, and clear when its functions are wrong."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma, gammaln, polygamma
from scipy.stats import norm

import ranef as rf
from models import data

FORMULA = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"


def poisson_density(y, mu):
    return y * np.log(mu) - mu - gammaln(y + 1)


def nbinom2_density(y, mu, phi):
    value = gammaln(y + phi) - gammaln(phi) - gammaln(y + 1)
    return value + phi * np.log(phi / (mu + phi)) + y * np.log(mu / (mu + phi))


@cache
def builtin(family):
    return rf.glmm(FORMULA, data("owls"), family=family)


def same_fit(fit, reference):
    assert fit.converged
    # The density is the same function: what is left is the error of the differences.
    assert fit.loglik == pytest.approx(reference.loglik, abs=1e-8 * abs(reference.loglik))
    np.testing.assert_allclose(list(fit.fixef().values()), list(reference.fixef().values()), rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.vcov())), np.sqrt(np.diag(reference.vcov())), rtol=1e-4)
    np.testing.assert_allclose(fit.engine.theta[0], reference.engine.theta[0], rtol=1e-5)


def test_poisson():
    family = rf.families.custom("own_poisson", poisson_density, ["mu"], support="counts")
    same_fit(rf.glmm(FORMULA, data("owls"), family=family), builtin("poisson"))


def test_poisson_with_derivatives():
    def derivatives(y, mu):
        return y / mu - 1, -y / mu**2, 2 * y / mu**3

    family = rf.families.custom("own_poisson", poisson_density, ["mu"], support="counts", derivatives=derivatives)
    same_fit(rf.glmm(FORMULA, data("owls"), family=family), builtin("poisson"))


def test_negative_binomial():
    family = rf.families.custom("own_nbinom", nbinom2_density, ["mu", "phi"], support="counts")
    fit = rf.glmm(FORMULA, data("owls"), family=family)
    same_fit(fit, builtin("nbinom2"))
    assert fit.sigma == pytest.approx(builtin("nbinom2").sigma, rel=1e-6)


def test_negative_binomial_with_derivatives():
    def derivatives(y, mu, phi):
        one, two, three = mu + phi, (mu + phi) ** 2, (mu + phi) ** 3
        psi = [polygamma(k, y + phi) - polygamma(k, phi) for k in (1, 2)]
        return (
            y / mu - (y + phi) / one,
            digamma(y + phi) - digamma(phi) + np.log(phi / one) + 1 - (y + phi) / one,
            -y / mu**2 + (y + phi) / two,
            (y - mu) / two,
            psi[0] + 1 / phi - 2 / one + (y + phi) / two,
            2 * y / mu**3 - 2 * (y + phi) / three,
            1 / two - 2 * (y + phi) / three,
            2 / two - 2 * (y + phi) / three,
            psi[1] - 1 / phi**2 + 3 / two - 2 * (y + phi) / three,
        )

    family = rf.families.custom("own_nbinom", nbinom2_density, ["mu", "phi"], support="counts", derivatives=derivatives)
    same_fit(rf.glmm(FORMULA, data("owls"), family=family), builtin("nbinom2"))


def test_zero_inflation():
    family = rf.families.custom("own_poisson", poisson_density, ["mu"], support="counts", zero_inflation=True)
    fit = rf.glmm(FORMULA, data("owls"), family=family, zi="~ 1")
    same_fit(fit, rf.glmm(FORMULA, data("owls"), family="poisson", zi="~ 1"))


@cache
def own_gaussian():
    """A gaussian in units far from one, with everything that can be given."""
    return rf.families.custom(
        "own_gaussian",
        lambda y, mu, phi: norm.logpdf(y, mu, phi),
        ["mu", "phi"],
        mean=lambda mu, phi: mu,
        variance=lambda mu, phi: phi**2,
        cdf=lambda y, mu, phi: norm.cdf(y, mu, phi),
        simulate=lambda rng, mu, phi: rng.normal(mu, phi),
    )


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e2])
def test_answers_of_a_gaussian_in_several_units(unit):
    sleep = data("sleepstudy").assign(Reaction=data("sleepstudy")["Reaction"] * unit)
    fit = rf.glmm("Reaction ~ Days + (1 | Subject)", sleep, family=own_gaussian())
    reference = rf.glmm("Reaction ~ Days + (1 | Subject)", sleep, family="gaussian")
    same_fit(fit, reference)
    rows = {"ranef": False, "se": True}
    for name, value in reference.predict(**rows).items():
        np.testing.assert_allclose(fit.predict(**rows)[name], value, rtol=1e-4)
    np.testing.assert_allclose(fit.fitted(), reference.fitted(), rtol=1e-6)
    np.testing.assert_allclose(fit.residuals("quantile"), reference.residuals("quantile"), atol=1e-4)
    assert "own_gaussian" in str(fit.summary())
    draws = fit.simulate(3, seed=1)
    np.testing.assert_array_equal(draws, fit.simulate(3, seed=1))
    assert draws.std() == pytest.approx(sleep["Reaction"].std(), rel=0.2)


def test_what_was_not_given_is_asked_for():
    family = rf.families.custom("own_poisson", poisson_density, ["mu"], support="counts")
    fit = rf.glmm("SiblingNegotiation ~ 1", data("owls"), family=family)
    for function, call in {
        "mean": fit.fitted,
        "cdf": lambda: fit.residuals("quantile"),
        "simulate": lambda: fit.simulate(1),
    }.items():
        with pytest.raises(rf.ModelError, match=f"give {function}= to rf.families.custom"):
            call()


def test_errors_of_the_function_surface():
    def broken(y, mu):
        raise ZeroDivisionError("the user's own words")

    family = rf.families.custom("broken", broken, ["mu"], support="counts")
    with pytest.raises(rf.ModelError, match=r"log_density of family broken: .*the user's own words"):
        rf.glmm(FORMULA, data("owls"), family=family)


@pytest.mark.parametrize(
    ("density", "says"),
    [
        (lambda y, mu: poisson_density(y, mu).sum(), r"returned the shape \(\)"),
        (lambda y, mu: poisson_density(y, mu)[:1], r"returned the shape \(1\)"),
        (lambda y, mu: ["a"] * len(y), "could not convert string to float"),
        (lambda y: -y, "takes 1 positional argument but 2 were given"),
    ],
)
def test_wrong_answers_are_named(density, says):
    family = rf.families.custom("wrong", density, ["mu"], support="counts")
    with pytest.raises(rf.ModelError, match=says):
        rf.glmm(FORMULA, data("owls"), family=family)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"parameters": []}, "one to three"),
        ({"parameters": ["a", "b", "c", "d"]}, "one to three"),
        ({"support": "count"}, "did you mean `counts`"),
        ({"links": {"m": "log"}}, "the parameters of own are mu"),
        ({"links": {"mu": "lgo"}}, "links: identity, log"),
        ({"mean": 3}, "must be a function, not int"),
        ({"name": "poisson"}, "of ranef's own"),
        ({"start": {}}, "start needs a value"),
    ],
)
def test_wrong_arguments_are_named(arguments, says):
    with pytest.raises(rf.ModelError, match=says):
        rf.families.custom(**{"name": "own", "log_density": poisson_density, "parameters": ["mu"], **arguments})


def test_impossible_responses_are_refused():
    family = rf.families.custom("own", poisson_density, ["mu"], support="counts")
    with pytest.raises(rf.DataError, match="the own family needs a whole number, 0 or more"):
        rf.glmm("y ~ 1", pd.DataFrame({"y": [1.0, 2.5, 3.0]}), family=family)


def test_threads_and_the_interpreter_do_not_wait_for_each_other():
    rng = np.random.default_rng(2)
    n = 20_000
    group = rng.integers(0, 50, n)
    y = rng.poisson(np.exp(0.5 + 0.3 * rng.normal(size=50)[group]))
    frame = pd.DataFrame({"y": y, "g": group})
    family = rf.families.custom(
        "own_poisson",
        poisson_density,
        ["mu"],
        support="counts",
        mean=lambda mu: mu,
        variance=lambda mu: mu,
        simulate=lambda rng, mu: rng.poisson(mu),
    )
    fits = [rf.glmm("y ~ 1 + (1 | g)", frame, family=family, control=rf.Control(threads=t)) for t in (1, 2, None)]
    assert len({fit.loglik for fit in fits}) == 1
    same_fit(fits[0], rf.glmm("y ~ 1 + (1 | g)", frame, family="poisson"))
    # Whatever the engine computes after the fit.
    fits[2].ranef()
    assert "own_poisson" in str(fits[2].summary())
    assert fits[2].confint().shape[0] > 0
    assert np.isfinite(fits[2].engine.leverage()).all()
    assert fits[2].refit(y[::-1].copy()).converged


def test_the_bootstrap_draws_from_the_function():
    fit = rf.glmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), family=own_gaussian())
    slopes = fit.bootstrap(8, seed=1)["Days"]
    assert slopes.min() < fit.fixef()["Days"] < slopes.max()


def test_one_broken_fit_leaves_the_others_alone():
    calls = {"broken": False}

    def density(y, mu):
        if calls["broken"]:
            raise RuntimeError("broken now")
        return poisson_density(y, mu)

    family = rf.families.custom("own", density, ["mu"], support="counts", mean=lambda mu: mu)
    fit = rf.glmm("SiblingNegotiation ~ 1", data("owls"), family=family)
    calls["broken"] = True
    with pytest.raises(rf.ModelError, match="broken now"):
        rf.glmm("SiblingNegotiation ~ 1", data("owls"), family=family)
    np.testing.assert_allclose(fit.fitted()[:2], np.exp(fit.fixef()["Intercept"]))
