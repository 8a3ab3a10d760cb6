"""Simulate, fit, cover: what a fit says about its own error is true.

From one fit's parameters new responses are drawn, with new random effects, and the model is fitted again. Intervals of
95 % then cover the parameters in about 95 % of the fits: with R = 80 fits between 87 % and 100 % (a binomial count
outside that range has a probability below one in a thousand), and the mean of the estimates is within four of its
Monte Carlo standard errors plus the bias that maximum likelihood has in samples of this size.
"""

import numpy as np
import pandas as pd
import pytest

import ranef as rf

REPLICATES = 80
LOWEST = 0.87
#: Bias allowed, in standard errors of one estimate.
BIAS = 0.15

CASES = {
    "gaussian": {"family": "gaussian"},
    "binomial": {"family": "binomial"},
    "poisson": {"family": "poisson"},
    "nbinom1": {"family": "nbinom1"},
    "nbinom2": {"family": "nbinom2"},
    "gamma": {"family": "gamma", "link": "log"},
    "zero-inflated poisson": {"family": "poisson", "zi": "~ 1"},
    "dispersion model": {"family": "gaussian", "dispersion": "~ x"},
}


def first_fit(**options: str) -> rf.Fit:
    rng = np.random.default_rng(7)
    g = np.repeat(np.arange(30), 10)
    x = rng.normal(size=300)
    eta = 0.8 + 0.4 * x + 0.6 * rng.normal(size=30)[g]
    y = {
        "gaussian": lambda: eta + rng.normal(size=300) * np.exp(0.2 * x),
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-eta))),
        "gamma": lambda: rng.gamma(3, np.exp(eta) / 3),
    }.get(options["family"], lambda: rng.negative_binomial(3, 3 / (3 + np.exp(eta))))()
    if "zi" in options:
        y = y * (rng.random(300) > 0.25)
    return rf.glmm("y ~ x + (1 | g)", pd.DataFrame({"y": y, "x": x, "g": g}), **options)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_the_parameters_that_made_the_data(case):
    truth = first_fit(**CASES[case])
    draws = truth.simulate(REPLICATES, seed=11, ranef="new")
    expected = truth.tidy(effects="fixed")
    estimates, covered = [], []
    for y in draws.T:
        again = truth.refit(y)
        assert again.converged, again.verdict
        found = again.tidy(effects="fixed")
        estimates.append(found["estimate"])
        covered.append((found["conf_low"] <= expected["estimate"]) & (expected["estimate"] <= found["conf_high"]))
    share = np.mean(covered, axis=0)
    assert (share >= LOWEST).all(), dict(zip(expected["term"], share, strict=True))
    error = np.mean(estimates, axis=0) - expected["estimate"]
    allowed = (4 / np.sqrt(REPLICATES) + BIAS) * np.std(estimates, axis=0)
    assert (abs(error) < allowed).all(), dict(zip(expected["term"], error, strict=True))
