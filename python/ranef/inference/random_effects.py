"""Conditional modes of the random effects, and coefficients per level of each grouping factor."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.wald import quantile
from ranef.newdata import engine_rows

COLUMNS = ("component", "group", "level", "term", "estimate", "std_error", "conf_low", "conf_high")


def conditional_modes(record: FittedModel, level: float = 0.95, uncertainty: str = "joint") -> dict[str, list[Any]]:
    """Conditional modes b of every term, level and column, with their conditional standard deviations.

    Parameters
    ----------
    record : FittedModel
    level : float
        Level of the intervals estimate -+ z std_error.
    uncertainty : {"joint", "conditional"}
        "joint": sd of b given the data with the uncertainty of all parameters, as glmmTMB gives it.
        "conditional": sd of b given the data and the parameters, as lme4's ``condVar`` gives it.
    """
    if uncertainty not in ("joint", "conditional"):
        raise ModelError(f"uncertainty={uncertainty!r}: give 'joint' or 'conditional'.")
    if not grouped(record):
        return {name: [] for name in COLUMNS}
    z = float(quantile(level))
    if uncertainty == "joint":
        spreads = [np.asarray(se, float) for se in record.engine.modes_se()]
    else:
        spreads = [np.sqrt(np.einsum("jkk->jk", np.asarray(cov, float))) for cov in record.engine.modes_cov()]
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for t in grouped(record):
        term, modes, spread = record.terms()[t], record.engine.modes[t], spreads[t]
        estimate, std_error = np.asarray(modes, float).ravel(), spread.ravel()
        width, levels = len(term.names), term.size
        columns["component"] += [term.component] * (levels * width)
        columns["group"] += [term.group] * (levels * width)
        columns["level"] += [label for label in _levels(term) for _ in range(width)]
        columns["term"] += _columns(term)
        columns["estimate"] += estimate.tolist()
        columns["std_error"] += std_error.tolist()
        columns["conf_low"] += (estimate - z * std_error).tolist()
        columns["conf_high"] += (estimate + z * std_error).tolist()
    return columns


def _levels(term: RandomTerm) -> list[str]:
    """The level of the group that each of the engine's levels belongs to."""
    if term.coupling is None:
        return list(term.levels)
    if len(term.levels) == len(set(term.coupling.members.tolist())):
        return [term.levels[member] for member in term.coupling.members]
    return list(term.coupling.names)  # the levels of the group are those of the known matrix


def _columns(term: RandomTerm) -> list[str]:
    """What each effect is called within its level, level by level."""
    if term.coupling is None:
        return list(term.names) * len(term.levels)
    if len(term.names) > 1 or term.names[0] != term.coupling.label:
        return list(term.names) * term.size
    return list(term.coupling.names)


def coefficients_by_level(record: FittedModel, level: float = 0.95) -> dict[str, list[Any]]:
    """Fixed effect plus random effects of the same name, for every level of every grouping factor.

    Fixed effects without a random effect repeat in every level; random effects without a fixed effect count from
    zero. Standard errors are those of the sum, with the uncertainty of all parameters; they are NaN for the
    dispersion and shape components.
    """
    z = float(quantile(level))
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    # Effects of times and places are no coefficients of a level.
    alone = [record.terms()[t] for t in grouped(record) if record.terms()[t].coupling is None]
    places = dict.fromkeys((term.component, term.group) for term in alone)
    for component, group in places:
        labels = next(
            term.levels
            for term in record.terms()
            if (term.component, term.group) == (component, group) and term.coupling is None
        )
        names, estimate, std_error = _summed(record, component, group, len(labels))
        columns["component"] += [component] * len(estimate)
        columns["group"] += [group] * len(estimate)
        columns["level"] += [label for label in labels for _ in names]
        columns["term"] += list(names) * len(labels)
        columns["estimate"] += estimate.tolist()
        columns["std_error"] += std_error.tolist()
        columns["conf_low"] += (estimate - z * std_error).tolist()
        columns["conf_high"] += (estimate + z * std_error).tolist()
    return columns


def grouped(record: FittedModel) -> list[int]:
    """The terms that are effects of groups: all but the penalised parts of smooths."""
    return [t for t, term in enumerate(record.terms()) if term.smooth is None]


def _summed(
    record: FittedModel, component: str, group: str, levels: int
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, and per level and name the sum and its standard error, levels varying slowest.

    A coefficient is the linear predictor of a row whose columns are one for that name and zero for the others, so the
    engine's prediction gives estimate and standard error alike.
    """
    terms = record.terms()
    mine = [
        t
        for t, term in enumerate(terms)
        if (term.component, term.group) == (component, group) and term.coupling is None
    ]
    fixed = record.names(component)
    names = tuple(dict.fromkeys([*fixed, *(name for t in mine for name in terms[t].names)]))
    n = levels * len(names)
    which = np.tile(np.arange(len(names)), levels)
    level = np.repeat(np.arange(levels, dtype=np.int64), len(names))
    if component not in ("cond", "zi"):
        return names, _sum_of_estimates(record, component, mine, names, which, level), np.full(n, np.nan)
    design = engine_rows(record, None, [True] * len(terms))
    x = [np.zeros((n, block.shape[1])) for block in design["x"]]
    for j, name in zip(record.kept[component], fixed, strict=True):
        x[record.model.predictor(component)][which == names.index(name), j] = 1.0
    columns = [np.zeros((n, len(term.names))) for term in terms]
    for t in mine:
        for k, name in enumerate(terms[t].names):
            columns[t][which == names.index(name), k] = 1.0
    # A code of -1 leaves a term out.
    codes = [level if t in mine else np.full(n, -1, np.int64) for t in range(len(terms))]
    rows = {"x": x, "offset": [None] * len(x), "codes": codes, "columns": columns}
    estimate, std_error = record.engine.predict(rows, "link" if component == "cond" else "zlink", True)
    return names, np.asarray(estimate, float), np.asarray(std_error, float)


def _sum_of_estimates(
    record: FittedModel, component: str, mine: list[int], names: tuple[str, ...], which: np.ndarray, level: np.ndarray
) -> np.ndarray:
    fixed = dict(zip(record.names(component), record.estimates(component).tolist(), strict=True))
    total = np.array([fixed.get(name, 0.0) for name in names])[which]
    for t in mine:
        modes = np.asarray(record.engine.modes[t], float)
        for k, name in enumerate(record.terms()[t].names):
            rows = which == names.index(name)
            total[rows] += modes[level[rows], k]
    return total
