"""The tests of simulated residuals as printed and as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from ranef.checks.simulated_residuals.residual_test import ResidualTest
from ranef.reports.numbers import probability
from ranef.reports.summary import Section, Summary


def residual_report(title: str, tests: Sequence[ResidualTest], notes: Sequence[str]) -> Summary:
    """A line for each test: what was found, the p-value, and a mark where it is below 0.05."""
    header = ("test", "found", "p-value", "")
    rows = tuple(
        (test.test, test.effect_text, shown(test), "look" if test.p_value < 0.05 else "ok" if test.p_value >= 0 else "")
        for test in tests
    )
    return Summary((Section(title=title, header=header, rows=rows, left=2, notes=tuple(notes)),))


def shown(test: ResidualTest) -> str:
    """The p-value, or what one simulation is worth where none reaches the data."""
    return f"<{test.step:g}" if test.p_value < test.step else probability(test.p_value)
