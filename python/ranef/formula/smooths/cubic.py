"""Cubic regression splines, natural and cyclic, with the integrated square of the second derivative as penalty.

A function is known by its values beta at the knots. Its second derivatives at the knots are linear in them,
gamma = G beta, and linear between the knots, so that its bending energy is beta' G' M G beta with the tridiagonal M of
integrals of hat functions.

Reference: Wood (2017), Generalized Additive Models, 2nd edition, section 5.3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

__all__ = ["bending", "continued", "learn", "straight"]

Array = NDArray[np.float64]


def learn(x: Array, k: int, cyclic: bool, knots: Array | None = None) -> dict[str, Any]:
    """Place the knots and turn the basis so that the bending energy is a sum of squares.

    Parameters
    ----------
    x : array (n,)
    k : int
        Number of knots. A cyclic spline has the same value at the first and the last of them.
    cyclic : bool
    knots : array, optional
        The knots themselves, or the first and the last, for the ends of a circle that the data do not reach. The
        others are equally spaced quantiles of the distinct values.

    Returns
    -------
    dict
        ``centre``, ``unit``, ``knots`` (in the units of the data), ``cyclic``, and ``weights`` (k, r): values at the
        knots of each of the functions, orthogonal there to straight lines (to the constant, if cyclic).
    """
    if knots is None or len(knots) == 2 < k:
        distinct = np.unique(x if knots is None else np.append(x, knots))
        knots = np.quantile(distinct, np.linspace(0, 1, k))
    centre, unit = float(knots.mean()), float(np.ptp(knots)) / 2
    scaled = (knots - centre) / unit
    gap = np.diff(scaled)
    mass = np.zeros((k, k))
    j = np.arange(k - 1)
    mass[j, j] += gap / 3
    mass[j + 1, j + 1] += gap / 3
    mass[j, j + 1] = mass[j + 1, j] = gap / 6
    corners = np.eye(k)
    if cyclic:
        corners = corners[:, :-1]
        corners[-1, 0] = 1.0
    curvature = _spline(scaled, corners, cyclic)(scaled, 2)
    penalty = curvature.T @ mass @ curvature
    size, axes = np.linalg.eigh((penalty + penalty.T) / 2)
    bent = slice(1 if cyclic else 2, None)
    weights = corners @ (axes[:, bent] / np.sqrt(size[bent]))
    return {"centre": centre, "unit": unit, "knots": knots, "cyclic": cyclic, "weights": weights}


def bending(x: Array, state: dict[str, Any]) -> Array:
    """The penalised functions at some values; they go on as straight lines, or around the circle."""
    scaled = (x - state["centre"]) / state["unit"]
    knots = (state["knots"] - state["centre"]) / state["unit"]
    spline = _spline(knots, state["weights"], state["cyclic"])
    if state["cyclic"]:
        return np.asarray(spline(knots[0] + np.mod(scaled - knots[0], knots[-1] - knots[0])))
    return continued(spline, scaled, knots[0], knots[-1])


def straight(x: Array, state: dict[str, Any]) -> Array:
    """The functions that do not bend, but for the constant: none if cyclic."""
    return np.empty((len(x), 0)) if state["cyclic"] else (x - state["centre"])[:, None]


def continued(spline: CubicSpline, x: Array, first: float, last: float) -> Array:
    """A natural spline beyond its outer knots: straight on, with the slope it has there."""
    found = np.asarray(spline(np.clip(x, first, last)))
    for edge, outside in ((first, x < first), (last, x > last)):
        if outside.any():
            found[outside] += np.outer(x[outside] - edge, spline(edge, 1))
    return found


def _spline(knots: Array, values: Array, cyclic: bool) -> CubicSpline:
    return CubicSpline(knots, values, bc_type="periodic" if cyclic else "natural")
