"""What must hold for every formula and every data set."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ranef.errors import DataError, FormulaError
from ranef.formula.design import build_design
from ranef.formula.parser import parse
from ranef.formula.terms import terms_of
from ranef.formula.update import update_formula

FACTORS = [
    "x",
    "z",
    "f",
    "h",
    "b",
    "poly(x, 2)",
    "log(w)",
    "factor(k)",
    "scale(z)",
    "I(x^2)",
    "ns(z, 2)",
    "C(f, contr.sum)",
]
GROUPS = ["g", "h", "g:h", "f/g", "factor(k)"]

products = st.lists(st.sampled_from(FACTORS), min_size=1, max_size=3, unique=True).flatmap(
    lambda parts: st.sampled_from([":", "*", "/"]).map(lambda by: by.join(parts))
)
sums = st.lists(products, min_size=1, max_size=3, unique=True).map(" + ".join)
starts = st.sampled_from(["", "0 + ", "1 + "])
slopes = st.sampled_from(["1", "x", "0 + x", "f", "0 + f", "poly(x, 2)"])
bars = st.tuples(slopes, st.sampled_from(["|", "||"]), st.sampled_from(GROUPS)).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
formulas = st.tuples(starts, sums, bars).map(lambda t: f"y ~ {t[0]}{t[1]} + {t[2]}")


def data(seed: int, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "w": rng.uniform(1, 2, size=n),
            "f": rng.permutation(np.resize(["a", "b", "c"], n)),
            "h": rng.permutation(np.resize(["u", "v"], n)),
            "b": rng.permutation(np.resize([True, False], n)),
            "k": rng.permutation(np.resize([4, 10, 6], n)),
            "g": rng.permutation(np.resize([f"g{j}" for j in range(8)], n)),
        }
    )


# fmt: off
pieces = st.sampled_from([
    *FACTORS, *GROUPS,
    "y", "~", "+", "-", "*", ":", "/", "^", "|", "||", "(", ")", "[", "]", "{", "}", ",", "=", "1", "0", "2",
    "%in%", "%%", "!", "==", "<", "&", "'a'", "`x`", ".", "TRUE", "c(1, 2)", "offset(z)", "cbind(k, k)",
    "ar1(0 + f | g)", "C(", "log(", "poly(", "rr(x | g, d = 2)", "I(", "in", "not", "\\", "__class__",
    "np.log(x)", "pi", "relevel(f, 'a')",
])
# fmt: on
scrambled = st.lists(pieces, max_size=14).map(" ".join)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(max_size=40), scrambled, scrambled.map(lambda text: f"y ~ {text}")))
@example("y ~ I(2 ^ 99999999)")
@example("y ~ poly(x, 1e300)")
@example("y ~ round(x, 1e300)")
@example("y ~ bs(x, df=1e9)")
@example("y ~ factor(x, levels=NULL)")
@example("y ~ C(f, contr.treatment(base=NULL))")
@example("y ~ C(f, contr.treatment(base=1e300))")
@example("y ~ log(x, base=TRUE)")
@example("y ~ scale(x, center=NULL)")
@example("y ~ scale(x, center='a')")
@example("y ~ bs(x, df=4, extrapolation='zzz')")
@example("y ~ bs(x, lower_bound='a')")
@example("y ~ ns(x, knots=NULL)")
@example("y ~ f == NULL")
@example("y ~ I(f == c(1, 2))")
@example("y ~ I(x %in% 3)")
@example("y ~ x + `")
@example("y ~ (1 | g)" * 40)
def test_whatever_the_text_only_our_errors_come_out(text: str) -> None:
    with suppress(FormulaError, DataError):
        build_design(text, data(1))


@settings(max_examples=200)
@given(st.one_of(st.text(max_size=30), scrambled))
def test_whatever_the_change_only_our_errors_come_out(text: str) -> None:
    with suppress(FormulaError):
        parse(update_formula("y ~ x + (1 | g)", text))


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(formulas, st.integers(0, 5))
def test_replay_gives_the_matrices_of_the_fit(formula: str, seed: int) -> None:
    frame = data(seed)
    design = build_design(formula, frame)
    new = design.replay(frame)
    np.testing.assert_array_equal(new.x["cond"], design.fixed["cond"].x)
    for term, columns, codes in zip(design.random, new.columns, new.codes, strict=True):
        np.testing.assert_array_equal(columns, term.columns)
        np.testing.assert_array_equal(codes, term.codes)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(formulas, st.integers(0, 5))
def test_the_order_of_the_rows_does_not_matter(formula: str, seed: int) -> None:
    frame = data(seed)
    order = np.random.default_rng(seed).permutation(len(frame))
    one, other = build_design(formula, frame), build_design(formula, frame.iloc[order])
    assert one.fixed["cond"].names == other.fixed["cond"].names
    # Means and norms are summed in another order: equal to rounding, which a polynomial's recurrence amplifies.
    np.testing.assert_allclose(other.fixed["cond"].x, one.fixed["cond"].x[order], atol=1e-11)
    for term, twin in zip(one.random, other.random, strict=True):
        assert term.levels == twin.levels
        np.testing.assert_array_equal(term.codes[order], twin.codes)
        np.testing.assert_allclose(twin.columns, term.columns[order], atol=1e-11)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(sums, starts)
def test_columns_are_independent_whatever_the_terms(terms: str, start: str) -> None:
    """Structural full rank: with every combination of levels present and generic numbers no column is redundant."""
    rng = np.random.default_rng(3)
    grid = pd.MultiIndex.from_product([list("abc"), list("uv"), [True, False], [4, 6, 10]], names=list("fhbk"))
    frame = pd.concat([grid.to_frame(index=False)] * 30, ignore_index=True)
    for name in ("y", "x", "z"):
        frame[name] = rng.normal(size=len(frame))
    frame["w"] = rng.uniform(1, 9, size=len(frame))
    twice = {"f", "C(f, contr.sum)"} <= {factor for factor in FACTORS if factor in terms}
    powers = sum(factor in terms for factor in ("x", "poly(x, 2)", "I(x^2)", "scale(z)", "ns(z, 2)")) > 1
    x = build_design(f"y ~ {start}{terms}", frame).fixed["cond"].x
    if not twice and not powers:  # two spellings of one variable may well be redundant
        assert np.linalg.matrix_rank(x / np.linalg.norm(x, axis=0)) == x.shape[1]


@settings(max_examples=100)
@given(formulas)
def test_one_spelling_means_one_formula(formula: str) -> None:
    spaced = formula.replace(" ", "").replace("~", " ~\n ").replace("*", " *\t")
    first, second = terms_of(formula), terms_of(spaced)
    assert [t.text for t in first.fixed] == [t.text for t in second.fixed]
    assert [b.key for b in first.bars] == [b.key for b in second.bars]


@settings(max_examples=60)
@given(formulas)
def test_updating_by_nothing_changes_nothing(formula: str) -> None:
    once = update_formula(formula, ". ~ .")
    assert update_formula(once, ". ~ .") == once
    assert {t.key for t in terms_of(once).fixed} == {t.key for t in terms_of(formula).fixed}


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_missing_rows_anywhere_are_rows_that_were_never_there(shift: float) -> None:
    frame = data(7)
    frame["x"] += shift
    rng = np.random.default_rng(7)
    for name in ("x", "y", "z"):
        frame.loc[rng.choice(60, 4, replace=False), name] = np.nan
    formula = "y ~ poly(x, 2)*f + ns(z, 3) + (x | g)"
    one, other = build_design(formula, frame), build_design(formula, frame.dropna())
    np.testing.assert_array_equal(one.fixed["cond"].x, other.fixed["cond"].x)
    assert one.n_dropped + one.n == 60
