"""Estimates with their intervals, one below the other: contrasts and marginal means at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.plots.canvas import BLUE, GREY, TICK, finish, panels, room_for, shortened
from ranef.prediction.effect_terms import told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More rows than this cannot be read, whatever the height.
MOST_ROWS = 80


def estimates(
    columns: Mapping[str, Sequence[Any]],
    labels: Sequence[str],
    head: str,
    null: float | None,
    logarithmic: bool,
    ax: Axes | None = None,
) -> Figure:
    """Draw the estimates and return the figure.

    Parameters
    ----------
    columns : mapping
        The columns named in `labels`, the estimate `head`, conf_low, conf_high.
    labels : sequence of str
    head : str
    null : float or None
        A dotted line, from which intervals that lie apart are blue and filled; none for means.
    logarithmic : bool
        Whether the axis is, as for ratios.
    ax : axes, optional
    """
    n = len(columns[head])
    if n > MOST_ROWS:
        raise ModelError(f"plot() draws up to {MOST_ROWS} estimates, and there are {n}; ask for fewer, or use table.")
    values, low, high = (np.array(columns[name], float) for name in (head, "conf_low", "conf_high"))
    names = shortened([", ".join(told([columns[name][i] for name in labels])) for i in range(n)], 44)
    figure, (axis,) = panels(ax, 1, (4.2 + min(2.6, room_for(names)), 1.1 + 0.27 * n), "plot()")
    place = np.arange(n)[::-1]
    apart = np.ones(n, bool) if null is None else (low > null) | (high < null)
    reach = np.r_[low[np.isfinite(low)], high[np.isfinite(high)], values[np.isfinite(values)]]
    ends = (reach.min(), reach.max()) if len(reach) else (0.0, 1.0)
    for chosen, colour, face in ((~apart, GREY, "white"), (apart, BLUE, BLUE)):
        drawn = chosen & np.isfinite(values)
        axis.hlines(
            place[drawn], low[drawn].clip(min=ends[0]), high[drawn].clip(max=ends[1]), color=colour, linewidth=1.4
        )
        axis.plot(values[drawn], place[drawn], "o", color=colour, markerfacecolor=face, markersize=5)
    if null is not None:
        axis.axvline(null, color="black", linewidth=0.8, linestyle=":", zorder=1)
    if logarithmic:
        from matplotlib.ticker import LogLocator, NullFormatter

        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_yticks(place, names)
    axis.set_ylim(-0.7, n - 0.3)
    finish(axis, None, head.replace("_", " "))
    axis.tick_params(axis="x", labelsize=TICK, which="both")
    return figure
