"""Contrasts: which columns stand for a factor with k levels.

Full dummy coding has one column a level; beside an intercept a contrast has k - 1 columns, the rows of its matrix being
the levels. The five codings are R's ``contr.treatment``, ``contr.sum``, ``contr.helmert``, ``contr.poly`` and MASS's
``contr.sdif``; the names of the columns are formulaic's (``f[T.b]``, ``f[S.a]``, ``f[.L]``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranef.errors import DataError, did_you_mean

__all__ = ["CODINGS", "Contrast", "contrast_from"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contrast:
    """A coding, with what distinguishes it from its default.

    Attributes
    ----------
    coding : str
        ``"treatment"``, ``"sum"``, ``"helmert"``, ``"poly"``, ``"sdif"`` or ``"matrix"``.
    base : str or None
        The reference level of treatment coding; the first by default.
    scores : tuple of float or None
        The positions of the levels for polynomial coding; 1, 2, ..., k by default.
    matrix : tuple of tuple of float or None
        A coding of the caller's own, a row a level.
    """

    coding: str
    base: str | None = None
    scores: tuple[float, ...] | None = None
    matrix: tuple[tuple[float, ...], ...] | None = None

    def base_of(self, name: str, levels: tuple[str, ...]) -> int:
        """Position of the reference level of treatment coding."""
        base = levels[0] if self.base is None else self.base
        if base not in levels:
            raise DataError(f"the base level '{base}' is not a level of `{name}`; {did_you_mean(base, levels)}")
        return levels.index(base)

    def columns(self, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
        """Return the (k, k - 1) matrix and the labels that follow the factor's name.

        Raises
        ------
        DataError
            When the factor has one level, or not those the contrast speaks of.
        """
        if len(levels) < 2:
            raise DataError(
                f"`{name}` has {len(levels)} level{'' if len(levels) == 1 else 's'}"
                f"{f' ({levels[0]})' if levels else ''}; a factor needs at least 2 to have an effect. "
                f"Drop `{name}` from the formula or check the column."
            )
        return CODINGS[self.coding](self, name, levels)


def _treatment(contrast: Contrast, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
    """Each level against the base: an indicator for every level but that one."""
    base = contrast.base_of(name, levels)
    others = [k for k in range(len(levels)) if k != base]
    return np.eye(len(levels))[:, others], [f"[T.{levels[k]}]" for k in others]


def _sum(contrast: Contrast, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
    """Each level but the last against the mean of all: the last row is -1."""
    matrix = np.eye(len(levels), len(levels) - 1)
    matrix[-1] = -1.0
    return matrix, [f"[S.{level}]" for level in levels[:-1]]


def _helmert(contrast: Contrast, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
    """Each level against the mean of those before it: -1 above, j on the level itself."""
    k = len(levels)
    matrix = np.where(np.arange(k)[:, None] <= np.arange(k - 1)[None, :], -1.0, 0.0)
    matrix[np.arange(1, k), np.arange(k - 1)] = np.arange(1, k)
    return matrix, [f"[H.{level}]" for level in levels[1:]]


def _poly(contrast: Contrast, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
    """Orthonormal polynomials in the positions of the levels, degrees 1 to k - 1, increasing leading coefficient.

    Each degree is the one below times the centred scores, made orthogonal to all lower degrees.
    """
    k = len(levels)
    scores = np.arange(1.0, k + 1) if contrast.scores is None else np.array(contrast.scores, dtype=float)
    if len(scores) != k or len(set(scores.tolist())) != k:
        shown = ", ".join(f"{score:g}" for score in scores)
        raise DataError(f"the scores of `{name}` must be {k} different numbers, one a level, not {shown}")
    centred = (scores - scores.mean()) / np.ptp(scores)
    orthogonal = np.empty((k, k))
    orthogonal[:, 0] = 1.0 / np.sqrt(k)
    for degree in range(1, k):  # Gram-Schmidt against all lower degrees, twice for accuracy at many levels
        column = centred * orthogonal[:, degree - 1]
        for _ in range(2):
            column = column - orthogonal[:, :degree] @ (orthogonal[:, :degree].T @ column)
        orthogonal[:, degree] = column / np.linalg.norm(column)
    labels = [{1: "[.L]", 2: "[.Q]", 3: "[.C]"}.get(degree, f"[^{degree}]") for degree in range(1, k)]
    return orthogonal[:, 1:], labels


def _successive(contrast: Contrast, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
    """Each level against the one before it (MASS's contr.sdif)."""
    k = len(levels)
    step = np.arange(1, k) / k
    matrix = np.where(np.arange(k)[:, None] <= np.arange(k - 1)[None, :], step - 1.0, step)
    return matrix, [f"[D.{level}]" for level in levels[1:]]


def _matrix(contrast: Contrast, name: str, levels: tuple[str, ...]) -> tuple[Array, list[str]]:
    """The caller's own matrix."""
    matrix = np.array(contrast.matrix, dtype=float)
    k = len(levels)
    if matrix.ndim != 2 or matrix.shape[0] != k or not 1 <= matrix.shape[1] < k:
        raise DataError(
            f"the contrast matrix of `{name}` must have {k} rows, one a level, and at most {k - 1} columns; "
            f"its shape is {matrix.shape}"
        )
    return matrix, [f"[{j + 1}]" for j in range(matrix.shape[1])]


#: Name of a coding -> (contrast, factor name, levels) -> matrix and labels.
CODINGS: dict[str, Callable[[Contrast, str, tuple[str, ...]], tuple[Array, list[str]]]] = {
    "treatment": _treatment,
    "sum": _sum,
    "helmert": _helmert,
    "poly": _poly,
    "sdif": _successive,
    "matrix": _matrix,
}

_OTHER_NAMES = {"diff": "sdif", "deviation": "sum", "polynomial": "poly"}


def contrast_from(value: object, name: str) -> Contrast:
    """Read what a user gave as contrast of a factor.

    Parameters
    ----------
    value : str, Contrast or array_like
        The name of a coding (``"sum"``, ``"contr.sum"``) or a matrix with a row a level.
    name : str
        The factor, for the error text.

    Returns
    -------
    Contrast

    Raises
    ------
    DataError
        When it is neither.

    Examples
    --------
    >>> contrast_from("contr.sum", "f").coding
    'sum'
    """
    if isinstance(value, Contrast):
        return value
    if isinstance(value, str):
        word = value.removeprefix("contr.").lower()
        word = _OTHER_NAMES.get(word, word)
        if word in CODINGS and word != "matrix":
            return Contrast(word)
        known = [coding for coding in CODINGS if coding != "matrix"]
        raise DataError(f"no contrasts are called '{value}' (asked for `{name}`); {did_you_mean(word, known)}")
    if isinstance(value, np.ndarray | Sequence):
        try:
            rows = np.array(value, dtype=float)
        except (TypeError, ValueError):
            rows = np.empty(0)
        if rows.ndim == 2 and np.isfinite(rows).all():
            return Contrast("matrix", matrix=tuple(tuple(float(v) for v in row) for row in rows))
    raise DataError(
        f"contrasts of `{name}` are given by name ('treatment', 'sum', 'helmert', 'poly', 'sdif') or as a matrix of "
        f"finite numbers with a row a level, not as {type(value).__name__}"
    )
