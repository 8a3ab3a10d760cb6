"""The algebra of terms: as R and formulaic have it."""

import pytest
from formulaic import Formula

from ranef.errors import FormulaError
from ranef.formula.terms import COVARIANCES, terms_of


def fixed(source: str) -> list[str]:
    return [term.text for term in terms_of(source).fixed]


SHARED = [
    "1",
    "0",
    "x",
    "0 + x",
    "x + 0",
    "x - 1",
    "-1 + x",
    "x + -1",
    "x - 0",
    "1 + x",
    "0 + x + 1",
    "a + b",
    "a:b",
    "a*b",
    "a*b*c",
    "a*b*c - a:b",
    "a*b - a",
    "a/b",
    "a/b/c",
    "a/(b + c)",
    "(a + b)/c",
    "(a + b)^2",
    "(a + b + c)**2",
    "(a + b + c)^2 - b",
    "(a + b + c)^3",
    "(a + b):c",
    "(a + b)*(c + d)",
    "a:(b + c)*d",
    "b:a + a",
    "c + b + a:b + b:a",
    "a:a",
    "a + a",
    "a + (b + c)",
    "a - (b + a)",
    "a*b + c - (a + c)",
    "log(x) + log( x )",
    "poly(x, 2)*a",
]


@pytest.mark.parametrize("source", SHARED)
def test_terms_are_formulaics(source: str) -> None:
    ours = [set(text.split(":")) for text in fixed(f"~ {source}")]
    theirs = [{factor.expr for factor in term.factors} for term in Formula(f"~ {source}")]
    assert ours == theirs


@pytest.mark.parametrize(
    ("source", "terms"),
    [
        ("~ a %in% b", ["1", "a:b"]),
        ("~ a in b", ["1", "a:b"]),
        ("~ x + I(x^2)", ["1", "x", "I(x ** 2)"]),
        ("~ (0 + x) + z", ["x", "z"]),
        ("~ (a + b) %in% c", ["1", "a:c", "b:c"]),
        ("~ (1 + x):z", ["1", "z", "x:z"]),
        ("~ {x + 1}:z", ["1", "x + 1:z"]),
        ("~ as.factor(x)", ["1", "as.factor(x)"]),
        ("~ `my x` + a.b", ["1", "`my x`", "a.b"]),
        ("~ a - a", ["1"]),
        ("~ a + b - (a + b) - 1", []),
    ],
)
def test_where_r_and_formulaic_differ_r_decides(source: str, terms: list[str]) -> None:
    assert fixed(source) == terms


def test_the_dot_is_what_it_is_told_to_be() -> None:
    terms = terms_of("y ~ . - b + (1 | g)", columns=("a", "b", "my x"))
    assert [term.text for term in terms.fixed] == ["1", "a", "`my x`"]
    squared = terms_of("y ~ .^2", columns=("a", "b"))
    assert [term.text for term in squared.fixed] == ["1", "a", "b", "a:b"]


def test_offsets_are_collected() -> None:
    terms = terms_of("y ~ x + offset(log(n)) + offset(z)")
    assert [node.text for node in terms.offsets] == ["log(n)", "z"]
    assert [term.text for term in terms.fixed] == ["1", "x"]


def bars(source: str) -> list[tuple[str, dict, list[str], list[list[str]]]]:
    return [
        (
            bar.structure,
            dict(bar.options),
            [term.text for term in bar.terms],
            [[node.text for node in group] for group in bar.groups],
        )
        for bar in terms_of(source).bars
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("~ (1 | g)", [("us", {}, ["1"], [["g"]])]),
        ("~ (x | g)", [("us", {}, ["1", "x"], [["g"]])]),
        ("~ (1 + x | g)", [("us", {}, ["1", "x"], [["g"]])]),
        ("~ (0 + x | g)", [("us", {}, ["x"], [["g"]])]),
        ("~ (x - 1 | g)", [("us", {}, ["x"], [["g"]])]),
        ("~ (-1 + x | g)", [("us", {}, ["x"], [["g"]])]),
        ("~ (x || g)", [("diag", {}, ["1", "x"], [["g"]])]),
        ("~ (x * f | g)", [("us", {}, ["1", "x", "f", "x:f"], [["g"]])]),
        ("~ (1 + poly(x, 2) | g)", [("us", {}, ["1", "poly(x, 2)"], [["g"]])]),
        ("~ (1 | a/b)", [("us", {}, ["1"], [["a"], ["a", "b"]])]),
        ("~ (1 | a/b/c)", [("us", {}, ["1"], [["a"], ["a", "b"], ["a", "b", "c"]])]),
        ("~ (1 | a:b)", [("us", {}, ["1"], [["a", "b"]])]),
        ("~ (1 | a*b)", [("us", {}, ["1"], [["a"], ["b"], ["a", "b"]])]),
        ("~ (1 | a/(b:c))", [("us", {}, ["1"], [["a"], ["a", "b", "c"]])]),
        ("~ (1 | interaction(a, b))", [("us", {}, ["1"], [["a", "b"]])]),
        ("~ (1 | factor(g))", [("us", {}, ["1"], [["g"]])]),
        ("~ (1 | as.factor(g))", [("us", {}, ["1"], [["g"]])]),
        ("~ (1 | (g))", [("us", {}, ["1"], [["g"]])]),
        ("~ (1 | g) + (1 | h)", [("us", {}, ["1"], [["g"]]), ("us", {}, ["1"], [["h"]])]),
        ("~ ((1 | g) + (0 + x | g))", [("us", {}, ["1"], [["g"]]), ("us", {}, ["x"], [["g"]])]),
        ("~ us(x | g)", [("us", {}, ["1", "x"], [["g"]])]),
        ("~ diag(x | g)", [("diag", {}, ["1", "x"], [["g"]])]),
        ("~ us(x || g)", [("diag", {}, ["1", "x"], [["g"]])]),
        ("~ cs(0 + f | g)", [("cs", {}, ["f"], [["g"]])]),
        ("~ ar1(0 + t | g)", [("ar1", {}, ["t"], [["g"]])]),
        ("~ ar1(t + 0 | g)", [("ar1", {}, ["t"], [["g"]])]),
        ("~ rr(0 + f | g, d = 2)", [("rr", {"d": 2}, ["f"], [["g"]])]),
        ("~ rr(f + 0 | g, 3)", [("rr", {"d": 3}, ["f"], [["g"]])]),
        ("~ propto(0 + f | g, M)", [("propto", {"matrix": "M"}, ["f"], [["g"]])]),
        ("~ equalto(0 + f | g, matrix = 'M')", [("equalto", {"matrix": "M"}, ["f"], [["g"]])]),
        ("~ ou(time | id)", [("ou", {}, ["time"], [["id"]])]),
        ("~ mat(x + y | g)", [("mat", {}, ["x", "y"], [["g"]])]),
        ("~ exp(pos + 0 | one)", [("exp", {}, ["pos"], [["one"]])]),
        (
            "~ gau(x + y | g, range = c(-1, 2.5), fixed = TRUE)",
            [("gau", {"range": (-1, 2.5), "fixed": True}, ["x", "y"], [["g"]])],
        ),
    ],
)
def test_random_effects_terms(source: str, expected: list) -> None:
    assert bars(source) == expected


