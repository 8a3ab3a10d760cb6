"""Mean responses of rows, and averages of them, with gradients: the delta method through any family.

The mean of a row is a function of its linear predictors, so the gradient of an average with respect to the fixed
effects is the average of slope times columns. Slopes are central differences of fourth order over the predictors,
whose error is of the order of rounding.

With bias correction the mean is also averaged over the distribution of the random effects: each predictor then is
normal around its fixed part, with the variance z' Sigma z of the row, and the integral is over that one dimension,
by Gauss and Hermite's quadrature.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.testing import USUAL, Testing
from ranef.inference.variance_components import covariances

# What emmeans calls the components that are mean responses -> the kind of prediction.
KINDS_OF_COMPONENT = {"response": "response", "cmean": "conditional"}

_STEP = 1e-3
# Of second differences, which divide rounding by its square.
_WIDE_STEP = 1e-2
_PLACES = np.array([-2.0, -1.0, 1.0, 2.0])
_DIFFERENCE = np.array([1.0, -8.0, 8.0, -1.0]) / 12.0
# Points of the integral over random effects (tested: right to 1e-8 for a logit up to a standard deviation of 1.5), and
# in each direction where several predictors have random effects.
_NODES, _NODES_OF_SEVERAL = 50, 20


def means_of_rows(
    record: FittedModel,
    rows: dict[str, Any],
    weights: np.ndarray,
    kind: str,
    testing: Testing = USUAL,
    effects: list[np.ndarray] | None = None,
) -> LinearFunctions:
    """Weighted means of the prediction of some rows.

    Parameters
    ----------
    record : FittedModel
    rows : dict
        As `ranef.newdata.engine_rows` gives them, no random effects but those of smooths kept.
    weights : (k, rows) array
    kind : str
        Of prediction, as the engine knows it.
    testing : Testing
    effects : list of array, optional
        For every random-effects term, what its effects multiply in each row: means are then taken over their
        distribution too.
    """
    variances = None if effects is None else variances_of_rows(record, effects)
    mean, slopes = means_and_slopes(record, rows, kind, variances)
    fixed, bent, spread = {}, {}, {}
    for component in record.model.components:
        predictors = record.model.predictors(component)
        if component == "threshold":
            fixed[component] = np.column_stack([weights @ slopes[:, k] for k in predictors])
            continue
        fixed[component] = (weights * slopes[:, predictors[0]]) @ np.asarray(rows["x"][predictors[0]], float)
    for t, term in enumerate(record.terms()):
        if term.smooth is not None:
            slope = slopes[:, record.model.predictor(term.component)]
            bent[t] = (weights * slope) @ np.asarray(rows["columns"][t], float)
    for k, variance in enumerate(variances or []):
        if variance is None:
            continue
        # The mean over a normal distribution obeys the heat equation: d mean / d variance = mean'' / 2.
        curvature = 0.5 * _curvature(record, rows, kind, variances, k)
        for t, term in enumerate(record.terms()):
            if record.model.predictor(term.component) == k and effects is not None:
                change = _change_of_variance(record, t, effects[t])
                if change is not None:
                    spread[t] = (weights * curvature) @ change
    return LinearFunctions(record, weights @ mean, fixed, bent, spread, testing)


def _curvature(
    record: FittedModel, rows: dict[str, Any], kind: str, variances: list[np.ndarray | None] | None, predictor: int
) -> np.ndarray:
    """Second derivative of every row's prediction with respect to one predictor, (n,)."""
    rows, variances = _without_closed_forms(record, rows, kind, variances)
    total = np.zeros(len(rows["x"][0]))
    for place, weight in zip((-2.0, -1.0, 0.0, 1.0, 2.0), (-1.0, 16.0, -30.0, 16.0, -1.0), strict=True):
        shift: list[np.ndarray | float | None] = [None] * len(rows["x"])
        shift[predictor] = place * _WIDE_STEP
        total += weight * _predicted(record, rows, kind, shift, variances)
    return total / (12.0 * _WIDE_STEP**2)


def _change_of_variance(record: FittedModel, place: int, z: np.ndarray) -> np.ndarray | None:
    """Derivative of z' Sigma z with respect to the parameters of a term, (n, number of theta).

    None for a structure whose parameters are not entries of the factor Lambda; those variances are taken as known.
    """
    term = record.terms()[place]
    if term.smooth is not None or term.coupling is not None:
        return None
    factor = np.asarray(record.engine.factor[place], float)
    theta = np.asarray(record.engine.theta[place], float)
    projected = z @ factor
    if term.structure == "us":
        entries = [(i, j) for j in range(factor.shape[1]) for i in range(j, factor.shape[0])]
    elif term.structure == "diag":
        entries = [(j, j) for j in range(factor.shape[0])]
    elif term.structure == "homdiag" and np.allclose(factor, theta[0] * np.eye(len(factor))):
        return 2.0 * (z * projected).sum(axis=1, keepdims=True)
    else:
        return None
    if len(entries) != len(theta) or not np.allclose([factor[entry] for entry in entries], theta):
        return None
    return np.column_stack([2.0 * z[:, i] * projected[:, j] for i, j in entries])


