"""Characters to words."""

import pytest

from ranef.errors import FormulaError
from ranef.formula.tokens import Kind, tokenize


def words(source: str) -> list[str]:
    return [token.text for token in tokenize(source)][:-1]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("y~x", ["y", "~", "x"]),
        ("a.b + .c + d_1", ["a.b", "+", ".c", "+", "d_1"]),
        (".5 + 1e-3 + 2L + 1.", [".5", "+", "1e-3", "+", "2L", "+", "1."]),
        (". ~ .", [".", "~", "."]),
        ("x^2 + x**2", ["x", "**", "2", "+", "x", "**", "2"]),
        ("a %in% b", ["a", "%in%", "b"]),
        ("a in b", ["a", "%in%", "b"]),
        ("a %% 2", ["a", "%%", "2"]),
        ("(x||g)", ["(", "x", "||", "g", ")"]),
        ("x>=1&y!=2", ["x", ">=", "1", "&", "y", "!=", "2"]),
        ("x and not y or z", ["x", "&", "!", "y", "|", "z"]),
        ("`my x` + 'a b'", ["my x", "+", "a b"]),
        (r"'it\'s'", ["it's"]),
        ("größe + 体重", ["größe", "+", "体重"]),
        ("np.log(x)", ["np.log", "(", "x", ")"]),
        ("as.factor(x)", ["as.factor", "(", "x", ")"]),
        ("f(a=1)", ["f", "(", "a", "=", "1", ")"]),
        ("\n x\t+\n z ", ["x", "+", "z"]),
    ],
)
def test_words(source: str, expected: list[str]) -> None:
    assert words(source) == expected


def test_every_token_knows_its_place() -> None:
    source = "log(`my x`) ~ 'q' + 1.5"
    shown = [source[token.start : token.end] for token in tokenize(source)]
    assert shown == ["log", "(", "`my x`", ")", "~", "'q'", "+", "1.5", ""]


def test_quoted_names_and_strings_are_told_apart() -> None:
    name, string, _ = tokenize("`x` 'x'")
    assert (name.kind, name.quoted) == (Kind.NAME, True)
    assert string.kind is Kind.STRING


@pytest.mark.parametrize("source", ["`x", "'x", '"x', "a ; b", "a $ b", "a @ b", "a ? b", "``", "a %o% b", "#x", "\\"])
def test_what_no_formula_contains_is_refused(source: str) -> None:
    with pytest.raises(FormulaError):
        tokenize(source)
