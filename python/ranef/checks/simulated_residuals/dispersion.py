"""Whether the responses scatter around their fitted means as the model says.

simulated   var(y - fitted) over its mean in simulated responses, p-value by rank
pearson     sum of squared Pearson residuals over the residual degrees of freedom, chi-square. Random effects at their
            modes use up more than the parameters that are counted, so that it is too small and finds only too much
refit       sum of squared Pearson residuals over its mean in the model's refits to simulated responses, p-value by rank
"""

from __future__ import annotations

import numpy as np

from ranef.checks.simulated_residuals.residual_test import ResidualTest, rank_test, side_of
from ranef.checks.simulated_residuals.scaled_residuals import ScaledResiduals
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.prediction.residuals import residuals

KINDS = ("simulated", "pearson", "refit")
# Families for which the share of a fit is told: with a dispersion parameter in a skewed family it lies elsewhere.
KNOWN_SHARE = ("gaussian", "poisson", "binomial")


def dispersion(
    found: ScaledResiduals,
    kind: str = "simulated",
    alternative: str | None = None,
    record: FittedModel | None = None,
    at_modes: bool = False,
) -> ResidualTest:
    """The test; above one: more variation than the model has.

    `at_modes` says that the fitted means hold the modes of the random effects of `record`.
    """
    if kind not in KINDS:
        raise ModelError(f"test_dispersion(kind={kind!r}): give one of {', '.join(map(repr, KINDS))}")
    if kind == "pearson":
        return pearson(record, "greater" if alternative is None else alternative)
    alternative = side_of("two-sided" if alternative is None else alternative, "test_dispersion")
    if kind == "refit":
        if found.refits is None:
            raise ModelError("test_dispersion(kind='refit') compares refits: ask simulate_residuals(refit=True)")
        observed, simulated = found.refits.pearson, found.refits.simulated_pearson
        what = "sum of squared Pearson residuals"
    else:
        if len(found.observed) < 2:
            raise ModelError("test_dispersion(): there is one residual, which has no variance; two or more are needed")
        # The variance of all simulated values, by which statistics are divided, cancels in the ratio.
        observed = float(np.var(found.observed - found.fitted, ddof=1))
        simulated = np.var(found.simulated - found.fitted[:, None], axis=0, ddof=1)
        what = "variance of residuals"
    mean = float(simulated.mean())
    if not mean > 0.0:
        raise ModelError("test_dispersion(): the simulated responses do not vary")
    ratio = observed / mean
    text = f"{what} {ratio:.2f} times the simulated"
    if kind == "simulated" and at_modes and record is not None and record.family in KNOWN_SHARE:
        text += fitted_share(record, found)
    return rank_test("dispersion", ratio, observed, simulated, alternative, ratio, text)


def pearson(record: FittedModel | None, alternative: str) -> ResidualTest:
    """Sum of squared Pearson residuals over its degrees of freedom."""
    from scipy.special import chdtrc

    if record is None:
        raise ModelError("test_dispersion(kind='pearson') needs a fit, and its rows as they are: use kind='simulated'")
    if alternative != "greater":
        raise ModelError(
            f"test_dispersion(kind='pearson', alternative={alternative!r}): random effects take up degrees of freedom "
            "that nobody counts, so that only 'greater' can be told; use kind='simulated'"
        )
    total, df = float((residuals(record, "pearson") ** 2).sum()), record.df_residual
    if not df > 0:
        raise ModelError("test_dispersion(kind='pearson'): no degrees of freedom are left; use kind='simulated'")
    text = f"sum of squared Pearson residuals {total / df:.2f} times its degrees of freedom"
    return ResidualTest("dispersion", total / df, float(chdtrc(df, total)), alternative, total / df, text)


def fitted_share(record: FittedModel, found: ScaledResiduals) -> str:
    """Where the ratio of a right model lies, as means that were fitted to the data are closer to them.

    sum V_i (1 - h_i) / sum V_i, with the leverages h and the variances V of the rows: exact for a linear mixed model
    with known variances, whose residuals have the variance V_i (1 - h_i).
    """
    leverage = np.asarray(record.engine.leverage(), float)
    variance = found.simulated.var(axis=1)
    expected = float(variance @ (1.0 - leverage) / variance.sum())
    if record.model.zero_inflated or not np.isfinite(expected) or expected > 0.995:
        return ""
    return f", {expected:.2f} expected of a fit"
