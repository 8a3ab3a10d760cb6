"""Models that others become: fixed effects as random ones of large variance, none as of variance zero."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from crossed_data import data, fit

SDS = (30.0, 300.0)


def held_out(family: str, sd: float, **options) -> rf.Fit:
    """Random intercepts whose standard deviation is held."""
    frame = every_kind(family)
    if family == "gaussian":
        return rf.lmm("y ~ x + (1 | g)", frame, fixed={"sd(g)": sd, "sigma": 1.0}, **options)
    # A dispersion of its own would be another for every standard deviation.
    fixed = {"sd(g)": sd} | ({"disp: Intercept": 1.0} if family in ("gamma", "nbinom2") else {})
    return fit(family, frame, "y ~ x + (1 | g)", fixed=fixed, **options)


def every_kind(family: str) -> pd.DataFrame:
    """Data in which no group has responses of one kind only, whose own intercept would be infinite."""
    frame = data(family, n=400)
    if family == "gamma":
        return frame
    largest = 1.0 if family in ("binomial", "trials") else np.inf
    seen = frame.groupby("g")["y"].agg(["min", "max"])
    assert ((seen["max"] > 0) & (seen["min"] < largest)).all() or family == "gaussian"
    return frame


def fixed_effects(family: str) -> tuple[np.ndarray, float]:
    """Intercept of every group and the common slope, without random effects."""
    frame = every_kind(family)
    fixed = {"disp: Intercept": 1.0} if family in ("gamma", "nbinom2") else None
    coefficients = np.array(list(fit(family, frame, "y ~ 0 + g + x", fixed=fixed).fixef().values()))
    return coefficients[:-1], coefficients[-1]


def distance(family: str, sd: float, **options) -> np.ndarray:
    """How far conditional intercepts and the slope are from those of the fixed effects."""
    random = held_out(family, sd, **options)
    intercepts, slope = fixed_effects(family)
    own = random.fixef()["Intercept"] + np.asarray(random.engine.modes[0])[:, 0]
    return np.append(own - intercepts, random.fixef()["x"] - slope)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("gaussian", {"reml": False}),
        ("gaussian", {"reml": True}),
        # With a log link the curvature at the mode is the sum of the counts, or the number of rows times the shape,
        # whatever the slope: Laplace's approximation has the slope of the fit of fixed effects in the limit.
        ("poisson", {}),
        ("gamma", {}),
        # With others it has not; with the fixed effects inside the approximation it has.
        ("poisson", {"quadrature": 0}),
        ("trials", {"quadrature": 0}),
        ("binomial", {"quadrature": 0}),
        ("nbinom2", {"quadrature": 0}),
    ],
)
def test_effects_of_large_variance_are_fixed_effects(family, options):
    near, far = (np.abs(distance(family, sd, **options)) for sd in SDS)
    # What a prior of variance s^2 pulls is of order 1 / s^2: a hundred times less where s is ten times as large. The
    # estimates compared are known to about 1e-7 standard errors.
    assert near.max() < 0.05
    assert (far < 0.011 * near + 1e-7).all(), (near, far)
    assert (far > 0.009 * near - 1e-7).all(), (near, far)


@pytest.mark.parametrize("family", ["gaussian", "poisson", "nbinom2", "trials"])
def test_effects_of_small_variance_are_none(family):
    none = fit(family, data(family), "y ~ x")
    near, far = (fit(family, data(family), "y ~ x + (1 | g)", fixed={"sd(g)": sd}) for sd in (1e-2, 1e-3))
    gains = [held.loglik - none.loglik for held in (near, far)]
    # The likelihood is a smooth function of the variance.
    assert gains[0] > 1e-4
    assert gains[1] == pytest.approx(gains[0] / 100, rel=0.05)
    exactly = fit(family, data(family), "y ~ x + (1 | g)", fixed={"sd(g)": 0.0})
    assert exactly.loglik == pytest.approx(none.loglik, abs=1e-9)
    assert exactly.fixef()["x"] == pytest.approx(none.fixef()["x"], abs=1e-6)
