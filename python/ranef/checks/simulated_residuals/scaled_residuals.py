"""Scaled residuals: the place of each response among responses simulated from the model, 0 to 1.

With s_1 ... s_S simulated for a row that holds y,

    lo = mean(s < y),  hi = mean(s <= y),  r = lo where they are equal, else uniform between them        ("pit")

so that r is uniform under the model for every family, whatever y can be. It is exactly 0 or 1 where y lies outside all
that was simulated. "traditional" adds uniform noise on (-1/2, 1/2) to whole numbers, observed and simulated, and takes
the empirical distribution function. A rotation takes out a correlation of the rows first: with L L' their covariance,
observed and simulated are replaced by L^-1 y and L^-1 s.

References: Dunn & Smyth (1996), J. Comput. Graph. Stat. 5, 236-244; Gelman & Hill (2007), Data Analysis Using
Regression and Multilevel/Hierarchical Models, section 8.3; Warton, Thibaut & Wang (2017), PLoS ONE 12, e0181790
(the range between lo and hi). The tests follow the definitions that Hartig's DHARMa made customary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ranef.errors import DataError, ModelError, blaming

METHODS = ("pit", "traditional")
# Cells of a matrix that are compared at once: what fits a processor's cache.
CELLS = 2_000_000
# Streams of one seed: the simulations have the seed itself, the places within jumps and the bootstrap theirs.
PLACES, OUTLIERS = 1, 2
# Eigenvalues of an estimated covariance below this share of the largest are noise of the simulations.
NO_VARIANCE = 1e-8

AGGREGATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sum": lambda values: values.sum(axis=0),
    "mean": lambda values: values.mean(axis=0),
    "max": lambda values: values.max(axis=0),
    "min": lambda values: values.min(axis=0),
    "median": lambda values: np.median(values, axis=0),
}


@dataclass(frozen=True, eq=False)
class RefittedResiduals:
    """What the model's refits to the simulated responses left over.

    Attributes
    ----------
    observed : (rows,) array
        Response residuals of the fit.
    simulated : (rows, n) array
        Those of the refits.
    pearson : float
        Sum of the squared Pearson residuals of the fit.
    simulated_pearson : (n,) array
        Those of the refits.
    """

    observed: np.ndarray
    simulated: np.ndarray
    pearson: float
    simulated_pearson: np.ndarray


@dataclass(frozen=True, eq=False)
class ScaledResiduals:
    """Observed and simulated responses, and the place of the first among the second.

    Attributes
    ----------
    observed : (rows,) array
    simulated : (rows, n) array
    fitted : (rows,) array
    scaled : (rows,) array
    whole : bool
        Whether responses are whole numbers.
    method : {"pit", "traditional"}
    rotation : None, "estimated" or matrix
    seed : int
    refits : RefittedResiduals, optional
    """

    observed: np.ndarray
    simulated: np.ndarray
    fitted: np.ndarray
    scaled: np.ndarray
    whole: bool
    method: str
    rotation: Any
    seed: int
    refits: RefittedResiduals | None = None

    @property
    def n(self) -> int:
        """Simulations of each row."""
        return self.simulated.shape[1]

    @property
    def below(self) -> np.ndarray:
        """Rows below all that was simulated: residuals of exactly zero."""
        return self.scaled == 0.0

    @property
    def above(self) -> np.ndarray:
        """Rows above all that was simulated: residuals of exactly one."""
        return self.scaled == 1.0


def scaled_residuals(
    observed: np.ndarray,
    simulated: np.ndarray,
    fitted: np.ndarray,
    method: str = "pit",
    rotation: Any = None,
    seed: int = 0,
    refits: RefittedResiduals | None = None,
) -> ScaledResiduals:
    """Scale residuals.

    Parameters
    ----------
    observed, fitted : (rows,) arrays
    simulated : (rows, n) array
    method : {"pit", "traditional"}
    rotation : None, "estimated", or (rows, rows) covariance matrix
    seed : int
    refits : RefittedResiduals, optional
        When given, the residuals of the fit are placed among those of the refits.
    """
    if method not in METHODS:
        raise ModelError(f"method={method!r}: give 'pit' or 'traditional'")
    whole = bool((observed == np.round(observed)).all() and (simulated == np.round(simulated)).all())
    place, among = (observed, simulated) if refits is None else (refits.observed, refits.simulated)
    rng = np.random.default_rng((seed, PLACES))
    if method == "traditional" and whole:
        place = place + rng.uniform(-0.5, 0.5, place.shape)
        among = among + rng.uniform(-0.5, 0.5, among.shape)
    if rotation is not None:
        place, among = rotated(place, among, rotation)
    scaled = places(place, among, rng)
    return ScaledResiduals(observed, simulated, fitted, scaled, whole, method, rotation, seed, refits)


def places(observed: np.ndarray, simulated: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The place of each value among those of its row, at random within a jump of their distribution, (rows,)."""
    found = np.empty(len(observed))
    step = max(1, CELLS // simulated.shape[1])
    for first in range(0, len(observed), step):
        rows = slice(first, first + step)
        values, among = observed[rows, None], simulated[rows]
        low, high = (among < values).mean(axis=1), (among <= values).mean(axis=1)
        found[rows] = low + (high - low) * rng.random(len(low))
    return found


def rotated(observed: np.ndarray, simulated: np.ndarray, rotation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both, multiplied by the inverse Cholesky factor of the rows' covariance."""
    rows = len(observed)
    if isinstance(rotation, str):
        if rotation != "estimated":
            raise ModelError(f"rotation={rotation!r}: give None, 'estimated' or a covariance matrix of the rows")
        if simulated.shape[1] <= rows:
            raise ModelError(
                f"rotation='estimated' needs more simulations than rows to estimate their covariance: n is "
                f"{simulated.shape[1]} and there are {rows} rows. Give n={2 * rows} or a covariance matrix."
            )
        covariance = np.atleast_2d(np.cov(simulated))
        values, vectors = np.linalg.eigh(covariance)
        covariance = (vectors * np.maximum(values, NO_VARIANCE * values[-1])) @ vectors.T
    else:
        covariance = finite_numbers(rotation, "rotation")
        if covariance.shape != (rows, rows):
            raise DataError(
                f"rotation has the shape {covariance.shape}; a covariance of the rows is ({rows}, {rows}) here"
            )
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise DataError(
            "rotation is not positive definite: give a covariance matrix, or add a small number to its diagonal"
        ) from None
    return np.linalg.solve(factor, observed), np.linalg.solve(factor, simulated)


def aggregated(found: ScaledResiduals, groups: Sequence[np.ndarray], by: Any) -> ScaledResiduals:
    """Responses put together in groups of rows, observed and simulated alike, and placed anew.

    Parameters
    ----------
    found : ScaledResiduals
    groups : sequence of int arrays
        The rows of each group.
    by : {"sum", "mean", "max", "min", "median"} or callable
        A callable takes the (rows, n) values of a group and gives (n,).
    """
    if isinstance(by, str) and by not in AGGREGATES:
        raise ModelError(f"by={by!r}: give one of {', '.join(map(repr, AGGREGATES))}, or a function")
    if not isinstance(by, str) and not callable(by):
        raise ModelError(f"by={by!r}: give one of {', '.join(map(repr, AGGREGATES))}, or a function")
    together = AGGREGATES[by] if isinstance(by, str) else by

    def gathered(values: np.ndarray) -> np.ndarray:
        wide = values if values.ndim == 2 else values[:, None]
        with blaming("aggregated(by=)"):
            answers = [together(wide[rows]) for rows in groups]
        found_by = [finite_numbers(answer, "by=").reshape(-1) for answer in answers]
        lengths = {len(one) for one in found_by}
        if lengths != {wide.shape[1]}:
            raise DataError(
                f"by= gave {max(lengths)} values for {wide.shape[1]} columns: it takes the values of a group, a row "
                "each, and gives one value a column, as `lambda values: values.sum(axis=0)`"
            )
        new = np.array(found_by)
        return new if values.ndim == 2 else new[:, 0]

    refits = found.refits
    if refits is not None:
        refits = replace(refits, observed=gathered(refits.observed), simulated=gathered(refits.simulated))
    return scaled_residuals(
        gathered(found.observed),
        gathered(found.simulated),
        gathered(found.fitted),
        found.method,
        None if found.rotation is None or not isinstance(found.rotation, str) else found.rotation,
        found.seed,
        refits,
    )


def finite_numbers(values: Any, what: str) -> np.ndarray:
    """Values that were given, or that a given function gave, as an array of finite numbers."""
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        raise DataError(f"{what} gave or holds values that are not numbers") from None
    if not np.isfinite(found).all():
        raise DataError(f"{what} gave or holds numbers that are not finite; leave such values out")
    return found


def transformed(found: ScaledResiduals, quantile_function: Callable[[np.ndarray], Any], outliers: Any) -> np.ndarray:
    """The residuals as quantiles of another distribution; those of 0 and 1, which have none, at `outliers`."""
    if not callable(quantile_function):
        raise ModelError(f"residuals(quantile_function={quantile_function!r}): give a function of probabilities")
    with np.errstate(all="ignore"), blaming("residuals(quantile_function=)"):
        values = quantile_function(found.scaled.copy())
    try:
        values = np.array(values, float)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != found.scaled.shape:
        raise DataError("quantile_function must give a number for each residual")
    if outliers is not None:
        low, high = outliers
        values[found.below], values[found.above] = low, high
    return values
