"""The left side: numbers, two levels, counts, proportions, ordered categories."""

import numpy as np
import pandas as pd
import pytest

from ranef.errors import DataError, FormulaError
from ranef.formula.design import build_design

DATA = pd.DataFrame(
    {
        "y": [1.5, -2.0, 0.0, 3.0],
        "f": pd.Categorical(["yes", "no", "no", "yes"], ["no", "yes"]),
        "t": ["b", "a", "a", "b"],
        "q": ["a", "b", "c", "a"],
        "b": [True, False, False, True],
        "z": [0, 1, 1, 0],
        "s": [2, 0, 3, 5],
        "n": [4, 2, 3, 10],
        "o": pd.Categorical(["lo", "hi", "mid", "lo"], ["lo", "mid", "hi"], ordered=True),
        "x": [1.0, 2.0, 3.0, 5.0],
    }
)


def response(left: str, kind: str = "numeric", data: pd.DataFrame = DATA, **options):
    return build_design(f"{left} ~ x", data, response_kind=kind, **options).response


@pytest.mark.parametrize(
    ("left", "values"),
    [
        ("y", DATA.y),
        ("log(n)", np.log(DATA.n)),
        ("s/n", DATA.s / DATA.n),
        ("I(y^2)", DATA.y**2),
        ("y + 1", DATA.y + 1),
        ("scale(x)", (DATA.x - DATA.x.mean()) / DATA.x.std()),
        ("y > 0", (DATA.y > 0) * 1.0),
        ("b", DATA.b * 1.0),
    ],
)
def test_numbers(left: str, values: pd.Series) -> None:
    answer = response(left)
    np.testing.assert_allclose(answer.y, values)
    assert (answer.name, answer.trials, answer.levels) == (left, None, None)
    assert answer.form == ("bool" if left in ("b", "y > 0") else "numeric")


@pytest.mark.parametrize(
    ("left", "form", "levels", "values"),
    [
        ("f", "factor", ("no", "yes"), [1, 0, 0, 1]),
        ("t", "factor", ("a", "b"), [1, 0, 0, 1]),
        ("factor(z)", "factor", ("0", "1"), [0, 1, 1, 0]),
        ("relevel(f, ref = 'yes')", "factor", ("yes", "no"), [0, 1, 1, 0]),
        ("b", "bool", ("False", "True"), [1, 0, 0, 1]),
        ("I(y > 0)", "bool", ("False", "True"), [1, 0, 0, 1]),
        ("f == 'no'", "bool", ("False", "True"), [0, 1, 1, 0]),
        ("z", "numeric", None, [0, 1, 1, 0]),
    ],
)
def test_two_outcomes(left: str, form: str, levels: tuple | None, values: list) -> None:
    answer = response(left, "binomial")
    assert (answer.form, answer.levels, answer.trials) == (form, levels, None)
    np.testing.assert_array_equal(answer.y, values)


def test_successes_and_failures() -> None:
    answer = response("cbind(s, n - s)", "binomial")
    assert (answer.name, answer.form) == ("cbind(s, n - s)", "cbind")
    np.testing.assert_array_equal(answer.y, DATA.s)
    np.testing.assert_array_equal(answer.trials, DATA.n)


def test_a_proportion_of_its_weights() -> None:
    for design in (
        build_design("s/n ~ x", DATA, response_kind="binomial", weights="n"),
        build_design("p ~ x", DATA.assign(p=DATA.s / DATA.n), response_kind="binomial", weights="n"),
    ):
        assert design.response.form == "proportion"
        np.testing.assert_array_equal(design.response.y, DATA.s)
        np.testing.assert_array_equal(design.response.trials, DATA.n)
        assert design.weights is None
        assert design.weights_name == "n"


def test_zeros_and_ones_keep_their_weights() -> None:
    design = build_design("z ~ x", DATA, response_kind="binomial", weights=[0.5, 1.0, 2.0, 1.5])
    assert design.response.form == "numeric"
    np.testing.assert_array_equal(design.weights, [0.5, 1, 2, 1.5])


@pytest.mark.parametrize("left", ["o", "factor(n)", "n", "q"])
def test_ordered_categories(left: str) -> None:
    answer = response(left, "ordinal")
    assert answer.form == ("numeric" if left == "n" else "factor")
    assert answer.y.min() == 1
    assert answer.y.max() == len(answer.levels)
    if left == "o":
        assert answer.levels == ("lo", "mid", "hi")
        np.testing.assert_array_equal(answer.y, [1, 3, 2, 1])


@pytest.mark.parametrize(
    ("left", "kind", "error", "message"),
    [
        ("f", "numeric", DataError, "must be numbers for this family; it has the levels no, yes"),
        ("log(t)", "numeric", DataError, "not numeric"),
        ("cbind(s, n)", "numeric", FormulaError, "binomial families only"),
        ("cbind(s)", "binomial", FormulaError, "two columns"),
        ("cbind(s, n, z)", "binomial", FormulaError, "two columns"),
        ("cbind(y, n)", "binomial", DataError, r"`y` is -2 in row 1"),
        ("cbind(n, s - n)", "binomial", DataError, r"`s - n` is -2 in row 0"),
        ("cbind(s, x / 2)", "binomial", DataError, r"`x / 2` is 0.5 in row 0"),
        ("cbind(s, t)", "binomial", DataError, "must be numbers"),
        ("q", "binomial", DataError, r"`q` has 3 levels \(a, b, c\)"),
        ("n", "binomial", DataError, r"`n` is 4 in row 0"),
        ("s/n", "binomial", DataError, r"`s/n` is 0.5 in row 0 .* weights='n' or write cbind\(s, n - s\)"),
        ("poly(x, 2)", "numeric", FormulaError, "one column"),
        ("(1 | g)", "numeric", FormulaError, "left of ~"),
        ("s | n", "numeric", FormulaError, "left of ~"),
    ],
)
def test_refusals(left: str, kind: str, error: type, message: str) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        response(left, kind)


def test_a_constant_text_is_not_binary() -> None:
    with pytest.raises(DataError, match="`t` has 1 level"):
        response("t", "binomial", DATA.assign(t="a"))
    with pytest.raises(DataError, match="`t` has 1 level"):
        response("t", "ordinal", DATA.assign(t="a"))


def test_trials_must_fit_the_proportion() -> None:
    with pytest.raises(DataError, match="not a whole number of successes"):
        response("s/n", "binomial", weights=[4.0, 2.0, 3.0, 9.0])
    with pytest.raises(DataError, match=r"that of row 2 \(counting from 0\) is 2.5"):
        response("s/n", "binomial", weights=[4.0, 2.0, 2.5, 10.0])


def test_rows_are_counted_in_the_callers_frame() -> None:
    data = DATA.assign(x=[np.nan, 2.0, 3.0, 5.0], n=[1, 1, 0, 7])
    with pytest.raises(DataError, match="`n` is 7 in row 3"):
        response("n", "binomial", data)


def test_an_unknown_kind_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="response_kind"):
        response("y", "counts")
