"""Normal QQ plots: sorted values against normal quantiles, with a pointwise band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranef.plots.canvas import BLUE, GREY, MANY, finish

# Of many values all of these at either end are drawn, and so many between.
_TAIL, _BETWEEN = 200, 1000


def qq_columns(values: np.ndarray, level: float = 0.95) -> dict[str, np.ndarray]:
    """Columns theoretical, sample, conf_low, conf_high, ascending.

    The band holds each value of a standard normal sample with probability `level`: the order statistics of a uniform
    one have beta distributions.
    """
    from scipy.special import betaincinv, ndtri

    values = np.sort(np.asarray(values, float)[np.isfinite(values)])
    n = len(values)
    i = np.arange(1.0, n + 1.0)
    low, high = (ndtri(betaincinv(i, n + 1.0 - i, p)) for p in ((1.0 - level) / 2.0, (1.0 + level) / 2.0))
    return {"theoretical": ndtri((i - 0.5) / n), "sample": values, "conf_low": low, "conf_high": high}


def draw_qq(axis: Any, columns: Mapping[str, np.ndarray], label: str, title: str | None = None) -> None:
    """Draw the columns; of many values the ends and some between."""
    n = len(columns["sample"])
    shown = np.arange(n)
    if n > MANY:
        shown = np.unique(np.r_[shown[:_TAIL], np.linspace(0, n - 1, _BETWEEN, dtype=int), shown[-_TAIL:]])
    quantile, sample, low, high = (
        np.asarray(columns[k], float)[shown] for k in ("theoretical", "sample", "conf_low", "conf_high")
    )
    axis.fill_between(quantile, low, high, color=GREY, alpha=0.25, linewidth=0)
    axis.plot(quantile, quantile, color=GREY, linewidth=0.8)
    size = 3.5 if n <= 300 else 2.5
    axis.plot(quantile, sample, "o", color=BLUE, markersize=size, markeredgewidth=0, zorder=3)
    finish(axis, title, "normal quantile", label)
