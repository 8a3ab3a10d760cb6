"""Power against what varies, with exact intervals, and a line at 80 %."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.inference.power import PowerCurve
from ranef.plots.canvas import BLUE, GREY, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, for the curves beyond the first.
COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def power_curve(found: PowerCurve, ax: Axes | Any = None) -> Figure:
    """Draw the curve, a line for each combination of what varies besides the first, and return the figure."""
    axis: Any = new_axes(1, 1, 4.8, 3.4)[1][0] if ax is None else ax
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
        colour = COLOURS[k % len(COLOURS)]
        axis.errorbar(x, y, errors, fmt="o-", color=colour, markersize=4, linewidth=1.3, capsize=2.5, label=label)
    axis.axhline(0.8, color=GREY, linewidth=0.8, linestyle="--")
    axis.axhline(found.alpha, color=GREY, linewidth=0.6, linestyle=":")
    axis.set_ylim(0.0, 1.02)
    axis.set_xlabel(f"levels of {across}" if across in found.groups else across)
    axis.set_ylabel(f"power of the test of {found.what.label}")
    if others:
        axis.legend(fontsize=7, frameon=False)
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)
    return axis.figure
