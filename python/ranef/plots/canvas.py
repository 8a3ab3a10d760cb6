"""Empty figures to draw on, and the colours that all figures share.

Figures are made without pyplot: nothing is kept in global state, no window opens, and none is needed.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's palette, told apart by colour-blind readers (https://jfly.uni-koeln.de/color/).
BLUE, GREY = "#0072B2", "#7F7F7F"
PALETTE = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00")
# Told apart in print without colours too.
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


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
