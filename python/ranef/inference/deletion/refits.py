"""The model fitted again without each set of rows, on several threads, each search starting from the estimates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranef import _engine
from ranef.fitting import Control, FittedModel, announce, kept_columns
from ranef.inference.deletion.sets import DeletedSets, Without, free_block, ratio_of_determinants
from ranef.inference.natural_parameters import NaturalParameter
from ranef.inference.sandwich import compact
from ranef.inference.variance_components import variance_parameters

# Refits between two lines of progress, and seconds between two looks at the keyboard (an interrupt).
PIECE, PATIENCE = 100, 0.2
# A singular value below this share of the largest is zero; the engine's rank has the same tolerance.
NULL = 1e-7


@dataclass(frozen=True)
class _Refit:
    """What a fit without a set says: all parameters, errors of the coefficients, covariance of the mean's."""

    estimate: np.ndarray
    std_error: np.ndarray
    covariance: np.ndarray
    converged: bool
    note: str


def by_refits(
    record: FittedModel,
    sets: DeletedSets,
    coefficients: Sequence[NaturalParameter],
    variances: Sequence[NaturalParameter],
    control: Control,
) -> Without:
    """All parameters of the fits without each set; a model that the engine refuses has none, and a note."""
    spec = record.model.spec()
    p = len(record.names("cond"))
    nothing = _Refit(
        np.full(len(coefficients) + len(variances), np.nan),
        np.full(len(coefficients), np.nan),
        np.full((p, p), np.nan),
        False,
        "",
    )

    def refit(rows: np.ndarray) -> _Refit:
        left = np.setdiff1d(np.arange(record.nobs), rows, assume_unique=True)
        try:
            model = _engine.Model(spec_of_rows(spec, left))
            settings: dict[str, Any] = {**control.for_engine(), "threads": 1}
            start = _start(record, model)
            fitted = model.fit(settings if start is None else {**settings, "start": start})
        except _engine.EngineError as error:
            return replace(nothing, note=str(error.args[1]))
        return _read(record, left, model, fitted, coefficients, variances)

    refits = _in_parallel(refit, sets.rows, control)
    full = free_block(record, record.covariance_of_estimates("cond"))
    return Without(
        estimate=np.array([r.estimate for r in refits]),
        std_error=np.array([r.std_error for r in refits]).reshape(len(refits), len(coefficients)),
        covratio=np.array([ratio_of_determinants(free_block(record, r.covariance), full) for r in refits]),
        converged=np.array([r.converged for r in refits], bool),
        note=[r.note for r in refits],
    )


