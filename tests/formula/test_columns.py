"""Terms to model matrices: formulaic's columns and names, and R's where they differ."""

import warnings

import formulaic
import numpy as np
import pandas as pd
import pytest

from ranef.errors import DataError, FormulaError
from ranef.formula.design import build_design

SHARED = [
    "1",
    "0 + x",
    "x",
    "x + z",
    "f",
    "0 + f",
    "f - 1",
    "h + f",
    "0 + h + f",
    "f*h",
    "f:h",
    "0 + f:h",
    "f + f:h",
    "h + f:h",
    "h:f + f",
    "f*h - f",
    "f*h*x",
    "x*f",
    "x:f",
    "0 + x:f",
    "f:x - 1",
    "x + f:x",
    "f:x + x",
    "x:z",
    "x*z*f",
    "f/h",
    "f/x",
    "x/f",
    "(f + h + x)^2",
    "(f + h + x)**2 - f:x",
    "f:h:x",
    "x:f:h + f",
    "f + h + f:h:x",
    "0 + x + f",
    "0 + x + f + h",
    "poly(x, 2)",
    "poly(x, 3)*f",
    "poly(x, 2):f",
    "poly(x, 2):poly(z, 2)",
    "bs(x, df=5)",
    "bs(x, df=4, degree=2):f",
    "bs(x, df=5, include_intercept=True)",
    "0 + bs(x, df=5, include_intercept=True)",
    "bs(x, knots=[2.0, 3.0])",
    "cr(x, df=4)",
    "0 + cc(x, df=4)",
    "scale(x)",
    "scale(x):scale(z)",
    "center(x) + f",
    "log(x) + exp(z)",
    "np.log(x)",
    "log2(x) + log10(x)",
    "I(x**2)",
    "I(x + z)",
    "{x * z}",
    "I(x / z):f",
    "C(f)",
    "C(h, contr.sum)",
    "C(f, contr.sum)",
    "C(f, contr.sum)*h",
    "C(f, contr.helmert)",
    "C(f, contr.poly)",
    "C(f, contr.treatment(base='b'))",
    "C(f, contr.SAS)",
    "C(f, contr.diff)",
    "0 + C(f, contr.sum)",
    "C(f, contr.sum) + C(f, contr.sum):x",
    "C(k)",
    "C(k):x",
]


@pytest.mark.parametrize("terms", SHARED)
def test_formulaic_agrees(plots: pd.DataFrame, terms: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = formulaic.model_matrix(terms, plots, context={})
    ours = build_design(f"y ~ {terms}", plots).fixed["cond"]
    assert list(ours.names) == list(theirs.columns)
    np.testing.assert_allclose(ours.x, theirs.to_numpy(dtype=float), atol=1e-12)


def treated(factor: str, *levels: str) -> list[str]:
    """Name the columns of a treatment-coded factor beside an intercept."""
    return ["Intercept", *(f"{factor}[T.{level}]" for level in levels)]


def names(data: pd.DataFrame, terms: str, **options) -> list[str]:
    return list(build_design(f"y ~ {terms}", data, **options).fixed["cond"].names)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("I(x^2)", ["Intercept", "I(x ** 2)"]),
        ("b", ["Intercept", "b[T.True]"]),
        ("0 + b", ["b[False]", "b[True]"]),
        ("x:b", ["Intercept", "x:b[False]", "x:b[True]"]),
        ("I(x > 2)", ["Intercept", "I(x > 2)[T.True]"]),
        ("o", ["Intercept", "o[.L]", "o[.Q]"]),
        ("0 + o", ["o[lo]", "o[mid]", "o[hi]"]),
        ("factor(g)", ["Intercept", "factor(g)[T.3]", "factor(g)[T.7]", "factor(g)[T.20]"]),
        ("as.factor(g)", ["Intercept", "as.factor(g)[T.3]", "as.factor(g)[T.7]", "as.factor(g)[T.20]"]),
        ("ordered(g)", ["Intercept", "ordered(g)[.L]", "ordered(g)[.Q]", "ordered(g)[.C]"]),
        ("factor(f, levels=c('c', 'a', 'b'))", treated("factor(f, levels=c('c', 'a', 'b'))", "a", "b")),
        ("relevel(f, ref = 'c')", ["Intercept", "relevel(f, ref='c')[T.a]", "relevel(f, ref='c')[T.b]"]),
        ("C(f, Treatment('b'))", ["Intercept", "C(f, Treatment('b'))[T.a]", "C(f, Treatment('b'))[T.c]"]),
        ("C(f, contr.treatment(base=2))", treated("C(f, contr.treatment(base=2))", "a", "c")),
        ("C(f, contr.treatment, base=2)", treated("C(f, contr.treatment, base=2)", "a", "c")),
        ("C(h, 'sum')", ["Intercept", "C(h, 'sum')[S.u]"]),
        ("C(h, contr = 'sum')", ["Intercept", "C(h, contr='sum')[S.u]"]),
        ("C(h, contr.SAS())", ["Intercept", "C(h, contr.SAS())[T.u]"]),
        ("C(f, Sum)", ["Intercept", "C(f, Sum)[S.a]", "C(f, Sum)[S.b]"]),
        ("C(f, Treatment(reference='c'))", treated("C(f, Treatment(reference='c'))", "a", "b")),
        ("C(h, levels = c('v', 'u'))", ["Intercept", "C(h, levels=c('v', 'u'))[T.u]"]),
        ("C(b, contr.sum)", ["Intercept", "C(b, contr.sum)[S.False]"]),
        ("factor(o, ordered = FALSE)", treated("factor(o, ordered=FALSE)", "mid", "hi")),
        (
            "C(o, contr.poly(scores=c(1, 2, 4)))",
            ["Intercept", "C(o, contr.poly(scores=c(1, 2, 4)))[.L]", "C(o, contr.poly(scores=c(1, 2, 4)))[.Q]"],
        ),
        ("dummy(f, 'b')", ["Intercept", "dummy(f, 'b')"]),
        ("poly(x, 2, raw=True)", ["Intercept", "poly(x, 2, raw=True)[1]", "poly(x, 2, raw=True)[2]"]),
        ("ns(x, 3)", ["Intercept", "ns(x, 3)[1]", "ns(x, 3)[2]", "ns(x, 3)[3]"]),
        ("`my x` + a.b", ["Intercept", "my x", "a.b"]),
        ("log(`a.b`^2)", ["Intercept", "log(a.b ** 2)"]),
        ("sin(2 * pi * x)", ["Intercept", "sin(2 * pi * x)"]),
        ("f %in% h", ["Intercept", "h[T.v]", "f[T.b]:h[u]", "f[T.c]:h[u]", "f[T.b]:h[v]", "f[T.c]:h[v]"]),
    ],
)
def test_names(plots: pd.DataFrame, terms: str, expected: list[str]) -> None:
    assert names(plots, terms) == expected


