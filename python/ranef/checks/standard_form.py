"""The fit that the checks look at: the same model of the same data, whichever way these were written down.

    a row whose log-likelihood counts w times    w rows
    equal rows of a binomial model               one row, with the sum of their successes and of their trials
    predictors of an ordinal model               less their means, which thresholds of their own do not take up

Likelihood and estimates are those of the fit. Where none of it applies, nothing is fitted again.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.errors import ConvergenceWarning, ModelError
from ranef.fitting import FittedModel, fit_model
from ranef.formula.design import Design
from ranef.formula.level_columns import LevelColumns
from ranef.formula.terms import variables_of

# Rows up to which a fit is looked at in another form: it is fitted again.
MOST_ROWS = 20_000


def standard_form(record: FittedModel) -> FittedModel:
    """The fit in its standard form; as it is where that is the same, or cannot be had."""
    model = record.model
    if model.linear or model.marginal or model.assumed or not record.converged or record.nobs > MOST_ROWS:
        return record
    design = row_by_row(record.design)
    if model.family.name == "binomial" and not model.zero_inflated:
        design = put_together(design)
    if model.family.ordinal:
        design = about_means(design)
    if design is record.design:
        return record
    model = replace(model, design=design)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            engine, kept = fit_model(model, replace(record.control, progress=False), None)
    except ModelError:
        return record
    found = replace(record, model=model, engine=engine, kept=kept)
    return found if found.converged else record


def row_by_row(design: Design) -> Design:
    """A row for each that a weight stands for, where weights are whole numbers."""
    if design.weights is None or design.response.form == "proportion":
        return design
    weights = np.asarray(design.weights, float)
    counts = np.round(weights).astype(np.int64)
    if (weights != counts).any() or not 0 < counts.sum() <= MOST_ROWS:
        return design
    return replace(taken(design, np.repeat(np.arange(design.n), counts)), weights=None)


def put_together(design: Design) -> Design:
    """A row for all that are alike in everything but how many successes they had among how many trials."""
    if design.weights is not None or design.frame is None:
        return design
    columns = describing_columns(design)
    keys = [c.to_numpy() if c.dtype.is_numeric() else [str(value) for value in c.to_list()] for c in columns]
    keys += [part.offset for part in design.fixed.values() if part.offset is not None]
    place = first = np.zeros(design.n, np.int64)
    for key in keys:
        ranks = np.unique(key, return_inverse=True)[1].reshape(-1)
        _, first, place = np.unique(place * (int(ranks.max()) + 1) + ranks, return_index=True, return_inverse=True)
        place = place.reshape(-1)
        if len(first) == design.n:
            return design
    if not keys:
        return design
    trials = np.ones(design.n) if design.response.trials is None else design.response.trials
    sums = [np.asarray(np.bincount(place, values), float) for values in (design.response.y, trials)]
    together = replace(design.response, y=sums[0], trials=sums[1], levels=None, form="cbind")
    return replace(taken(design, first), response=together)


def describing_columns(design: Design) -> list[nw.Series[Any]]:
    """The columns of the data that say what a row is: all but its response, and the number of rows it stands for."""
    frame = nw.from_native(design.frame, eager_only=True)
    response = design.recipe.terms["cond"].response
    apart = {name.name for name in variables_of(response)} if response is not None else set()
    return [frame[name] for name in frame.columns if name not in apart and name != design.weights_name]


def about_means(design: Design) -> Design:
    """Columns of the mean's fixed effects less their means."""
    part = design.fixed["cond"]
    if isinstance(part.x, LevelColumns) or not part.x.shape[1]:
        return design
    centred = replace(part, x=np.asfortranarray(part.x - part.x.mean(axis=0)))
    return replace(design, fixed=design.fixed | {"cond": centred})


def taken(design: Design, rows: np.ndarray) -> Design:
    """The design of some of the rows, each as often as it is named."""
    return replace(
        design,
        response=replace(design.response, y=design.response.y[rows], trials=_of(design.response.trials, rows)),
        fixed={
            c: replace(part, x=_of(part.x, rows), offset=_of(part.offset, rows)) for c, part in design.fixed.items()
        },
        random=tuple(replace(term, columns=_of(term.columns, rows), codes=term.codes[rows]) for term in design.random),
        weights=_of(design.weights, rows),
        n=len(rows),
        rows=design.rows[rows],
        frame=nw.to_native(nw.from_native(design.frame, eager_only=True)[rows.tolist()]),
    )


def _of(values: Any, rows: np.ndarray) -> Any:
    if values is None:
        return None
    return values.taken(rows) if isinstance(values, LevelColumns) else np.asfortranarray(values[rows])
