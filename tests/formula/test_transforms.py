"""Transforms that learn: their values as in R, and the same again on other rows."""

import numpy as np
import pytest

from ranef.formula.transforms import STATEFUL, Basis

X = np.array([2.0, 7.0, 1.0, 8.0, 2.5, 8.5, 1.5, 8.2, 4.0, 5.0])


def values(result: object) -> np.ndarray:
    return result.values if isinstance(result, Basis) else np.asarray(result)


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
def test_poly_is_r_s(degree: int) -> None:
    """R's poly: columns of Q in the QR of the powers of x - mean(x), signed so that R's diagonal is positive."""
    q, r = np.linalg.qr(np.vander(X - X.mean(), degree + 1, increasing=True))
    expected = (q * np.sign(np.diag(r)))[:, 1:]
    np.testing.assert_allclose(values(STATEFUL["poly"](X, degree, state={})), expected, atol=1e-12)


def test_poly_of_one_to_ten() -> None:
    """The first row of poly(1:10, 3): integer contrasts over their norms (Pearson & Hartley, table 47)."""
    linear, quadratic, cubic = -9 / np.sqrt(330), 6 / np.sqrt(132), -42 / np.sqrt(8580)
    first = values(STATEFUL["poly"](np.arange(1.0, 11.0), 3, state={}))[0]
    np.testing.assert_allclose(first, [linear, quadratic, cubic], atol=1e-14)


def test_raw_poly_is_powers() -> None:
    np.testing.assert_array_equal(values(STATEFUL["poly"](X, 2, True, state={})), np.column_stack([X, X**2]))


def test_scale_divides_by_the_sample_sd() -> None:
    np.testing.assert_allclose(STATEFUL["scale"](X, state={}), (X - X.mean()) / X.std(ddof=1), rtol=1e-14)


def test_scale_without_centring_divides_by_the_root_mean_square() -> None:
    expected = X / np.sqrt((X**2).sum() / (len(X) - 1))
    np.testing.assert_allclose(STATEFUL["scale"](X, False, state={}), expected, rtol=1e-14)


def test_bs_is_a_partition_of_unity_less_its_first_column() -> None:
    full = STATEFUL["bs"](X, df=6, intercept=True, state={})
    np.testing.assert_allclose(full.values.sum(axis=1), 1, atol=1e-14)
    np.testing.assert_allclose(STATEFUL["bs"](X, df=5, state={}).values, full.values[:, 1:], atol=1e-14)


def test_bs_knots_are_scipy_s() -> None:
    from scipy.interpolate import BSpline

    knots = np.concatenate([[1.0] * 4, [3.0, 6.0], [8.5] * 4])
    expected = BSpline.design_matrix(X, knots, 3).toarray()[:, 1:]
    np.testing.assert_allclose(STATEFUL["bs"](X, knots=[3.0, 6.0], state={}).values, expected, atol=1e-14)


CALLS = [
    ("poly", (3,), {}),
    ("poly", (2, True), {}),
    ("scale", (), {}),
    ("scale", (False,), {}),
    ("center", (), {}),
    ("ns", (3,), {}),
    ("ns", (), {"knots": [4.0], "boundary_knots": [0.0, 10.0]}),
    ("bs", (5,), {}),
    ("bs", (), {"knots": [4.0], "degree": 2}),
    ("cr", (4,), {}),
    ("cc", (4,), {}),
    ("mean", (), {}),
    ("median", (), {}),
    ("sd", (), {}),
    ("var", (), {}),
    ("min", (), {}),
    ("max", (), {}),
    ("sum", (), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), CALLS)
def test_what_was_learned_is_repeated_row_by_row(name: str, args: tuple, options: dict) -> None:
    state: dict = {}
    learned = values(STATEFUL[name](X, *args, state=state, **options))
    assert state, "nothing was kept for new data"
    for rows in ([3], [0, 5], [9, 1, 1]):
        again = values(STATEFUL[name](X[rows], *args, state=state, **options))
        np.testing.assert_allclose(again, learned if learned.ndim == 0 else learned[rows], atol=1e-14)


def test_every_transform_is_tried() -> None:
    assert {name for name, _, _ in CALLS} == set(STATEFUL)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("poly", (0,), {}),
        ("poly", (1.5,), {}),
        ("poly", (10,), {}),
        ("poly", (2, 3.0), {}),
        ("ns", (10**9,), {}),
        ("ns", (-1,), {}),
        ("ns", ("a",), {}),
        ("ns", (), {"boundary_knots": [1.0]}),
        ("bs", (2,), {}),
        ("bs", (10**9,), {}),
        ("bs", (), {"intercept": 2.0}),
        ("poly", (10**9, True), {}),
    ],
)
def test_what_makes_no_basis(name: str, args: tuple, options: dict) -> None:
    with pytest.raises(ValueError, match=r".+"):
        STATEFUL[name](X, *args, state={}, **options)


def test_a_constant_has_no_scale() -> None:
    with pytest.raises(ValueError, match="no spread"):
        STATEFUL["scale"](np.ones(4), state={})