def column(data: pd.DataFrame, term: str) -> np.ndarray:
    return build_design(f"y ~ 0 + {term}", data).fixed["cond"].x[:, 0]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("sqrt(x)", lambda d: np.sqrt(d.x)),
        ("log1p(x)", lambda d: np.log1p(d.x)),
        ("expm1(x)", lambda d: np.expm1(d.x)),
        ("abs(z)", lambda d: abs(d.z)),
        ("tan(z) + 0", lambda d: np.tan(d.z)),
        ("log(x, 2)", lambda d: np.log2(d.x)),
        ("log(x, base = 10)", lambda d: np.log10(d.x)),
        ("round(x, 1)", lambda d: d.x.round(1)),
        ("I(x^2 + 1)", lambda d: d.x**2 + 1),
        ("I(-x^2)", lambda d: -(d.x**2)),
        ("I(x %% 2)", lambda d: d.x % 2),
        ("I(x / (1 + abs(z)))", lambda d: d.x / (1 + abs(d.z))),
        ("I((f == 'a') + 2 * (f != 'b'))", lambda d: (d.f == "a") * 1.0 + 2 * (d.f != "b")),
        ("I((f %in% c('a', 'b')) * x)", lambda d: d.f.isin(["a", "b"]) * d.x),
        ("I((k %in% c(1, 2)) * x)", lambda d: d.k.isin([1, 2]) * d.x),
        ("I((o >= 'mid') * 1)", lambda d: (d.o >= "mid") * 1.0),
        ("I(b * x)", lambda d: d.b * d.x),
        ("I((!b & x > 2 | z < 0) * 1)", lambda d: (~d.b & (d.x > 2) | (d.z < 0)) * 1.0),
        ("I(('a' == f) * 1)", lambda d: (d.f == "a") * 1.0),
        ("I(('mid' < o) * 1)", lambda d: (d.o > "mid") * 1.0),
        ("I((f == relevel(f, ref = 'c')) * x)", lambda d: d.x),
        ("I((b == 1) * x)", lambda d: d.b * d.x),
        ("I((b == 'True') * x)", lambda d: d.b * d.x),
        ("I((b %in% TRUE) * x)", lambda d: d.b * d.x),
        ("I((factor(g) == 3) * x)", lambda d: (d.g == 3) * d.x),
        ("I((not b) * 1)", lambda d: ~d.b * 1.0),
        ("as.integer(x)", lambda d: np.trunc(d.x)),
        ("atan2(x, z)", lambda d: np.arctan2(d.x, d.z)),
        ("max(x) + 0", lambda d: np.full(len(d), d.x.max())),
        ("ifelse(x > 2, x, 0)", lambda d: np.where(d.x > 2, d.x, 0)),
        ("pmin(x, 2)", lambda d: np.minimum(d.x, 2)),
        ("I(x - mean(x))", lambda d: d.x - d.x.mean()),
        ("as.numeric(b)", lambda d: d.b * 1.0),
        ("cos(2 * pi * x)", lambda d: np.cos(2 * np.pi * d.x)),
        ("np.sqrt(x)", lambda d: np.sqrt(d.x)),
        ("plogis(z)", lambda d: 1 / (1 + np.exp(-d.z))),
        ("I(2)", lambda d: np.full(len(d), 2.0)),
    ],
)
def test_values(plots: pd.DataFrame, term: str, expected) -> None:
    np.testing.assert_allclose(column(plots, term), np.asarray(expected(plots), float), rtol=1e-14)


