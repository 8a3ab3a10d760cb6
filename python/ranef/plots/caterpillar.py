"""Caterpillar plot: conditional modes of the random effects with intervals, sorted, a panel per group and term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.random_effects import conditional_modes
from ranef.plots.canvas import BLUE, GREY, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Above this many levels labels would overlap whatever the height: the panel then shows ranks.
MOST_LABELS = 60


def caterpillar_data(record: FittedModel, level: float = 0.95) -> dict[str, list[Any]]:
    """Conditional modes with a column `rank`, from 1 within each component, group and term."""
    columns = conditional_modes(record, level)
    ranks = np.zeros(len(columns["estimate"]), int)
    for rows in _panels(columns).values():
        order = np.argsort(np.array(columns["estimate"])[rows], kind="stable")
        ranks[np.array(rows)[order]] = np.arange(1, len(rows) + 1)
    return {**columns, "rank": ranks.tolist()}


def caterpillar(
    record: FittedModel, ax: Axes | Sequence[Axes] | None = None, group: str | None = None, level: float = 0.95
) -> Figure:
    """Draw the conditional modes and return the figure.

    Intervals that exclude zero are blue, the others grey; the marks differ too (filled, open).
    """
    columns = caterpillar_data(record, level)
    panels = {key: rows for key, rows in _panels(columns).items() if group in (None, key[1])}
    if not panels:
        known = ", ".join(repr(g) for g in record.ngroups) or "none"
        raise ModelError(f"plot.ranef(group={group!r}): no such grouping factor; there are: {known}.")
    if ax is None:
        tallest = max(len(rows) for rows in panels.values())
        across = min(len(panels), 3)
        down = -(-len(panels) // across)
        height = 1.2 + (0.2 * tallest if tallest <= MOST_LABELS else 5.0)
        figure, axes = new_axes(down, across, max(4.5, 3.4 * across), height * down)
        for spare in axes[len(panels) :]:
            spare.remove()
    else:
        axes = [ax] if hasattr(ax, "plot") else list(ax)
        if len(axes) != len(panels):
            raise ModelError(
                f"plot.ranef() draws {len(panels)} panels and was given {len(axes)} axes; give group=, or as many axes."
            )
        figure = axes[0].figure
    for axis, (key, rows) in zip(axes, panels.items(), strict=False):
        _draw(axis, columns, rows, key)
    return figure


def _panels(columns: dict[str, list[Any]]) -> dict[tuple[str, str, str], list[int]]:
    panels: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(columns["component"], columns["group"], columns["term"], strict=True)):
        panels.setdefault(key, []).append(i)
    return panels


def _draw(axis: Any, columns: dict[str, list[Any]], rows: list[int], key: tuple[str, str, str]) -> None:
    place = np.array(columns["rank"])[rows]
    estimate, low, high = (np.array(columns[name], float)[rows] for name in ("estimate", "conf_low", "conf_high"))
    apart = (low > 0) | (high < 0)
    many = len(rows) > MOST_LABELS
    # Hundreds of intervals make a band: a pale one, so that the modes stand out on it.
    width, size, alpha = (0.6, 1.6, 0.35) if many else (1.2, 4.5, 1.0)
    for chosen, colour, face in ((~apart, GREY, "white"), (apart, BLUE, BLUE)):
        axis.hlines(place[chosen], low[chosen], high[chosen], color=colour, linewidth=width, alpha=alpha, zorder=2)
        axis.plot(
            estimate[chosen],
            place[chosen],
            "o",
            color=colour,
            markerfacecolor=colour if many else face,
            markersize=size,
            zorder=3,
        )
    axis.axvline(0.0, color="black", linewidth=0.8, linestyle=":", zorder=1)
    component, group, term = key
    axis.set_title(f"{group}: {term}" + ("" if component == "cond" else f" ({component})"), fontsize=10)
    axis.set_xlabel("conditional mode, link scale", fontsize=9)
    axis.set_ylim(0.0, len(rows) + 1.0)
    if many:
        axis.set_ylabel(f"rank of {len(rows)} levels", fontsize=9)
    else:
        order = np.argsort(place)
        axis.set_yticks(
            place[order], [str(np.array(columns["level"], dtype=object)[rows][i]) for i in order], fontsize=7
        )
    axis.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
