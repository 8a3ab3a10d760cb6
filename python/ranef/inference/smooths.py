"""Smooths of a fit: how much each bends, and the curve itself with its uncertainty.

Effective degrees of freedom are the trace, over a smooth's coefficients, of the map F = V X'WX = I - V S from what they
would be without a penalty to what they are, with V = (X'WX + S)^-1 their posterior covariance: one for each that has no
penalty, 1 - Var(b_k | y) / sd^2 for every other. The variances are held at their estimates.

Reference: Wood (2017), Generalized Additive Models, 2nd edition, sections 6.10 and 6.1.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.errors import ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.formula.design import SmoothTerm
from ranef.formula.parser import Name
from ranef.formula.smooths.basis import BASES
from ranef.inference.variance_components import covariances
from ranef.inference.wald import quantile
from ranef.newdata import LEFT_OUT

# Values along a curve, and along each side of a surface.
_POINTS, _SIDE = 200, 40
# Components whose linear predictor the engine gives with standard errors, by the kind of prediction.
_PREDICTORS = {"cond": "link", "zi": "zlink"}


def smooth_table(record: FittedModel) -> dict[str, list[Any]]:
    """Columns component, smooth, basis, k, edf, sd: one row a curve or surface.

    `k` counts the functions, `sd` is the standard deviation of the smooth's departure from its straight part; for
    several penalties it is that of their sum.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("component", "smooth", "basis", "k", "edf", "sd")}
    if not record.design.smooths:
        return columns
    spreads = record.engine.modes_se(given_other_parameters=True)
    sigmas = covariances(record)
    for smooth in record.design.smooths:
        kept = set(record.kept[smooth.component].tolist())
        straight = [j for j in smooth.fixed if j in kept]
        variances = [float(sigmas[t][0, 0]) for t in smooth.random]
        bent = 0.0
        for t, variance in zip(smooth.random, variances, strict=True):
            if variance > 0.0:
                bent += float((1.0 - np.asarray(spreads[t], float) ** 2 / variance).sum())
        kinds = dict.fromkeys(smooth.smooth.basis.kinds)
        row = (
            smooth.component,
            smooth.label,
            ("tensor product of " if smooth.smooth.basis.tensor else "")
            + " and ".join(f"{BASES[kind]}{'s' if smooth.smooth.basis.tensor else ''}" for kind in kinds),
            len(straight) + sum(len(record.terms()[t].names) for t in smooth.random),
            len(straight) + bent,
            float(np.sqrt(sum(variances))),
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return columns


def chosen_smooths(record: FittedModel, name: str | None) -> list[SmoothTerm]:
    """The smooths of that name: a label, or what stands before its ``:`` for all levels; all for None.

    Raises
    ------
    ModelError
        When there is none.
    """
    found = [
        smooth
        for smooth in record.design.smooths
        if name is None or _bare(name) in (_bare(smooth.label), _bare(smooth.smooth.label), _bare(smooth.smooth.text))
    ]
    if not found:
        if not record.design.smooths:
            raise ModelError("the model has no smooth; write one as s(x) in its formula")
        hint = did_you_mean(str(name), dict.fromkeys(smooth.label for smooth in record.design.smooths))
        raise ModelError(f"there is no smooth {name!r}; {hint}")
    return found


def smooth_curves(record: FittedModel, name: str | None = None, level: float = 0.95) -> dict[str, list[Any]]:
    """Columns component, smooth, x, z, estimate, std_error, conf_low, conf_high along the range of the data.

    The curve alone, which has mean zero over the rows, on the scale of the link; `x` is the first variable, `z` the
    second of a surface (missing for a curve). For a smooth by a numeric column it is what that column's unit adds.
    """
    z = float(quantile(level))
    names = ("component", "smooth", "x", "z", "estimate", "std_error", "conf_low", "conf_high")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for smooth in chosen_smooths(record, name):
        points = _grid(record, smooth)
        estimate, std_error = curve_at(record, smooth, points)
        n = len(estimate)
        columns["component"] += [smooth.component] * n
        columns["smooth"] += [smooth.label] * n
        columns["x"] += points[:, 0].tolist()
        columns["z"] += points[:, 1].tolist() if points.shape[1] == 2 else [float("nan")] * n
        columns["estimate"] += estimate.tolist()
        columns["std_error"] += std_error.tolist()
        columns["conf_low"] += (estimate - z * std_error).tolist()
        columns["conf_high"] += (estimate + z * std_error).tolist()
    return columns


def curve_at(record: FittedModel, smooth: SmoothTerm, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth and its standard error at some values of its variables.

    It is the linear predictor of rows that have the smooth's columns and zeros everywhere else.
    """
    kind = _PREDICTORS.get(smooth.component)
    if kind is None:
        raise ModelError(
            f"{smooth.label} is part of {smooth.component}, for which there are no standard errors; smooths of the "
            "mean and of the zero inflation can be drawn"
        )
    if not set(smooth.fixed) <= set(record.kept[smooth.component].tolist()):
        raise ModelError(
            f"the straight part of {smooth.label} is a combination of other columns of the model and was left out, so "
            "the curve cannot be told apart from them; take them out of the formula"
        )
    design, n = record.design, len(points)
    fixed, penalised = design.smooth_at(smooth, points)
    x = {c: np.zeros((n, design.fixed[c].x.shape[1])) for c in record.model.components}
    x[smooth.component][:, list(smooth.fixed)] = fixed
    columns = [np.zeros((n, len(term.names))) for term in record.terms()]
    codes = [np.full(n, LEFT_OUT, np.int64) for _ in record.terms()]
    for t, block in zip(smooth.random, penalised, strict=True):
        columns[t], codes[t] = block, np.zeros(n, np.int64)
    blocks = record.model.by_predictor(x)
    rows = {"x": blocks, "offset": [None] * len(blocks), "codes": codes, "columns": columns}
    estimate, std_error = record.engine.predict(rows, kind, True)
    return np.asarray(estimate, float), np.asarray(std_error, float)


def variables_of_smooth(smooth: SmoothTerm) -> list[str]:
    """Names of the variables of a smooth."""
    return [node.name if isinstance(node, Name) else node.text for node in smooth.smooth.variables]


def _grid(record: FittedModel, smooth: SmoothTerm) -> np.ndarray:
    values = record.design.smooth_points(smooth)
    if values.shape[1] == 1:
        return np.linspace(values.min(), values.max(), _POINTS)[:, None]
    sides = [np.linspace(values[:, j].min(), values[:, j].max(), _SIDE) for j in range(2)]
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)


def _bare(text: str) -> str:
    return "".join(text.split())
