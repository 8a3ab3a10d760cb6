"""Likelihood ratios of a parametric bootstrap beside the chi-square density, and the one that was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.inference.comparison import Reference
from ranef.plots.canvas import BLUE, GREY, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reference_distribution(references: Sequence[Reference], ax: Axes | Sequence[Axes] | None = None) -> Figure:
    """A panel for each pair of models; returns the figure."""
    if not references:
        raise ModelError("there is no reference distribution to draw: give rf.compare(..., test='bootstrap')")
    if ax is None:
        figure, axes = new_axes(1, len(references), 4.2 * len(references), 3.2)
    else:
        axes = [ax] if hasattr(ax, "hist") else list(ax)
        if len(axes) != len(references):
            raise ModelError(f"plot() draws {len(references)} panels and was given {len(axes)} axes; give as many")
        figure = axes[0].figure
    for axis, drawn in zip(axes, references, strict=True):
        _draw(axis, drawn)
    return figure


def _draw(axis: Any, drawn: Reference) -> None:
    from scipy.stats import chi2

    found = drawn.chi_square[np.isfinite(drawn.chi_square)].clip(min=0.0)
    top = max(float(found.max(initial=1.0)), drawn.observed) * 1.05
    axis.hist(found, bins=np.linspace(0.0, top, 41), density=True, color=GREY, alpha=0.5)
    grid = np.linspace(top / 200, top, 200)
    axis.plot(grid, chi2.pdf(grid, drawn.df), color="black", linewidth=0.9, label=f"chi-square, df = {drawn.df}")
    axis.axvline(drawn.observed, color=BLUE, linewidth=1.6, label=f"observed, p = {drawn.p_value:.3g}")
    axis.set_xlabel("likelihood ratio")
    axis.set_ylabel("density")
    axis.legend(fontsize=7, frameon=False)
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)
