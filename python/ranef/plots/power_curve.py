"""Power against what varies, with exact intervals, and a line at 80 %."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.inference.power import PowerCurve
from ranef.plots.canvas import DASHES, GREY, MARKERS, PALETTE, finish, legend, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def power_curve(found: PowerCurve, ax: Axes | Any = None) -> Figure:
    """Draw the curve, a line for each combination of what varies besides the first, and return the figure."""
    figure, (axis,) = panels(ax, 1, (4.8, 3.4), "plot()")
    columns = {name: np.asarray(values, float) for name, values in found.columns.items()}
    moving = [name for name in found.varying if len(np.unique(columns[name])) > 1]
    across = moving[0] if moving else "rows"
    others = moving[1:]
    keys = list(zip(*(columns[name] for name in others), strict=True)) if others else [()] * len(columns["power"])
    for k, key in enumerate(dict.fromkeys(keys)):
        rows = [i for i, other in enumerate(keys) if other == key]
        rows.sort(key=lambda i: columns[across][i])
        x, y = columns[across][rows], columns["power"][rows]
        errors = [y - columns["conf_low"][rows], columns["conf_high"][rows] - y]
        label = ", ".join(f"{name} = {value:g}" for name, value in zip(others, key, strict=True)) or None
        colour = PALETTE[k % len(PALETTE)]
        mark = {"fmt": MARKERS[k % len(MARKERS)], "linestyle": DASHES[k % len(DASHES)], "color": colour}
        axis.errorbar(x, y, errors, markersize=4, linewidth=1.3, capsize=2.5, label=label, **mark)
    axis.axhline(0.8, color=GREY, linewidth=0.8, linestyle="--")
    axis.axhline(found.alpha, color=GREY, linewidth=0.6, linestyle=":")
    axis.set_ylim(0.0, 1.02)
    if others:
        legend(axis)
    finish(
        axis,
        None,
        f"levels of {across}" if across in found.groups else across,
        f"power of the test of {found.what.label}",
    )
    return figure
