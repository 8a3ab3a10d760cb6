"""Sets of contrasts of k means: for each, a name and k coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranef.errors import ModelError

METHODS = ("pairwise", "revpairwise", "trt.vs.ctrl", "eff", "poly", "consec", "identity")
_ALSO = {
    "tukey": "pairwise",
    "dunnett": "trt.vs.ctrl",
    "trt_vs_ctrl": "trt.vs.ctrl",
    "trt.vs.ctrl1": "trt.vs.ctrl",
    "reference": "trt.vs.ctrl",
    "effect": "eff",
    "sequential": "consec",
}
# How the tests of a method are adjusted unless the caller says otherwise.
DEFAULT_ADJUSTMENT = {
    "pairwise": "tukey",
    "revpairwise": "tukey",
    "trt.vs.ctrl": "dunnett",
    "consec": "mvt",
    "eff": "fdr",
}
# The largest coefficient of a contrast, whose variance is a number too.
MOST = 1e100
_POLYNOMIALS = ("linear", "quadratic", "cubic", "quartic")

Contrasts = tuple[list[str], np.ndarray]


def method_named(method: Any) -> Any:
    """A method by its name in any of its spellings; coefficients of the caller's own as they are."""
    if not isinstance(method, str):
        return method
    word = _ALSO.get(method.lower(), method.lower())
    if word not in METHODS:
        known = ", ".join(map(repr, METHODS))
        raise ModelError(f"method={method!r}: give one of {known}, a dict of coefficients by name, or a matrix.")
    return word


def contrasts_of(method: Any, labels: Sequence[str], ratio: bool = False, reference: int | str = 0) -> Contrasts:
    """Names and coefficients (m, k) of a method over k means.

    Parameters
    ----------
    method : str, dict or array
        One of `METHODS`; coefficients by name; or a matrix, a row a contrast.
    labels : sequence of str
        Of the means.
    ratio : bool
        Whether the contrasts will be told as ratios, "a / b", instead of differences, "a - b".
    reference : int or str
        The mean that "trt.vs.ctrl" compares with, by place or label.

    Examples
    --------
    >>> contrasts_of("pairwise", ["a", "b", "c"])[0]
    ['a - b', 'a - c', 'b - c']
    """
    method = method_named(method)
    labels = [f"({text})" if any(mark in text for mark in "+-*/") else text for text in labels]
    k = len(labels)
    between = " / " if ratio else " - "
    rows: list[np.ndarray] = []
    names: list[str] = []

    def add(plus: int, minus: int) -> None:
        row = np.zeros(k)
        row[plus], row[minus] = 1.0, -1.0
        rows.append(row)
        names.append(f"{labels[plus]}{between}{labels[minus]}")

    if not isinstance(method, str):
        return _own(method, k)
    if method == "pairwise":
        for i in range(k):
            for j in range(i + 1, k):
                add(i, j)
    elif method == "revpairwise":
        for i in range(1, k):
            for j in range(i):
                add(i, j)
    elif method == "trt.vs.ctrl":
        control = _place(reference, labels)
        for i in range(k):
            if i != control:
                add(i, control)
    elif method == "consec":
        for i in range(1, k):
            add(i, i - 1)
    elif method == "eff":
        rows = list(np.eye(k) - 1.0 / k)
        names = [f"{text} effect" for text in labels]
    elif method == "identity":
        rows, names = list(np.eye(k)), list(labels)
    else:
        return _polynomials(k)
    return names, np.array(rows).reshape(len(names), k)


def _place(reference: int | str, labels: Sequence[str]) -> int:
    if isinstance(reference, str):
        known = [text.strip("()") for text in labels]
        if reference not in known:
            raise ModelError(f"reference={reference!r} is none of {', '.join(known)}.")
        return known.index(reference)
    if isinstance(reference, bool) or not isinstance(reference, int) or not -len(labels) <= reference < len(labels):
        raise ModelError(f"reference={reference!r}: give a label, or a place from 0 to {len(labels) - 1}.")
    return reference % len(labels)


def _own(method: Any, k: int) -> Contrasts:
    if isinstance(method, Mapping):
        names, given = [str(name) for name in method], list(method.values())
    else:
        try:
            given = np.atleast_2d(np.asarray(method, float)).tolist()
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"contrasts(method=<{type(method).__name__}>): give one of {', '.join(map(repr, METHODS))}, or {k} "
                "coefficients for each contrast, one for each mean."
            ) from error
        names = [f"C{j + 1}" for j in range(len(given))]
    try:
        matrix = np.array([np.asarray(row, float) for row in given])
    except (TypeError, ValueError) as error:
        raise ModelError(f"contrasts(): coefficients are {k} numbers for each contrast, one for each mean.") from error
    if not (np.abs(matrix) <= MOST).all():
        raise ModelError(f"contrasts(): a coefficient is not finite, or beyond {MOST:g}; give smaller numbers.")
    if matrix.ndim != 2 or matrix.shape[1] != k:
        found = len(given[0]) if given and hasattr(given[0], "__len__") else 1
        raise ModelError(f"contrasts(): there are {k} means, and a contrast has {found} coefficients.")
    return names, matrix


def _polynomials(k: int) -> Contrasts:
    """Orthogonal polynomials over equally spaced means, in whole numbers as in the tables."""
    place = np.arange(k) - (k - 1) / 2.0
    basis, _ = np.linalg.qr(np.vander(place, min(k, 7), increasing=True))
    rows, names = [], []
    for degree in range(1, min(k, 7)):
        row = basis[:, degree] * np.sign(basis[-1, degree])
        rows.append(_whole(row))
        names.append(_POLYNOMIALS[degree - 1] if degree <= 4 else f"degree {degree}")
    return names, np.array(rows)


def _whole(row: np.ndarray) -> np.ndarray:
    """The smallest multiple of a row that is all whole numbers; the row itself where none below 1000 is."""
    least = np.abs(row[np.abs(row) > 1e-9]).min()
    for times in range(1, 1000):
        scaled = row / least * times
        if np.abs(scaled - np.round(scaled)).max() < 1e-6:
            return np.asarray(np.round(scaled))
    return row
