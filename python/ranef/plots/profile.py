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
from ranef.plots.canvas import BLUE, GREY, SMALL, finish, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = (0.5, 0.8, 0.95)


def profile(curves: Sequence[ProfileCurve], ax: Axes | Sequence[Axes] | None = None) -> Figure:
    """Draw the profiles and return the figure."""
    drawn = [curve for curve in curves if len(curve.value) > 1]
    if not drawn:
        raise ModelError("no parameter has a profile to draw; the notes of confint(method='profile') say why")
    figure, axes = panels(ax, len(drawn), (3.2, 2.6), "plot.profile()", "give parm=, or as many axes.")
    for axis, curve in zip(axes, drawn, strict=True):
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
            axis.annotate(
                f"{100 * level:.0f} %",
                (1.0, z),
                (-1, 1),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=SMALL - 1.0,
                color=GREY,
            )
    axis.axhline(0.0, color="black", linewidth=0.6)
    axis.axvline(curve.estimate, color="black", linewidth=0.6)
    parameter = curve.parameter
    group = "" if parameter.group is None or parameter.kind == "sigma" else f", {parameter.group}"
    finish(axis, parameter.name + group, "value", "zeta", wide=32)
