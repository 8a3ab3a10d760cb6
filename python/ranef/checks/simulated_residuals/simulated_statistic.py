"""A statistic of the observed responses against the same of simulated ones; the number of zeros is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ranef.checks.simulated_residuals.residual_test import ResidualTest, rank_test, side_of
from ranef.checks.simulated_residuals.scaled_residuals import ScaledResiduals
from ranef.errors import DataError, blaming


def generic(
    found: ScaledResiduals,
    statistic: Callable[[np.ndarray], Any],
    alternative: str = "two-sided",
    name: str = "",
    ties: float = 1.0,
) -> ResidualTest:
    """T(y) / mean T(s), with the p-value by the rank of T(y) among T(s_1) ... T(s_n)."""
    side_of(alternative, "test_generic")
    if not callable(statistic):
        raise DataError(f"statistic={statistic!r}: give a function of the responses, such as numpy.mean")
    name = name or getattr(statistic, "__name__", "statistic")
    with blaming("test_generic(statistic=)"):
        # Copies: what the function does to its argument is its own affair.
        first, *others = [statistic(y) for y in (found.observed.copy(), *found.simulated.T.copy())]
    observed = _number(first, "the observed responses")
    simulated = np.array([_number(value, f"simulation {j}") for j, value in enumerate(others)], float)
    return of_statistics(observed, simulated, alternative, name, ties)


def of_statistics(
    observed: float, simulated: np.ndarray, alternative: str, name: str, ties: float = 1.0
) -> ResidualTest:
    """The test of a statistic that was computed already."""
    mean = float(simulated.mean())
    ratio = observed / mean if mean != 0.0 else (1.0 if observed == 0.0 else float("inf"))
    text = f"{observed:.4g} observed, {mean:.4g} simulated on average"
    return rank_test(name, ratio, observed, simulated, alternative, ratio, text, ties)


def zero_inflation(found: ScaledResiduals, alternative: str = "two-sided", ties: float = 1.0) -> ResidualTest:
    """The number of zeros over its mean in simulated responses."""
    side_of(alternative, "test_zero_inflation")
    observed = float((found.observed == 0.0).sum())
    simulated = (found.simulated == 0.0).sum(axis=0).astype(float)
    test = of_statistics(observed, simulated, alternative, "zero inflation", ties)
    text = f"{observed:.0f} zeros observed, {simulated.mean():.1f} simulated on average"
    return replace(test, effect_text=text)


def _number(value: Any, of_what: str) -> float:
    try:
        found = np.asarray(value, float).reshape(-1)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.size != 1 or not np.isfinite(found).all():
        raise DataError(f"statistic gave {value!r} for {of_what}: it must give one finite number")
    return float(found[0])
