"""Smooth terms in formulas: what is read, the columns they become, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef.formula.design import build_design

RNG = np.random.default_rng(3)
N = 120
DATA = pd.DataFrame(
    {
        "x": RNG.uniform(0, 10, N),
        "z": RNG.normal(size=N),
        "few": RNG.integers(0, 6, N),
        "f": RNG.choice(["a", "b"], N),
        "o": pd.Categorical(RNG.choice(["lo", "hi"], N), ["lo", "hi"], ordered=True),
        "s": RNG.normal(size=N),
        "y": RNG.normal(size=N),
    }
)


def names(formula):
    design = build_design(formula, DATA)
    return design.fixed["cond"].names, [(term.smooth, term.columns.shape[1]) for term in design.random]


@pytest.mark.parametrize(
    ("formula", "fixed", "random"),
    [
        ("y ~ s(x)", ("Intercept", "s(x)[1]"), [("s(x)", 8)]),
        ("y ~ s(x, k=5, bs='cr')", ("Intercept", "s(x)[1]"), [("s(x)", 3)]),
        ("y ~ s(x, bs='cc', k=8)", ("Intercept",), [("s(x)", 6)]),
        ("y ~ s(log(x + 1), k = 6)", ("Intercept", "s(log(x + 1))[1]"), [("s(log(x + 1))", 4)]),
        ("y ~ s(x, z)", ("Intercept", "s(x, z)[1]", "s(x, z)[2]"), [("s(x, z)", 27)]),
        (
            "y ~ t2(x, z)",
            ("Intercept", "t2(x, z)[1]", "t2(x, z)[2]", "t2(x, z)[3]"),
            [("t2(x, z).x:z", 9), ("t2(x, z).x", 6), ("t2(x, z).z", 6)],
        ),
        (
            "y ~ t2(x, z, k = c(5, 4), bs = c('cc', 'tp'))",
            None,
            [("t2(x, z).x:z", 6), ("t2(x, z).x", 6), ("t2(x, z).z", 2)],
        ),
        (
            "y ~ f + s(x, by = f)",
            ("Intercept", "f[T.b]", "s(x):f[a][1]", "s(x):f[b][1]"),
            [("s(x):f[a]", 8), ("s(x):f[b]", 8)],
        ),
        ("y ~ s(x) + s(x, by = o)", None, [("s(x)", 8), ("s(x):o[hi]", 8)]),
        ("y ~ s(x, by = z)", ("Intercept", "s(x):z[1]", "s(x):z[2]"), [("s(x):z", 8)]),
        ("y ~ s + s(x)", ("Intercept", "s", "s(x)[1]"), [("s(x)", 8)]),
        ("y ~ s(x) + s(z) - s(x)", ("Intercept", "s(z)[1]"), [("s(z)", 8)]),
    ],
)
def test_columns(formula, fixed, random):
    found = names(formula)
    assert fixed is None or found[0] == fixed
    assert found[1] == random


@pytest.mark.parametrize("formula", ["y ~ s(x)", "y ~ s(x, bs='cr')", "y ~ s(x, z)", "y ~ t2(x, z)"])
def test_bending_is_orthogonal_to_straight_and_scaled(formula):
    design = build_design(formula, DATA)
    free = design.fixed["cond"].x
    for term in design.random:
        np.testing.assert_allclose(free.T @ term.columns, 0, atol=1e-8)
        assert (term.columns**2).sum() == pytest.approx(N)
    np.testing.assert_allclose(free[:, 1:].mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize(
    "formula", ["y ~ s(x)", "y ~ s(x, bs='cc')", "y ~ s(x, z)", "y ~ t2(x, z)", "y ~ f + s(x, by=f)", "y ~ s(x, by=z)"]
)
def test_replay_gives_the_rows_of_the_fit(formula):
    design = build_design(formula, DATA)
    new = design.replay(DATA.iloc[10:20])
    np.testing.assert_allclose(new.x["cond"], design.fixed["cond"].x[10:20], atol=1e-10)
    for columns, codes, term in zip(new.columns, new.codes, design.random, strict=True):
        np.testing.assert_allclose(columns, term.columns[10:20], atol=1e-10)
        assert (codes == 0).all()


def test_the_dot_leaves_out_what_is_smooth():
    design = build_design("y ~ . + s(x)", DATA[["x", "z", "y"]])
    assert design.fixed["cond"].names == ("Intercept", "z", "s(x)[1]")


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y ~ s()", rf.FormulaError, r"s\(\) needs a column"),
        ("y ~ s(x, z, few)", rf.FormulaError, r"one column or two, not 3"),
        ("y ~ s(x, x)", rf.FormulaError, r"must differ"),
        ("y ~ s(x, 10)", rf.FormulaError, r"options by name: s\(x, k = 10\)"),
        ("y ~ s(x, kk=3)", rf.FormulaError, r"no option `kk`; did you mean `k`"),
        ("y ~ s(x, k=2)", rf.FormulaError, r"thin plate regression spline needs k = 3 or more, not 2"),
        ("y ~ s(x, z, k=3)", rf.FormulaError, r"needs k = 4 or more"),
        ("y ~ s(x, bs='ps')", rf.FormulaError, r"no basis 'ps'"),
        ("y ~ s(f, bs='re')", rf.FormulaError, r"random effect has its own notation: \(1 \| g\)"),
        ("y ~ s(x, z, bs='cr')", rf.FormulaError, r"has one column"),
        ("y ~ s(x, knots=c(0, 1))", rf.FormulaError, r"knots are for cubic splines"),
        ("y ~ s(x, bs='cr', knots=c(0, 5, 3))", rf.FormulaError, r"knots are 2 numbers .* or k = 10, increasing"),
        ("y ~ s(x, k=few)", rf.FormulaError, r"a number, a text"),
        ("y ~ t2(x)", rf.FormulaError, r"for one, write s\(x\)"),
        ("y ~ te(x, z)", rf.FormulaError, r"t2\(x, z\)"),
        ("y ~ f * s(x)", rf.FormulaError, r"can only be added.*s\(x, by = f\)"),
        ("y ~ (s(x) | f)", rf.FormulaError, r"can only be added"),
        ("y ~ s(x) + s(x, k=5)", rf.FormulaError, r"s\(x\) stands in the formula twice"),
        ("y ~ s(f)", rf.FormulaError, r"`f` is a factor, and s\(f\) needs numbers"),
        (
            "y ~ s(few)",
            rf.DataError,
            r"the default of k = 10 asks for 10 distinct values of few, and there are 6; give k = 6",
        ),
        ("y ~ s(few, k=8)", rf.DataError, r"k = 8 asks for 8 distinct values of few, and there are 6"),
        ("y ~ s(missing)", rf.FormulaError, r"no column `missing`"),
        ("y ~ s(x, I(2 * x))", rf.DataError, r"lie on a line"),
        ("y ~ I(s(x))", rf.FormulaError, r"s"),
    ],
)
def test_what_is_refused(formula, error, message):
    with pytest.raises(error, match=message):
        build_design(formula, DATA)
