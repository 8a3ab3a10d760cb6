"""Observed responses beside those the model draws: a rootogram for counts, a histogram with its band for others.

Kleiber & Zeileis (2016), The American Statistician 70, 296-303.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.fitting import FittedModel
from ranef.plots.canvas import BLUE, GREY, NAMED, ORANGE, finish, legend, name_levels, panels
from ranef.simulation import simulated_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Draws, and of many rows fewer; bars of a rootogram; supports whose values are counted one by one.
DRAWS, FEWER_ABOVE, FEWER = 100, 50_000, 20
BARS = 40
COUNTED = ("counts", "positive_counts", "trials", "ordered")


def response_columns(record: FittedModel, seed: int = 1) -> dict[str, Any]:
    """Columns from, to, observed, expected, conf_low, conf_high: numbers of rows with a response in each interval.

    Responses are drawn with new random effects. The band is where 95 % of the draws are.
    """
    draws = simulated_numbers(record, DRAWS if record.nobs <= FEWER_ABOVE else FEWER, seed, "new")
    observed = np.asarray(record.design.response.y, float)
    return binned(observed, np.asarray(draws, float), record.model.family.support in COUNTED)


def binned(observed: np.ndarray, draws: np.ndarray, counted: bool) -> dict[str, np.ndarray]:
    """Numbers of observed and drawn responses in intervals; large counts share one."""
    if counted:
        low, top = float(observed.min()), float(np.quantile(observed, 0.995))
        low = min(low, 0.0) if low <= 1.0 and top > 1.0 and (draws == 0).any() else low
        width = max(1.0, math.ceil((top - low + 1.0) / BARS))
        edges = np.arange(low - 0.5, top + width + 0.5, width)
    else:
        edges = np.histogram_bin_edges(observed, min(60, max(10, int(2.0 * len(observed) ** 0.4))))
        # Draws may reach farther than the data.
        low, top = np.quantile(draws, [0.001, 0.999])
        step = float(edges[1] - edges[0])
        # But not so far that the data are a spike.
        reach = edges[-1] - edges[0]
        below = math.ceil(max(0.0, edges[0] - max(low, edges[0] - reach)) / step)
        above = math.ceil(max(0.0, min(top, edges[-1] + reach) - edges[-1]) / step)
        edges = edges[0] + step * np.arange(-below, len(edges) + above)
    heights = np.array([np.histogram(draws[:, j], edges)[0] for j in range(draws.shape[1])], float)
    low_band, high_band = np.quantile(heights, [0.025, 0.975], axis=0)
    return {
        "from": edges[:-1],
        "to": edges[1:],
        "observed": np.histogram(observed, edges)[0].astype(float),
        "expected": heights.mean(axis=0),
        "conf_low": low_band,
        "conf_high": high_band,
    }


def responses(
    record: FittedModel, columns: Mapping[str, Any], ax: Axes | Any = None, title: str | None = None
) -> Figure:
    """Draw the columns and return the figure."""
    figure, (axis,) = panels(ax, 1, (4.8, 3.6), "plot.responses()")
    if record.model.family.support in COUNTED:
        rootogram(axis, columns)
        categories = record.design.response.levels if record.model.family.ordinal else None
        if categories and len(categories) <= NAMED:
            name_levels(axis, categories, "category")
            axis.set_xticks(np.arange(1, len(categories) + 1), [text.get_text() for text in axis.get_xticklabels()])
    else:
        histogram(axis, columns, record.formula.partition("~")[0].strip())
    finish(axis, title, axis.get_xlabel(), axis.get_ylabel())
    return figure


def rootogram(axis: Any, columns: Mapping[str, np.ndarray]) -> None:
    """Square roots of frequencies: bars hang from the expected ones; those that miss the band at zero are off."""
    left, right, seen, expected, low, high = (np.asarray(columns[k], float) for k in columns)
    seen, expected, low, high = (np.sqrt(v) for v in (seen, expected, low, high))
    middle, width = (left + right) / 2.0, float(right[0] - left[0])
    axis.bar(middle, seen, width * 0.85, bottom=expected - seen, color=BLUE, alpha=0.6, label="observed")
    axis.plot(middle, expected, color=ORANGE, marker="o", markersize=2.5, linewidth=1.2, label="expected")
    axis.fill_between(
        np.r_[left[0], np.repeat(right[:-1], 2), right[-1]],
        np.repeat(expected - high, 2),
        np.repeat(expected - low, 2),
        color=GREY,
        alpha=0.4,
        linewidth=0,
        label="95 % of draws",
        zorder=0.5,
    )
    axis.axhline(0.0, color="black", linewidth=0.8)
    axis.set_xlabel("count" if width == 1.0 else f"count, in steps of {width:.0f}")
    axis.set_ylabel("square root of the number of rows")
    axis.set_xlim(left[0] - 0.02 * (right[-1] - left[0]), right[-1] + 0.02 * (right[-1] - left[0]))
    if width == 1.0:
        from matplotlib.ticker import MaxNLocator

        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(axis)


def histogram(axis: Any, columns: Mapping[str, np.ndarray], name: str) -> None:
    """Numbers of rows, and the band in which those of the model are."""
    left, right, seen, expected, low, high = (np.asarray(columns[k], float) for k in columns)
    edges = np.r_[left, right[-1]]
    axis.stairs(high, edges, baseline=low, color=GREY, alpha=0.35, fill=True, linewidth=0, label="95 % of draws")
    axis.stairs(expected, edges, color=ORANGE, linewidth=1.2, label="expected")
    axis.stairs(seen, edges, color=BLUE, linewidth=1.5, label="observed")
    axis.set_ylim(bottom=0.0)
    axis.set_xlabel(name)
    axis.set_ylabel("rows")
    legend(axis)
