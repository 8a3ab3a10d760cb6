"""The house style: empty figures to draw on, and the colours, sizes, points and names of levels that all figures share.

Figures are made without pyplot: nothing is kept in global state, no window opens, and none is needed.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's palette, told apart by colour-blind readers (https://jfly.uni-koeln.de/color/).
BLUE, GREY, ORANGE = "#0072B2", "#7F7F7F", "#D55E00"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00")
# Told apart in print without colours too.
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Colours of values on either side of zero, and of densities: monotonous in lightness, safe for the colour-blind.
DIVERGING, DENSITY = "PuOr_r", "Blues"

# Sizes of text in points: none below what is read on paper at a column's width.
TITLE, LABEL, TICK, SMALL = 10.0, 9.0, 8.0, 7.5
# Points above which they would cover each other: density in hexagons.
MANY = 5_000
# Levels of a factor up to which all are named along an axis.
NAMED = 60
# Characters of a level's name; of longer ones the middle is left out.
LONGEST = 32
# Characters in a line of an axis' label, which a panel of the least size holds.
_WIDE = 40
# Width of a character of a tick's label, in inches.
_CHARACTER = 0.062


@cache
def _figure_class() -> type[Figure]:
    """matplotlib's Figure, able to show itself in a notebook that has not loaded pyplot."""
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
            return buffer.getvalue()

    return NotebookFigure


def new_axes(rows: int, columns: int, width: float, height: float, **share: Any) -> tuple[Figure, list[Any]]:
    """A figure of `width` x `height` inches and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _figure_class()(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **share)
    return figure, list(axes.ravel())


def panels(
    ax: Any,
    count: int,
    size: tuple[float, float],
    called: str,
    remedy: str = "give as many.",
    across: int = 3,
    least: float = 4.6,
    **share: Any,
) -> tuple[Figure, list[Any]]:
    """Axes for `count` panels: those given, or those of a new figure, `across` of them in a row at most.

    Parameters
    ----------
    ax : axes, a sequence of them, or None
    count : int
    size : (width, height) of a panel, inches
    called : str
        How the figure is asked for, for the message when the axes are too few or too many.
    remedy : str
        What to do then.
    across : int
    least : float
        Width of the figure at least.
    """
    if ax is None:
        columns = min(count, across)
        rows = -(-count // columns)
        figure, axes = new_axes(rows, columns, max(least, size[0] * columns), size[1] * rows, **share)
        for spare in axes[count:]:
            spare.remove()
        return figure, axes[:count]
    axes = [ax] if _is_axes(ax) else list(np.ravel(np.asarray(ax, object)))
    for each in axes:
        require_axes(each, called)
    if len(axes) != count:
        raise ModelError(
            f"{called} draws {count} panel{'s' if count > 1 else ''} and was given {len(axes)} axes; {remedy}"
        )
    return axes[0].figure, axes


def _is_axes(value: Any) -> bool:
    # Series of pandas and polars have a `plot` too.
    return hasattr(value, "transAxes") and not isinstance(value, type)


def require_axes(ax: Any, called: str) -> None:
    """Refuse what nothing can be drawn on."""
    if not _is_axes(ax):
        raise ModelError(f"{called}: ax is of type {type(ax).__name__}; give axes of matplotlib, or leave it out.")


def finish(axis: Any, title: str | None = None, x: str | None = None, y: str | None = None, wide: int = 46) -> None:
    """Title and labels in the house's sizes, long ones wrapped; no frame above and to the right."""
    if title:
        axis.set_title(textwrap.fill(title, wide), fontsize=TITLE)
    if x is not None:
        axis.set_xlabel(textwrap.fill(x, _WIDE), fontsize=LABEL)
    if y is not None:
        axis.set_ylabel(textwrap.fill(y, _WIDE), fontsize=LABEL)
    axis.tick_params(labelsize=TICK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def legend(axis: Any, **options: Any) -> None:
    """A legend without a frame."""
    axis.legend(**{"fontsize": SMALL, "title_fontsize": SMALL, "frameon": False} | options)


def points(axis: Any, x: np.ndarray, y: np.ndarray, colour: str = BLUE, key: bool = True, **options: Any) -> None:
    """Points, paler the more there are; above `MANY` hexagons, dark where rows are many, with a key."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) > MANY:
        hexes = axis.hexbin(x, y, gridsize=45, bins="log", mincnt=1, cmap=DENSITY, linewidths=0.1, zorder=1)
        if key:
            bar = axis.figure.colorbar(hexes, ax=axis, shrink=0.7, pad=0.02)
            bar.set_label("rows", fontsize=SMALL)
            bar.ax.tick_params(labelsize=SMALL)
        return
    alpha = 0.65 if len(x) <= 500 else 0.35
    size = 4.0 if len(x) <= 300 else 3.0
    axis.plot(
        x, y, "o", **{"color": colour, "alpha": alpha, "markersize": size, "markeredgewidth": 0, "zorder": 2} | options
    )


def shortened(names: Sequence[Any], longest: int = LONGEST) -> list[str]:
    """Names of levels without the middle of long ones, so that both ends still tell them apart."""
    head = (longest - 1) // 2
    texts = [str(name) for name in names]
    return [t if len(t) <= longest else f"{t[:head]}\u2026{t[len(t) - (longest - 1 - head) :]}" for t in texts]


def name_levels(axis: Any, names: Sequence[Any], name: str, along: str = "x", inches: float | None = None) -> None:
    """Ticks at 0, 1, ... with the names of levels, upright where they would touch; above `NAMED` their number alone.

    Parameters
    ----------
    axis : axes
    names : sequence
    name : str
        Of the factor.
    along : {"x", "y"}
    inches : float, optional
        Length of the axis, for whether names fit beside each other.
    """
    put = axis.set_xticks if along == "x" else axis.set_yticks
    label = axis.set_xlabel if along == "x" else axis.set_ylabel
    axis.tick_params(labelsize=TICK)
    if len(names) > NAMED:
        put([])
        label(textwrap.fill(f"{name} ({len(names)} levels)", _WIDE), fontsize=LABEL)
        return
    texts = shortened(names)
    size = TICK if len(texts) <= 30 else 6.0
    put(range(len(texts)), texts, fontsize=size)
    label(textwrap.fill(name, _WIDE), fontsize=LABEL)
    if along == "x":
        length = axis.figure.get_figwidth() * axis.get_position().width if inches is None else inches
        room = length / max(len(texts), 1) / _CHARACTER
        longest = max(map(len, texts), default=0)
        if longest + 1 > room:
            slanted = longest <= 12 and len(texts) <= 12
            axis.tick_params(axis="x", labelrotation=40 if slanted else 90)
            for text in axis.get_xticklabels():
                text.set_ha("right" if slanted else "center")
                text.set_rotation_mode("anchor" if slanted else "default")


def room_for(names: Sequence[Any]) -> float:
    """Inches that the names of levels take beside an axis."""
    return _CHARACTER * max(map(len, shortened(names)), default=0)
