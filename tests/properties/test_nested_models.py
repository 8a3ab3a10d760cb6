"""A larger model never fits worse: effects, random terms, components, parameters of families, structures added."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ranef as rf
from crossed_data import FAMILIES, MORE_FAMILIES, data, fewer, fit

# Each likelihood ends within the square of 1e-7 standard errors below its maximum; what is left is rounding.
LOSS = 1e-6


def never_worse(logliks: list[float]) -> None:
    assert all(larger >= smaller - LOSS for smaller, larger in itertools.pairwise(logliks)), logliks


LADDERS = {
    "random": ["x + (1 | g)", "x + (x || g)", "x + (x | g)", "x + (x | g) + (1 | h)", "x + (x | g) + (x | h)"],
    "fixed": ["1 + (1 | g)", "x + (1 | g)", "x + f + (1 | g)", "x * f + (1 | g)", "poly(x, 3) * f + (1 | g)"],
    "structures": [
        "x + (1 | g)",
        "x + homcs(0 + f | g)",
        "x + cs(0 + f | g)",
        "x + (0 + f | g)",
        "x + (0 + f | g) + (1 | g:h)",
    ],
}


@pytest.mark.parametrize("ladder", list(LADDERS))
@pytest.mark.parametrize("family", FAMILIES)
@fewer
@given(seed=st.integers(0, 1000))
def test_with_more_effects(family, ladder, seed):
    frame = data(family, seed=seed)
    never_worse([fit(family, frame, f"y ~ {formula}").loglik for formula in LADDERS[ladder]])


@pytest.mark.parametrize("family", [name for name in MORE_FAMILIES if name not in FAMILIES])
def test_with_more_effects_in_further_families(family):
    frame = data(family)
    formulas = ["y ~ 1 + (1 | g)", "y ~ x + (1 | g)", "y ~ x + f + (1 | g)", "y ~ x + f + (x | g)"]
    never_worse([fit(family, frame, formula).loglik for formula in formulas])


@pytest.mark.parametrize("family", ["gaussian", "nbinom2", "gamma", "beta", "student_t"])
@fewer
@given(seed=st.integers(0, 1000))
def test_with_a_dispersion_that_varies(family, seed):
    frame = data(family, seed=seed)
    formulas = ["~ 1", "~ x", "~ x + f", "~ x + f + (1 | h)"]
    never_worse([fit(family, frame, "y ~ x + (1 | g)", dispersion=formula).loglik for formula in formulas])


def with_zeros(seed: int) -> pd.DataFrame:
    """Counts of which some groups and large values of a covariate have more that are zero."""
    frame, rng = data("nbinom2", n=480, seed=seed), np.random.default_rng(seed)
    eta = -1.0 + 0.5 * frame["x"] + 0.8 * rng.normal(size=8)[frame["h"].str[1:].astype(int)]
    return frame.assign(y=frame["y"] * (rng.random(480) > 1 / (1 + np.exp(-eta))))


ZERO_INFLATIONS = [None, "~ 1", "~ x", "~ x + f", "~ x + f + (1 | h)"]


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "nbinom1", "genpois"])
@fewer
@given(seed=st.integers(0, 1000))
def test_with_zero_inflation(family, seed):
    frame = with_zeros(seed)
    with warnings.catch_warnings():
        # Few zeros may be separated by a covariate: that there is no maximum is said, and there is none to compare.
        warnings.simplefilter("ignore", rf.ConvergenceWarning)
        fits = [fit(family, frame, "y ~ x + (1 | g)", zi=formula) for formula in ZERO_INFLATIONS]
    assert sum(found.converged for found in fits) >= 3
    never_worse([found.loglik for found in fits if found.converged])


def test_a_zero_inflation_of_a_few_rows_at_the_end_of_a_covariate_is_separation():
    # Not the edge of the family, at which there is no zero inflation: the likelihood is higher than without any.
    with pytest.warns(rf.ConvergenceWarning, match="run to infinity"):
        found = fit("nbinom1", with_zeros(51), "y ~ x + (1 | g)", zi="~ x")
    assert found.verdict["status"] == "separated"
    assert found.loglik > fit("nbinom1", with_zeros(51), "y ~ x + (1 | g)").loglik + 2.0


@pytest.mark.parametrize(
    ("family", "seed", "formulas"),
    [
        ("nbinom2", 15, ("~ 1", "~ x")),
        ("nbinom2", 32, ("~ 1", "~ x")),
        ("nbinom1", 2, ("~ x", "~ x + (1 | h)")),
        ("nbinom2", 36, ("~ x", "~ x + (1 | h)")),
        ("nbinom1", 36, ("~ x", "~ x + (1 | h)")),
        ("genpois", 38, ("~ x", "~ x + (1 | h)")),
    ],
)
def test_zero_inflation_that_overdispersion_would_hide(family, seed, formulas):
    # Without random effects all zeros are overdispersion, but for those at the far end of the covariate: a search that
    # begins there ends there, up to 55 lower.
    frame = data("zero-inflated", seed=seed)
    fits = [fit(family, frame, "y ~ x + (1 | g)", zi=formula) for formula in formulas]
    assert all(found.converged for found in fits)
    never_worse([found.loglik for found in fits])


@pytest.mark.parametrize(
    "families",
    [
        ("poisson", "nbinom2", "nbinom12"),
        ("poisson", "nbinom1", "nbinom12"),
        ("poisson", "genpois"),
        ("poisson", "compois"),
        ("truncated_poisson", "truncated_nbinom2"),
        ("binomial", "betabinomial"),
        ("gaussian", "student_t"),
        ("gaussian", "skewnormal"),
    ],
)
@fewer
@given(seed=st.integers(0, 1000))
def test_families_that_hold_others(families, seed):
    small, large = families[0], families[-1]
    if small == "binomial":
        frame = data("trials", seed=seed).assign(s=lambda d: (8 * d["y"]).round().astype(int), n=8)
        formula = "cbind(s, n - s) ~ x + (1 | g)"
    else:
        # Data of the larger family: a limit at infinity is no place to compare. The most that a Conway-Maxwell-Poisson
        # varies, as the geometric distribution, is less than the negative binomial data do.
        kinds = {"poisson": "nbinom2", "truncated_poisson": "nbinom2", "gaussian": "student_t"}
        kind = "poisson" if large == "compois" else kinds[small]
        frame, formula = data(kind, seed=seed), "y ~ x + (1 | g)"
        frame = frame.assign(y=frame["y"] + 1) if small == "truncated_poisson" else frame
    assert large != small
    never_worse([rf.glmm(formula, frame, family=name).loglik for name in families])