def means_and_slopes(
    record: FittedModel, rows: dict[str, Any], kind: str, variances: list[np.ndarray | None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The prediction of every row, (n,), and its derivatives with respect to each linear predictor, (n, K)."""
    predictors = len(rows["x"])
    n = len(rows["x"][0])
    rows, variances = _without_closed_forms(record, rows, kind, variances)
    mean = _predicted(record, rows, kind, [None] * predictors, variances)
    slopes = np.zeros((n, predictors))
    fixed = record.model.fixed_predictors()
    for k in range(predictors):
        if fixed[k] is not None:
            continue
        total = np.zeros(n)
        for place, weight in zip(_PLACES, _DIFFERENCE, strict=True):
            shift: list[np.ndarray | float | None] = [None] * predictors
            shift[k] = place * _STEP
            total += weight * _predicted(record, rows, kind, shift, variances)
        slopes[:, k] = total / _STEP
    # What is left of a predictor that the mean does not depend on is rounding.
    size = np.abs(mean).max(initial=0.0)
    slopes[:, np.abs(slopes).max(axis=0, initial=0.0) < 1e-11 * size] = 0.0
    return mean, slopes


def _without_closed_forms(
    record: FittedModel, rows: dict[str, Any], kind: str, variances: list[np.ndarray | None] | None
) -> tuple[dict[str, Any], list[np.ndarray | None] | None]:
    """What is left to integrate numerically.

    A predictor that the prediction does not depend on needs nothing. Where the prediction is proportional to
    exp(predictor), as under a log link, the mean of exp(eta + b) is exp(eta + variance / 2).
    """
    if variances is None:
        return rows, None
    left, offsets = list(variances), list(rows["offset"])
    nothing: list[np.ndarray | float | None] = [None] * len(left)
    here = _predicted(record, rows, kind, nothing, None)
    for k, variance in enumerate(variances):
        if variance is None:
            continue
        there = _predicted(record, rows, kind, [np.log(2.0) if j == k else None for j in range(len(left))], None)
        if np.allclose(there, here, rtol=1e-13, atol=0.0):
            left[k] = None
        elif np.allclose(there, 2.0 * here, rtol=1e-13, atol=0.0):
            left[k] = None
            offsets[k] = 0.5 * variance if offsets[k] is None else offsets[k] + 0.5 * variance
    return {**rows, "offset": offsets}, left


def _predicted(
    record: FittedModel,
    rows: dict[str, Any],
    kind: str,
    shift: list[np.ndarray | float | None],
    variances: list[np.ndarray | None] | None,
) -> np.ndarray:
    """Predictions with the linear predictors shifted, averaged over normal departures with given variances."""
    n = len(rows["x"][0])
    spread = [k for k, v in enumerate(variances or []) if v is not None and np.any(v > 0.0)]
    points = _NODES if len(spread) < 2 else _NODES_OF_SEVERAL
    nodes, chances = np.polynomial.hermite_e.hermegauss(points)
    chances = chances / chances.sum()
    total = np.zeros(n)
    for chosen in product(range(points), repeat=len(spread)):
        moved = list(shift)
        chance = 1.0
        for k, node in zip(spread, chosen, strict=True):
            variance = (variances or [])[k]
            assert variance is not None
            step = nodes[node] * np.sqrt(variance)
            moved[k] = step if moved[k] is None else step + moved[k]
            chance *= chances[node]
        if chance < 1e-18:
            continue
        offsets = [
            given if by is None else (np.zeros(n) if given is None else given) + by
            for given, by in zip(rows["offset"], moved, strict=True)
        ]
        found = record.engine.predict({**rows, "offset": offsets}, kind, False)[0]
        total += chance * np.asarray(found, float)
    return total


def variances_of_rows(record: FittedModel, columns: list[np.ndarray]) -> list[np.ndarray | None]:
    """For every predictor, the variance of its random effects in each row, (n,); None where it has none.

    Parameters
    ----------
    record : FittedModel
    columns : list of (n, p_t) array
        What the effects of each random-effects term multiply.
    """
    predictors = sum(len(record.model.predictors(c)) for c in record.model.components)
    found: list[np.ndarray | None] = [None] * predictors
    for t, (term, sigma) in enumerate(zip(record.terms(), covariances(record), strict=True)):
        if term.smooth is not None:
            continue
        if term.coupling is not None:
            raise ModelError(
                f"bias_correction: the effects of {term.text} are tied to each other, so a new level has no "
                "variance of its own; leave it out."
            )
        variance = np.einsum("ni,ij,nj->n", columns[t], np.asarray(sigma, float), columns[t])
        place = record.model.predictor(term.component)
        before = found[place]
        found[place] = variance if before is None else before + variance
    return found
