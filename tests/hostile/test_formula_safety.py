"""A formula is data: nothing in it reaches Python, whatever it is spelled like."""

import numpy as np
import pytest

import ranef as rf
from hostile_values import plain_frame
from ranef.formula.design import build_design

ESCAPES = (
    "x.__class__",
    "x.__class__.__mro__",
    "().__class__.__bases__",
    "__import__('os')",
    "__import__('os').system('true')",
    "__builtins__",
    "__globals__['x']",
    "eval('1')",
    "exec('import os')",
    "compile('1', '', 'eval')",
    "open('made_by_a_formula')",
    "getattr(x, 'values')",
    "globals()",
    "vars(x)",
    "np.load('made_by_a_formula')",
    "np.fromfile('made_by_a_formula')",
    "np.loadtxt('made_by_a_formula')",
    "np.memmap('made_by_a_formula')",
    "np.lib.npyio.load('made_by_a_formula')",
    "np.frompyfunc(x, 1, 1)",
    "np.log.__call__(x)",
    "np.log(x).tofile('made_by_a_formula')",
    "pd.read_pickle('made_by_a_formula')",
    "os.system('true')",
    "x.apply(len)",
    "x.values",
    "[i for i in x]",
    "I([i for i in x])",
    "{i: 1 for i in x}",
    "(i for i in x)",
    "lambda: 1",
    "I(lambda i: i)",
    "(x := 1)",
    "I(x := 1)",
    "f'{x}'",
    'f"{__import__(1)}"',
    "I(f'{x}')",
    "`__import__('os').system('true')`",
    "`x.__class__`",
    "`np.load('made_by_a_formula')`()",
    "`log`(x)",
    "x['y']",
    "x[0]",
    "x if z else n",
    "yield x",
    "await x",
    "*x",
    "**x",
    "log(*x)",
    "log(**x)",
    "log(x).real",
    "x; import os",
    "x\nimport os",
    "@x",
    "x @ z",
    "x -> z",
    "I(x = 1)",
    "s(x, bs = open('made_by_a_formula'))",
    "poly(x, degree = __import__('os'))",
    "log\u200b(x)",
    "ｅｖａｌ('1')",
)


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("place", ["y ~ {}", "y ~ x + ({} | g)", "{} ~ x"])
def test_what_would_be_code_is_refused(escape, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A name in backquotes is a column's name, so that one which no column has is a fault of the data.
    expected = (rf.FormulaError, rf.DataError) if "`" in escape else rf.FormulaError
    with pytest.raises(expected):
        build_design(place.format(escape), plain_frame())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["zi", "dispersion"])
@pytest.mark.parametrize("escape", ["__import__('os')", "x.__class__", "np.load('a')", "[i for i in x]", "lambda: 1"])
def test_the_formulas_of_other_parameters_are_as_safe(option, escape):
    with pytest.raises(rf.FormulaError):
        rf.glmm("n ~ x", plain_frame(), family="nbinom2", **{option: f"~ {escape}"})


def test_a_column_named_like_code_is_a_column():
    data = plain_frame().rename(columns={"x": "__import__('os')"})
    design = build_design("y ~ `__import__('os')`", data)
    np.testing.assert_array_equal(np.asarray(design.fixed["cond"].x)[:, 1], plain_frame()["x"])


@pytest.mark.parametrize("text", ["2^", "x:", "(", "-", "!", "log(", "I(", "[", "{", "x ~ ", "x | ", "1 + ("])
def test_no_depth_exhausts_the_stack(text):
    with pytest.raises(rf.FormulaError):
        build_design("y ~ " + text * 6000 + "x", plain_frame())
