"""Numbers as printed tables show them."""

import math

import pytest

from ranef.reports.numbers import column, fixed, probability, stars


def test_a_column_shares_its_decimals():
    assert column([251.405, 6.825, 10.467, 1.546]) == ["251.405", "6.825", "10.467", "1.546"]
    assert column([0.0, 0.0]) == ["0.000", "0.000"]
    assert column([1234567.0, 2.0]) == ["1234567.000", "2.000"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(math.nan, "NaN"), (math.inf, "Inf"), (-math.inf, "-Inf"), (1.23456e12, "1.235e+12"), (1e-9, "1.000e-09")],
)
def test_numbers_that_have_no_decimals(value, text):
    assert fixed(value, 3) == text


@pytest.mark.parametrize(
    ("p", "text", "mark"),
    [(0.0, "<2e-16", "***"), (0.00031, "0.00031", "***"), (0.0049, "0.0049", "**"), (0.03, "0.0300", "*"),
     (0.07, "0.0700", "."), (0.5, "0.5000", ""), (math.nan, "NaN", "")],
)  # fmt: skip
def test_p_values(p, text, mark):
    assert probability(p) == text
    assert stars(p) == mark
