"""Effects: a line with its band along a number, points with intervals along the levels of a factor.

Colours (and dashes and marks) tell the second variable, panels the third and the fourth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.plots.canvas import DASHES, GREY, MARKERS, PALETTE, new_axes
from ranef.prediction.effect_terms import told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More ticks than this make a bar; a sample of them shows the same.
_MOST_TICKS = 1000
# Levels drawn at one place stand this far apart, of the distance between places.
_DODGE = 0.16


def effects(
    columns: Mapping[str, Sequence[Any]],
    terms: Sequence[str],
    label: str,
    ax: Axes | Sequence[Axes] | None = None,
    places: np.ndarray | None = None,
    points: tuple[np.ndarray, np.ndarray] | None = None,
) -> Figure:
    """Draw predictions along the terms and return the figure.

    Parameters
    ----------
    columns : mapping
        The terms, estimate, conf_low, conf_high.
    terms : sequence of str
        The first along the axis, the second by colour, the others by panel.
    label : str
        Of the vertical axis.
    ax : axes, or a sequence with one for each panel, optional
    places : array, optional
        Values of the first variable in the data, shown as ticks.
    points : pair of arrays, optional
        Values of the first variable and the response in the data.
    """
    n = len(columns["estimate"])
    keys = list(zip(*(columns[name] for name in terms[2:]), strict=True)) if len(terms) > 2 else [()] * n
    panels = list(dict.fromkeys(keys))
    if ax is None:
        across = min(len(panels), 3)
        down = -(-len(panels) // across)
        share = {"sharex": True, "sharey": True} if len(panels) > 1 else {}
        figure, axes = new_axes(down, across, max(4.8, 3.2 * across + 1.0), 3.4 * down, **share)
        for spare in axes[len(panels) :]:
            spare.remove()
    else:
        axes = [ax] if hasattr(ax, "plot") else list(ax)
        if len(axes) != len(panels):
            raise ModelError(f"the effects have {len(panels)} panels and were given {len(axes)} axes; give as many.")
        figure = axes[0].figure
    for axis, panel in zip(axes, panels, strict=False):
        rows = [i for i in range(n) if keys[i] == panel]
        if panel:
            axis.set_title(
                ", ".join(f"{name} = {told([v])[0]}" for name, v in zip(terms[2:], panel, strict=True)), fontsize=9
            )
        _draw(axis, columns, rows, terms, places, points)
        axis.set_xlabel(terms[0], fontsize=9)
        axis.set_ylabel(label, fontsize=9)
        axis.tick_params(labelsize=8)
        if ax is None:
            axis.label_outer()
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    if len(terms) > 1:
        said = {"title": terms[1], "fontsize": 8, "title_fontsize": 8, "frameon": False}
        if ax is None:
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", **said)
        else:
            axes[len(panels) - 1].legend(**said)
    return figure


def _draw(
    axis: Any,
    columns: Mapping[str, Sequence[Any]],
    rows: Sequence[int],
    terms: Sequence[str],
    places: np.ndarray | None,
    points: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    values = [columns[terms[0]][i] for i in rows]
    number = not isinstance(values[0], str)
    levels = list(dict.fromkeys(values))
    groups = [columns[terms[1]][i] for i in rows] if len(terms) > 1 else [None] * len(rows)
    distinct = list(dict.fromkeys(groups))
    estimate, low, high = (
        np.array([columns[k][i] for i in rows], float) for k in ("estimate", "conf_low", "conf_high")
    )
    if points is not None:
        x, y = points
        at = (
            np.asarray(x, float) if number else np.array([levels.index(v) if v in levels else np.nan for v in x], float)
        )
        spread = np.random.default_rng(1).uniform(-0.08, 0.08, len(at)) if not number else 0.0
        axis.plot(at + spread, y, ".", color=GREY, alpha=0.35, markersize=3, zorder=1)
    few = number and len(levels) <= 3
    for k, group in enumerate(distinct):
        mine = np.array([g == group for g in groups])
        colour = PALETTE[k % len(PALETTE)]
        name = None if group is None else told([group])[0]
        at = np.array([v if number else levels.index(v) for v, m in zip(values, mine, strict=True) if m], float)
        if number:
            style = {"color": colour, "linestyle": DASHES[k % len(DASHES)], "linewidth": 1.6, "label": name}
            axis.fill_between(at, low[mine], high[mine], color=colour, alpha=0.18, linewidth=0)
            axis.plot(at, estimate[mine], zorder=3, **style)
            if few:
                axis.plot(at, estimate[mine], MARKERS[k % len(MARKERS)], color=colour, markersize=4, zorder=3)
            continue
        at = at + _DODGE * (k - (len(distinct) - 1) / 2.0)
        axis.vlines(at, low[mine], high[mine], color=colour, linewidth=1.4, zorder=2)
        axis.plot(at, estimate[mine], MARKERS[k % len(MARKERS)], color=colour, markersize=5.5, label=name, zorder=3)
    if not number:
        axis.set_xticks(range(len(levels)), levels)
        axis.set_xlim(-0.6, len(levels) - 0.4)
    elif places is not None:
        ticks = np.unique(places)
        ticks = ticks[(ticks >= min(values)) & (ticks <= max(values))][:: max(1, len(ticks) // _MOST_TICKS)]
        axis.plot(ticks, np.zeros(len(ticks)), "|", color=GREY, markersize=6, transform=axis.get_xaxis_transform())
