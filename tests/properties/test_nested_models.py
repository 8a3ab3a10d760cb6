"""A larger model never fits worse: effects, random terms, components, parameters of families, structures added."""

import itertools

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


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "nbinom1", "genpois"])
@fewer
@given(seed=st.integers(0, 1000))
def test_with_zero_inflation(family, seed):
    frame = data("zero-inflated", seed=seed)
    formulas = [None, "~ 1", "~ x", "~ x + (1 | h)"]
    never_worse([fit(family, frame, "y ~ x + (1 | g)", zi=formula).loglik for formula in formulas])


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
        # Data of the larger family: a limit at infinity is no place to compare.
        kind = {"poisson": "nbinom2", "truncated_poisson": "nbinom2", "gaussian": "student_t"}[small]
        frame, formula = data(kind, seed=seed), "y ~ x + (1 | g)"
        frame = frame.assign(y=frame["y"] + 1) if small == "truncated_poisson" else frame
    assert large != small
    never_worse([rf.glmm(formula, frame, family=name).loglik for name in families])
