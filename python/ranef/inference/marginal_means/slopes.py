"""Slopes: what a unit more of a numeric variable adds, at values or on average.

The derivative of the prediction with respect to the variable, through everything that the formula makes of it, by
differences of fourth order with a step of a thousandth of its standard deviation: exact for polynomials up to the
fourth degree, and right to 1e-9 or so for what is smooth. At the ends of the data the step goes inwards only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.estimates import MarginalEstimates
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.margins import Block, blocks, functions_of_block, stacked, weighted_sum
from ranef.inference.marginal_means.specification import specification
from ranef.inference.marginal_means.testing import USUAL, Testing
from ranef.inference.marginal_means.variables import Variable, Variables

KINDS = ("link", "response", "conditional", "zlink", "zprob")

_STEP = 1e-3
# Places of the differences in steps, and their weights: in the middle, at the lower end, at the upper end.
_PLACES = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0, 4.0], [0.0, -1.0, -2.0, -3.0, -4.0]])
_WEIGHTS = np.array([[1.0, -8.0, 0.0, 8.0, -1.0], [-25.0, 48.0, -36.0, 16.0, -3.0], [25.0, -48.0, 36.0, -16.0, 3.0]])


def slopes(
    record: FittedModel,
    variable: str,
    by: Any = None,
    at: Mapping[str, Any] | None = None,
    kind: str = "link",
    margin: str = "mean",
    weights: str = "equal",
    bias_correction: bool = False,
    testing: Testing = USUAL,
) -> MarginalEstimates:
    """Slopes of a variable, grouped by others; see `ranef.session.Fit.slopes`."""
    require_kind(record, kind)
    variables = Variables(record)
    grouped, more = specification(by if by is not None else [])
    grouped = [*grouped, *more]
    variables.require([variable, *grouped], "slopes")
    own = variables[variable]
    if own.is_factor:
        raise ModelError(f"slopes(): `{variable}` is a factor and has no slope; use comparisons({variable!r}).")
    values = values_at(variables, at, "slopes")
    parts, labels = [], []
    for block in blocks(record, variables, margin, [*reversed(grouped)], values, weights, grid_of(record, kind)):
        parts.append(_derivative(record, block, own, kind, testing, bias_correction))
        labels.append(block.labels)
    return MarginalEstimates(
        stacked(parts),
        {name: np.concatenate([found[name] for found in labels]) for name in grouped},
        variables,
        (),
        link=None,
        kind="response" if kind not in ("link", "zlink") else "link",
        head="slope",
        notes=notes_of(record, kind, margin, bias_correction),
    )


def _derivative(
    record: FittedModel, block: Block, variable: Variable, kind: str, testing: Testing, bias_correction: bool
) -> LinearFunctions:
    x = np.asarray(block.frame[variable.name], float)
    spread = float(variable.data.std())
    h = _STEP * (spread if spread > 0.0 else max(1.0, abs(variable.mean)))
    lowest, highest = variable.data.min(), variable.data.max()
    inside = (x >= lowest) & (x <= highest)
    which = np.where(inside & (x - 2 * h < lowest), 1, np.where(inside & (x + 2 * h > highest), 2, 0))
    parts = []
    for j in range(_PLACES.shape[1]):
        factor = _WEIGHTS[which, j] / (12.0 * h)
        if not factor.any():
            continue
        moved = block.with_column(variable.name, x + h * _PLACES[which, j])
        parts.append(functions_of_block(record, moved, kind, testing, bias_correction, block.weights * factor))
    return weighted_sum(parts, [1.0] * len(parts))


def require_kind(record: FittedModel, kind: str) -> None:
    """Refuse a kind of prediction that this model does not have."""
    if kind not in KINDS:
        raise ModelError(f"kind={kind!r}: give one of {', '.join(map(repr, KINDS))}.")
    if kind in ("zlink", "zprob") and not record.model.zero_inflated:
        raise ModelError(f"kind={kind!r}: this model has no zero inflation; fit it with zi='~ 1' or another formula.")
    if kind in ("response", "conditional"):
        record.model.family.require("mean", "effects on the response")


def grid_of(record: FittedModel, kind: str) -> str:
    """The component (or mean) whose variables a grid for this kind of prediction has."""
    if kind in ("zlink", "zprob"):
        return "zi"
    return "response" if kind == "response" and not record.model.family.ordinal else "cond"


def values_at(variables: Variables, at: Mapping[str, Any] | None, where: str) -> dict[str, np.ndarray]:
    """Values that the caller gave for variables, checked."""
    if at is not None and not isinstance(at, Mapping):
        raise ModelError(f"at={at!r}: give a dict of values by variable, at={{'x': [1, 2]}}.")
    variables.require(list(at or {}), f"{where}(at=)")
    return {name: variables[name].values(given, "at") for name, given in (at or {}).items()}


def notes_of(record: FittedModel, kind: str, margin: str, bias_correction: bool) -> tuple[str, ...]:
    """What a reader must know of how the effects were averaged, and on which scale they are."""
    how = {
        "average": f"Averaged over the {record.nobs} rows of the data",
        "mean": "Averaged over the reference grid",
        "reference": "Other numeric variables at their mean, factors at their first level",
    }
    scale = {
        "link": "on the scale of the response" if record.link == "identity" else f"on the {record.link} scale",
        "response": "on the scale of the response",
        "conditional": "of the mean without zero inflation",
        "zlink": "of the zero inflation, link scale",
        "zprob": "of the probability of an excess zero",
    }
    more = ", and over the random effects" if bias_correction else ""
    return (f"{how[margin]}{more}; {scale.get(kind, kind)}",)
