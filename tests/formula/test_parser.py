"""Words to a tree, and what may not be in one."""

import pytest

from ranef.errors import FormulaError
from ranef.formula.parser import ALLOWED, parse


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("~ a+b*c", "a + b * c"),
        ("~ I( x^2 )", "I(x ** 2)"),
        ("~ I(x**2)", "I(x ** 2)"),
        ("~ {x+1}", "x + 1"),
        ("~ poly(x,2,raw=TRUE)", "poly(x, 2, raw=TRUE)"),
        ("~ bs(x, knots=c(1,2))", "bs(x, knots=c(1, 2))"),
        ("~ bs(x, knots=[1,2])", "bs(x, knots=[1, 2])"),
        ("~ log((x))", "log(x)"),
        ("~ I((x + 1)*2)", "I((x + 1) * 2)"),
        ("~ I(f=='a')", "I(f == 'a')"),
        ("~ `my x`:`x`", "`my x`:x"),
        ("~ -1 + x", "-1 + x"),
        ("~ (1|g)", "(1 | g)"),
        ("~ a:b", "a:b"),
    ],
)
def test_one_spelling(source: str, text: str) -> None:
    assert parse(source).right.text == text


@pytest.mark.parametrize(
    ("source", "grouped"),
    [
        ("~ I(a + b * c)", "(a + (b * c))"),
        ("~ I(a - b - c)", "((a - b) - c)"),
        ("~ I(a / b / c)", "((a / b) / c)"),
        ("~ I(a ^ b ^ c)", "(a ** (b ** c))"),
        ("~ I(-a ^ 2)", "(-(a ** 2))"),
        ("~ I(2 ^ -a)", "(2 ** (-a))"),
        ("~ I(-a * b)", "(-(a * b))"),
        ("~ I(a > 1 & b < 2 | c == 3)", "(((a > 1) & (b < 2)) | (c == 3))"),
        ("~ I(!a == b)", "(!(a == b))"),
        ("~ I(a + b > c)", "((a + b) > c)"),
        ("~ I(a %% 2 * b)", "((a %% 2) * b)"),
        ("~ a + b:c * d", "(a + ((b : c) * d))"),
        ("~ (x + z | g / h)", "((x + z) | (g / h))"),
    ],
)
def test_precedence_is_that_of_r(source: str, grouped: str) -> None:
    from ranef.formula.parser import Binary, Call, Node, Paren, Unary

    def show(node: Node) -> str:
        if isinstance(node, Binary):
            return f"({show(node.left)} {node.operator} {show(node.right)})"
        if isinstance(node, Unary):
            return f"({node.operator}{show(node.operand)})"
        if isinstance(node, Paren):
            return show(node.inner)
        if isinstance(node, Call) and node.function == "I":
            return show(node.args[0])
        return node.text

    assert show(parse(source).right) == grouped


def test_a_formula_is_read_once() -> None:
    assert parse("y ~ x + (1 | g)") is parse("y ~ x + (1 | g)")


ATTACKS = [
    "y ~ __import__('os').system('x')",
    "y ~ {open('/etc/hostname').read()}",
    "y ~ ().__class__",
    "y ~ x.__class__()",
    "y ~ ().__class__.__bases__[0].__subclasses__()",
    "y ~ eval('1')",
    "y ~ exec('import os')",
    "y ~ I(eval('1'))",
    "y ~ getattr(x, 'sum')()",
    "y ~ np.load('a')",
    "y ~ np.fromfile('a')",
    "y ~ np.lib.npyio.load('a')",
    "y ~ x.sum()",
    "y ~ log.__globals__()",
    "y ~ (lambda: 1)()",
    "y ~ lambda: 1",
    "y ~ [q for q in x]",
    "y ~ x[0]",
    "y ~ log(x)[0]",
    "y ~ f'{x}'",
    "y ~ f\"{__import__('os')}\"",
    "y ~ (x := 1)",
    "y ~ x if y else z",
    "y ~ log(*x)",
    "y ~ log(**x)",
    "y ~ print(x)",
    "y ~ globals()",
    "y ~ C(f, contr.custom(open('a')))",
    "y ~ poly(x, __import__('os'))",
    "y ~ (1 | __import__('os'))",
    "y ~ rr(x | g, d = open('a'))",
    "__import__('os') ~ x",
    "y ~ offset(open('a'))",
    "y ~ `x`()",
    "y ~ pd.read_pickle('a')",
    "y ~ hashed(x)",
    "y ~ import os",
]


@pytest.mark.parametrize("source", ATTACKS)
def test_a_formula_is_data_never_code(source: str) -> None:
    import pandas as pd

    from ranef.formula.design import build_design

    data = pd.DataFrame({"y": [1.0, 2, 3, 4], "x": [1.0, 2, 4, 3], "f": list("abab"), "g": list("aabb")})
    with pytest.raises(FormulaError):
        build_design(source, data)


def test_a_refused_function_is_told_which_run() -> None:
    with pytest.raises(FormulaError, match=r"(?s)a formula can run.*data, never code.*log1p.*\^{10}"):
        parse("y ~ __import__('os').system('x')")


def test_the_allow_list_holds_functions_of_numbers_and_factors_only() -> None:
    assert not {name for name in ALLOWED if "__" in name or "load" in name or "file" in name or "save" in name}


@pytest.mark.parametrize(
    "source",
    [
        "",
        "   ",
        "x",
        "y ~",
        "~",
        "y ~ x ~ z",
        "y ~ (x ~ z)",
        "y ~ x +",
        "y ~ + ",
        "y ~ x z",
        "y ~ (x",
        "y ~ x)",
        "y ~ (x]",
        "y ~ ()",
        "y ~ log(x",
        "y ~ log(x,)",
        "y ~ log(,x)",
        "y ~ log(base=2, x)",
        "y ~ log(x, base=2, base=3)",
        "y ~ x * ",
        "y ~ * x",
        "y ~ a == b == c",
        "y ~ [x]",
        "y ~ (1 | g",
        "y ~ {x",
        "y ~ x %in%",
        "y ~ 'x",
        "y ~ (" * 5000,
        "y ~ " + "(" * 500 + "x" + ")" * 500,
        "y ~ " + "-" * 5000 + "x",
        "y ~ I(" + "!" * 5000 + "x)",
        "y ~ " + "x + " * 30000 + "x",
    ],
)
def test_what_cannot_be_read_is_a_formula_error(source: str) -> None:
    with pytest.raises(FormulaError):
        parse(source)


@pytest.mark.parametrize("source", [None, 1, ["y ~ x"], b"y ~ x"])
def test_a_formula_is_text(source: object) -> None:
    with pytest.raises(FormulaError, match="a formula is text"):
        parse(source)  # type: ignore[arg-type]


def test_a_long_sum_is_no_problem() -> None:
    assert parse("y ~ " + " + ".join(f"x{k}" for k in range(3000))).right.text.count("+") == 2999
