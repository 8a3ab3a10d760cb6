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
