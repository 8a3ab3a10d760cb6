"""Simulate, fit, cover: parameters of covariance structures and their intervals.

From one fit's parameters new responses are drawn, with new random effects, and the model is fitted again. With R = 60
fits intervals of 95 % cover in 85 % or more of them but for a probability below one in a hundred; standard deviations
are biased downwards by maximum likelihood, here by less than 0.4 of a standard error.
"""

import numpy as np
import pandas as pd
import pytest

import ranef as rf

REPLICATES = 60
LOWEST = 0.85
#: Bias allowed, in standard errors of one estimate.
BIAS = 0.4


def first_fit(structure: str) -> rf.Fit:
    rng = np.random.default_rng(21)
    subjects, occasions = 60, 6
    lag = np.abs(np.subtract.outer(np.arange(occasions), np.arange(occasions)))
    correlation = 0.6**lag if structure in ("ar1", "hetar1", "homtoep", "rr") else np.where(lag == 0, 1.0, 0.5)
    effects = 0.8 * rng.normal(size=(subjects, occasions)) @ np.linalg.cholesky(correlation).T
    data = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(subjects), occasions),
            "t": pd.Series(np.tile(np.arange(occasions), subjects)).astype(str).astype("category"),
        }
    )
    data["y"] = rng.poisson(np.exp(1.0 + effects.ravel()))
    return rf.glmm(f"y ~ 1 + {structure}(0 + t | subject)", data, family="poisson")


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["homdiag", "homcs", "cs", "ar1", "hetar1", "homtoep"])
def test_intervals_cover_the_parameters_that_made_the_data(structure):
    truth = first_fit(structure)
    assert truth.converged
    expected = truth.tidy("random")["estimate"].to_numpy()
    estimates, errors, covered = [], [], []
    for y in truth.simulate(REPLICATES, seed=4, ranef="new").T:
        again = truth.refit(y)
        assert again.converged, again.verdict
        found = again.tidy("random")
        estimates.append(found["estimate"])
        errors.append(found["std_error"])
        covered.append((found["conf_low"] <= expected) & (expected <= found["conf_high"]))
    assert (np.mean(covered, axis=0) >= LOWEST).all(), np.mean(covered, axis=0)
    spread = np.std(estimates, axis=0)
    assert (np.abs(np.mean(estimates, axis=0) - expected) < (BIAS + 4 / np.sqrt(REPLICATES)) * spread).all()
    # Standard errors are those of the estimates over the replicates, whose own error is 1 / sqrt(2 R) = 9 %.
    np.testing.assert_allclose(np.median(errors, axis=0) / spread, 1.0, atol=0.3)
