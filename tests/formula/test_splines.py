"""The natural spline basis: R's values, and what makes it one."""

import numpy as np
import pytest

from ranef.formula.splines import natural_spline, natural_spline_knots


def basis(x: np.ndarray, df: int, at: np.ndarray | None = None, intercept: bool = False) -> np.ndarray:
    inner, boundary = natural_spline_knots(x, df, None, None, intercept)
    return natural_spline(x if at is None else at, inner, boundary, intercept)


def test_r_s_values() -> None:
    """Rows 2 and 3 of ns(women$height, df = 5), from the example of its help page, at the printed digits."""
    values = basis(np.arange(58.0, 73.0), 5)
    np.testing.assert_allclose(values[0], 0, atol=1e-15)
    np.testing.assert_allclose(values[1], [7.592323e-03, 0, -0.08670223, 0.26010669, -0.1734044626], atol=5e-9)
    np.testing.assert_allclose(values[2], [6.073858e-02, 0, -0.15030440, 0.45091320, -0.3006088020], atol=5e-9)


def test_knots_are_quantiles() -> None:
    inner, boundary = natural_spline_knots(np.arange(58.0, 73.0), 5, None, None, False)
    np.testing.assert_allclose(inner, [60.8, 63.6, 66.4, 69.2])  # attr(, "knots") of the same page
    assert boundary == (58.0, 72.0)


@pytest.mark.parametrize("df", [1, 2, 3, 7])
@pytest.mark.parametrize("intercept", [False, True])
def test_shape_and_rank(df: int, intercept: bool) -> None:
    df += intercept
    x = np.linspace(0, 3, 60) ** 1.5
    values = basis(x, df, intercept=intercept)
    assert values.shape == (60, df)
    columns = values if intercept else np.column_stack([np.ones(60), values])
    assert np.linalg.matrix_rank(columns) == columns.shape[1]


def test_it_spans_straight_lines() -> None:
    x = np.linspace(-2, 5, 50)
    columns = np.column_stack([np.ones(50), basis(x, 4)])
    residual = np.linalg.lstsq(columns, 3 - 2 * x, rcond=None)[1]
    np.testing.assert_allclose(residual, 0, atol=1e-20)


def test_it_is_linear_beyond_the_boundary_and_smooth_across_it() -> None:
    x = np.linspace(0, 1, 30)
    step = 1e-4
    for edge, outward in ((0.0, -1.0), (1.0, 1.0)):
        outside = basis(x, 4, edge + outward * np.array([0.5, 1.0, 1.5]))
        np.testing.assert_allclose(np.diff(outside, n=2, axis=0), 0, atol=1e-10)
        at = edge + step * np.array([-1.0, 0.0, 1.0])
        second = np.diff(basis(x, 4, at), n=2, axis=0) / step**2
        np.testing.assert_allclose(second, 0, atol=0.05)  # curvature grows from 0 at rate O(1), one step away


def test_an_interpolating_natural_spline_is_reproduced() -> None:
    """The natural cubic spline through the knots is in the span: scipy's, at the same knots."""
    from scipy.interpolate import CubicSpline

    knots = np.array([0.0, 1.0, 2.5, 3.0, 5.0])
    curve = CubicSpline(knots, [1.0, -1, 2, 0, 3], bc_type="natural")
    x = np.linspace(0, 5, 200)
    columns = np.column_stack([np.ones(200), natural_spline(x, knots[1:-1], (0.0, 5.0))])
    fitted = columns @ np.linalg.lstsq(columns, curve(x), rcond=None)[0]
    np.testing.assert_allclose(fitted, curve(x), atol=1e-12)


def test_knots_of_ones_own() -> None:
    inner, boundary = natural_spline_knots(np.arange(10.0), None, np.array([6.0, 3.0]), (-1.0, 12.0), False)
    assert inner.tolist() == [3, 6]
    assert boundary == (-1.0, 12.0)


@pytest.mark.parametrize(
    ("x", "df", "knots"),
    [
        (np.arange(5.0), 0, None),
        (np.ones(5), 2, None),
        (np.repeat([1.0, 2.0], 9), 6, None),
        (np.arange(5.0), None, np.array([9.0])),
        (np.arange(5.0), None, np.array([2.0, 2.0])),
    ],
)
def test_knots_that_make_no_spline(x: np.ndarray, df: int | None, knots: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match=r"df|knots"):
        natural_spline_knots(x, df, knots, None, False)
