"""A smooth as what it costs nothing to be (straight) and what is paid for (bending), the latter as random effects.

Every basis comes as polynomials P without a penalty and functions R whose penalty is the sum of squares of their
coefficients. With beta for P unpenalised and b ~ N(0, sd^2) for R, penalised likelihood with smoothing parameter
lambda is a mixed model, and lambda = 1 / sd^2 (in units of the residual variance) is estimated like any variance.

Over the rows of the fit, P is centred and R is made orthogonal to the constant and to P and scaled so that a row's sum
of squares is one on average. So the smooth has mean zero, its fixed part is its straight line in the sense of least
squares, and sd is the size of its deviations from that line, in units of the linear predictor and whatever units the
variables have. This changes neither the functions nor their penalty.

A tensor product (t2) of two splines has a penalty, and a variance, for each of: bending in both variables, in the first
alone, in the second alone.

References: Wood (2017), Generalized Additive Models, 2nd edition, chapters 5 and 6; Wood, Scheipl & Faraway (2013),
Statistics and Computing 23, 341-360; Speed (1991), comment on Robinson, Statistical Science 6, 42-44.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.formula.smooths import cubic, thin_plate

__all__ = ["BASES", "Basis", "evaluate", "learn"]

Array = NDArray[np.float64]

#: Bases by the names users know, with what they are.
BASES = {
    "tp": "thin plate regression spline",
    "cr": "cubic regression spline",
    "cc": "cyclic cubic regression spline",
}


@dataclass(frozen=True)
class Basis:
    """What is asked for, before the data are seen.

    Attributes
    ----------
    tensor : bool
        Whether it is a tensor product of one spline for each variable.
    kinds : tuple of str
        Keys of ``BASES``, for each spline.
    sizes : tuple of int
        Dimension of each.
    knots : array or None
        For cubic splines, all or the outer ones.
    """

    tensor: bool
    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    knots: Array | None = None


def learn(basis: Basis, points: Array, names: tuple[str, ...]) -> tuple[dict[str, Any], Array, list[Array]]:
    """What the functions are, given the rows of the fit, and their columns there.

    Parameters
    ----------
    basis : Basis
    points : array (n, d)
    names : tuple of str
        Of the variables, for the parts of a tensor product.

    Returns
    -------
    state : dict
        Numbers and arrays, for ``evaluate``.
    straight : array (n, q)
    bending : list of array (n, r)
    """
    if basis.tensor:
        margins = [_margin(kind, points[:, [j]], k, None) for j, (kind, k) in enumerate(_margins(basis))]
        labels = [f"{names[0]}:{names[1]}", names[0], names[1]]
    else:
        margins = [_margin(basis.kinds[0], points, basis.sizes[0], basis.knots)]
        labels = [""]
    state: dict[str, Any] = {"tensor": basis.tensor, "margins": margins}
    for margin, j in zip(margins, range(points.shape[1]), strict=False):
        if basis.tensor:
            lines = _straight(points[:, [j]], margin)
            margin["mean"], margin["spread"] = lines.mean(axis=0), lines.std(axis=0)
    straight, bending = _raw(points, state)
    # A tensor product of cyclic splines has parts that are empty.
    filled = [k for k, part in enumerate(bending) if part.shape[1]]
    state["labels"], state["filled"] = [labels[k] for k in filled], filled
    state["means"] = straight.mean(axis=0)
    free = np.column_stack([np.ones(len(points)), straight - state["means"]])
    state["lines"], state["scales"] = [], []
    for k in filled:
        line = np.linalg.lstsq(free, bending[k], rcond=None)[0]
        rest = bending[k] - free @ line
        state["lines"].append(line)
        state["scales"].append(float(np.sqrt((rest**2).sum() / len(points))))
    return (state, *_finished(straight, bending, state))


def evaluate(points: Array, state: dict[str, Any]) -> tuple[Array, list[Array]]:
    """The columns without a penalty, and those of every penalty."""
    return _finished(*_raw(points, state), state)


def _finished(straight: Array, bending: list[Array], state: dict[str, Any]) -> tuple[Array, list[Array]]:
    straight = straight - state["means"]
    free = np.column_stack([np.ones(len(straight)), straight])
    parts = [
        np.asfortranarray((bending[k] - free @ line) / scale)
        for k, line, scale in zip(state["filled"], state["lines"], state["scales"], strict=True)
    ]
    return straight, parts


def _margins(basis: Basis) -> list[tuple[str, int]]:
    return list(zip(basis.kinds, basis.sizes, strict=True))


def _margin(kind: str, points: Array, k: int, knots: Array | None) -> dict[str, Any]:
    if kind == "tp":
        return {"kind": kind, **thin_plate.learn(points, k)}
    return {"kind": kind, **cubic.learn(points[:, 0], k, kind == "cc", knots)}


def _straight(points: Array, margin: dict[str, Any]) -> Array:
    return thin_plate.straight(points, margin) if margin["kind"] == "tp" else cubic.straight(points[:, 0], margin)


def _bending(points: Array, margin: dict[str, Any]) -> Array:
    return thin_plate.bending(points, margin) if margin["kind"] == "tp" else cubic.bending(points[:, 0], margin)


def _raw(points: Array, state: dict[str, Any]) -> tuple[Array, list[Array]]:
    """The functions before they are made orthogonal and scaled."""
    if not state["tensor"]:
        (margin,) = state["margins"]
        return _straight(points, margin), [_bending(points, margin)]
    flat, bent = [], []
    for j, margin in enumerate(state["margins"]):
        line = (_straight(points[:, [j]], margin) - margin["mean"]) / margin["spread"]
        flat.append(np.column_stack([np.ones(len(points)), line]))
        bent.append(_bending(points[:, [j]], margin))
    straight = _products(flat[0], flat[1])[:, 1:]
    return straight, [_products(bent[0], bent[1]), _products(bent[0], flat[1]), _products(flat[0], bent[1])]


def _products(a: Array, b: Array) -> Array:
    """Every column of a times every column of b."""
    return np.asarray((a[:, :, None] * b[:, None, :]).reshape(len(a), -1))
