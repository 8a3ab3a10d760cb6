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
