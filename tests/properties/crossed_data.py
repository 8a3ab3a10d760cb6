"""Data with two crossed grouping factors for every family, their fits, and what it is to be the same model."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

import ranef as rf

# Both fits are polished to 1e-7 standard errors, where the likelihood is flat to rounding.
LOGLIK = 1e-7
# Estimates and predictions are compared in units of their standard errors.
SHARE_OF_SE = 1e-4

FAMILIES = ["gaussian", "poisson", "nbinom2", "binomial", "gamma"]
#: Families with one parameter more, with other supports, and with another linear predictor.
MORE_FAMILIES = [*FAMILIES, "nbinom1", "truncated_poisson", "beta", "student_t", "tweedie", "zero-inflated", "trials"]
#: Those but one whose densities are long sums.
QUICK_FAMILIES = [name for name in MORE_FAMILIES if name != "tweedie"]
FORMULA = "y ~ x + f + (1 + x | g) + (1 | h)"
#: Each example is a pair of fits: a few draws of the scheme are enough to find an order or a scale that matters.
few = settings(max_examples=6, deadline=None, derandomize=True)
#: The first example is the simplest of its kind, so ranges leave out the value that changes nothing.
fewer = settings(max_examples=2, deadline=None, derandomize=True)


def data(family: str, n: int = 240, seed: int = 20) -> pd.DataFrame:
    """Crossed data with a slope, a factor and effects so large that only binary responses have a zero variance."""
    rng = np.random.default_rng(seed)
    g, h = rng.integers(0, 15, n), rng.integers(0, 8, n)
    x, f = rng.normal(size=n), rng.choice(["a", "b", "c"], n)
    slopes = 0.5 * rng.normal(size=15)
    eta = 0.5 + 0.4 * x + 0.3 * (f == "b") + rng.normal(size=15)[g] + slopes[g] * x + 0.7 * rng.normal(size=8)[h]
    mu, chance = np.exp(np.clip(eta, -4, 4)), 1 / (1 + np.exp(-eta))
    draws = {
        "gaussian": lambda: eta + rng.normal(size=n),
        "poisson": lambda: rng.poisson(mu),
        "nbinom2": lambda: rng.negative_binomial(2, 2 / (2 + mu)),
        "binomial": lambda: rng.binomial(1, chance),
        "gamma": lambda: rng.gamma(3, mu / 3),
        "nbinom1": lambda: rng.negative_binomial(mu / 1.5, 1 / 2.5),
        "truncated_poisson": lambda: 1 + rng.poisson(mu),
        "beta": lambda: np.clip(rng.beta(6 * chance, 6 * (1 - chance)), 1e-4, 1 - 1e-4),
        "student_t": lambda: eta + 0.7 * rng.standard_t(5, size=n),
        "tweedie": lambda: np.array([rng.gamma(2.0, 0.4, size=k).sum() for k in rng.poisson(mu)]),
        "zero-inflated": lambda: rng.poisson(mu) * (rng.random(n) > 0.3),
        "trials": lambda: rng.binomial(8, chance) / 8,
    }
    labels = {"g": [f"g{code:02d}" for code in g], "h": [f"h{code}" for code in h]}
    return pd.DataFrame({"y": draws[family](), "x": x, "f": f, **labels})


def fit(family: str, frame: pd.DataFrame, formula: str = FORMULA, **options: object) -> rf.Fit:
    if family == "zero-inflated":
        return rf.glmm(formula, frame, family="poisson", **{"zi": "~ 1", **options})
    if family == "trials":
        return rf.glmm(formula, frame, family="binomial", **{"weights": np.full(len(frame), 8), **options})
    return rf.glmm(formula, frame, family=family, link="log" if family == "gamma" else None, **options)


@cache
def fitted(family: str, formula: str = FORMULA) -> rf.Fit:
    """The fit of the data as they are, shared by the tests."""
    return fit(family, data(family), formula)


def same_model(a: rf.Fit, b: rf.Fit, names: dict[str, str] | None = None) -> None:
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    std_error = dict(zip(a.fixef(), np.sqrt(np.diag(a.vcov())), strict=True))
    for name, estimate in a.fixef().items():
        assert b.fixef()[(names or {}).get(name, name)] == pytest.approx(estimate, abs=SHARE_OF_SE * std_error[name])


def same_predictions(a: rf.Fit, b: rf.Fit, change=lambda frame: frame) -> None:
    """Predictions of the rows of the first fit, with standard errors; `change` writes the rows for the second."""
    rows = a.design.frame.head(40)
    for ranef in (False, True):
        one = a.predict(rows, kind="link", ranef=ranef, se=True)
        two = b.predict(change(rows), kind="link", ranef=ranef, se=True)
        assert (np.abs(two["estimate"] - one["estimate"]) < SHARE_OF_SE * one["std_error"]).all()
        np.testing.assert_allclose(two["std_error"], one["std_error"], rtol=SHARE_OF_SE)


def same_fit(a: rf.Fit, b: rf.Fit, change=lambda frame: frame) -> None:
    """One model in other coordinates: the likelihood, the number of parameters and the predictions."""
    assert a.converged
    assert b.converged
    assert b.loglik == pytest.approx(a.loglik, abs=LOGLIK)
    assert b.npar == a.npar
    same_predictions(a, b, change)
