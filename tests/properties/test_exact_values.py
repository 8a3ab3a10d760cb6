"""Likelihoods at given parameters against integrals by brute force: nothing here depends on a search.

Adaptive quadrature tends to the integral over the random effects, and families that are mixtures of others are the
integral over what is mixed.
"""

import itertools
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad

import ranef as rf
from ranef import _engine
from ranef.families import family_named
from ranef.model import build_model

BETA, SD = np.array([0.3, 0.5]), 0.9
PHI = 2.5


@cache
def small_groups(family: str) -> pd.DataFrame:
    """Three rows in each of six groups: so few that Laplace's approximation is some way off."""
    rng = np.random.default_rng(11)
    g = np.repeat(np.arange(6), 3)
    x = rng.normal(size=18)
    eta = BETA[0] + BETA[1] * x + SD * rng.normal(size=6)[g]
    mu, chance = np.exp(eta), 1 / (1 + np.exp(-eta))
    y = {
        "poisson": lambda: rng.poisson(mu),
        "binomial": lambda: rng.binomial(1, chance),
        "trials": lambda: rng.binomial(4, chance),
        "nbinom2": lambda: rng.negative_binomial(PHI, PHI / (PHI + mu)),
        "gamma": lambda: rng.gamma(PHI, mu / PHI),
        "student_t": lambda: eta + rng.standard_t(4, size=18),
    }[family]()
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{j}" for j in g], "n": 4})


def density(family: str, y: float, eta: np.ndarray) -> np.ndarray:
    """The log density of a response at its linear predictor, by SciPy."""
    mu, chance = np.exp(eta), 1 / (1 + np.exp(-eta))
    return {
        "poisson": lambda: stats.poisson.logpmf(y, mu),
        "binomial": lambda: stats.binom.logpmf(y, 1, chance),
        "trials": lambda: stats.binom.logpmf(y, 4, chance),
        "nbinom2": lambda: stats.nbinom.logpmf(y, PHI, PHI / (PHI + mu)),
        "gamma": lambda: stats.gamma.logpdf(y, PHI, scale=mu / PHI),
        "student_t": lambda: stats.t.logpdf(y, 4, eta, PHI),
    }[family]()


def engine_of(family: str, frame: pd.DataFrame, formula: str, quadrature: int = 1):
    """The engine's model, and the coefficients of the components beyond the mean."""
    name = {"trials": "binomial"}.get(family, family)
    if family == "trials":
        formula = formula.replace("y ~", "cbind(y, n - y) ~")
    chosen = family_named(name, "log" if family == "gamma" else None)
    model = build_model(formula, frame, family=chosen, linear=False, reml=False, quadrature=quadrature)
    further = {"disp": np.log(PHI), "shape": np.log(4.0)}
    beta = [np.array([further[c]]) for c in model.components if c != "cond"]
    return _engine.Model(model.spec()), beta


def loglik(family: str, frame: pd.DataFrame, formula: str, factor: list, quadrature: int) -> float:
    engine, further = engine_of(family, frame, formula, quadrature)
    return -engine.evaluate([BETA, *further], factor, gradient=False)["value"]


@cache
def one_integral(family: str) -> float:
    """The log-likelihood with a random intercept, one group after the other."""
    # The trapezoidal rule of a smooth function that vanishes at both ends is exact to rounding long before 2000 steps.
    b, step = np.linspace(-12 * SD, 12 * SD, 2001, retstep=True)
    total = 0.0
    for _, rows in small_groups(family).groupby("g"):
        eta = BETA[0] + BETA[1] * rows["x"].to_numpy()[:, None] + b
        logs = sum(density(family, y, e) for y, e in zip(rows["y"], eta, strict=True)) + stats.norm.logpdf(b, 0, SD)
        total += np.log(step * np.exp(logs).sum())
    return total


def shrink(errors: list[float]) -> bool:
    """Whether each error is less than half the one before, until rounding. That of Laplace's approximation is left out:
    its first terms may happen to cancel, which they do for counts."""
    return all(after < max(0.5 * before, 1e-9) for before, after in itertools.pairwise(errors[1:]))


@pytest.mark.parametrize("family", ["poisson", "binomial", "trials", "nbinom2", "gamma", "student_t"])
def test_quadrature_tends_to_the_integral_over_a_random_intercept(family):
    exact = one_integral(family)
    errors = [
        abs(loglik(family, small_groups(family), "y ~ x + (1 | g)", [np.array([[SD]])], k) - exact)
        for k in (1, 3, 5, 9, 15, 25)
    ]
    assert shrink(errors), errors
    # Laplace's is large enough to see.
    assert errors[0] > 1e-3
    assert errors[-1] < 1e-8


@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_quadrature_tends_to_the_integral_over_intercept_and_slope(family):
    frame = small_groups(family)
    factor = np.array([[0.8, 0.0], [0.3, 0.5]])
    # A product rule of Gauss and Hermite around zero instead of the mode, with so many points that it is exact.
    nodes, weights = np.polynomial.hermite_e.hermegauss(90)
    u = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2) @ factor.T
    weight = np.outer(weights, weights).ravel() / (2 * np.pi)
    exact = 0.0
    for _, rows in frame.groupby("g"):
        eta = BETA[0] + BETA[1] * rows["x"].to_numpy() + u[:, :1] + u[:, 1:] * rows["x"].to_numpy()
        logs = sum(density(family, y, eta[:, i]) for i, y in enumerate(rows["y"]))
        exact += np.log(weight @ np.exp(logs))
    errors = [abs(loglik(family, frame, "y ~ x + (x | g)", [factor], k) - exact) for k in (1, 3, 7, 15, 25)]
    assert shrink(errors), errors
    assert errors[-1] < 1e-8


