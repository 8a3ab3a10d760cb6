r"""Thin plate regression splines in one and two dimensions, with the penalty of second derivatives.

The function of n points that is closest to data for its bending energy is f(x) = sum_i delta_i eta(|x - x_i|) +
polynomials, with T' delta = 0 for the polynomials T that do not bend; its energy is delta' E delta. A regression spline
keeps the k eigenvectors of E = U D U' of largest absolute eigenvalue: delta = U_k Z a, where Z spans the null space of
T' U_k, so that the energy is a' (Z' D_k Z) a. Among bases of k functions it changes the full spline least.

    eta(r) = r^3 / 12 in one dimension, r^2 log(r) / (8 pi) in two.

Reference: Wood (2003), Thin plate regression splines, Journal of the Royal Statistical Society B 65, 95-114.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import cdist

from ranef.formula.smooths.cubic import continued

__all__ = ["bending", "learn", "straight"]

Array = NDArray[np.float64]

#: More distinct points than this are represented by a sample of them.
MOST_KNOTS = 2000
# Below this size all eigenvectors are as cheap as a few.
_SMALL = 300
# Distances held at once.
_ROWS_AT_ONCE = 2000


def learn(points: Array, k: int) -> dict[str, Any]:
    """Choose the basis for these points.

    Parameters
    ----------
    points : array (n, d)
        Distinct or not; d is 1 or 2.
    k : int
        Dimension of the basis, the d + 1 polynomials included.

    Returns
    -------
    dict
        ``centre`` and ``unit`` (the points are measured from and in), ``knots`` (m, d) and ``weights`` (m, k - d - 1),
        such that the bending energy of a combination of the functions is the sum of squares of its coefficients.
    """
    centre = points.mean(axis=0)
    unit = float(np.abs(points - centre).max())
    knots = np.unique((points - centre) / unit, axis=0)
    if len(knots) > MOST_KNOTS:
        # Every so many along the line; at random, but always the same, in the plane.
        m = len(knots)
        if points.shape[1] == 1:
            chosen = np.unique(np.linspace(0, m - 1, MOST_KNOTS).round().astype(np.intp))
        else:
            chosen = np.sort(np.random.default_rng(1).choice(m, MOST_KNOTS, replace=False))
        knots = knots[chosen]
    energy = _kernel(knots, knots)
    if len(knots) <= max(_SMALL, 2 * k):
        values, vectors = np.linalg.eigh(energy)
        largest = np.argsort(-np.abs(values), kind="stable")[:k]
        values, vectors = values[largest], vectors[:, largest]
    else:
        start = np.random.default_rng(1).normal(size=len(knots))
        values, vectors = eigsh(energy, k=k, which="LM", v0=start)
    polynomials = np.column_stack([np.ones(len(knots)), knots])
    free = np.linalg.qr(vectors.T @ polynomials, mode="complete")[0][:, polynomials.shape[1] :]
    bend = (free.T * values) @ free
    size, axes = np.linalg.eigh((bend + bend.T) / 2)
    weights = vectors @ (free @ (axes / np.sqrt(np.abs(size))))
    return {"centre": centre, "unit": unit, "knots": knots, "weights": weights}


def bending(points: Array, state: dict[str, Any]) -> Array:
    """The penalised functions at some points, (n, k - d - 1); straight lines beyond the knots in one dimension."""
    scaled, knots = (points - state["centre"]) / state["unit"], state["knots"]
    if points.shape[1] == 1:
        # These are natural cubic splines, known by their values at the knots.
        line = knots[:, 0]
        spline = CubicSpline(line, _kernel(knots, knots) @ state["weights"], bc_type="natural")
        return continued(spline, scaled[:, 0], line[0], line[-1])
    found = np.empty((len(scaled), state["weights"].shape[1]))
    for start in range(0, len(scaled), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        found[some] = _kernel(scaled[some], knots) @ state["weights"]
    return found


def straight(points: Array, state: dict[str, Any]) -> Array:
    """The functions that do not bend, but for the constant: the coordinates themselves, from their centre."""
    return np.asarray(points - state["centre"], dtype=np.float64)


def _kernel(points: Array, knots: Array) -> Array:
    if points.shape[1] == 1:
        return np.asarray(cdist(points, knots) ** 3 / 12)
    square: Array = np.maximum(cdist(points, knots, "sqeuclidean"), np.finfo(float).tiny)
    square *= np.log(square) / (16 * np.pi)
    return square
