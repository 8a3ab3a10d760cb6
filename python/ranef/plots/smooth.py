"""Smooths: a curve with its pointwise interval and the data's places along it, or a surface as contours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.design import SmoothTerm
from ranef.inference.smooths import chosen_smooths, smooth_curves, smooth_table, variables_of_smooth
from ranef.plots.canvas import BLUE, GREY, new_axes

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
    if ax is None:
        across = min(len(chosen), 3)
        down = -(-len(chosen) // across)
        figure, axes = new_axes(down, across, max(4.5, 3.6 * across), 3.3 * down)
        for spare in axes[len(chosen) :]:
            spare.remove()
    else:
        axes = [ax] if hasattr(ax, "plot") else list(ax)
        if len(axes) != len(chosen):
            raise ModelError(
                f"plot.smooth() draws {len(chosen)} panels and was given {len(axes)} axes; name one smooth, or give as "
                "many axes."
            )
        figure = axes[0].figure
    table = smooth_table(record)
    edf = dict(zip(zip(table["component"], table["smooth"], strict=True), table["edf"], strict=True))
    for axis, one in zip(axes, chosen, strict=False):
        title = f"{one.label}, edf {edf[one.component, one.label]:.1f}"
        axis.set_title(title + ("" if one.component == "cond" else f" ({one.component})"), fontsize=10)
        _draw(axis, record, one, level)
    return figure


def _draw(axis: Any, record: FittedModel, one: SmoothTerm, level: float) -> None:
    curves = smooth_curves(record, one.label, level)
    mine = np.array([c == one.component and s == one.label for c, s in zip(*_keys(curves), strict=True)])
    x, z, estimate, low, high = (
        np.array(curves[key], float)[mine] for key in ("x", "z", "estimate", "conf_low", "conf_high")
    )
    places = record.design.smooth_points(one)
    names = variables_of_smooth(one)
    axis.set_xlabel(names[0], fontsize=9)
    axis.tick_params(labelsize=8)
    if len(names) == 2:
        across = np.unique(x)
        shape = (len(across), -1)
        axis.contourf(across, np.unique(z), estimate.reshape(shape).T, levels=12, cmap="viridis", alpha=0.85)
        lines = axis.contour(across, np.unique(z), estimate.reshape(shape).T, levels=6, colors="black", linewidths=0.6)
        axis.clabel(lines, fontsize=7)
        axis.plot(places[:, 0], places[:, 1], ".", color="white", markersize=2, alpha=0.6)
        axis.set_ylabel(names[1], fontsize=9)
        return
    axis.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axis.plot(x, estimate, color=BLUE, linewidth=1.5)
    axis.axhline(0.0, color="black", linewidth=0.8, linestyle=":", zorder=1)
    distinct = np.unique(places[:, 0])
    ticks = distinct[:: max(1, len(distinct) // _MOST_TICKS)]
    axis.plot(ticks, np.zeros(len(ticks)), "|", color=GREY, markersize=6, transform=axis.get_xaxis_transform())
    axis.set_ylabel(f"{one.label}, link scale", fontsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _keys(curves: dict[str, list[Any]]) -> tuple[list[Any], list[Any]]:
    return curves["component"], curves["smooth"]
