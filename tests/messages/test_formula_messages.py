"""What a user reads when a formula or its data are wrong: one text each, read aloud before it was kept."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ranef.errors import DataError, FormulaError
from ranef.formula.design import build_design
from ranef.formula.update import update_formula

DATA = pd.DataFrame(
    {
        "Reaction": [250.0, 259.0, 251.0, 321.0, 357.0, 415.0],
        "Days": [0.0, 1.0, 2.0, 0.0, 1.0, 2.0],
        "Subject": [308, 308, 308, 309, 309, 309],
        "Sex": ["f", "f", "f", "m", "m", "m"],
        "Dose": ["low", "mid", "high", "low", "mid", "high"],
        "dead": [1, 0, 2, 3, 1, 0],
        "size": [4, 4, 4, 4, 4, 4],
        "one": ["a"] * 6,
        "when": pd.to_datetime(["2020-01-01"] * 6),
        "gap": [1.0, np.nan, 3.0, 4.0, np.nan, 6.0],
        "empty": [np.nan] * 6,
        "endless": [1.0, 2.0, 3.0, np.inf, 5.0, 6.0],
        "time": [1, 2, 5, 1, 2, 5],
    }
)

FORMULAS = {
    "empty": "",
    "no_tilde": "Reaction",
    "no_right_side": "Reaction ~",
    "no_response": "~ Days",
    "two_tildes": "Reaction ~ Days ~ Sex",
    "unclosed_parenthesis": "Reaction ~ Days + (1 | Subject",
    "unopened_parenthesis": "Reaction ~ Days + 1 | Subject)",
    "wrong_closer": "Reaction ~ (Days]",
    "missing_operator": "Reaction ~ Days Sex",
    "missing_term": "Reaction ~ Days + ",
    "unclosed_quote": "Reaction ~ `Days",
    "dollar": "d$Reaction ~ Days",
    "bare_bar": "Reaction ~ Days + 1 | Subject",
    "two_bars": "Reaction ~ (1 | Subject | Sex)",
    "two_groups": "Reaction ~ (1 | Subject + Sex)",
    "empty_bar": "Reaction ~ (0 | Subject)",
    "crossed_bar": "Reaction ~ Sex * (1 | Subject)",
    "bar_twice": "Reaction ~ (1 | Subject) + (1|Subject)",
    "intercept_twice": "Reaction ~ Days + (1 | Subject) + (Days | Subject)",
    "unknown_structure": "Reaction ~ ar(0 + Dose | Subject)",
    "serial_intercept": "Reaction ~ ar1(Dose | Subject)",
    "unequal_times": "Reaction ~ ar1(0 + time | Subject)",
    "coordinates": "Reaction ~ mat(log(Days) | Subject)",
    "power_of_a_column": "Reaction ~ Days^2",
    "arithmetic": "Reaction ~ 2 * Days",
    "number": "Reaction ~ Days + 3",
    "comparison": "Reaction ~ Days > 1",
    "misspelt_column": "Reaction ~ Dayz",
    "misspelt_group": "Reaction ~ Days + (1 | subjects)",
    "misspelt_function": "Reaction ~ lgo(Days)",
    "system_call": "Reaction ~ __import__('os').system('rm -rf /')",
    "smooth": "Reaction ~ s(Days)",
    "offset_in_bar": "Reaction ~ (offset(Days) | Subject)",
    "cbind_on_the_right": "Reaction ~ cbind(dead, size)",
    "cbind_of_a_number": "cbind(dead, size) ~ Days",
    "log_of_text": "Reaction ~ log(Sex)",
    "log_of_zero": "Reaction ~ log(Days)",
    "poly_of_too_few": "Reaction ~ poly(Days, 3)",
    "wrong_argument": "Reaction ~ poly(Days, degre = 2)",
    "unknown_level": "Reaction ~ I(Dose == 'hgih')",
    "unknown_base": "Reaction ~ C(Dose, contr.treatment(base = 'top'))",
    "one_level_factor": "Reaction ~ one",
    "one_level_group": "Reaction ~ Days + (1 | one)",
    "date": "Reaction ~ when",
    "text_response": "Dose ~ Days",
    "infinite": "Reaction ~ endless",
    "no_row_left": "Reaction ~ empty + gap",
}


def text_of(*args, **options) -> str:
    with pytest.raises((FormulaError, DataError)) as caught:
        build_design(*args, **options)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str, snapshot) -> None:
    snapshot(f"formula_{name}", text_of(FORMULAS[name], DATA))


MANY = " + ".join(f"I(Days^{k})" for k in range(60))

# Texts that belong together are kept in one file: what is said of each part of the language.
PIECES = {
    "words": [
        "Reaction ~ Days %o% Sex",
        "Reaction ~ ``",
        "Reaction ~ I(0 < Days < 2)",
        "Reaction ~ poly(Days, degree = 2, 3)",
        "Reaction ~ poly(Days, degree = 2, degree = 3)",
        "Reaction ~ I(Days %in% [0, k = 1])",
    ],
    "terms": [
        "Reaction ~ 'Days'",
        "Reaction ~ (!Days):Sex",
        "Reaction ~ TRUE",
        "Reaction ~ (Days + Sex)^1.5",
        "Reaction ~ (Days + Sex)^21",
        "Reaction ~ Days + offset(Days) + offset(Days)",
        "Reaction ~ Days - offset(Days)",
        "Reaction ~ Days + offset(Days, 2)",
        "Reaction ~ Days + s(time) + s(time)",
        "Reaction ~ Sex:s(Days)",
        f"Reaction ~ ({MANY})^3",
        f"Reaction ~ ({MANY})^2:({MANY})",
    ],
    "bars": [
        "Reaction ~ (1 | .)",
        "Reaction ~ (1 | 2)",
        "Reaction ~ (1 | 'Subject')",
        "Reaction ~ ar1(0 + Dose || Subject)",
        "Reaction ~ cs(0 + Dose | Subject, 2)",
        "Reaction ~ rr(0 + Dose | Subject, d = 2, d = 3)",
        "Reaction ~ rr(0 + Dose | Subject, d = Days + 1)",
        "Reaction ~ ou(0 + Days + time | Subject)",
        "Reaction ~ (1 | poly(Days, 2))",
    ],
    "values": [
        "Reaction ~ I(.)",
        "Reaction ~ I('f')",
        "Reaction ~ I(Days:Sex)",
        "Reaction ~ I(Sex * 2)",
        "Reaction ~ I(poly(Days, 2) + 1)",
        "Reaction ~ I('a' + 1)",
        "Reaction ~ I(Sex < Dose)",
        "Reaction ~ I(Sex < 'm')",
        "Reaction ~ I(Sex == Days)",
        "Reaction ~ I(Days %in% c('one', 'two'))",
        "Reaction ~ I(Days %in% c(time, 2))",
        "Reaction ~ I(Days %in% c(a = 1))",
        "poly(Days, 2) ~ Days",
        "Reaction ~ sqrt(Days - 1)",
    ],
    "functions": [
        "Reaction ~ log(Days, 2, 3)",
        "Reaction ~ log()",
        "Reaction ~ log(Days, bass = 2)",
        "Reaction ~ scale()",
        "Reaction ~ scale(Days, state = 1)",
        "Reaction ~ scale(size)",
        "Reaction ~ poly(Days, degree = 1.5)",
        "Reaction ~ poly(Days, 2, raw = 1)",
        "Reaction ~ poly(Days, 2, TRUE, 4)",
        "Reaction ~ ns(Days, df = 0)",
        "Reaction ~ ns(Days, df = 7)",
        "Reaction ~ ns(Days, knots = 'mid')",
        "Reaction ~ ns(Days, knots = c(1, 3))",
        "Reaction ~ ns(Days, Boundary.knots = c(0, 1, 2))",
        "Reaction ~ ns(size, df = 2)",
        "Reaction ~ interaction(Sex, Dose)",
        "Reaction ~ contr.sum(Sex)",
        "Reaction ~ power(Days)",
        "Reaction ~ I(offset(Days))",
    ],
    "factors": [
        "Reaction ~ factor(Sex, Dose)",
        "Reaction ~ factor(Dose, levels = c('low', 'mid'))",
        "Reaction ~ factor(Dose, labels = c('a', 'b', 'c'))",
        "Reaction ~ factor(3)",
        "Reaction ~ relevel(Dose)",
        "Reaction ~ relevel(Dose, ref = 'top')",
        "Reaction ~ dummy(Dose, 'top')",
        "Reaction ~ C()",
        "Reaction ~ C(Dose, 3)",
        "Reaction ~ C(Dose, base = 'low')",
        "Reaction ~ C(Dose, contr.sum, levels = c('low', 'mid'))",
        "Reaction ~ C(Dose, contr.sum(2))",
        "Reaction ~ C(Dose, contr.treatment(base = 4))",
        "Reaction ~ C(Dose, contr.poly(scores = c('a', 'b', 'c')))",
        "Reaction ~ C(Dose, contr.poly(scores = c(1, 2, 2)))",
    ],
    "smooths": [
        "Reaction ~ s()",
        "Reaction ~ s(time, 10)",
        "Reaction ~ s(time, bass = 'cr')",
        "Reaction ~ t2(time)",
        "Reaction ~ s(time, Days, size)",
        "Reaction ~ s(time, time)",
        "Reaction ~ s(time, by = 'Sex')",
        "Reaction ~ s(time, k = 2.5)",
        "Reaction ~ s(time, k = 2)",
        "Reaction ~ s(time, bs = 're')",
        "Reaction ~ s(time, bs = 'xx')",
        "Reaction ~ s(time, Days, bs = 'cr')",
        "Reaction ~ t2(time, Days, bs = c('cr', 'cr', 'cr'))",
        "Reaction ~ s(time, knots = c(0, 1))",
        "Reaction ~ s(time, bs = 'cr', k = 3, knots = c(2, 1))",
        "Reaction ~ s(time, k = Days)",
    ],
}


@pytest.mark.parametrize("part", PIECES)
def test_pieces_of_the_language(part: str, snapshot) -> None:
    snapshot(f"formula_pieces_of_{part}", "\n\n".join(text_of(formula, DATA) for formula in PIECES[part]))


OPTIONS = {
    "missing_refused": ("Reaction ~ gap", {"missing": "error"}),
    "missing_word": ("Reaction ~ gap", {"missing": "omit"}),
    "weights_absent": ("Reaction ~ Days", {"weights": "sizes"}),
    "weights_short": ("Reaction ~ Days", {"weights": [1.0, 2.0]}),
    "weights_negative": ("Reaction ~ Days", {"weights": [1.0, 2, 3, -4, 5, 6]}),
    "offset_text": ("Reaction ~ Days", {"offset": "Sex"}),
    "contrasts_unknown": ("Reaction ~ Sex", {"contrasts": {"Sex": "sumo"}}),
    "contrasts_numeric": ("Reaction ~ Days", {"contrasts": {"Days": "sum"}}),
    "contrasts_absent": ("Reaction ~ Sex", {"contrasts": {"sex": "sum"}}),
    "zi_two_sided": ("Reaction ~ Days", {"components": {"zi": "Reaction ~ 1"}}),
    "zi_dot": ("Reaction ~ Days", {"components": {"zi": "~ ."}}),
    "binomial_three_levels": ("Dose ~ Days", {"response_kind": "binomial"}),
    "binomial_count": ("dead ~ Days", {"response_kind": "binomial"}),
    "binomial_proportion": ("dead/size ~ Days", {"response_kind": "binomial"}),
    "binomial_trials": ("dead/size ~ Days", {"response_kind": "binomial", "weights": [4, 4, 4, 5, 4, 4]}),
    "weights_zero": ("Reaction ~ Days", {"weights": np.zeros(6)}),
    "weights_infinite": ("Reaction ~ Days", {"weights": [1.0, 2.0, np.inf, 1.0, 1.0, 1.0]}),
    "offset_words": ("Reaction ~ Days", {"offset": ["a"] * 6}),
    "offset_one": ("Reaction ~ Days", {"offset": 1.0}),
    "contrasts_no_mapping": ("Reaction ~ Sex", {"contrasts": "sum"}),
    "contrasts_matrix": ("Reaction ~ Dose", {"contrasts": {"Dose": np.eye(3)}}),
    "contrasts_neither": ("Reaction ~ Dose", {"contrasts": {"Dose": [["a"], ["b"], ["c"]]}}),
    "binomial_weights": ("dead/size ~ Days", {"response_kind": "binomial", "weights": [1.5] * 6}),
    "binomial_three_columns": ("cbind(dead, size, 1) ~ Days", {"response_kind": "binomial"}),
    "binomial_fraction": ("cbind(dead / 4, size) ~ Days", {"response_kind": "binomial"}),
    "ordinal_fraction": ("Reaction / 3 ~ Days", {"response_kind": "ordinal"}),
    "ordinal_one": ("one ~ Days", {"response_kind": "ordinal"}),
    "binomial_negative": ("cbind(dead, 2 - dead) ~ Days", {"response_kind": "binomial"}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str, snapshot) -> None:
    formula, options = OPTIONS[name]
    snapshot(f"design_{name}", text_of(formula, DATA, **options))


FRAMES = {
    "not_a_frame": 3,
    "lazy": pl.LazyFrame({"Reaction": [1.0]}),
    "no_rows": DATA.iloc[:0],
    "repeated_column": pd.DataFrame([[1.0, 2.0, 3.0]], columns=["Reaction", "Days", "Days"]),
    "objects": DATA.assign(Days=[object()] * 6),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames(name: str, snapshot) -> None:
    snapshot(f"data_{name}", text_of("Reaction ~ Days", FRAMES[name]))


NEW = {
    "absent": DATA.drop(columns="Days"),
    "renamed": DATA.rename(columns={"Days": "days"}),
    "missing": DATA.assign(Days=DATA.gap),
    "unseen_level": DATA.assign(Dose="top"),
    "text": DATA.assign(Days="many"),
}


@pytest.mark.parametrize("name", NEW)
def test_new_data(name: str, snapshot) -> None:
    design = build_design("Reaction ~ Days + Dose + (1 | Subject)", DATA)
    with pytest.raises(DataError) as caught:
        design.replay(NEW[name])
    snapshot(f"newdata_{name}", f"DataError: {caught.value}")


def test_an_update_that_cannot_be_read(snapshot) -> None:
    with pytest.raises(FormulaError) as caught:
        update_formula("Reaction ~ Days", ". ~ . - Days +")
    snapshot("update_incomplete", f"FormulaError: {caught.value}")


def test_a_long_formula_is_shown_around_the_fault(snapshot) -> None:
    long = "Reaction ~ " + " + ".join(f"I(Days + {k})" for k in range(30)) + " + Dayz + Days"
    snapshot("formula_long", text_of(long, DATA))
