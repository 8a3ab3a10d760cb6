"""Smooths: a curve with its pointwise interval and the data's places along it, or a surface as contours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.fitting import FittedModel
from ranef.formula.design import SmoothTerm
from ranef.inference.smooths import chosen_smooths, smooth_curves, smooth_table, variables_of_smooth
from ranef.plots.canvas import BLUE, DIVERGING, GREY, SMALL, finish, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More ticks than this make a bar; a sample of them shows the same.
_MOST_TICKS = 1000


def smooth(
    record: FittedModel, name: str | None = None, ax: Axes | Sequence[Axes] | None = None, level: float = 0.95
) -> Figure:
    """Draw the smooths of that name, a panel each, and return the figure."""
    chosen = chosen_smooths(record, name)
    figure, axes = panels(
        ax, len(chosen), (3.6, 3.3), "plot.smooth()", "name one smooth, or give as many axes.", least=4.5
    )
    table = smooth_table(record)
    edf = dict(zip(zip(table["component"], table["smooth"], strict=True), table["edf"], strict=True))
    for axis, one in zip(axes, chosen, strict=False):
        title = f"{one.label}, edf {edf[one.component, one.label]:.1f}"
        _draw(axis, record, one, level)
        title += "" if one.component == "cond" else f" ({one.component})"
        finish(axis, title, axis.get_xlabel(), axis.get_ylabel())
    return figure


def _draw(axis: Any, record: FittedModel, one: SmoothTerm, level: float) -> None:
    curves = smooth_curves(record, one.label, level)
    mine = np.array([c == one.component and s == one.label for c, s in zip(*_keys(curves), strict=True)])
    x, z, estimate, low, high = (
        np.array(curves[key], float)[mine] for key in ("x", "z", "estimate", "conf_low", "conf_high")
    )
    places = record.design.smooth_points(one)
    names = variables_of_smooth(one)
    axis.set_xlabel(names[0])
    if len(names) == 2:
        from matplotlib.ticker import MaxNLocator

        across = np.unique(x)
        shape = (len(across), -1)
        surface = estimate.reshape(shape).T
        reach = float(np.abs(surface).max()) or 1.0
        levels = MaxNLocator(14, symmetric=True).tick_values(-reach, reach)
        colours = axis.contourf(across, np.unique(z), surface, levels=levels, cmap=DIVERGING, alpha=0.85)
        lines = axis.contour(across, np.unique(z), surface, levels=levels[::2], colors="black", linewidths=0.6)
        axis.clabel(lines, fontsize=SMALL)
        sample = places[:: max(1, len(places) // _MOST_TICKS)]
        axis.plot(sample[:, 0], sample[:, 1], ".", color="black", markersize=2, alpha=0.35)
        bar = axis.figure.colorbar(colours, ax=axis, shrink=0.8, pad=0.02)
        bar.set_label(f"{one.label}, link scale", fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
        axis.set_ylabel(names[1])
        return
    axis.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axis.plot(x, estimate, color=BLUE, linewidth=1.5)
    axis.axhline(0.0, color="black", linewidth=0.8, linestyle=":", zorder=1)
    distinct = np.unique(places[:, 0])
    ticks = distinct[:: max(1, len(distinct) // _MOST_TICKS)]
    axis.plot(ticks, np.zeros(len(ticks)), "|", color=GREY, markersize=6, transform=axis.get_xaxis_transform())
    axis.set_ylabel(f"{one.label}, link scale")


def _keys(curves: dict[str, list[Any]]) -> tuple[list[Any], list[Any]]:
    return curves["component"], curves["smooth"]
