"""Whether the search ends at the same place from elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ranef.checks.finding import OK, PROBLEM, Finding
from ranef.checks.subject import Subject
from ranef.errors import ConvergenceWarning, ModelError
from ranef.fitting import FittedModel, fit_model
from ranef.formula.level_columns import column_sds

# Rows, and effects, up to which a fit is repeated unasked, so often: whatever the time that it took, which depends on
# what else the machine had to do.
CHEAP_ROWS, CHEAP_EFFECTS, UNASKED = 1000, 200, 2
# Log-likelihoods that differ by more are different optima.
SAME = 1e-3


def restarts(subject: Subject) -> Iterator[Finding]:
    """The best log-likelihood of fits from perturbed starts, against this one."""
    record, count = subject.record, subject.restarts
    if count is None:
        effects = sum(term.size * len(term.names) for term in record.terms())
        cheap = record.nobs <= CHEAP_ROWS and effects <= CHEAP_EFFECTS
        count = UNASKED if cheap and record.verdict["status"] == "converged" else 0
    if not count or not startable(record):
        return
    gains = []
    for r in range(count):
        again = fitted_from(record, perturbed_start(record, subject.seed + r))
        if again is not None:
            gains.append(float(again.log_posterior - record.log_posterior))
    if not gains:
        return
    best = max(gains)
    higher = best > SAME
    lower = sum(gain < -SAME for gain in gains)
    detail = f"{len(gains)} fits from perturbed starts "
    detail += (
        f"end up to {best:.3g} higher" if higher else "agree" if not lower else f"end no higher ({lower} of them lower)"
    )
    advice = "This is not the highest maximum: `fit.all_fit()` tells where others end." if higher else ""
    yield Finding(
        "restarts",
        best,
        "largest gain of log-likelihood",
        detail,
        advice,
        PROBLEM if higher else OK,
    )


def perturbed_start(record: FittedModel, seed: int) -> dict[str, Any]:
    """A start away from the estimates: factors times exp(N(0, 0.5)), coefficients plus N(0, 1) standard errors."""
    rng = np.random.default_rng(seed)
    scale = record.sigma if record.model.profiled else 1.0
    factors = []
    for factor in record.engine.factor:
        relative = np.asarray(factor, float) / scale
        size = max(float(np.abs(relative).max()), 0.1)
        factors.append(relative * np.exp(rng.normal(0.0, 0.5)) + 0.1 * size * np.eye(len(relative)))
    start: dict[str, Any] = {"factor": factors}
    if not record.model.profiled:
        start["beta"] = {}
        for component in record.model.components:
            estimate, covariance = record.estimates(component), record.covariance_of_estimates(component)
            error = np.sqrt(np.maximum(np.nan_to_num(np.diag(covariance), nan=0.0), 0.0))
            # At most one on the scale of the link over a standard deviation of the predictor, in whatever unit.
            spread = np.ones(len(error))
            if component != "threshold":
                spread = column_sds(record.design.fixed[component].x)[record.kept[component]]
            error = np.minimum(error, np.divide(1.0, spread, out=np.ones_like(spread), where=spread > 0.0))
            step = error * rng.normal(size=len(estimate))
            # Thresholds stay in their order.
            start["beta"][component] = estimate + (step if component != "threshold" else step.mean())
    return start


def fitted_from(record: FittedModel, start: Any) -> FittedModel | None:
    """The same model fitted from a start, with all the iterations it takes; None where the engine refuses it."""
    control = replace(record.control, max_iter=None, progress=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            engine, kept = fit_model(record.model, control, start)
    except ModelError:
        return None
    return FittedModel(model=record.model, control=record.control, engine=engine, kept=kept)


def startable(record: FittedModel) -> bool:
    """Whether starts can be given: nothing is held or equal, and factors say all that is to be known of a term."""
    plain = all(term.coupling is None and term.smooth is None for term in record.terms())
    return plain and bool(record.terms()) and not record.model.assumed and not record.model.marginal
