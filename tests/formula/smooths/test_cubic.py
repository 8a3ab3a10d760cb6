"""Cubic regression splines: the penalty, the ends, the circle."""

import numpy as np
import pytest

from ranef.formula.smooths import cubic

X = np.random.default_rng(2).uniform(0, 24, 200)


@pytest.mark.parametrize("cyclic", [False, True])
def test_penalty_is_the_bending_energy(cyclic):
    state = cubic.learn(X, 7, cyclic)
    at = np.linspace(X.min(), X.max(), 20_001)
    step = (at[1] - at[0]) / state["unit"]
    second = np.diff(cubic.bending(at, state), 2, axis=0) / step**2
    # The trapezoidal rule on this grid is good to four digits.
    np.testing.assert_allclose(second.T @ second * step, np.eye(5), atol=1e-3)


def test_straight_beyond_the_knots():
    state = cubic.learn(X, 7, False)
    values = cubic.bending(np.array([30.0, 31.0, 32.0]), state)
    np.testing.assert_allclose(values[0] - 2 * values[1] + values[2], 0, atol=1e-10)


def test_around_the_circle():
    state = cubic.learn(X, 7, True, np.array([0.0, 24.0]))
    at = np.array([-5.0, 0.0, 3.0, 12.0])
    np.testing.assert_allclose(cubic.bending(at, state), cubic.bending(at + 24, state), atol=1e-12)
    near = cubic.bending(np.array([24 - 1e-6, 24 + 1e-6]), state)
    np.testing.assert_allclose(near[0], near[1], atol=1e-5)
    assert cubic.straight(at, state).shape == (4, 0)


def test_knots_may_be_given():
    knots = np.array([0.0, 3.0, 10.0, 20.0, 24.0])
    np.testing.assert_array_equal(cubic.learn(X, 5, False, knots)["knots"], knots)
    ends = cubic.learn(X, 6, True, np.array([0.0, 24.0]))["knots"]
    assert ends[0] == 0
    assert ends[-1] == 24
    assert len(ends) == 6
