"""What is simulated from a fit to place its residuals: responses, or the residuals of refits to them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from ranef import _engine
from ranef.checks.simulated_residuals.drawn_predictors import drawn_predictors, simulated_at
from ranef.checks.simulated_residuals.scaled_residuals import RefittedResiduals, ScaledResiduals, scaled_residuals
from ranef.conditioning import Conditioning, kept_terms
from ranef.errors import ModelError
from ranef.fitting import FittedModel, announce, model_with_response
from ranef.prediction.predictions import predict
from ranef.prediction.residuals import residuals
from ranef.simulation import engine_seed, simulated_numbers

# Numbers that are held at once: 4 GB.
MOST_CELLS = 500_000_000
# Refits between two lines of progress.
PIECE = 100


def of_fit(
    record: FittedModel,
    n: int = 1000,
    seed: int | None = None,
    ranef: Conditioning = True,
    method: str = "pit",
    rotation: Any = None,
    refit: bool = False,
    threads: int | None = None,
    progress: bool | None = None,
) -> tuple[ScaledResiduals, tuple[str, ...]]:
    """Scaled residuals of a fit, and what there is to say about how they came about.

    Successes count as such, and are expected to be trials times probability; ordered categories as their numbers.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise ModelError(f"simulate_residuals(n={n!r}): give a whole number, 2 or more")
    if record.nobs * n > MOST_CELLS:
        most = MOST_CELLS // record.nobs
        size = record.nobs * n * 8 / 1e9
        raise ModelError(
            f"simulate_residuals(n={n}): {record.nobs} rows times {n} simulations are {size:.0f} GB. "
            + (f"Give n={most} or less." if most >= 2 else "Fit a random part of the rows to look at residuals.")
        )
    seed = engine_seed(seed)
    observed = np.asarray(record.design.response.y, float)
    if isinstance(ranef, str) and ranef == "posterior":
        if refit:
            raise ModelError("simulate_residuals(refit=True) takes the fitting into account itself: give ranef=True")
        simulated, fitted = simulated_at(record, drawn_predictors(record, seed), int(n), seed)
        return scaled_residuals(observed, simulated, fitted, method, rotation, seed), ()
    simulated = simulated_numbers(record, int(n), seed, ranef)
    refits, notes = None, []
    if refit:
        refits, kept, said = refitted(record, simulated, threads, progress)
        simulated, notes = simulated[:, kept], [said] if said else []
    fitted = expected(record, ranef)
    return scaled_residuals(observed, simulated, fitted, method, rotation, seed, refits), tuple(notes)


def expected(record: FittedModel, ranef: Conditioning) -> np.ndarray:
    """Fitted means in the numbers of the response; random effects that are drawn afresh count as zero."""
    drawn = isinstance(ranef, str) and ranef == "new"
    if not drawn:
        kept_terms(record.terms(), ranef)
    mean = np.asarray(predict(record, ranef=False if drawn else ranef), float)
    trials = record.design.response.trials
    return mean if trials is None else mean * trials


def refitted(
    record: FittedModel, simulated: np.ndarray, threads: int | None, progress: bool | None
) -> tuple[RefittedResiduals, np.ndarray, str]:
    """Residuals of the model fitted to each simulated response, which of them there are, and a word on the others."""
    control = record.control if progress is None else replace(record.control, progress=progress)
    settings = control.for_engine() | {"threads": 1}
    trials = record.design.response.trials
    count = simulated.shape[1]

    def leftover(fit: FittedModel) -> tuple[np.ndarray, float]:
        raw = residuals(fit, "response")
        return raw if trials is None else raw * trials, float((residuals(fit, "pearson") ** 2).sum())

    def one(j: int) -> tuple[np.ndarray, float] | None:
        values = np.ascontiguousarray(simulated[:, j])
        try:
            engine = record.engine.refit(values, trials, settings)
            return leftover(replace(record, model=model_with_response(record.model, values), engine=engine))
        except _engine.EngineError:
            return None

    found: list[tuple[np.ndarray, float] | None] = []
    with ThreadPoolExecutor(max_workers=threads or control.threads or os.cpu_count() or 1) as pool:
        for first in range(0, count, PIECE):
            found += pool.map(one, range(first, min(first + PIECE, count)))
            announce(control, f"simulate_residuals: {len(found)} of {count} refits")
    kept = np.array([j for j, fit in enumerate(found) if fit is not None], int)
    if len(kept) < 2:
        raise ModelError("simulate_residuals(refit=True): the model can be fitted to none of the simulated responses")
    done = [fit for fit in found if fit is not None]
    observed, pearson = leftover(record)
    sums = np.array([total for _, total in done])
    said = []
    if len(kept) < count:
        said.append(f"{count - len(kept)} of {count} refits failed and are left out")
    if len(np.unique(sums)) < len(sums):
        said.append(f"{len(sums) - len(np.unique(sums))} refits are the same as another")
    refits = RefittedResiduals(observed, np.column_stack([raw for raw, _ in done]), pearson, sums)
    return refits, kept, "; ".join(said)
