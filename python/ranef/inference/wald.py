"""Wald tests and intervals: (estimate - null) / standard error against t or, with infinite df, the normal.

scipy.special is loaded when the first p-value or quantile is asked for.
"""

from __future__ import annotations

import numpy as np

from ranef.errors import ModelError


def p_value(statistic: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Two-sided p-value, 2 P(T_df <= -|t|), elementwise; the normal where df is infinite."""
    from scipy.special import ndtr, stdtr

    statistic, df = np.broadcast_arrays(np.asarray(statistic, float), np.asarray(df, float))
    normal = 2.0 * ndtr(-np.abs(statistic))
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isfinite(df), 2.0 * stdtr(finite, -np.abs(statistic)), normal)


def quantile(level: float, df: np.ndarray | float = np.inf) -> np.ndarray:
    """Half-width of a two-sided interval in standard errors: the (1 + level)/2 quantile of t_df.

    Raises
    ------
    ModelError
        When `level` is not between 0 and 1.

    Examples
    --------
    >>> round(float(quantile(0.95)), 4)
    1.96
    """
    from scipy.special import ndtri, stdtrit

    if isinstance(level, bool) or not isinstance(level, int | float) or not 0.0 < level < 1.0:
        raise ModelError(f"level={level!r}: give a number between 0 and 1, e.g. 0.95")
    upper = 0.5 + level / 2.0
    df = np.asarray(df, float)
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isfinite(df), stdtrit(finite, upper), ndtri(upper))
