"""Linear hypotheses: every way to write one means the same, and what is none is refused."""

import numpy as np
import pytest

import ranef as rf
from models import sleepstudy
from ranef.inference.linear_hypotheses import read

NAMES = ("Intercept", "x", "x2", "f[T.b]", "f[T.b]:x", "np.log(x)")


@pytest.mark.parametrize(
    ("text", "row", "right"),
    [
        ("x = 0", [0, 1, 0, 0, 0, 0], 0.0),
        ("x2", [0, 0, 1, 0, 0, 0], 0.0),
        ("x - x2 = 3", [0, 1, -1, 0, 0, 0], 3.0),
        ("2 * x + 0.5 x2 = 1 - x", [0, 3, 0.5, 0, 0, 0], 1.0),
        ("f[T.b] = f[T.b]:x", [0, 0, 0, 1, -1, 0], 0.0),
        ("(x + x2) / 2 - np.log(x) = 1e-1", [0, 0.5, 0.5, 0, 0, -1], 0.1),
        ("-(Intercept - 250) = 0", [-1, 0, 0, 0, 0, 0], -250.0),
        ("x * 2 - 3 * x2 * 2 = 1", [0, 2, -6, 0, 0, 0], 1.0),
        ("np.log(x) * 2 = 1", [0, 0, 0, 0, 0, 2], 1.0),
        ("10 = x", [0, -1, 0, 0, 0, 0], -10.0),
    ],
)
def test_equations(text, row, right):
    _, rows, found = read(text, 0.0, NAMES)
    np.testing.assert_allclose(rows, [row])
    np.testing.assert_allclose(found, [right])


def test_every_form_means_the_same():
    matrix = np.zeros((2, 6))
    matrix[0, 1], matrix[1, 1], matrix[1, 2] = 1.0, 1.0, -1.0
    forms = [
        (matrix, [0.0, 2.0]),
        (["x = 0", "x - x2 = 2"], 0.0),
        ([{"x": 1}, {"x": 1, "x2": -1}], [0.0, 2.0]),
        (["x", {"x": 1, "x2": -1}], [0.0, 2.0]),
    ]
    for hypotheses, rhs in forms:
        texts, rows, right = read(hypotheses, rhs, NAMES)
        np.testing.assert_allclose(rows, matrix)
        np.testing.assert_allclose(right, [0.0, 2.0])
        assert texts == ["x = 0", "x - x2 = 2"]


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ("y = 0", "there is no fixed effect 'y'"),
        ({"x3": 1}, "there is no fixed effect 'x3'; did you mean `x`"),
        ("x * x2 = 0", "not linear in the fixed effects"),
        ("x / x2 = 0", "not linear in the fixed effects"),
        ("x = 0 = x2", "give one equation"),
        ("x +", "not linear"),
        ([1.0, 2.0], "L has rows of 2 weights; there are 6 fixed effects"),
        ([], "L is empty"),
        ({"x": "much"}, "the weight of 'x' is 'much'; give a number"),
        (object(), "L is a row or a matrix of weights"),
        ([0.0, np.nan, 0, 0, 0, 0], "not finite"),
    ],
)
def test_what_is_no_linear_hypothesis_is_refused(hypotheses, message):
    with pytest.raises(rf.ModelError) as caught:
        read(hypotheses, 0.0, NAMES)
    assert message in str(caught.value)


def test_a_single_hypothesis_is_the_t_test():
    fit = sleepstudy()
    row, table = fit.test("Days = 0").iloc[0], fit.tidy().iloc[1]
    assert row["hypothesis"] == "Days = 0"
    assert (row["estimate"], row["std_error"]) == pytest.approx((table["estimate"], table["std_error"]), rel=1e-12)
    assert row["statistic"] == pytest.approx(6.7715**2, rel=1e-4)
    assert (row["num_df"], row["den_df"]) == pytest.approx((1, 17.0), rel=1e-6)
    assert row["p_value"] == pytest.approx(table["p_value"], rel=1e-8)


def test_the_right_side_counts():
    fit = sleepstudy()
    days = fit.fixef()["Days"]
    assert fit.test({"Days": 1}, rhs=days)["statistic"][0] == pytest.approx(0.0, abs=1e-20)
    both = fit.test(["Intercept = 250", "Days = 10"], ddf="asymptotic").iloc[0]
    difference = np.array([fit.fixef()["Intercept"] - 250.0, days - 10.0])
    assert both["statistic"] == pytest.approx(difference @ np.linalg.solve(fit.vcov(), difference), rel=1e-10)
    assert np.isinf(both["den_df"])
    assert np.isnan(both["estimate"])


@pytest.mark.parametrize("text", ["x3 = 0", "x_ = 0", "x[1] = 0"])
def test_a_name_is_no_beginning_of_a_longer_one(text):
    with pytest.raises(rf.ModelError, match="there is no fixed effect"):
        read(text, 0.0, NAMES)
