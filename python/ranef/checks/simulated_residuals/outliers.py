"""Responses outside all that was simulated for them.

binomial    a residual below 1/(S+1) or above 1 - 1/(S+1) counts, which has a probability of 2/(S+1) for a continuous
            response (1/(S+1) at one margin); exact binomial test
bootstrap   the number of residuals of exactly 0 or 1, against the same number when a simulation takes the place of the
            data and S others, drawn with replacement, that of the simulations; p-value by rank. For responses that can
            equal the simulated ones, where the probability is not known
exchanged   the same number when each simulation changes places with the data; p-value by rank, ties counting half.
            Data and simulations are alike under the model, and so are these numbers

The bootstrap leaves out a third of the simulations (S draws with replacement have 0.63 S different ones), beyond which
there are 1.6 times as many outliers as beyond all of them: it takes the number to be expected for a low one, and hardly
ever rejects. That is DHARMa's definition; "exchanged" is the test that holds its level.
"""

from __future__ import annotations

import numpy as np

from ranef.checks.simulated_residuals.residual_test import ResidualTest, rank_test, side_of
from ranef.checks.simulated_residuals.scaled_residuals import CELLS, OUTLIERS, ScaledResiduals
from ranef.errors import ModelError

KINDS = ("binomial", "bootstrap", "exchanged")
MARGINS = ("both", "lower", "upper")
# Rows beyond which the binomial test is taken for whole numbers too, as the bootstrap takes long.
MANY_ROWS = 500
BOOTSTRAPS = 100


def outliers(
    found: ScaledResiduals, kind: str | None = None, alternative: str = "two-sided", margin: str = "both"
) -> ResidualTest:
    """The test; the statistic is the number of outliers, the effect their share over the expected one."""
    side_of(alternative, "test_outliers")
    if kind is not None and kind not in KINDS:
        raise ModelError(
            f"test_outliers(kind={kind!r}): give one of {', '.join(map(repr, KINDS))}, or None to choose by the data"
        )
    if margin not in MARGINS:
        raise ModelError(f"test_outliers(margin={margin!r}): give one of {', '.join(map(repr, MARGINS))}")
    rows = len(found.scaled)
    placed_otherwise = found.refits is not None or found.rotation is not None
    if kind is None:
        kind = "binomial" if not found.whole or rows > MANY_ROWS or placed_otherwise else "bootstrap"
    if kind == "binomial":
        return _binomial(found, alternative, margin)
    if found.n < 2:
        raise ModelError(f"test_outliers(kind={kind!r}) needs two simulations or more; give a larger n")
    if placed_otherwise:
        raise ModelError(f"test_outliers(kind={kind!r}) is for responses as they are; use kind='binomial'")
    outside = {"both": found.below | found.above, "lower": found.below, "upper": found.above}[margin]
    count = int(outside.sum())
    simulated = bootstrapped(found, margin) if kind == "bootstrap" else exchanged(found, margin)
    expected = float(simulated.mean())
    low, high = np.quantile(simulated, [0.025, 0.975])
    text = f"{count} of {rows} rows outside all simulations, {low:.0f} to {high:.0f} expected"
    effect = count / expected if expected > 0.0 else (1.0 if count == 0 else float("inf"))
    ties = 1.0 if kind == "bootstrap" else 0.5
    return rank_test("outliers", float(count), float(count), simulated, alternative, effect, text, ties)


def bootstrapped(found: ScaledResiduals, margin: str = "both", times: int = BOOTSTRAPS) -> np.ndarray:
    """Numbers of outliers in simulations that take the place of the data."""
    rng = np.random.default_rng((found.seed, OUTLIERS))
    n = found.n
    simulated = np.ascontiguousarray(found.simulated.T)
    counts = []
    for b in range(min(times, n)):
        others = np.delete(np.arange(n), b)
        among, values = simulated[np.unique(rng.choice(others, n))], simulated[b]
        low = (values < among.min(axis=0)).sum() if margin != "upper" else 0
        high = (values > among.max(axis=0)).sum() if margin != "lower" else 0
        counts.append(int(low) + int(high))
    return np.array(counts, float)


def exchanged(found: ScaledResiduals, margin: str = "both") -> np.ndarray:
    """Numbers of outliers of each simulation among the data and the other simulations."""
    counts = np.zeros(found.n)
    step = max(1, CELLS // (found.n + 1))
    for first in range(0, len(found.observed), step):
        values = found.simulated[first : first + step]
        everyone = np.column_stack([found.observed[first : first + step], values])
        ends = [everyone.min(axis=1)] * (margin != "upper") + [everyone.max(axis=1)] * (margin != "lower")
        for end in ends:
            alone = (everyone == end[:, None]).sum(axis=1) == 1
            counts += (values[alone] == end[alone, None]).sum(axis=0)
    return counts


def _binomial(found: ScaledResiduals, alternative: str, margin: str) -> ResidualTest:
    rows, edge = len(found.scaled), 1.0 / (found.n + 1)
    low, high = found.scaled < edge, found.scaled > 1.0 - edge
    outside = {"both": low | high, "lower": low, "upper": high}[margin]
    count, rate = int(outside.sum()), (2.0 if margin == "both" else 1.0) * edge
    p = binomial_p(count, rows, rate, alternative)
    text = f"{count} of {rows} rows outside the simulations, {rows * rate:.1f} expected"
    return ResidualTest("outliers", float(count), p, alternative, count / (rows * rate), text)


def binomial_p(count: int, rows: int, rate: float, alternative: str) -> float:
    """Exact p-value; two-sided: the probability of all numbers that are no more probable than this one."""
    from scipy.special import bdtr, bdtrc, gammaln

    if alternative == "less":
        return float(bdtr(count, rows, rate))
    if alternative == "greater":
        return 1.0 if count == 0 else float(bdtrc(count - 1, rows, rate))
    k = np.arange(rows + 1.0)
    logs = gammaln(rows + 1.0) - gammaln(k + 1.0) - gammaln(rows - k + 1.0) + k * np.log(rate)
    logs += (rows - k) * np.log1p(-rate)
    return min(1.0, float(np.exp(logs[logs <= logs[count] + 1e-7]).sum()))
