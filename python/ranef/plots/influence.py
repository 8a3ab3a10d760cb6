"""Cook's distance of rows or groups: points in their order, or for few groups a line each, sorted by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ranef.inference.influence import Deletion
from ranef.plots.canvas import BLUE, GREY, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Groups up to which each has a line with its name.
MANY = 40
# Points that carry a name where there are more.
NAMED = 5


def influence(found: Deletion, ax: Axes | Any = None) -> Figure:
    """Draw Cook's distances and return the figure."""
    count = len(found.sets.names)
    sorted_lines = found.sets.kind != "row" and count <= MANY
    if ax is None:
        figure, (ax,) = new_axes(1, 1, 5.0, max(2.4, 0.19 * count + 0.9) if sorted_lines else 3.2)
    else:
        figure = cast("Figure", ax.figure)
    distance = np.where(np.isfinite(found.cooks_distance), found.cooks_distance, np.nan)
    limit = 4.0 / count
    if sorted_lines:
        order = np.argsort(np.nan_to_num(distance, nan=-1.0), kind="stable")
        places = np.arange(count)
        colors = [BLUE if distance[j] > limit else GREY for j in order]
        ax.hlines(places, 0.0, distance[order], colors=colors, linewidth=1.2)
        ax.scatter(distance[order], places, c=colors, s=14, zorder=3)
        ax.set_yticks(places, [str(found.sets.names[j]) for j in order])
        ax.axvline(limit, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_xlabel("Cook's distance")
        ax.set_ylabel(found.sets.kind)
        ax.set_xlim(left=0.0)
    else:
        places = np.asarray(found.sets.names) if found.sets.kind == "row" else np.arange(count)
        colors = [BLUE if value > limit else GREY for value in distance]
        ax.vlines(places, 0.0, distance, colors=colors, linewidth=0.7)
        ax.scatter(places, distance, c=colors, s=6, zorder=3)
        for j in np.argsort(-np.nan_to_num(distance, nan=-1.0), kind="stable")[:NAMED]:
            if distance[j] > limit:
                where = (places[j], distance[j])
                ax.annotate(str(found.sets.names[j]), where, (3, 2), textcoords="offset points", fontsize=7)
        ax.axhline(limit, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_xlabel("row" if found.sets.kind == "row" else found.sets.kind)
        ax.set_ylabel("Cook's distance")
        ax.set_ylim(bottom=0.0)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=7)
    return figure
