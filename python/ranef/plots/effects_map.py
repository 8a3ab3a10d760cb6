"""Random effects of places as maps: points in colours on either side of zero, for regions with lines to neighbours.

A dark edge marks effects whose interval excludes zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.located_effects import NUMBERS, borders, groups_of, map_columns, over_space
from ranef.plots.canvas import DIVERGING, GREY, LABEL, SMALL, TICK, finish, panels, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
# Places up to which an edge can be seen.
_EDGED = 1_500


def effects_map(
    record: FittedModel,
    ax: Axes | Any = None,
    group: str | None = None,
    column: str = "estimate",
    positions: Any = None,
    level: float = 0.95,
) -> Figure:
    """Draw the maps and return the figure."""
    if column not in NUMBERS:
        raise ModelError(f"plot.map(column={column!r}): give one of {', '.join(map(repr, NUMBERS))}.")
    columns = map_columns(record, positions, level)
    every = {key: rows for key, rows in groups_of(columns).items() if group in (None, key[1])}
    if not every:
        have = dict.fromkeys(columns["group"])
        known = f"; those of {', '.join(map(repr, have))} are" if have else ""
        what = "no random effects of this fit" if group is None else f"the effects of {group!r}"
        verb = "are" if group is None else "are not"
        raise ModelError(f"plot.map(): {what} {verb} those of places (exp, gau, mat, car, icar){known}.")
    if ax is None and len(every) > MOST_PANELS:
        raise ModelError(f"plot.map(): {len(every)} maps are too many for a figure; draw them from plot.map_data().")
    across = 1 if len(every) == 1 else 2 if len(every) in (2, 4) else 3
    x, y = np.array(columns["x"], float), np.array(columns["y"], float)
    wide = 4.6 if across == 1 else 3.4
    tall = float(np.clip(np.ptp(y) / max(float(np.ptp(x)), 1e-300), 0.4, 1.6)) * wide
    share = {"sharex": True, "sharey": True} if len(every) > 1 and len({key[:2] for key in every}) == 1 else {}
    # Room for the key, the title and the labels.
    size = (wide + 1.0 / across, tall + 0.9)
    figure, axes = panels(ax, len(every), size, "plot.map()", "give group=, or as many axes.", across, **share)
    value = np.array(columns[column], float)
    apart = (np.array(columns["conf_low"]) > 0) | (np.array(columns["conf_high"]) < 0)
    shown = value[np.concatenate([np.array(rows) for rows in every.values()])]
    reach = float(np.max(np.abs(shown), initial=1e-12))
    colours: dict[str, Any] = {"cmap": DIVERGING, "vmin": -reach, "vmax": reach}
    if column == "std_error":
        colours = {"cmap": "cividis", "vmin": float(shown.min()), "vmax": float(shown.max())}
    neighbours = borders(record)
    for axis, (key, rows) in zip(axes, every.items(), strict=True):
        term = next(
            t for t in record.terms() if t.smooth is None and over_space(t) and (t.component, t.group) == key[:2]
        )
        assert term.coupling is not None
        regions = term.coupling.known is not None
        place = {columns["place"][i]: (x[i], y[i]) for i in rows}
        for one, other in neighbours.get(key[:2], ()):
            if one in place and other in place:
                ends = np.array([place[one], place[other]])
                axis.plot(ends[:, 0], ends[:, 1], color=GREY, linewidth=0.6, alpha=0.5, zorder=1)
        n = len(rows)
        marked = apart[rows] & (n <= _EDGED) & (column != "std_error")
        points = axis.scatter(
            x[rows],
            y[rows],
            c=value[rows],
            s=float(np.clip(9_000 / n, 4, 60)),
            edgecolors=["black" if m else (0.5, 0.5, 0.5, 0.6) for m in marked] if n <= _EDGED else "none",
            linewidths=[1.1 if m else 0.4 for m in marked] if n <= _EDGED else 0,
            zorder=2,
            **colours,
        )
        axis.set_aspect("equal")
        one_map = key[2] == "1" or len([k for k in every if k[:2] == key[:2]]) == 1
        title = (
            f"effects of {term.coupling.label.replace(',', ', ')}" if one_map else f"{key[1]}: {shortened([key[2]])[0]}"
        )
        names = ["", ""] if regions and positions is None else ["x", "y"] if regions else term.coupling.label.split(",")
        if regions and positions is not None and not hasattr(positions, "keys"):
            names = list(positions)
        finish(axis, title + ("" if key[0] == "cond" else f" ({key[0]})"), names[0], names[1])
        if regions and positions is None:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel("neighbours lie near each other", fontsize=LABEL)
            for side in ("left", "bottom"):
                axis.spines[side].set_visible(False)
    scale = "" if record.link == "identity" else f", {record.link} scale"
    said = {"estimate": "random effect", "std_error": "standard error"}.get(column, f"{column}, {100 * level:g} %")
    bar = figure.colorbar(points, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(said + scale, fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)
    if column != "std_error" and len(shown) <= _EDGED:
        from matplotlib.lines import Line2D

        edge = Line2D([], [], marker="o", linestyle="", markerfacecolor="white", markeredgecolor="black")
        where: Any = figure if ax is None else axes[-1]
        where.legend(
            [edge],
            [f"{100 * level:g} % interval excludes zero"],
            loc="outside lower center" if ax is None else "best",
            fontsize=SMALL,
            frameon=False,
        )
    return figure
