"""Replicates of a bootstrap in other processes, through joblib, which is optional.

A fit does not travel: what travels is its formula, data and arguments, from which every process fits the model again.
Replicates depend on the seed and their numbers alone, so that they are the same as in one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import Control, FittedModel, fit_model, model_from_arguments, model_with_response
from ranef.inference.bootstrap import Plan, replicates

# Replicates in one parcel: a process fits the model once for each.
PARCEL = 50


@dataclass(frozen=True)
class Recipe:
    """What a process needs to fit the model again.

    Attributes
    ----------
    linear : bool
    arguments : dict
        Those of `lmm` or `glmm`, arrays for the rows used.
    data : frame
        The rows used.
    y : array
        The response as it was fitted.
    trials : array or None
    control : Control
    record : type
        The class of the fit.
    """

    linear: bool
    arguments: Mapping[str, Any]
    data: Any
    y: np.ndarray
    trials: np.ndarray | None
    control: Control
    record: type[FittedModel]


def recipe_of(record: FittedModel) -> Recipe:
    """What to send for a fit."""
    if record.model.family.engine is not None:
        raise ModelError(
            f"bootstrap(backend=...): the functions of the custom family {record.family} cannot be sent to other "
            "processes. Leave out backend."
        )
    rows = np.asarray(record.design.rows)

    def of_used_rows(name: str, value: Any) -> Any:
        if name not in ("weights", "offset") or value is None or isinstance(value, str):
            return value
        return np.asarray(value)[rows]

    arguments = {name: of_used_rows(name, value) for name, value in record.model.arguments.items()}
    response = record.design.response
    y = np.asarray(response.y, float)
    return Recipe(record.model.linear, arguments, record.design.frame, y, response.trials, record.control, type(record))


def fitted_again(recipe: Recipe) -> FittedModel:
    """The fit of a recipe."""
    model = model_from_arguments(recipe.linear, recipe.arguments, recipe.data)
    control = replace(recipe.control, progress=False)
    engine, kept = fit_model(model, control)
    if not np.array_equal(np.asarray(model.design.response.y, float), recipe.y):
        # The fit was one of `refit`.
        engine, model = (
            engine.refit(recipe.y, recipe.trials, control.for_engine()),
            model_with_response(model, recipe.y),
        )
    return recipe.record(model=model, control=control, engine=engine, kept=kept)


def parcel(recipe: Recipe, what: Plan) -> dict[str, Any]:
    """The replicates of a plan, in the process that calls this."""
    record = fitted_again(recipe)

    def wrap(engine: Any, y: np.ndarray) -> FittedModel:
        return replace(record, engine=engine, model=model_with_response(record.model, y))

    return replicates(record, what, wrap)


def replicates_by(record: FittedModel, what: Plan, backend: Any) -> dict[str, Any]:
    """Columns of all replicates, parcel by parcel, by joblib.

    Parameters
    ----------
    record : FittedModel
    what : Plan
        Its control's threads are the number of processes.
    backend : str or joblib.Parallel
        "joblib", a backend of joblib ("loky", "threading", ...), or a Parallel of the caller's.
    """
    try:
        import joblib
    except ImportError:
        raise ModelError(
            f"bootstrap(backend={backend!r}) needs the package joblib: install it (pip install joblib) or leave out "
            "backend, which uses the threads of this process."
        ) from None
    recipe, last = recipe_of(record), what.first + what.n
    quiet = replace(what.control, threads=1, progress=False)
    plans = [
        replace(what, first=first, n=min(PARCEL, last - first), control=quiet)
        for first in range(what.first, last, PARCEL)
    ]
    if isinstance(backend, joblib.Parallel):
        run = backend
    elif isinstance(backend, str):
        options = {} if backend == "joblib" else {"backend": backend}
        try:
            run = joblib.Parallel(n_jobs=what.control.threads or -1, **options)
        except ValueError as error:
            raise ModelError(f"bootstrap(backend={backend!r}): {error}") from None
    else:
        raise ModelError(f"bootstrap(backend={backend!r}): give 'joblib' or a joblib.Parallel")
    parts = run(joblib.delayed(parcel)(recipe, each) for each in plans)
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: np.concatenate([np.asarray(part.get(name, np.full(len(part["converged"]), np.nan))) for part in parts])
        for name in names
    }
