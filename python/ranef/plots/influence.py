"""Cook's distance of rows or groups: points in their order, or for few groups a line each, sorted by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.inference.influence import Deletion
from ranef.plots.canvas import BLUE, GREY, LONGEST, SMALL, finish, panels, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Groups up to which each has a line with its name.
MANY = 40
# Points that carry a name where there are more.
NAMED = 5
LABELLED = "Cook's distance (dotted: 4/n)"
# Points above which those below the limit are thinned to so many.
MOST_POINTS = 5_000


def influence(found: Deletion, ax: Axes | Any = None, most: int = MANY) -> Figure:
    """Draw Cook's distances and return the figure; of more than `most` groups with a line each the largest ones."""
    count = len(found.sets.names)
    sorted_lines = found.sets.kind != "row" and count <= MANY
    height = max(2.4, 0.19 * count + 0.9) if sorted_lines else 3.2
    figure, (axis,) = panels(ax, 1, (5.0, height), "influence().plot()")
    distance = np.where(np.isfinite(found.cooks_distance), found.cooks_distance, np.nan)
    limit = 4.0 / count
    kind = found.sets.kind
    if sorted_lines:
        order = np.argsort(np.nan_to_num(distance, nan=-1.0), kind="stable")[-most:]
        places = np.arange(len(order))
        colors = [BLUE if distance[j] > limit else GREY for j in order]
        axis.hlines(places, 0.0, distance[order], colors=colors, linewidth=1.2)
        axis.scatter(distance[order], places, c=colors, s=14, zorder=3)
        small = 6.0 if len(order) > 20 else SMALL
        axis.set_yticks(
            places, shortened([found.sets.names[j] for j in order], LONGEST if most == MANY else LONGEST // 2)
        )
        axis.axvline(limit, color=GREY, linewidth=0.8, linestyle=":")
        axis.set_xlim(left=0.0)
        axis.set_ylim(-0.8, len(order) - 0.2)
        finish(
            axis,
            None,
            "Cook's distance (dotted: 4/n)",
            kind if len(order) == count else f"{kind}: {len(order)} of {count} levels",
        )
        axis.tick_params(axis="y", labelsize=small)
        return figure
    places = np.asarray(found.sets.names) if kind == "row" else np.arange(count)
    high = distance > limit
    low = np.flatnonzero(~high)
    if len(low) > MOST_POINTS:
        # What lies below the limit makes a bar whatever its points are: its highest ones, in even steps.
        parts = np.array_split(low, MOST_POINTS // 2)
        low = np.array([part[int(np.argmax(np.nan_to_num(distance[part])))] for part in parts])
    shown = np.sort(np.r_[low, np.flatnonzero(high)])
    colors = [BLUE if value > limit else GREY for value in distance[shown]]
    axis.vlines(places[shown], 0.0, distance[shown], colors=colors, linewidth=0.7, rasterized=len(shown) > 2_000)
    axis.scatter(places[shown], distance[shown], c=colors, s=6, zorder=3, rasterized=len(shown) > 2_000)
    top = float(np.nanmax(distance, initial=limit)) * 1.12
    middle = float(np.mean([places[0], places[-1]])) if count else 0.0
    told: list[int] = []
    for j in np.argsort(-np.nan_to_num(distance, nan=-1.0), kind="stable")[:NAMED]:
        near = any(
            abs(places[j] - places[k]) < 0.12 * count and abs(distance[j] - distance[k]) < 0.08 * top for k in told
        )
        if distance[j] > limit and not near:
            told.append(int(j))
            # Names stand towards the middle, where there is room.
            left = places[j] > middle
            axis.annotate(
                shortened([found.sets.names[j]])[0],
                (places[j], distance[j]),
                (-3 if left else 3, 2),
                textcoords="offset points",
                fontsize=SMALL,
                ha="right" if left else "left",
            )
    axis.axhline(limit, color=GREY, linewidth=0.8, linestyle=":")
    axis.set_ylim(0.0, top)
    finish(
        axis,
        None,
        "row" if kind == "row" else f"{kind} ({count} levels in their order)",
        "Cook's distance (dotted: 4/n)",
    )
    return figure
