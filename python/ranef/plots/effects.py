"""Effects: a line with its band along a number, points with intervals along the levels of a factor.

Colours (and dashes and marks) tell the second variable, panels the third and the fourth. Behind them may stand the
responses of the data or partial residuals, and a thin line for each level of a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.plots.canvas import (
    DASHES,
    GREY,
    MANY,
    MARKERS,
    PALETTE,
    SMALL,
    finish,
    name_levels,
    panels,
    room_for,
    shortened,
)
from ranef.prediction.effect_terms import told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More ticks than this make a bar; a sample of them shows the same.
_MOST_TICKS = 1000
# Levels drawn at one place take this much of the distance between places, each at most so much.
_DODGE, _WIDEST = 0.64, 0.16
# Lines of groups that are drawn; of more an even sample shows the same.
_MOST_LINES = 400
# Columns of a legend.
_MOST_COLUMNS = 2
# Bins of binary responses along a number, and rows in each at least.
_BINS, _ROWS_A_BIN = 20, 10


@dataclass(frozen=True, eq=False)
class Behind:
    """What stands behind the estimates, and is named in the legend.

    Attributes
    ----------
    columns : mapping
        The terms in the data's own values, and y; or for lines of groups the group, the terms and y.
    what : str
        "data", "residuals" or the name of the group whose lines these are.
    """

    columns: Mapping[str, np.ndarray]
    what: str
    binary: bool = False


def effects(
    columns: Mapping[str, Sequence[Any]],
    terms: Sequence[str],
    label: str,
    ax: Axes | Sequence[Axes] | None = None,
    places: np.ndarray | None = None,
    points: Behind | None = None,
    lines: Behind | None = None,
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
    points : Behind, optional
        Responses or partial residuals.
    lines : Behind, optional
        Predictions for each level of a group.
    """
    n = len(columns["estimate"])
    keys = list(zip(*(columns[name] for name in terms[2:]), strict=True)) if len(terms) > 2 else [()] * n
    drawn = list(dict.fromkeys(keys))
    share = {"sharex": True, "sharey": True} if len(drawn) > 1 else {}
    first = columns[terms[0]]
    levels = list(dict.fromkeys(first)) if isinstance(first[0], str) else []
    wide = 3.4 if len(drawn) > 1 else 4.8
    upright = sum(map(len, shortened(levels))) * 0.07 > wide - 1.0
    size = (max(wide, min(11.0, 0.16 * len(levels) + 1.5)), 3.3 + (0.8 * room_for(levels) if upright else 0.0))
    across = 3 if len(drawn) not in (2, 4) else 2
    figure, axes = panels(ax, len(drawn), size, "the figure of effects", "give as many.", across, **share)
    for axis, panel in zip(axes, drawn, strict=True):
        rows = [i for i in range(n) if keys[i] == panel]
        title = ", ".join(f"{name} = {told([v])[0]}" for name, v in zip(terms[2:], panel, strict=True))
        finish(axis, title or None, terms[0], label, wide=34)
        _draw(axis, columns, rows, terms, panel, places, points, lines, wide if ax is None else None)
        if ax is None:
            axis.label_outer()
    handles, names = axes[0].get_legend_handles_labels()
    if handles:
        groups = list(dict.fromkeys(columns[terms[1]])) if len(terms) > 1 else []
        rows_that_fit = max(4, int(figure.get_figheight() / 0.155) - 3)
        ncols = -(-len(handles) // rows_that_fit)
        if ncols > _MOST_COLUMNS:
            # Nobody reads so many: the first and the last of the scale.
            handles, names, ncols = [handles[0], handles[-1]], [names[0], f"… {names[-1]} ({len(names)} in all)"], 1
        said: dict[str, Any] = {
            "title": terms[1] if groups else None,
            "fontsize": SMALL,
            "title_fontsize": SMALL,
            "frameon": False,
            "ncols": ncols,
        }
        if ax is None:
            # Beside the panels, where nothing is hidden.
            longest = max(map(len, names))
            figure.set_figwidth(figure.get_figwidth() + min(2.6, 0.4 + 0.062 * longest) * ncols)
            figure.legend(handles, names, loc="outside right upper", **said)
        else:
            axes[-1].legend(handles, names, **said)
    return figure


def colours_of(groups: Sequence[Any]) -> list[Any]:
    """A colour for each value of the second variable: the palette, or for more values a scale of lightness."""
    if len(groups) <= len(PALETTE):
        return list(PALETTE[: len(groups)])
    from matplotlib import colormaps

    return [colormaps["viridis"](0.92 * k / (len(groups) - 1)) for k in range(len(groups))]


def _draw(
    axis: Any,
    columns: Mapping[str, Sequence[Any]],
    rows: Sequence[int],
    terms: Sequence[str],
    panel: tuple[Any, ...],
    places: np.ndarray | None,
    points: Behind | None,
    lines: Behind | None,
    inches: float | None,
) -> None:
    values = [columns[terms[0]][i] for i in rows]
    number = not isinstance(values[0], str)
    levels = list(dict.fromkeys(values))
    groups = [columns[terms[1]][i] for i in rows] if len(terms) > 1 else [None] * len(rows)
    distinct = list(dict.fromkeys(groups))
    colours = colours_of(distinct)
    estimate, low, high = (
        np.array([columns[k][i] for i in rows], float) for k in ("estimate", "conf_low", "conf_high")
    )
    step = min(_WIDEST, _DODGE / max(len(distinct), 1))
    for behind, draw in ((points, _draw_points), (lines, _draw_lines)):
        if behind is None:
            continue
        own = np.ones(len(behind.columns["y"]), bool)
        for name, value in zip(terms[2:], panel, strict=True):
            own &= _nearest(behind, name, columns) == told([value])[0]
        group = _nearest(behind, terms[1], columns) if len(terms) > 1 else None
        for k, one in enumerate(distinct):
            mine = own if group is None else own & (group == told([one])[0])
            shift = 0.0 if number else step * (k - (len(distinct) - 1) / 2.0)
            draw(axis, behind, mine, terms[0], levels, number, shift, colours[k], len(distinct) > 1, k == 0)
    few = number and len(levels) <= 3
    for k, group in enumerate(distinct):
        mine = np.array([g == group for g in groups])
        colour = colours[k]
        label = None if group is None else shortened(told([group]))[0]
        at = np.array([v if number else levels.index(v) for v, m in zip(values, mine, strict=True) if m], float)
        if number:
            style = {"color": colour, "linestyle": DASHES[k % len(DASHES)], "linewidth": 1.8, "label": label}
            # Many bands hide each other.
            if len(distinct) <= len(PALETTE):
                axis.fill_between(at, low[mine], high[mine], color=colour, alpha=0.2, linewidth=0, zorder=3)
            else:
                style |= {"linestyle": "-", "linewidth": 1.1}
            axis.plot(at, estimate[mine], zorder=5, **style)
            if few:
                axis.plot(at, estimate[mine], MARKERS[k % len(MARKERS)], color=colour, markersize=4.5, zorder=5)
            continue
        at = at + step * (k - (len(distinct) - 1) / 2.0)
        many = len(levels) > 60
        axis.vlines(at, low[mine], high[mine], color=colour, linewidth=0.8 if many else 1.6, zorder=4)
        axis.plot(
            at,
            estimate[mine],
            MARKERS[k % len(MARKERS)],
            color=colour,
            markersize=3.0 if many else 5.5,
            label=label,
            zorder=5,
        )
    if not number:
        name_levels(axis, levels, terms[0], inches=inches and inches - 1.0)
        axis.set_xlim(-0.6, len(levels) - 0.4)
    elif places is not None:
        ticks = np.unique(places)
        ticks = ticks[(ticks >= min(values)) & (ticks <= max(values))][:: max(1, len(ticks) // _MOST_TICKS)]
        axis.plot(ticks, np.zeros(len(ticks)), "|", color=GREY, markersize=6, transform=axis.get_xaxis_transform())


def _nearest(behind: Behind, name: str, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """For every row, which of the values shown it belongs to: its level, or the nearest number."""
    shown = list(dict.fromkeys(columns[name]))
    if name not in behind.columns:
        return np.full(len(behind.columns["y"]), told([shown[0]])[0], object)
    own = behind.columns[name]
    texts = np.array([told([value])[0] for value in shown], object)
    if isinstance(shown[0], str):
        return np.array([told([value])[0] for value in own], object)
    numbers = np.asarray(shown, float)
    found: np.ndarray = texts[np.argmin(np.abs(np.asarray(own, float)[:, None] - numbers), axis=1)]
    return found


def _draw_points(
    axis: Any,
    behind: Behind,
    mine: np.ndarray,
    name: str,
    levels: Sequence[Any],
    number: bool,
    shift: float,
    colour: str,
    several: bool,
    first: bool,
) -> None:
    y = np.asarray(behind.columns["y"], float)[mine]
    own = behind.columns[name][mine]
    colour = colour if several else GREY
    if not len(y):
        return
    if number:
        x = np.asarray(own, float)
        if behind.binary:
            _draw_shares(axis, x, y, colour)
        elif len(behind.columns["y"]) <= MANY:
            axis.plot(x, y, "o", color=colour, alpha=0.35, markersize=3, markeredgewidth=0, zorder=1)
        elif several:
            _draw_quantiles(axis, x, y, colour)
        else:
            hexes = axis.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap="Greys", linewidths=0.1, zorder=1)
            hexes.set_alpha(0.75)
        return
    place = {told([level])[0]: k for k, level in enumerate(levels)}
    at = np.array([place.get(told([v])[0], np.nan) for v in own], float)
    if behind.binary:
        means = [(k, float(y[at == k].mean())) for k in range(len(levels)) if (at == k).any()]
        axis.plot(
            [k + shift for k, _ in means], [m for _, m in means], "_", color=colour, markersize=14, alpha=0.6, zorder=2
        )
        return
    if len(behind.columns["y"]) <= MANY:
        spread = np.random.default_rng(1).uniform(-0.06, 0.06, len(at))
        axis.plot(at + spread + shift, y, "o", color=colour, alpha=0.3, markersize=2.5, markeredgewidth=0, zorder=1)
        return
    for k in range(len(levels)):
        if (at == k).any():
            low, quarter, _half, three, high = np.quantile(y[at == k], [0.05, 0.25, 0.5, 0.75, 0.95])
            axis.vlines(k + shift, low, high, color=colour, linewidth=2.0, alpha=0.25, zorder=1)
            axis.vlines(k + shift, quarter, three, color=colour, linewidth=7.0, alpha=0.25, zorder=1)


def _draw_shares(axis: Any, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    """Shares of ones in bins of equal numbers of rows."""
    bins = int(np.clip(len(x) // _ROWS_A_BIN, 1, _BINS))
    distinct = np.unique(x)
    order = np.argsort(x, kind="stable")
    parts = [np.flatnonzero(x == v) for v in distinct] if len(distinct) <= bins else np.array_split(order, bins)
    axis.plot(
        [float(x[p].mean()) for p in parts],
        [float(y[p].mean()) for p in parts],
        "o",
        color=colour,
        markerfacecolor="white",
        markersize=5,
        alpha=0.8,
        zorder=2,
    )


def _draw_quantiles(axis: Any, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    """Medians and middle halves in bins of equal numbers of rows, where hexagons of several colours would mix."""
    parts = np.array_split(np.argsort(x, kind="stable"), _BINS)
    at = [float(x[p].mean()) for p in parts]
    low, half, high = np.array([np.quantile(y[p], [0.25, 0.5, 0.75]) for p in parts]).T
    axis.vlines(at, low, high, color=colour, linewidth=3.0, alpha=0.3, zorder=1)
    axis.plot(at, half, "o", color=colour, markerfacecolor="white", markersize=4, alpha=0.8, zorder=2)


def _draw_lines(
    axis: Any,
    behind: Behind,
    mine: np.ndarray,
    name: str,
    levels: Sequence[Any],
    number: bool,
    shift: float,
    colour: str,
    several: bool,
    first: bool,
) -> None:
    group, y = behind.columns["group"][mine], np.asarray(behind.columns["y"], float)[mine]
    own = behind.columns[name][mine]
    x = np.asarray(own, float) if number else np.array([levels.index(v) for v in own], float) + shift
    members = list(dict.fromkeys(group.tolist()))
    shown = members[:: -(-len(members) // _MOST_LINES)] if members else []
    colour = colour if several else GREY
    thin = 0.9 if len(shown) <= 60 else 0.5
    for k, member in enumerate(shown):
        rows = group == member
        axis.plot(
            x[rows],
            y[rows],
            color=colour,
            linewidth=thin,
            alpha=0.55 if len(shown) <= 60 else 0.3,
            zorder=2,
            label=f"each {behind.what}" if k == 0 and first and not several else None,
        )