def spec_of_rows(spec: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """A model, as the engine takes it, of some of its rows; levels that none of them has are dropped.

    Coupled levels stay, as their dependence is between all of them.
    """

    def some(values: Any) -> Any:
        return None if values is None else np.ascontiguousarray(np.asarray(values)[rows])

    coupled = {term["group"] for term in spec["terms"] if term["coupling"] is not None}
    groups = []
    for g, group in enumerate(spec["groups"]):
        codes, levels = some(group["codes"]), group["levels"]
        if g not in coupled:
            codes, levels = compact(codes)
        groups.append({"codes": codes.astype(np.uint32), "levels": levels})
    residual = spec["residual"]
    if residual is not None:
        correlation = residual["correlation"]
        if correlation is not None:
            own, _ = compact(some(correlation["groups"]))
            correlation = {**correlation, "groups": own.astype(np.uint32), "places": some(correlation["places"])}
        residual = {
            "blocks": compact(some(residual["blocks"]))[0].astype(np.uint32),
            "correlation": correlation,
            "spreads": [{**spread, "covariate": some(spread["covariate"])} for spread in residual["spreads"]],
        }
    return {
        **spec,
        "y": some(spec["y"]),
        "trials": some(spec["trials"]),
        "weights": some(spec["weights"]),
        "predictors": [
            {**predictor, "x": np.asfortranarray(predictor["x"][rows]), "offset": some(predictor["offset"])}
            for predictor in spec["predictors"]
        ],
        "groups": groups,
        "terms": [{**term, "columns": np.asfortranarray(term["columns"][rows])} for term in spec["terms"]],
        "residual": residual,
    }


def _start(record: FittedModel, model: _engine.Model) -> dict[str, Any] | None:
    """The estimates as a start of the model without some rows.

    None, for a search from what the data say, at a variance of zero, which may be a stationary point without the set
    too; where other columns are estimated; and with residuals that have parameters of their own.
    """
    if record.singular or record.model.marginal or not record.terms():
        return None
    scale = record.sigma if record.model.profiled else 1.0
    factors = [np.asarray(factor, float) / scale for factor in record.engine.factor]
    kept = {c: kept_columns([model.kept[k] for k in record.model.predictors(c)]) for c in record.model.components}
    if any(not np.array_equal(kept[c], record.kept[c]) for c in kept):
        return None
    return {"factor": factors, "beta": [np.asarray(beta, float) for beta in record.engine.beta]}


def _read(
    record: FittedModel,
    left: np.ndarray,
    model: _engine.Model,
    fitted: _engine.Fitted,
    coefficients: Sequence[NaturalParameter],
    variances: Sequence[NaturalParameter],
) -> _Refit:
    kept = {c: kept_columns([model.kept[k] for k in record.model.predictors(c)]) for c in record.model.components}
    without = FittedModel(model=record.model, control=record.control, engine=fitted, kept=kept)
    values: dict[tuple[str, str | None, str], tuple[float, float]] = {}
    lost = []
    for component in record.model.components:
        names = without.names(component)
        errors = np.sqrt(np.diag(without.covariance_of_estimates(component)).clip(min=0.0)) if names else []
        # Thresholds are columns of predictors of their own.
        complete = names == record.names(component) or component == "threshold"
        gone: set[str] = set() if complete else _not_estimable(record, component, left)
        for name, value, error in zip(names, without.estimates(component), errors, strict=True):
            if name not in gone:
                values[component, None, name] = (float(value), float(error))
        lost += [name for name in record.names(component) if name in gone or name not in names]
    for parameter in variance_parameters(without):
        values[parameter.component, parameter.group, parameter.term] = (parameter.estimate, np.nan)
    if not record.model.has_residual:
        values["disp", None, "sigma"] = (without.sigma, np.nan)
    unknown = (np.nan, np.nan)
    found = [values.get((q.component, q.group, q.term), unknown) for q in (*coefficients, *variances)]
    p = len(record.names("cond"))
    covariance = np.full((p, p), np.nan)
    if record.names("cond") == without.names("cond"):
        covariance = without.covariance_of_estimates("cond")
    note = without.verdict["message"] if not fitted.converged else ""
    if lost:
        note = f"cannot be estimated without it: {', '.join(lost)}"
    return _Refit(
        estimate=np.array([value for value, _ in found]),
        std_error=np.array([error for _, error in found[: len(coefficients)]]),
        covariance=covariance,
        converged=bool(fitted.converged),
        note=note,
    )


def _not_estimable(record: FittedModel, component: str, left: np.ndarray) -> set[str]:
    """Coefficients that differ between solutions of the same fit: those that the null space of the columns moves.

    Without the reference level of a factor the engine leaves out its last column, and the others are of another
    reference.
    """
    x = np.asarray(record.design.fixed[component].x, float)[left][:, record.kept[component]]
    size = np.sqrt((x**2).sum(0))
    x = x / np.where(size > 0.0, size, 1.0)
    _, values, rows = np.linalg.svd(x, full_matrices=True)
    rank = int((values > NULL * values.max(initial=0.0)).sum())
    moved = np.abs(rows[rank:]).max(axis=0, initial=0.0) > NULL
    return {name for name, m in zip(record.names(component), moved, strict=True) if m}


def _in_parallel(refit: Callable[[np.ndarray], _Refit], sets: list[np.ndarray], control: Control) -> list[_Refit]:
    """Refits of all sets, on threads that the engine runs outside the interpreter's lock; an interrupt stops them."""
    workers = control.threads or os.cpu_count() or 1
    found: dict[int, _Refit] = {}
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        # No more than a few ahead, so that an interrupt does not wait for all of them.
        waiting: dict[Future[_Refit], int] = {}
        upcoming: Iterator[tuple[int, np.ndarray]] = iter(enumerate(sets))
        said = 0
        while True:
            while len(waiting) < 2 * workers and (piece := next(upcoming, None)) is not None:
                waiting[pool.submit(refit, piece[1])] = piece[0]
            if not waiting:
                break
            done, _ = wait(waiting, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            for future in done:
                found[waiting.pop(future)] = future.result()
            if len(found) // PIECE > said:
                said = len(found) // PIECE
                announce(control, f"influence: {said * PIECE} of {len(sets)}")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [found[j] for j in range(len(sets))]
