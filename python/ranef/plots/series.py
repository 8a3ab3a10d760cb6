"""Random effects of occasions as series: a line with its band for each level of the group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.located_effects import along_time, groups_of, series_columns
from ranef.plots.canvas import BLUE, GREY, PALETTE, finish, panels, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Levels up to which each has a panel; of more levels the lines of a group share one, without bands.
MOST_PANELS = 12


def series(record: FittedModel, ax: Axes | Any = None, group: str | None = None, level: float = 0.95) -> Figure:
    """Draw the series and return the figure."""
    columns = series_columns(record, level)
    every = {key: rows for key, rows in groups_of(columns).items() if group in (None, key[1])}
    if not every:
        have = dict.fromkeys(columns["group"])
        known = f"; those of {', '.join(map(repr, have))} are" if have else ""
        what = "no random effects of this fit" if group is None else f"the effects of {group!r}"
        verb = "are" if group is None else "are not"
        raise ModelError(f"plot.series(): {what} {verb} those of occasions (ar1, ou, rw1, rw2 ...){known}.")
    wholes = list(dict.fromkeys(key[:2] for key in every))
    together = {whole for whole in wholes if sum(key[:2] == whole for key in every) > MOST_PANELS}
    drawn: list[tuple[str, list[list[int]]]] = []
    for whole in wholes:
        own = {key: rows for key, rows in every.items() if key[:2] == whole}
        component = "" if whole[0] == "cond" else f" ({whole[0]})"
        if whole in together:
            drawn.append((f"{whole[1]}: {len(own)} levels{component}", list(own.values())))
        else:
            for key, rows in own.items():
                named = "effects of occasions" if whole[1] == "1" else f"{whole[1]}: {shortened([key[2]])[0]}"
                drawn.append((named + component, [rows]))
    across = 1 if len(drawn) == 1 else 2 if len(drawn) in (2, 4) else 3
    size = (6.4, 3.0) if across == 1 else (3.8, 2.6)
    share = {"sharex": True, "sharey": True} if len(wholes) == 1 and len(drawn) > 1 else {}
    figure, axes = panels(ax, len(drawn), size, "plot.series()", "give group=, or as many axes.", across, **share)
    time = next(
        (t.coupling.label if t.coupling is not None else t.names[0].partition("[")[0])
        for t in record.terms()
        if t.smooth is None and along_time(t)
    )
    at, estimate, low, high = (np.array(columns[k], float) for k in ("time", "estimate", "conf_low", "conf_high"))
    for axis, (title, lines) in zip(axes, drawn, strict=True):
        axis.axhline(0.0, color="black", linewidth=0.8, linestyle=":", zorder=1)
        for rows in lines:
            if len(lines) > 1:
                axis.plot(at[rows], estimate[rows], color=GREY, linewidth=0.6, alpha=0.5)
                continue
            axis.fill_between(at[rows], low[rows], high[rows], color=BLUE, alpha=0.2, linewidth=0)
            mark = {"marker": "o", "markersize": 2.5} if len(rows) <= 60 else {}
            axis.plot(at[rows], estimate[rows], color=BLUE, linewidth=1.3, **mark)
        if len(lines) > 1:
            times = np.unique(at[np.concatenate([np.array(rows) for rows in lines])])
            pooled = (
                [[estimate[i] for rows in lines for i in rows if at[i] == t] for t in times]
                if len(times) <= 400
                else []
            )
            if pooled:
                axis.plot(times, [np.mean(v) for v in pooled], color=PALETTE[1], linewidth=1.6)
        finish(
            axis, title, time, f"random effect, {record.link} scale" if record.link != "identity" else "random effect"
        )
        if ax is None:
            axis.label_outer()
    return figure
