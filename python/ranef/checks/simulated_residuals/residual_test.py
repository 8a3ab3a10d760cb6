"""What a test of simulated residuals says: a statistic, a p-value, and a size that does not grow with the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.errors import ModelError
from ranef.inference.multiplicity import benjamini_hochberg

ALTERNATIVES = ("two-sided", "greater", "less")


@dataclass(frozen=True)
class ResidualTest:
    """One test of simulated residuals.

    Attributes
    ----------
    test : str
        What was tested.
    statistic : float
        Of the test; its documentation says which.
    p_value : float
        How surprising the data are if the model is true. With many rows it is small for departures of no consequence.
    alternative : {"two-sided", "greater", "less"}
    effect : float
        How far the data are from the model, in a number that does not depend on how many rows there are.
    effect_text : str
        The effect in words.
    details : tuple of ResidualTest
        The tests that this one puts together.
    step : float
        What one simulation is worth in a p-value by rank, which is zero where no simulation reaches the data.
    """

    test: str
    statistic: float
    p_value: float
    alternative: str
    effect: float
    effect_text: str
    details: tuple[ResidualTest, ...] = ()
    step: float = 0.0

    def __repr__(self) -> str:
        least = max(1e-4, self.step)
        p = f"p < {least:g}" if self.p_value < least else f"p = {self.p_value:.4f}"
        side = "" if self.alternative == "two-sided" else f" ({self.alternative})"
        return f"{self.test}: statistic {self.statistic:.4g}, {p}{side}; {self.effect_text}"


def side_of(alternative: str, what: str, allowed: tuple[str, ...] = ALTERNATIVES) -> str:
    """The alternative asked for, if there is such a one."""
    if alternative not in allowed:
        raise ModelError(f"{what}(alternative={alternative!r}): give one of {', '.join(map(repr, allowed))}")
    return alternative


def p_of_rank(observed: float, simulated: np.ndarray, alternative: str, ties: float = 1.0) -> float:
    """The p-value of a statistic by its place among those of simulated data.

    greater = mean(simulated >= observed), less = mean(simulated <= observed), two-sided = twice the smaller, at most 1.
    With ties of a half, simulations that equal the observed count half on either side: the mid-p-value (Lancaster 1961,
    Journal of the American Statistical Association 56, 223-234), whose level of counts is closer to the nominal one.
    """
    left_out = (1.0 - ties) * float(np.mean(simulated == observed))
    greater, less = (float(np.mean(side)) - left_out for side in (simulated >= observed, simulated <= observed))
    if alternative == "two-sided":
        return min(1.0, 2.0 * min(greater, less))
    return greater if alternative == "greater" else less


def rank_test(
    test: str,
    statistic: float,
    observed: float,
    simulated: np.ndarray,
    alternative: str,
    effect: float,
    text: str,
    ties: float = 1.0,
) -> ResidualTest:
    """A test whose p-value is the rank of what was observed among what was simulated."""
    p = p_of_rank(observed, simulated, alternative, ties)
    step = (2.0 if alternative == "two-sided" else 1.0) / len(simulated)
    return ResidualTest(test, statistic, p, alternative, effect, text, step=step)


def smallest_adjusted(p: np.ndarray) -> float:
    """The smallest p-value after Benjamini & Hochberg's adjustment, which is Simes' test of all hypotheses together."""
    return float(benjamini_hochberg(p).min())
