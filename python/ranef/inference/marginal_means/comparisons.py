"""Comparisons: how the mean response changes when a variable is set from one value to another in the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.estimates import MarginalEstimates
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.margins import blocks, functions_of_block, stacked, weighted_sum
from ranef.inference.marginal_means.slopes import grid_of, notes_of, require_kind, values_at
from ranef.inference.marginal_means.specification import specification
from ranef.inference.marginal_means.testing import USUAL, Testing
from ranef.inference.marginal_means.variables import Variable, Variables

COMPARISONS = ("difference", "ratio", "odds_ratio")
_FACTOR_CONTRASTS = ("reference", "pairwise", "sequential")


def comparisons(
    record: FittedModel,
    variable: str,
    contrast: Any = None,
    by: Any = None,
    at: Mapping[str, Any] | None = None,
    kind: str = "response",
    comparison: str = "difference",
    margin: str = "average",
    weights: str = "equal",
    bias_correction: bool = False,
    testing: Testing = USUAL,
) -> MarginalEstimates:
    """Average changes of the prediction; see `ranef.session.Fit.comparisons`."""
    require_kind(record, kind)
    if comparison not in COMPARISONS:
        raise ModelError(f"comparison={comparison!r}: give one of {', '.join(map(repr, COMPARISONS))}.")
    if comparison != "difference" and kind in ("link", "zlink"):
        raise ModelError(f"comparison={comparison!r} is of means; kind={kind!r} is a linear predictor.")
    variables = Variables(record)
    first, second = specification(by if by is not None else [])
    grouped = [*first, *second]
    variables.require([variable, *grouped], "comparisons")
    if variable in grouped:
        raise ModelError(f"comparisons(): `{variable}` is what is compared and cannot be in by.")
    values = values_at(variables, at, "comparisons")
    values.pop(variable, None)
    own = variables[variable]
    pairs = _pairs(own, contrast)
    parts: list[LinearFunctions] = []
    names: list[str] = []
    labels: dict[str, list[np.ndarray]] = {name: [] for name in grouped}
    # A grid must not average over the levels that are compared.
    held = {**values, variable: own.as_column([own.levels[0]])} if own.levels is not None else values
    for block in blocks(record, variables, margin, [*reversed(grouped)], held, weights, grid_of(record, kind)):
        n = len(block.frame[variable])
        means: dict[Any, LinearFunctions] = {}
        for name, high, low in pairs:
            both = []
            for value in (high, low):
                if value not in means:
                    column = own.as_column([value.value] * n) if value.fixed else block.frame[variable] + value.value
                    moved = block.with_column(variable, column)
                    means[value] = functions_of_block(record, moved, kind, testing, bias_correction)
                both.append(_on_scale(means[value], comparison))
            parts.append(weighted_sum(both, [1.0, -1.0]))
            names += [name] * len(parts[-1])
            for one in grouped:
                labels[one].append(block.labels[one])
    column = np.empty(len(names), object)
    column[:] = [text.replace(" - ", " / ") for text in names] if comparison != "difference" else names
    return MarginalEstimates(
        stacked(parts),
        {"contrast": column, **{one: np.concatenate(labels[one]) for one in grouped}},
        variables,
        (),
        link={"ratio": "log", "odds_ratio": "logit"}.get(comparison),
        kind="response",
        head="estimate",
        ratios=comparison != "difference",
        notes=notes_of(record, kind, margin, bias_correction),
    )


class _Setting:
    """A value that a variable is set to, or that is added to it."""

    def __init__(self, value: Any, fixed: bool) -> None:
        self.value, self.fixed = value, fixed

    def __hash__(self) -> int:
        return hash((self.value, self.fixed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Setting) and (self.value, self.fixed) == (other.value, other.fixed)


def _pairs(variable: Variable, contrast: Any) -> list[tuple[str, _Setting, _Setting]]:
    """Names and the two settings of every comparison."""
    if variable.levels is not None:
        return _of_levels(variable, contrast)
    data, name = variable.data, variable.name
    if contrast is None:
        contrast = 1.0
    if isinstance(contrast, str):
        spread = float(data.std(ddof=1))
        low, high = (float(q) for q in np.quantile(data, [0.25, 0.75]))
        known: dict[str, Any] = {
            "sd": spread,
            "2sd": 2.0 * spread,
            "iqr": [low, high],
            "minmax": [float(data.min()), float(data.max())],
        }
        if contrast not in known:
            raise ModelError(
                f"comparisons(contrast={contrast!r}): give a number to add, two values, or one of "
                f"{', '.join(map(repr, known))}."
            )
        contrast = known[contrast]
    if isinstance(contrast, int | float) and not isinstance(contrast, bool):
        return [(f"{name} + {contrast:g}", _Setting(float(contrast), False), _Setting(0.0, False))]
    two = variable.values(contrast, "comparisons(contrast=)")
    if len(two) != 2:
        raise ModelError(f"comparisons(contrast=): give two values of `{name}`, not {len(two)}.")
    return [(f"{name}: {two[1]:g} - {two[0]:g}", _Setting(float(two[1]), True), _Setting(float(two[0]), True))]


def _of_levels(variable: Variable, contrast: Any) -> list[tuple[str, _Setting, _Setting]]:
    levels: Sequence[Any] = variable.levels or ()
    chosen: list[tuple[Any, Any]]
    asked = contrast if isinstance(contrast, str | None) else ""
    if asked is None or asked == "reference":
        chosen = [(level, levels[0]) for level in levels[1:]]
    elif asked == "pairwise":
        chosen = [(levels[i], levels[j]) for i in range(1, len(levels)) for j in range(i)]
    elif asked == "sequential":
        chosen = [(levels[i], levels[i - 1]) for i in range(1, len(levels))]
    elif isinstance(contrast, str) or not hasattr(contrast, "__len__") or len(contrast) != 2:
        raise ModelError(
            f"comparisons(contrast={contrast!r}): give one of {', '.join(map(repr, _FACTOR_CONTRASTS))}, or two levels "
            f"of `{variable.name}`."
        )
    else:
        low, high = variable.values(contrast, "comparisons(contrast=)")
        chosen = [(high, low)]
    shown = dict(zip(levels, variable.shown(variable.as_column(levels)), strict=True))
    return [(f"{shown[a]} - {shown[b]}", _Setting(a, True), _Setting(b, True)) for a, b in chosen]


def _on_scale(means: LinearFunctions, comparison: str) -> LinearFunctions:
    """Means, their logarithms or their logits."""
    m = means.estimate
    if comparison == "difference":
        return means
    if comparison == "ratio":
        if (m <= 0.0).any():
            raise ModelError("comparison='ratio': a mean is not positive; compare by 'difference'.")
        return means.combined(np.diag(1.0 / m), np.log(m))
    if ((m <= 0.0) | (m >= 1.0)).any():
        raise ModelError("comparison='odds_ratio' is for probabilities; compare by 'difference' or 'ratio'.")
    return means.combined(np.diag(1.0 / (m * (1.0 - m))), np.log(m) - np.log1p(-m))