@pytest.mark.parametrize("coding", ["sum", "treatment", "helmert", "poly", "sdif"])
def test_contrasts_asked_for_by_name(plots: pd.DataFrame, coding: str) -> None:
    by_argument = build_design("y ~ f*x + (f | g)", plots, contrasts={"f": coding})
    by_formula = build_design(f"y ~ C(f, contr.{coding})*x", plots).fixed["cond"]
    np.testing.assert_array_equal(by_argument.fixed["cond"].x, by_formula.x)
    np.testing.assert_array_equal(by_argument.random[0].columns, by_formula.x[:, :3])
    assert by_argument.contrasts == {"f": coding}


def test_contrasts_of_a_computed_factor_and_by_matrix(plots: pd.DataFrame) -> None:
    design = build_design("y ~ factor(s)", plots, contrasts={"factor(s)": "sum"})
    assert design.fixed["cond"].names[1] == "factor(s)[S.0]"
    matrix = np.array([[1.0, 0], [0, 1], [-1, -1]])
    own = build_design("y ~ f", plots, contrasts={"f": matrix}).fixed["cond"]
    np.testing.assert_array_equal(own.x[:, 1:], matrix[plots.f.cat.codes])


@pytest.mark.parametrize("contrasts", [{"q": "sum"}, {"x": "sum"}, {"f": "nonsense"}, ["sum"], {"f": 3}])
def test_contrasts_that_cannot_be_used(plots: pd.DataFrame, contrasts: object) -> None:
    with pytest.raises(DataError):
        build_design("y ~ f + x", plots, contrasts=contrasts)  # type: ignore[arg-type]


def test_term_columns_are_the_assign_of_r(plots: pd.DataFrame) -> None:
    part = build_design("y ~ x*f + poly(z, 2)", plots).fixed["cond"]
    assert part.term_columns == {"1": [0], "x": [1], "f": [2, 3], "poly(z, 2)": [4, 5], "x:f": [6, 7]}
    assert part.has_intercept
    assert not build_design("y ~ 0 + x", plots).fixed["cond"].has_intercept


def test_matrices_are_stored_by_columns(plots: pd.DataFrame) -> None:
    design = build_design("y ~ x*f + (x | g)", plots)
    for matrix in (design.fixed["cond"].x, design.random[0].columns):
        assert matrix.flags.f_contiguous
        assert matrix.dtype == np.float64


def test_an_empty_part_has_no_columns(plots: pd.DataFrame) -> None:
    assert build_design("y ~ 0", plots).fixed["cond"].x.shape == (40, 0)


@pytest.mark.parametrize(
    "terms",
    [
        "log(f)",
        "x:log(h)",
        "I(f + 1)",
        "poly(f, 2)",
        "poly(x)(z)",
        "poly(x, y)",
        "poly(x, 2, 3, 4, 5, 6)",
        "poly(x, degre=2)",
        "poly()",
        "poly(x, 99)",
        "poly(x, 2, state=3)",
        "log()",
        "log(x, z, z)",
        "log(x, bse=2)",
        "log('a')",
        "sqrt(poly(x, 2))",
        "I(f > 'a')",
        "I(f == x)",
        "I(f == 'nonsense')",
        "I(x:z)",
        "I(x %in% 'a')",
        "I('a')",
        "log(NULL)",
        "factor()",
        "factor(f, levels = c('a', 'b'))",
        "factor(f, labels = c('a', 'b'))",
        "relevel(f, ref = 'z')",
        "dummy(f, 'z')",
        "dummy(f)",
        "I(f < f)",
        "I(f == TRUE)",
        "I(f == c('a', 'b'))",
        "I(x == poly(z, 2))",
        "log(x, z = 2)",
        "log(x = 2)",
        "scale(x, y)",
        "poly(x, z)",
        "C()",
        "C(f, contr.sum, contr.poly, f)",
        "C(f, 3)",
        "C(f, base = 2)",
        "C(f, levels = c('a', 'b'))",
        "C(f, contr.poly(scores = c('a', 'b', 'c')))",
        "relevel(f)",
        "relevel('a', ref = 'a')",
        "c(a = 1)",
        "NULL",
        "C(f, nonsense)",
        "C(f, contr.sum(3))",
        "C(f, contr.treatment(base = 'z'))",
        "C(f, contr.treatment(base = 9))",
        "C(f, contr.poly(scores = c(1, 2)))",
        "contr.sum",
        "contr.sum(f)",
        "interaction(f, h)",
        "as.numeric(f)",
        "log(.)",
        "c(1, 2)",
        "log(offset(x))",
        "I(cbind(x, z))",
        "log(z)",
        "I(1 / (k - k))",
        "sqrt(-x)",
    ],
)
def test_what_cannot_be_computed(plots: pd.DataFrame, terms: str) -> None:
    with pytest.raises((FormulaError, DataError)):
        build_design(f"y ~ {terms}", plots)
