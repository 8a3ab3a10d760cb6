"""Profile plot: zeta against the value of each parameter, a panel per parameter.

A straight line means that the likelihood is quadratic and the Wald interval right. Horizontal lines mark the levels
50 %, 80 % and 95 %; an interval is read off where they meet the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.inference.intervals import ProfileCurve
from ranef.inference.wald import quantile
from ranef.plots.canvas import BLUE, GREY, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (0.5, 0.8, 0.95)


def profile(curves: Sequence[ProfileCurve], ax: Axes | Sequence[Axes] | None = None) -> Figure:
    """Draw the profiles and return the figure."""
    drawn = [curve for curve in curves if len(curve.value) > 1]
    if not drawn:
        raise ModelError("no parameter has a profile to draw; the notes of confint(method='profile') say why")
    if ax is None:
        across = min(len(drawn), 3)
        down = -(-len(drawn) // across)
        figure, axes = new_axes(down, across, 3.2 * across, 2.6 * down)
        for spare in axes[len(drawn) :]:
            spare.remove()
    else:
        axes = [ax] if hasattr(ax, "plot") else list(ax)
        if len(axes) != len(drawn):
            raise ModelError(
                f"plot.profile() draws {len(drawn)} panels and was given {len(axes)} axes; give parm=, or as many axes."
            )
        figure = axes[0].figure
    for axis, curve in zip(axes, drawn, strict=False):
        _draw(axis, curve)
    return figure


def _draw(axis: Any, curve: ProfileCurve) -> None:
    from scipy.interpolate import PchipInterpolator

    value, first = np.unique(curve.value, return_index=True)
    zeta = curve.zeta[first]
    fine = np.linspace(value[0], value[-1], 200)
    axis.plot(fine, PchipInterpolator(value, zeta)(fine), color=BLUE, linewidth=1.4)
    axis.plot(value, zeta, "o", color=BLUE, markersize=2.8)
    for level in LEVELS:
        z = float(quantile(level))
        if z <= np.abs(zeta).max() * 1.02:
            for side in (-z, z):
                axis.axhline(side, color=GREY, linewidth=0.6, linestyle=":")
    axis.axhline(0.0, color="black", linewidth=0.6)
    axis.axvline(curve.estimate, color="black", linewidth=0.6)
    parameter = curve.parameter
    axis.set_title(parameter.name + ("" if parameter.group is None else f", {parameter.group}"), fontsize=9)
    axis.set_ylabel("zeta", fontsize=8)
    axis.tick_params(labelsize=7)
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)