@pytest.mark.parametrize("structure", COVARIANCES)
def test_every_structure_of_the_language_is_read(structure: str) -> None:
    left = "x" if structure in ("ou", "exp", "gau", "mat") else "0 + f"
    ((name, _, terms, groups),) = bars(f"~ z + {structure}({left} | g)")
    assert (name, terms, groups) == (structure, [left.removeprefix("0 + ")], [["g"]])


def test_the_text_is_the_users_own() -> None:
    assert terms_of("y ~ ( 1|g ) + rr(0+f|g,d=2)").bars[0].text == "( 1|g )"
    assert terms_of("y ~ ( 1|g ) + rr(0+f|g,d=2)").bars[1].text == "rr(0+f|g,d=2)"


def test_a_bar_inside_a_function_is_or() -> None:
    terms = terms_of("y ~ I(a | b) + log(x)")
    assert terms.bars == ()
    assert [term.text for term in terms.fixed] == ["1", "I(a | b)", "log(x)"]


def test_subtracting_a_random_effects_term_takes_it_out() -> None:
    assert bars("~ (1 | g) + (1 | h) - (1|g)") == [("us", {}, ["1"], [["h"]])]


def test_only_known_structures_are_read() -> None:
    with pytest.raises(FormulaError, match=r"`ar2` is not a covariance structure; did you mean `ar1`"):
        terms_of("y ~ ar2(0 + t | g)")
    with pytest.raises(FormulaError, match=r"`rr` is not a covariance structure"):
        terms_of("y ~ rr(0 + f | g)", covariances=("us", "diag"))
    assert terms_of("y ~ new(0 + f | g)", covariances=("us", "new")).bars[0].structure == "new"


@pytest.mark.parametrize(
    "source",
    [
        "y ~ 2",
        "y ~ x + 3",
        "y ~ 2*x",
        "y ~ x/2",
        "y ~ x^2",
        "y ~ log(x)^2",
        "y ~ (a + b)^x",
        "y ~ (a + b)^0",
        "y ~ (a + b)^1.5",
        "y ~ (a + b)^99",
        "y ~ x > 2",
        "y ~ a & b",
        "y ~ 'a'",
        "y ~ TRUE",
        "y ~ -a*b:-c",
        "y ~ 1 | g",
        "y ~ x + 1 | g",
        "y ~ (1 | g)*x",
        "y ~ (1 | g):x",
        "y ~ x*us(1 | g)",
        "y ~ (1 | g | h)",
        "y ~ (1 | g + h)",
        "y ~ (1 | 1)",
        "y ~ (1 | 'g')",
        "y ~ (0 | g)",
        "y ~ (x - x - 1 | g)",
        "y ~ (offset(x) | g)",
        "y ~ ((1 | h) | g)",
        "y ~ (1 | g) + (1|g)",
        "y ~ x:offset(z)",
        "y ~ offset(x, z)",
        "y ~ offset()",
        "y ~ x + cbind(a, b)",
        "y ~ ar1(t | g)",
        "y ~ ar1(0 + t + x | g)",
        "y ~ ar1(0 + t || g)",
        "y ~ ou(x + y | g)",
        "y ~ mat(log(x) | g)",
        "y ~ mat(x:y | g)",
        "y ~ exp(1 | g)",
        "y ~ rr(x | g, 2, 3)",
        "y ~ rr(x | g, 2, d = 3)",
        "y ~ rr(x | g, d = x + 1)",
        "y ~ (1 | .)",
        "y ~ .",
        "(1 | g) ~ x",
        "y ~ (" + " + ".join(f"x{k}" for k in range(400)) + ")^2",
    ],
)
def test_what_is_no_term_is_refused(source: str) -> None:
    with pytest.raises(FormulaError, match=r"\^$"):
        terms_of(source)
