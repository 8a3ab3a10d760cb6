"""Rows to predict or simulate: the fit's own or the caller's new data, in the layout the engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import DataError, ModelError
from ranef.fitting import FittedModel
from ranef.formula.design import NewDesign
from ranef.formula.level_columns import LevelColumns
from ranef.frames import IntoFrame
from ranef.variance_functions import log_sd

# Codes that stand for no level of the fit.
LEFT_OUT = -1
UNKNOWN_LEVEL = -2


def engine_rows(
    record: FittedModel, newdata: IntoFrame | None, keep: Sequence[bool], new_levels: str = "error"
) -> dict[str, Any]:
    """Design matrices of the rows asked for.

    Parameters
    ----------
    record : FittedModel
    newdata : frame or None
        None: the rows of the fit.
    keep : sequence of bool
        Per term, whether it counts; the others are left out (zero).
    new_levels : {"error", "population"}
        What a level that the fit has not met does: raise, or stand for a level drawn from the population (random
        effect zero, its variance in the standard error).

    Returns
    -------
    dict
        ``x`` and ``offset`` per component, ``codes`` and ``columns`` per random-effects term.
    """
    if new_levels not in ("error", "population"):
        raise ModelError(f"new_levels={new_levels!r}: give 'error' or 'population'.")
    design, components = record.design, record.model.components
    if newdata is None:
        x = {c: design.fixed[c].x for c in components}
        offset = {c: design.fixed[c].offset for c in components}
        columns = [np.asarray(term.columns, float) for term in design.random]
        codes = [np.asarray(term.codes).astype(np.int64) for term in design.random]
    else:
        new = design.replay(newdata, random=[t for t, counts in enumerate(keep) if counts])
        require_known_levels(record, new, keep, new_levels)
        x = {c: new.x[c] for c in components if c in new.x}
        offset = {c: new.offset.get(c) for c in components}
        columns = [np.asarray(block, float) for block in new.columns]
        codes = [np.asarray(code).astype(np.int64) for code in new.codes]
        spreads = new.spreads
    n = len(x["cond"])
    if "threshold" in components:
        x["threshold"] = np.ones((n, len(record.names("threshold"))))
    offsets = [offset[c] for c in components for _ in record.model.predictors(c)]
    offsets = [
        part if constant is None else np.full(n, constant)
        for part, constant in zip(offsets, record.model.fixed_predictors(), strict=True)
    ]
    codes = [code if k else np.full(n, LEFT_OUT, np.int64) for code, k in zip(codes, keep, strict=True)]
    rows = {"x": record.model.by_predictor(x), "offset": offsets, "codes": codes, "columns": columns}
    if record.model.marginal:
        add_spreads(record, rows, None if newdata is None else spreads)
    return rows


def rows_at(record: FittedModel, predictors: np.ndarray) -> dict[str, Any]:
    """The rows of the fit with linear predictors that are given, (n, K): offsets alone, without effects."""
    design, model = record.design, record.model
    x = {c: design.fixed[c].x for c in model.components}
    nothing = [
        block.nothing() if isinstance(block, LevelColumns) else np.zeros_like(block) for block in model.by_predictor(x)
    ]
    return {
        "x": nothing,
        "offset": [np.ascontiguousarray(column) for column in predictors.T],
        "codes": [np.full(design.n, LEFT_OUT, np.int64) for _ in design.random],
        "columns": [np.asarray(term.columns, float) for term in design.random],
        "trials": design.response.trials,
    }


def add_spreads(record: FittedModel, rows: dict[str, Any], covariates: Sequence[Any] | None) -> None:
    """Put what the variance functions say into the offset of the dispersion; without covariates, of the fit's rows."""
    if covariates is None:
        total = np.asarray(record.engine.spread(), float)
    else:
        total = np.zeros(len(rows["x"][0]))
        parameters = record.engine.residual_parameters()
        part = record.design.residual
        fitted = None
        for t, (spread, covariate) in enumerate(zip(part.spreads if part else (), covariates, strict=True)):
            if covariate is None and fitted is None:
                fitted = np.asarray(record.engine.predict(rows, "link", False)[0], float)
            own = [estimate for function, _, _, estimate, _ in parameters if function == t]
            total += log_sd(spread.function, own, np.asarray(fitted if covariate is None else covariate, float))
    place = record.model.predictor("disp")
    given = rows["offset"][place]
    rows["offset"][place] = total if given is None else given + total


def reaching(record: FittedModel, newdata: IntoFrame | None, keep: Sequence[bool]) -> FittedModel:
    """The fit with effects for the times and places of new rows, which it had no data on.

    They do not change the likelihood: given the parameters, the others say what they are (kriging) and how surely.
    Groups that the fit has not met are left to `engine_rows`.
    """
    if newdata is None or not any(k and t.coupling is not None for t, k in zip(record.terms(), keep, strict=True)):
        return record
    new = record.design.replay(newdata, random=[t for t, counts in enumerate(keep) if counts])
    random = list(record.design.random)
    for place, (term, there) in enumerate(zip(record.terms(), new.places, strict=True)):
        if there is None or term.coupling is None or not term.coupling.reaches:
            continue
        unmet = (new.codes[place] == UNKNOWN_LEVEL) & (there[0] >= 0)
        if not unmet.any():
            continue
        coupling = term.coupling.with_places(there[0][unmet], there[1][unmet])
        own = term.coupling.members, term.coupling.coordinates
        moved = coupling.find(*own)[np.asarray(term.codes).astype(np.int64)]
        random[place] = replace(term, coupling=coupling, codes=moved.astype(np.uint32))
    if all(a is b for a, b in zip(random, record.design.random, strict=True)):
        return record
    model = replace(record.model, design=replace(record.design, random=tuple(random)))
    return replace(record, model=model, engine=record.engine.extended(_engine.Model(model.spec())))


def require_known_levels(record: FittedModel, new: NewDesign, keep: Sequence[bool], new_levels: str) -> None:
    """Refuse levels of a grouping factor that the fit has not met, unless the caller said what they stand for."""
    if new_levels == "population":
        return
    for term, unknown, counts in zip(record.terms(), new.unknown, keep, strict=True):
        if counts and len(unknown):
            shown = ", ".join(repr(str(label)) for label in list(unknown)[:5]) + (", ..." if len(unknown) > 5 else "")
            raise DataError(
                f"grouping factor {term.group}: level {shown} was not in the data of the fit. Give "
                "new_levels='population' to predict for a level drawn from the population, or ranef=False."
            )


def repeat_rows(rows: dict[str, Any], times: int) -> dict[str, Any]:
    """The same rows, one block after the other, `times` times."""
    return {
        "x": [
            block.repeated(times) if isinstance(block, LevelColumns) else np.tile(block, (times, 1))
            for block in rows["x"]
        ],
        "offset": [None if part is None else np.tile(part, times) for part in rows["offset"]],
        "codes": [np.tile(code, times) for code in rows["codes"]],
        "columns": [np.tile(block, (times, 1)) for block in rows["columns"]],
    }
