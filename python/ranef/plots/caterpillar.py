"""Caterpillar plot: conditional modes of the random effects with intervals, sorted, a panel per group and term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.located_effects import along_time_or_space
from ranef.inference.random_effects import conditional_modes, grouped
from ranef.plots.canvas import BLUE, GREY, LABEL, NAMED, SMALL, finish, panels, room_for, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def caterpillar_data(record: FittedModel, level: float = 0.95) -> dict[str, list[Any]]:
    """Conditional modes with a column `rank`, from 1 within each component, group and term."""
    columns = conditional_modes(record, level)
    ranks = np.zeros(len(columns["estimate"]), int)
    for rows in _panels(record, columns, with_places=True).values():
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
    drawn = {key: rows for key, rows in _panels(record, columns).items() if group in (None, key[1])}
    if not drawn:
        located = {record.terms()[t].group for t in along_time_or_space(record)}
        if located and group in (None, *located):
            raise ModelError(
                "plot.ranef(): the random effects are those of times or places; plot.series() and plot.map() draw them."
            )
        known = ", ".join(repr(g) for g in record.ngroups) or "none"
        raise ModelError(f"plot.ranef(group={group!r}): no such grouping factor; there are: {known}.")
    tallest = max(len(rows) for rows in drawn.values())
    named = tallest <= NAMED
    names = [columns["level"][i] for rows in drawn.values() if len(rows) <= NAMED for i in rows]
    height = 1.1 + (0.19 * max(tallest, 3) if named else 4.6)
    wide = 3.0 if len(drawn) > 1 else 3.6
    figure, axes = panels(
        ax,
        len(drawn),
        (wide + room_for(names), height),
        "plot.ranef()",
        "give group=, or as many axes.",
        least=4.5,
    )
    scale = "" if record.link == "identity" else f"{record.link} scale"
    for axis, (key, rows) in zip(axes, drawn.items(), strict=True):
        _draw(axis, columns, rows, key, scale or f"scale of {record.formula.partition('~')[0].strip()}")
    return figure


def _panels(
    record: FittedModel, columns: dict[str, list[Any]], with_places: bool = False
) -> dict[tuple[str, str, str], list[int]]:
    """Rows of each panel; effects of times and places have figures of their own."""
    located = set(along_time_or_space(record))
    found: dict[tuple[str, str, str], list[int]] = {}
    start = 0
    for t in grouped(record):
        term = record.terms()[t]
        rows = range(start, start + term.size * len(term.names))
        start = rows.stop
        if t in located and not with_places:
            continue
        for i in rows:
            found.setdefault((term.component, term.group, _title(term, columns["term"][i])), []).append(i)
    return found


def _title(term: RandomTerm, name: str) -> str:
    """The panel of an effect: its column, or for the levels of a known matrix what they are levels of."""
    if term.coupling is None or len(term.names) > 1 or term.names[0] != term.coupling.label:
        return name
    return term.coupling.label


def _draw(axis: Any, columns: dict[str, list[Any]], rows: list[int], key: tuple[str, str, str], scale: str) -> None:
    place = np.array(columns["rank"])[rows]
    estimate, low, high = (np.array(columns[name], float)[rows] for name in ("estimate", "conf_low", "conf_high"))
    apart = (low > 0) | (high < 0)
    many = len(rows) > NAMED
    # Hundreds of intervals make a band: a pale one, so that the modes stand out on it.
    width, size, alpha = (0.6, 1.6, 0.35) if many else (1.2, 4.5, 1.0)
    for chosen, colour, face in ((~apart, GREY, "white"), (apart, BLUE, BLUE)):
        axis.hlines(
            place[chosen],
            low[chosen],
            high[chosen],
            color=colour,
            linewidth=width,
            alpha=alpha,
            zorder=2,
            rasterized=len(rows) > 2_000,
        )
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
    title = (term if group == "1" else f"{group}: {term}") + ("" if component == "cond" else f" ({component})")
    finish(axis, title, f"random effect, {scale if component == 'cond' else 'link scale'}", wide=40)
    axis.set_ylim(0.0, len(rows) + 1.0)
    if many:
        axis.set_ylabel(f"rank of {len(rows)} levels", fontsize=LABEL)
        return
    order = np.argsort(place)
    names = [columns["level"][rows[i]] for i in order]
    if term != columns["term"][rows[0]] and len(set(names)) < len(names):
        # Levels of a known matrix within a group: the places' own names.
        names = [columns["term"][rows[i]].removeprefix(f"{term}[").removesuffix("]") for i in order]
    axis.set_yticks(place[order], shortened(names))
    axis.tick_params(axis="y", labelsize=SMALL if len(rows) <= 40 else 6.0)
