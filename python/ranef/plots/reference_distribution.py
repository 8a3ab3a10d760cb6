"""Likelihood ratios of a parametric bootstrap beside the chi-square density, and the one that was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.inference.comparison import Reference
from ranef.plots.canvas import BLUE, GREY, finish, legend, panels, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reference_distribution(references: Sequence[Reference], ax: Axes | Sequence[Axes] | None = None) -> Figure:
    """A panel for each pair of models; returns the figure."""
    if not references:
        raise ModelError("there is no reference distribution to draw: give rf.compare(..., test='bootstrap')")
    figure, axes = panels(ax, len(references), (4.2, 3.2), "plot()", "give as many", least=4.2)
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
    legend(axis)
    title = f"{drawn.large} against {drawn.small}"
    finish(axis, "\n".join(shortened([title], 90)), "likelihood ratio", "density", wide=48)
