"""Inverse links and their slopes."""

import numpy as np
import pytest

from ranef import links

# Points inside every link's range.
ETA = np.array([0.2, 0.7, 1.3, 2.1])
AT_ONE = {
    "identity": 1.0,
    "log": np.e,
    "logit": 1.0 / (1.0 + np.exp(-1.0)),
    "probit": 0.8413447460685429,
    "cloglog": 1.0 - np.exp(-np.e),
    "loglog": np.exp(-np.exp(-1.0)),
    "cauchit": 0.75,
    "inverse": 1.0,
    "inverse_squared": 1.0,
    "sqrt": 1.0,
}


@pytest.mark.parametrize(("name", "value"), AT_ONE.items())
def test_inverse_at_one(name, value):
    assert links.inverse(name, 1.0) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("name", links.NAMES)
def test_slope_is_the_derivative_of_the_inverse(name):
    h = 1e-5
    difference = (links.inverse(name, ETA + h) - links.inverse(name, ETA - h)) / (2 * h)
    # Central differences are off by h^2 / 6 times the third derivative.
    np.testing.assert_allclose(links.slope(name, ETA), difference, rtol=1e-7)
