"""Thin plate regression splines: what they are in one dimension, and what does not matter."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from ranef.formula.smooths import thin_plate

RNG = np.random.default_rng(1)
LINE = RNG.uniform(0, 10, size=(40, 1))
PLANE = RNG.normal(size=(60, 2))


def penalty_of(values, at):
    """Bending energy of functions known on a fine grid, by the trapezoidal rule."""
    step = at[1] - at[0]
    second = np.diff(values, 2, axis=0) / step**2
    return second.T @ second * step


def test_penalty_is_the_bending_energy():
    state = thin_plate.learn(LINE, 8)
    # Functions are straight outside the data, so the integral over their range is all of it.
    at = np.linspace(LINE.min(), LINE.max(), 20_001)
    energy = penalty_of(thin_plate.bending(at[:, None], state), (at - state["centre"]) / state["unit"])
    # The trapezoidal rule on this grid is good to four digits.
    np.testing.assert_allclose(energy, np.eye(6), atol=1e-3)


def test_curves_are_natural_splines_through_their_knots():
    state = thin_plate.learn(LINE, 8)
    knots = np.sort(LINE[:, 0])
    spline = CubicSpline(knots, thin_plate.bending(knots[:, None], state), bc_type="natural")
    at = np.linspace(knots[0], knots[-1], 101)
    np.testing.assert_allclose(thin_plate.bending(at[:, None], state), spline(at), atol=1e-10)


def test_curves_are_straight_beyond_the_data():
    state = thin_plate.learn(LINE, 8)
    for at in (np.array([-3.0, -2.0, -1.0]), np.array([11.0, 12.0, 13.0])):
        values = thin_plate.bending(at[:, None], state)
        np.testing.assert_allclose(values[0] - 2 * values[1] + values[2], 0, atol=1e-10)


def test_full_basis_holds_every_natural_spline():
    points = np.array([[0.0], [1.0], [2.5], [3.0], [5.0]])
    state = thin_plate.learn(points, 5)
    basis = np.column_stack([np.ones(5), points, thin_plate.bending(points, state)])
    assert np.linalg.matrix_rank(basis) == 5


@pytest.mark.parametrize("points", [LINE, PLANE], ids=["line", "plane"])
def test_place_and_unit_do_not_matter(points):
    k = 12
    one = thin_plate.bending(points, thin_plate.learn(points, k))
    moved = 1000 + 25 * points
    two = thin_plate.bending(moved, thin_plate.learn(moved, k))
    # Functions are determined up to rotation, which their products with themselves forget.
    np.testing.assert_allclose(one @ one.T, two @ two.T, rtol=1e-6, atol=1e-8)


def test_rotating_the_plane_does_not_matter_to_the_kernel_s_span():
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    one = thin_plate._kernel(PLANE, PLANE)
    two = thin_plate._kernel(PLANE @ turn.T, PLANE @ turn.T)
    np.testing.assert_allclose(one, two, atol=1e-10)


def test_many_points_are_represented_by_a_sample():
    points = np.linspace(0, 1, 5001)[:, None]
    state = thin_plate.learn(points, 10)
    assert len(state["knots"]) == thin_plate.MOST_KNOTS
    fewer = thin_plate.learn(points[::5], 10)
    one, two = thin_plate.bending(points, state), thin_plate.bending(points, fewer)
    # The leading eigenfunctions of n points differ from those of an interval by 1 / n or so, here 1 / 1001.
    np.testing.assert_allclose(one @ one[2500], two @ two[2500], atol=3e-3 * np.abs(one @ one[2500]).max())
