"""Whatever comes in, what comes out is an answer or an error of ranef's own that says what to do."""

import numpy as np
import pandas as pd
import pytest

import fuzz
import ranef as rf
from hostile_inputs import KINDS, attempt
from hostile_values import plain_fits, plain_frame
from ranef.formula.design import build_design
from ranef.formula.level_columns import column_sds

# Inputs of each kind, in pieces that run side by side: cheap ones (a formula that is read) many times, fits less often.
INPUTS = {"formula": 6000, "method": 2400, "arguments": 800, "fitted-formula": 300, "frame": 500, "fitted-frame": 200}
PIECES = 4


def said(findings):
    return "\n".join(f"{f.what}\n    {f.where}\n    {f.reproducer}" for f in findings)


def test_there_are_ten_thousand_inputs_and_some_of_each_kind():
    assert sum(INPUTS.values()) >= 10_000
    assert set(INPUTS) == set(KINDS)


@pytest.mark.parametrize("piece", range(PIECES))
@pytest.mark.parametrize("kind", sorted(INPUTS))
def test_an_answer_or_an_error_of_our_own(kind, piece):
    size = INPUTS[kind] // PIECES
    found = [f for seed in range(piece * size, (piece + 1) * size) if (f := attempt(kind, seed))]
    assert not found, said(found)


def test_what_was_found_once_is_not_found_again():
    found = [f for kind, seed in fuzz.corpus() if (f := attempt(kind, seed))]
    assert not found, said(found)


# What was found, by name.


@pytest.mark.parametrize("n", [120, 3000])
def test_a_chain_of_powers_is_refused_before_the_stack_ends(n):
    with pytest.raises(rf.FormulaError, match="nested more than 100 deep"):
        build_design("y ~ x" + "^2" * n, plain_frame())


def test_columns_beyond_the_square_root_of_the_largest_number_have_a_spread():
    x = np.array([[1e308, 3.0], [-1e308, 5.0], [1e308, 4.0], [-1e308, 4.0]])
    np.testing.assert_allclose(column_sds(x), [1e308, np.sqrt(0.5)], rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"matrices": 3}, r"lmm\(matrices=3\): give a dictionary or None"),
        ({"control": pd.DataFrame()}, r"control is a ranef.Control\(...\), not DataFrame"),
        ({"control": 0}, r"control is a ranef.Control\(...\), not int"),
        ({"tied": [1, 2]}, "give a list of tuples of names"),
        ({"reml": "yes"}, "reml='yes': give True or False"),
    ],
)
def test_arguments_of_other_types_are_refused_by_name(arguments, words):
    with pytest.raises(rf.ModelError, match=words):
        rf.lmm("y ~ x + (1 | g)", plain_frame(), **arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("predict", {"se": [1]}, r"predict\(se=<list>\): give True or False"),
        ("predict", {"level": "0.9"}, "level"),
        ("r2", {"approximation": np.ones(3)}, r"r2\(approximation=<ndarray>\): give text or None"),
        ("confint", {"ddf": np.ones(3)}, r"confint\(ddf=<ndarray>\): give text or None"),
        ("anova", {"type": pd.DataFrame()}, r"anova\(type=<DataFrame>\): give a whole number or text"),
        ("slopes", {"variable": pd.DataFrame()}, r"slopes\(variable=<DataFrame>\): give text"),
        ("comparisons", {"variable": {1: 2}}, "no variable of the model"),
        ("joint_tests", {"at": {1: 2}}, "`1` is no variable of the model"),
        ("test", {"L": "x", "component": ["cond"]}, "component"),
        ("effects", {"terms": "x", "ranef": pd.DataFrame({"f": [1]})}, "names no random-effects term"),
    ],
)
def test_a_method_refuses_arguments_of_other_types_by_name(method, arguments, words):
    with pytest.raises(rf.ModelError, match=words):
        getattr(plain_fits()[0], method)(**arguments)


def test_truth_values_and_numbers_of_numpy_are_as_good_as_pythons():
    fit = plain_fits()[0]
    assert fit.confint(level=np.float64(0.9)).equals(fit.confint(level=0.9))
    np.testing.assert_array_equal(fit.simulate(np.int64(2), seed=np.int64(1)), fit.simulate(2, seed=1))


@pytest.mark.parametrize("name", [2.5, 3, ("a", 1)])
def test_repeated_names_that_are_no_text_are_refused_too(name):
    data = plain_frame().rename(columns={"z": name})
    data = pd.concat([data, data[[name]]], axis=1)
    with pytest.raises(rf.DataError, match="2 columns called"):
        rf.lmm("y ~ x + (1 | h)", data)
