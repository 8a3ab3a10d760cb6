"""Whether residuals have the same distribution in every level of a factor: uniform.

within    Kolmogorov and Smirnov's test in each level, p-values adjusted after Holm
between   Levene's test of equal spread, about the medians (Brown & Forsythe 1974, J. Am. Stat. Assoc. 69, 364-367)

The p-value of both together is twice the smaller (Bonferroni). Levene's test is for normal values: of 20 levels with 15
uniform ones each, it rejects 0.3 % of right models at 5 %, with 80 each 3.4 %. The spread that is `known` instead takes
the distances from 1/2, whose mean and variance under the model are 1/4 and 1/48: chi-square, and at its level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ranef.checks.simulated_residuals.residual_test import ResidualTest
from ranef.checks.simulated_residuals.uniformity import uniformity
from ranef.errors import DataError
from ranef.inference.multiplicity import holm


def groups(
    scaled: np.ndarray, names: Sequence[str], rows: Sequence[np.ndarray], factor: str, known: bool = False
) -> ResidualTest:
    """The test; its details are those of each level and of spread. The effect is the largest distance of a level."""
    if len(rows) < 2:
        raise DataError(f"test_groups({factor!r}): all rows are of the level `{names[0]}`; two or more are needed")
    within = [uniformity(scaled[own], name=f"{factor} {name}") for name, own in zip(names, rows, strict=True)]
    adjusted = holm(np.array([test.p_value for test in within]))
    within = [replace(test, p_value=float(p)) for test, p in zip(within, adjusted, strict=True)]
    between = known_spread(scaled, rows) if known else levene(scaled, rows)
    smallest = min(float(adjusted.min()), between.p_value if np.isfinite(between.p_value) else 1.0)
    worst = within[int(adjusted.argmin())] if adjusted.min() < 1.0 else max(within, key=lambda t: t.statistic)
    off = int((adjusted < 0.05).sum())
    text = f"{off} of {len(within)} levels not uniform"
    text += f" ({worst.test}: {worst.effect_text})" if off else ""
    text += "; spread differs between levels" if between.p_value < 0.05 else ""
    p = min(1.0, 2.0 * smallest)
    return ResidualTest("groups", worst.statistic, p, "two-sided", worst.effect, text, (*within, between))


def levene(scaled: np.ndarray, rows: Sequence[np.ndarray]) -> ResidualTest:
    """Analysis of variance of the distances from the median of each level; levels of one row say nothing of spread."""
    from scipy.special import fdtrc

    own = [scaled[r] for r in rows if len(r) > 1]
    away = [np.abs(values - np.median(values)) for values in own]
    k, n = len(away), sum(map(len, away))
    name = "equal spread"
    if k < 2 or n - k < 1:
        return ResidualTest(name, np.nan, np.nan, "greater", np.nan, "no level has rows enough")
    mean = np.concatenate(away).mean()
    between = sum(len(a) * (a.mean() - mean) ** 2 for a in away) / (k - 1)
    inside = sum(((a - a.mean()) ** 2).sum() for a in away) / (n - k)
    spreads = np.array([a.mean() for a in away])
    ratio = float(spreads.max() / spreads.min()) if spreads.min() > 0.0 else float("inf")
    if not inside > 0.0:
        return ResidualTest(name, np.nan, np.nan, "greater", ratio, "residuals do not vary within levels")
    f = float(between / inside)
    text = f"the widest level spreads {ratio:.2f} times the narrowest"
    return ResidualTest(name, f, float(fdtrc(k - 1, n - k, f)), "greater", ratio, text)


def known_spread(scaled: np.ndarray, rows: Sequence[np.ndarray]) -> ResidualTest:
    """The mean distances from 1/2, compared with what they vary by if residuals are uniform in every level."""
    from scipy.special import chdtrc

    counts = np.array([len(own) for own in rows], float)
    means = np.array([np.abs(scaled[own] - 0.5).mean() for own in rows])
    overall = float(counts @ means / counts.sum())
    statistic = 48.0 * float(counts @ np.square(means - overall))
    ratio = float(means.max() / means.min()) if means.min() > 0.0 else float("inf")
    text = f"the widest level spreads {ratio:.2f} times the narrowest"
    p = float(chdtrc(len(rows) - 1, statistic))
    return ResidualTest("equal spread", statistic, p, "greater", ratio, text)
