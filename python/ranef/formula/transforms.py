"""Functions that learn from the data they first see and repeat themselves on new data: poly, scale, splines, means.

This is the one module that imports formulaic: its ``poly``, ``scale``, ``center``, ``bs``, ``cr`` and ``cc`` are used
as they are, with the state they keep handed back to them; ``ns`` is ours (module ``splines``). What a transform has
learned is a plain dictionary of numbers, so a design can be written to a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.formula.splines import natural_spline, natural_spline_knots

__all__ = ["ARGUMENTS", "STATEFUL", "Basis"]

Array = NDArray[np.float64]
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Basis:
    """Several columns from one function.

    Attributes
    ----------
    values : array (n, k)
    names : tuple of str
        What stands in the brackets: ``poly(x, 2)[1]``.
    spans_intercept : bool
        Whether the columns sum to a constant; then the first is left out beside an intercept.
    """

    values: Array
    names: tuple[str, ...]
    spans_intercept: bool = False


def borrowed(name: str) -> Callable[..., Any]:
    """A transform of formulaic, which is loaded when the first one is used."""
    from formulaic.transforms import TRANSFORMS

    return TRANSFORMS[name]


def _whole(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, not {value}")
    return int(value)


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be TRUE or FALSE, not {value}")
    return value


def _numbers(value: Any, name: str) -> Array:
    values = np.atleast_1d(np.asarray(value, dtype=object))
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise ValueError(f"{name} must be numbers, not {value}")
    return values.astype(float)


def _distinct(x: Array, wanted: int, what: str) -> None:
    """Refuse a basis that has more columns than ``x`` has distinct values."""
    found = len(np.unique(x[: 100 * wanted])) if len(x) else 0
    if found <= wanted:
        found = len(np.unique(x))
    if found <= wanted:
        raise ValueError(f"{what} needs more than {wanted} distinct values; there are {found}")


def _columns_wanted(x: Array, df: Any) -> int | None:
    """Check the number of columns asked of a spline against the data."""
    if df is None:
        return None
    wanted = _whole(df, "df", 1)
    if wanted > len(x):
        raise ValueError(f"df = {wanted} is more than the {len(x)} rows")
    return wanted


def _poly(x: Array, degree: Any = 1, raw: Any = False, *, state: State) -> Basis:
    """Orthogonal polynomials over the rows of the fit (raw powers with ``raw=TRUE``), as in R."""
    degree = _whole(degree, "degree", 1)
    raw = _flag(raw, "raw")
    if not state:
        _distinct(x, degree, f"a polynomial of degree {degree}")
    values = np.asarray(borrowed("poly")(x, degree, raw, _state=state), dtype=float)
    if raw:
        state["raw"] = True  # nothing to learn, but known from now on
    return Basis(values, tuple(str(k) for k in range(1, degree + 1)))


def _scale(x: Array, center: Any = True, scale: Any = True, ddof: Any = 1, *, state: State) -> Array:
    """(x - mean) / sd with n - 1 in the sd, as in R; numbers instead of TRUE are used as they are."""
    if scale is True and not state and len(x) and np.ptp(x) == 0:
        raise ValueError("a constant column has no spread to scale by")
    return np.asarray(borrowed("scale")(x, center, scale, ddof, _state=state), dtype=float)


def _center(x: Array, *, state: State) -> Array:
    """X minus the mean of the fit's rows."""
    return np.asarray(borrowed("center")(x, _state=state), dtype=float)


def _ns(
    x: Array,
    df: Any = None,
    knots: Any = None,
    intercept: Any = False,
    boundary_knots: Any = None,
    *,
    state: State,
) -> Basis:
    """Natural cubic spline, linear beyond the boundary knots."""
    intercept = _flag(intercept, "intercept")
    if not state:
        boundary = None
        if boundary_knots is not None:
            edges = _numbers(boundary_knots, "Boundary.knots")
            if len(edges) != 2:
                raise ValueError("Boundary.knots are two numbers")
            boundary = (float(edges.min()), float(edges.max()))
        count = _columns_wanted(x, df)
        inner, boundary = natural_spline_knots(
            x, count, None if knots is None else _numbers(knots, "knots"), boundary, intercept
        )
        state["knots"], state["boundary"] = inner.tolist(), list(boundary)
    low, high = state["boundary"]
    values = natural_spline(x, np.array(state["knots"], dtype=float), (low, high), intercept)
    return Basis(values, tuple(str(k) for k in range(1, values.shape[1] + 1)), intercept)


def _columns(learned: Any) -> Basis:
    """Stack formulaic's dictionary of columns."""
    columns = {str(key): np.asarray(value, dtype=float) for key, value in dict(learned).items()}
    spans_intercept = bool(learned.__formulaic_metadata__.spans_intercept)
    return Basis(np.column_stack(list(columns.values())), tuple(columns), spans_intercept)


def _bs(
    x: Array,
    df: Any = None,
    knots: Any = None,
    degree: Any = 3,
    intercept: Any = False,
    boundary_knots: Any = None,
    include_intercept: Any = None,
    lower_bound: Any = None,
    upper_bound: Any = None,
    extrapolation: Any = "extend",
    *,
    state: State,
) -> Basis:
    """B-spline basis; its polynomials go on beyond the boundary knots, as in R."""
    keep_first = _flag(intercept if include_intercept is None else include_intercept, "intercept")
    if boundary_knots is not None:
        edges = _numbers(boundary_knots, "Boundary.knots")
        lower_bound, upper_bound = float(edges.min()), float(edges.max())
    learned = borrowed("bs")(
        x,
        df=df if state else _columns_wanted(x, df),
        knots=None if knots is None else _numbers(knots, "knots").tolist(),
        degree=_whole(degree, "degree", 0),
        include_intercept=keep_first,
        lower_bound=lower_bound,
        upper_bound=upper_bound,
        extrapolation=extrapolation,
        _state=state,
    )
    return _columns(learned)


def _cubic(name: str) -> Callable[..., Basis]:
    def regression_spline(
        x: Array, df: Any = None, knots: Any = None, lower_bound: Any = None, upper_bound: Any = None, *, state: State
    ) -> Basis:
        learned = borrowed(name)(
            x,
            df=df if state else _columns_wanted(x, df),
            knots=None if knots is None else _numbers(knots, "knots").tolist(),
            lower_bound=lower_bound,
            upper_bound=upper_bound,
            _state=state,
        )
        return _columns(learned)

    return regression_spline


def _summary(function: Callable[[Array], Any]) -> Callable[..., float]:
    """Turn a summary such as ``mean`` into a number learned once: ``I(x - mean(x))`` repeats on new data."""

    def learned(x: Array, *, state: State) -> float:
        if "value" not in state:
            state["value"] = float(function(x))
        return float(state["value"])

    return learned


def _sd(x: Array) -> Any:
    return np.std(x, ddof=1)


def _var(x: Array) -> Any:
    return np.var(x, ddof=1)


#: Name -> function(x, ..., state=dict); an empty state is filled, a filled one is obeyed.
STATEFUL: dict[str, Callable[..., Any]] = {
    "poly": _poly,
    "scale": _scale,
    "center": _center,
    "ns": _ns,
    "bs": _bs,
    "cr": _cubic("cr"),
    "cc": _cubic("cc"),
    "mean": _summary(np.mean),
    "median": _summary(np.median),
    "sd": _summary(_sd),
    "var": _summary(_var),
    "min": _summary(np.min),
    "max": _summary(np.max),
    "sum": _summary(np.sum),
}

#: R's spelling of an argument -> ours.
ARGUMENTS: dict[str, str] = {"Boundary.knots": "boundary_knots"}
