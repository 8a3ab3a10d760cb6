"""The natural cubic spline basis, as R's ``splines::ns`` spans it column by column.

With boundary knots a < b and inner knots k_1 < ... < k_m, B is the cubic B-spline basis on (a, k, b) without its first
column (unless ``intercept``), and C holds its second derivatives at a and b. The natural basis is B N, where N is the
null space of C, taken as the last columns of the full orthogonal factor of the QR decomposition of C'. Beyond the
boundary knots the basis goes on linearly, with the slope it has there.

Householder reflections determine the columns of Q only once a sign rule is fixed; LAPACK and LINPACK (which R uses)
share the one that matters here, so values agree with R and not merely the space they span.

Reference: Hastie (1992), Generalized additive models, in Chambers & Hastie (eds), Statistical Models in S, ch. 7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

__all__ = ["natural_spline", "natural_spline_knots"]

Array = NDArray[np.float64]


def natural_spline_knots(
    x: Array, df: int | None, knots: Array | None, boundary: tuple[float, float] | None, intercept: bool
) -> tuple[Array, tuple[float, float]]:
    """Place the knots: the inner ones at equally spaced quantiles of ``x`` when only ``df`` is given.

    Parameters
    ----------
    x : array (n,)
    df : int or None
        Number of columns; df - 1 inner knots (df - 2 with an intercept).
    knots : array or None
        Inner knots; they decide over ``df``.
    boundary : (float, float) or None
        Boundary knots; the range of ``x`` by default.
    intercept : bool

    Returns
    -------
    inner : array
    boundary : (float, float)

    Raises
    ------
    ValueError
        When df is too small or the knots are not distinct and inside the boundary.
    """
    low, high = boundary if boundary is not None else (float(np.min(x)), float(np.max(x)))
    if knots is None:
        count = (1 if df is None else df) - 1 - int(intercept)
        if count < 0:
            raise ValueError(f"df must be at least {1 + int(intercept)}, not {df}")
        inside = x[(x >= low) & (x <= high)]
        inner = np.quantile(inside, np.linspace(0, 1, count + 2)[1:-1]) if count else np.empty(0)
    else:
        inner = np.sort(np.asarray(knots, float).ravel())
    if not low < high:
        raise ValueError("a spline needs at least two distinct values between its boundary knots")
    if len(inner) and (inner[0] <= low or inner[-1] >= high or np.any(np.diff(inner) <= 0)):
        raise ValueError("the inner knots must be distinct and lie inside the boundary knots; ask for a smaller df")
    return inner, (low, high)


def natural_spline(x: Array, inner: Array, boundary: tuple[float, float], intercept: bool = False) -> Array:
    """Evaluate the natural cubic spline basis.

    Parameters
    ----------
    x : array (n,)
    inner : array (m,)
        Inner knots, increasing.
    boundary : (float, float)
        Boundary knots: linear beyond them.
    intercept : bool
        Whether to keep the first B-spline, so that the columns span the constant.

    Returns
    -------
    array (n, m + 1 + intercept)

    Examples
    --------
    >>> import numpy as np
    >>> basis = natural_spline(np.linspace(0, 1, 5), np.array([0.5]), (0.0, 1.0))
    >>> basis.shape, bool(np.allclose(basis[0], 0))
    ((5, 2), True)
    """

    low, high = boundary
    padded = np.concatenate([np.repeat(low, 4), inner, np.repeat(high, 4)])
    spline = BSpline(padded, np.eye(len(padded) - 4), 3)
    first = 0 if intercept else 1
    slope, curvature = spline.derivative(1), spline.derivative(2)
    basis: Array = spline(np.clip(x, low, high))
    for edge, outside in ((low, x < low), (high, x > high)):
        if outside.any():
            basis[outside] = spline(edge) + np.outer(x[outside] - edge, slope(edge))
    constraint = np.stack([curvature(low), curvature(high)])[:, first:]
    null_space = np.linalg.qr(constraint.T, mode="complete")[0][:, 2:]
    result: Array = basis[:, first:] @ null_space
    return result
