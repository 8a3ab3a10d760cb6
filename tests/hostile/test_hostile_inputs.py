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
INPUTS = {
    "formula": 3600,
    "method": 1400,
    "arguments": 600,
    "fitted-formula": 240,
    "frame": 400,
    "fitted-frame": 200,
    "several": 600,
    "means": 300,
    "simulated": 600,
    "relatedness": 400,
    "assumptions": 300,
    "family": 200,
    "figure-data": 300,
    "figure": 40,
    "writing": 200,
    "update": 200,
    "estimator": 100,
    "saved-file": 120,
    "command": 40,
    "libraries": 100,
    "design": 60,
    "sound-fit": 12,
}
# Inputs of one test: kinds with more are run side by side, those with few pay once for what they import and draw.
MOST = 1000
PIECES = [
    (kind, first, min(first + MOST, number)) for kind, number in INPUTS.items() for first in range(0, number, MOST)
]


def said(findings):
    return "\n".join(f"{f.what}\n    {f.where}\n    {f.reproducer}" for f in findings)


def test_there_are_ten_thousand_inputs_and_some_of_each_kind():
    assert sum(INPUTS.values()) >= 10_000
    assert set(INPUTS) == set(KINDS)


@pytest.mark.parametrize(("kind", "first", "last"), PIECES)
def test_an_answer_or_an_error_of_our_own(kind, first, last):
    found = [f for seed in range(first, last) if (f := attempt(kind, seed))]
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


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda fit: rf.table(fit, names=3), r"table\(names=3\): give a list of texts or None"),
        (lambda fit: rf.table(fit, notes=0.9), r"table\(notes=0.9\): give text or a list of texts"),
        (lambda fit: rf.compare(fit, fit, n="3"), "n"),
        (lambda fit: rf.pool([fit, fit], ddf=np.ones(3)), r"pool\(ddf=<ndarray>\): give text or None"),
        (lambda fit: rf.plot_coefficients_data(fit, effects=np.ones(3)), r"plot_coefficients\(effects=<ndarray>\)"),
        (lambda fit: rf.power(fit, effect=[1]), "effect"),
        (lambda fit: fit.emmeans("f").joint(null=np.inf), "null=inf: give a finite number"),
        (lambda fit: fit.emmeans("f").contrasts(interaction=-1), r"interaction=<int>\): give True, a method"),
        (lambda fit: fit.effects("f").layer("lines", lines=pd.Series([1])), "lines"),
        (lambda fit: fit.plot.ranef(ax=3), "ax is of type int; give axes of matplotlib"),
        (lambda fit: fit.save("a\0b"), "cannot be the name of a file"),
        (lambda fit: rf.prior.normal(0, 1e-300), r"sd=1e-300: give a number from 1e-100 to 1e\+100"),
        (lambda fit: rf.families.poisson(link=3), "poisson cannot have link=3"),
        (lambda fit: fit.update(start={"factor": 3}), "a matrix of numbers for each random-effects term"),
        (lambda fit: fit.update(start={"log_sd(g)": 1e8}), "the logarithm of a standard deviation is 300 at most"),
    ],
)
def test_other_functions_refuse_arguments_by_name_too(call, words):
    with pytest.raises(rf.ModelError, match=words):
        call(plain_fits()[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rf.pedigree({"id": [], "sire": [], "dam": []}), "the pedigree has no rows"),
        (lambda: rf.adjacency(np.zeros((0, 0)), levels=[]), "the matrix of neighbours has no rows"),
        (lambda: rf.adjacency(np.eye(2) * 1j, levels=["a", "b"]), "holds complex128, not numbers"),
        (lambda: rf.phylogeny("(a:1e-320,b:1);"), "a branch length is 1e-100 to"),
        (lambda: rf.phylogeny("a\0b"), "neither a tree nor the path of a file"),
        (lambda: rf.lmm("y ~ x + propto(0 + g | 1, m)", plain_frame(), matrices={"m": np.ones((6, 6))}), "singular"),
    ],
)
def test_relatives_are_refused_in_words(call, words):
    with pytest.raises(rf.DataError, match=words):
        call()


def raising(*_):
    raise ZeroDivisionError("their own words")


@pytest.mark.parametrize(
    "call",
    [
        lambda fit: fit.bootstrap(2, raising, seed=1, threads=1),
        lambda fit: fit.simulate_residuals(n=5, seed=1).test_generic(raising),
        lambda fit: fit.simulate_residuals(n=5, seed=1).residuals(raising),
        lambda fit: fit.simulate_residuals(n=5, seed=1).aggregated("g", raising),
        lambda fit: rf.power(fit, test=raising, n_sim=1, seed=1, threads=1),
    ],
)
def test_a_function_that_raises_is_told_from_ranef(call):
    with pytest.raises(rf.ModelError, match="the function given raised ZeroDivisionError: their own words"):
        call(plain_fits()[0])


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]"])
def test_large_identifiers_stay_apart_where_some_are_missing(dtype):
    ids = pd.array([2**60, 2**60 + 1, None, 2**60 + 3], dtype=dtype)
    design = build_design("y ~ 1 + (1 | id)", pd.DataFrame({"y": np.arange(4.0), "id": ids}))
    assert design.random[0].levels == tuple(str(2**60 + k) for k in (0, 1, 3))
    assert (design.n, design.n_dropped) == (3, 1)


def test_a_start_without_a_likelihood_is_not_where_the_search_ends():
    fit = plain_fits()[0]
    far = fit.update(start={"factor": [[[1e308]]]})
    assert far.loglik == pytest.approx(fit.loglik, abs=1e-8)  # the same search from the same start
