"""p-values of many tests, adjusted one after the other in the order of their size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjusted so that the chance of any false rejection keeps its level (Holm 1979, Scand. J. Statistics 6, 65-70)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    return _back(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), order)


def benjamini_hochberg(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjusted so that the share of false rejections keeps its level (Benjamini & Hochberg 1995, JRSS B 57, 289)."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _back(np.minimum.accumulate(steps[::-1])[::-1], order)


def _back(stepped: np.ndarray, order: np.ndarray) -> np.ndarray:
    """In the order in which they came, one at the most."""
    found = np.empty(len(order))
    found[order] = np.minimum(1.0, stepped)
    return found
