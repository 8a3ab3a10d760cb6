"""Changes written with dots."""

import pytest

from ranef.errors import FormulaError
from ranef.formula.terms import terms_of
from ranef.formula.update import update_formula


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("y ~ x + z + (1 | g)", ". ~ . - x", "y ~ z + (1 | g)"),
        ("y ~ x + z + (1 | g)", ". ~ . - x + (1|h)", "y ~ z + (1 | g) + (1|h)"),
        ("y ~ x + (1 | g)", ". ~ . - (1|g)", "y ~ x"),
        ("y ~ x + (1 | g)", ". ~ . - (1 | g) + (x | g)", "y ~ x + (x | g)"),
        ("y ~ x", "~ . + z", "y ~ x + z"),
        ("y ~ x", ". ~ z", "y ~ z"),
        ("y ~ x", "w ~ .", "w ~ x"),
        ("y ~ x", "w ~ z", "w ~ z"),
        ("y ~ x", "log(.) ~ .", "log(y) ~ x"),
        ("s/n ~ x", "log(.) ~ .", "log(s/n) ~ x"),
        ("s/n ~ x", "1 - . ~ .", "1 - (s/n) ~ x"),
        ("y ~ a*b", ". ~ . - a:b", "y ~ a + b"),
        ("y ~ a + b", ". ~ .^2", "y ~ a + b + a:b"),
        ("y ~ a + (1 | g)", ". ~ . * b", "y ~ a + b + a:b"),  # inside a product the dot is the fixed effects only
        ("y ~ a + b + (1 | g)", ". ~ .:w + .", "y ~ a + b + a:w + b:w + (1 | g)"),
        ("y ~ x", ". ~ . - 1", "y ~ 0 + x"),
        ("y ~ 0 + x", ". ~ . + z", "y ~ 0 + x + z"),
        ("y ~ 0 + x", ". ~ . + 1", "y ~ x"),
        ("y ~ x", ". ~ . - x", "y ~ 1"),
        ("y ~ x", ". ~ 0", "y ~ 0"),
        ("y ~ x + offset(log(n))", ". ~ . + z", "y ~ x + z + offset(log(n))"),
        ("y ~ x + offset(log(n))", ". ~ . - offset( log(n) )", "y ~ x"),
        ("y ~ x + rr(0 + f | g, d = 2)", ". ~ . + z", "y ~ x + z + rr(0 + f | g, d = 2)"),
        ("~ x + (1 | g)", "~ . - x", "~ 1 + (1 | g)"),
        ("y ~ . + (1 | g)", ". ~ . - x", "y ~ (. + (1 | g)) - x"),
        ("`my y` ~ `my x`", ". ~ . + z", "`my y` ~ `my x` + z"),
        ("y ~ I(x^2) + x", ". ~ . - x", "y ~ I(x ** 2)"),
    ],
)
def test_updates(old: str, new: str, expected: str) -> None:
    if expected is None:
        expected = (
            "y ~ a + b + a:b"  # a product takes in the fixed effects only, as update.formula's simplification does
        )
    assert update_formula(old, new) == expected


@pytest.mark.parametrize("old", ["y ~ x*z + poly(x, 2) + (1 + x || g) + offset(z)", "log(y) ~ 0 + f/g", "y ~ 1"])
def test_no_change_is_no_change(old: str) -> None:
    once = update_formula(old, ". ~ .")
    assert [t.key for t in terms_of(once).fixed] == [t.key for t in terms_of(old).fixed]
    assert [b.key for b in terms_of(once).bars] == [b.key for b in terms_of(old).bars]
    assert update_formula(once, ". ~ .") == once


@pytest.mark.parametrize(
    ("old", "new"), [("y ~ x", "x"), ("y ~ x", ". ~ . +"), ("~ x", ". ~ ."), ("y ~ (x", ". ~ ."), ("y ~ x", 3)]
)
def test_refusals(old: str, new: str) -> None:
    with pytest.raises(FormulaError):
        update_formula(old, new)