def test_laplaces_approximation_of_a_gaussian_model_is_exact_whatever_the_points():
    rng = np.random.default_rng(3)
    frame = small_groups("poisson").assign(y=rng.normal(size=18))
    covariance = PHI**2 * np.eye(18) + SD**2 * (frame["g"].to_numpy()[:, None] == frame["g"].to_numpy())
    exact = stats.multivariate_normal.logpdf(frame["y"], BETA[0] + BETA[1] * frame["x"], covariance)
    for k in (1, 2, 5, 9):
        found = loglik("gaussian", frame, "y ~ x + (1 | g)", [np.array([[SD]])], k)
        assert found == pytest.approx(exact, abs=1e-10)


# -- families that are mixtures ----------------------------------------------------------------------------------------


def plain_loglik(family: str, y: float, eta: float, phi: float, trials: int | None = None) -> float:
    """The engine's log density of one response without random effects."""
    frame = pd.DataFrame({"y": [y, y], "n": [trials, trials]}) if trials else pd.DataFrame({"y": [y, y]})
    formula = "cbind(y, n - y) ~ 1" if trials else "y ~ 1"
    model = build_model(formula, frame, family=family_named(family, None), linear=False, reml=False)
    further = {"disp": np.log(phi), "shape": np.log(5.0)}
    beta = [np.array([eta])] + [np.array([further[c]]) for c in model.components if c != "cond"]
    return -0.5 * _engine.Model(model.spec()).evaluate(beta, [], gradient=False)["value"]


@pytest.mark.parametrize("phi", [0.3, 2.0, 40.0])
@pytest.mark.parametrize("y", [0, 1, 4, 30])
def test_a_negative_binomial_is_a_poisson_with_gamma_effects(y, phi):
    mu = 3.0
    top = stats.gamma(phi, scale=1 / phi)

    def at(log_w):
        # Over the logarithm of the effect: its density has a pole at zero where phi < 1.
        w = np.exp(log_w)
        return np.exp(stats.poisson.logpmf(y, mu * w) + top.logpdf(w) + log_w)

    ends = np.log(top.isf([1 - 1e-16, 1e-300])) if phi > 1 else (-130.0, np.log(top.isf(1e-300)))
    value, _ = quad(at, *ends, epsabs=0, epsrel=1e-12, limit=500, points=[np.log((y + phi) / (mu + phi))])
    assert plain_loglik("nbinom2", y, np.log(mu), phi) == pytest.approx(np.log(value), abs=1e-9)
    # The linear variance mu (1 + phi) is that of gamma effects with shape mu / phi.
    linear = stats.nbinom.logpmf(y, mu / phi, 1 / (1 + phi))
    assert plain_loglik("nbinom1", y, np.log(mu), phi) == pytest.approx(linear, abs=1e-9)


@pytest.mark.parametrize("phi", [1.5, 8.0])
@pytest.mark.parametrize("y", [0, 3, 7])
def test_a_beta_binomial_is_a_binomial_with_beta_probabilities(y, phi):
    mu = 0.3
    chances = stats.beta(mu * phi, (1 - mu) * phi)

    def at(logit):
        p = 1 / (1 + np.exp(-logit))
        return np.exp(stats.binom.logpmf(y, 7, p) + chances.logpdf(p)) * p * (1 - p)

    value, _ = quad(at, -80, 30, epsabs=0, epsrel=1e-12, limit=500, points=[-1.0, 0.0, 1.0])
    assert plain_loglik("betabinomial", y, np.log(mu / (1 - mu)), phi, trials=7) == pytest.approx(
        np.log(value), abs=1e-9
    )


@pytest.mark.parametrize("y", [-3.0, 0.2, 9.0])
def test_a_students_t_is_a_normal_with_an_inverse_gamma_variance(y):
    mean, scale, nu = 0.5, 1.3, 5.0
    weights = stats.gamma(nu / 2, scale=2 / nu)
    value, _ = quad(
        lambda w: np.exp(stats.norm.logpdf(y, mean, scale / np.sqrt(w)) + weights.logpdf(w)), 0, np.inf, epsrel=1e-12
    )
    assert plain_loglik("student_t", y, mean, scale) == pytest.approx(np.log(value), abs=1e-9)


def test_a_lognormal_is_a_normal_of_the_logarithm():
    # The family's mean is exp(m + s^2 / 2), its sd in the units of the response.
    y, mu, sd = 2.2, 3.0, 1.4
    s = np.sqrt(np.log1p((sd / mu) ** 2))
    expected = stats.norm.logpdf(np.log(y), np.log(mu) - s**2 / 2, s) - np.log(y)
    assert plain_loglik("lognormal", y, np.log(mu), sd) == pytest.approx(expected, abs=1e-10)


def test_simulated_negative_binomials_are_simulated_poissons_with_gamma_effects():
    """Counts of 40,000 draws of each, and Pearson's statistic that they are of one distribution."""
    mu, phi, n = 3.0, 1.7, 20_000
    frame = pd.DataFrame({"y": [0, 3, 5, 1]})
    fit = rf.glmm("y ~ 1", frame, family="nbinom2", fixed={"Intercept": np.log(mu), "disp: Intercept": np.log(phi)})
    ours = fit.simulate(n // 4, seed=4).ravel()
    rng = np.random.default_rng(8)
    theirs = rng.poisson(mu * rng.gamma(phi, 1 / phi, size=n))
    table = np.array([np.bincount(np.minimum(draws.astype(int), 14), minlength=15) for draws in (ours, theirs)])
    # One seed, once: a p-value of 0.01 is as surprising as it may be.
    assert stats.chi2_contingency(table).pvalue > 0.01
