"""Densities of parameters: of a bootstrap's replicates, or those that a profile would be the likelihood root of.

With zeta the signed root of the profile, zeta(parameter) is about standard normal, so the parameter has about the
distribution function Phi(zeta(value)): skewed where the likelihood is. The shaded part is the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.inference.bootstrap import draws_of
from ranef.inference.intervals import ProfileCurve
from ranef.inference.natural_parameters import NaturalParameter
from ranef.plots.canvas import BLUE, GREY, TICK, finish, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 200


def profile_densities(curves: Sequence[ProfileCurve], level: float) -> dict[str, list[Any]]:
    """Columns parameter, value, density, inside (of the interval of `level`) from profiles."""
    from scipy.interpolate import PchipInterpolator
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2.0))
    columns: dict[str, list[Any]] = {name: [] for name in ("parameter", "value", "density", "inside")}
    for curve in curves:
        if len(curve.value) < 2:
            continue
        value, first = np.unique(curve.value, return_index=True)
        zeta = PchipInterpolator(value, curve.zeta[first])
        fine = np.linspace(value[0], value[-1], POINTS)
        # phi(zeta) zeta': the derivative of a smooth curve through the few points, not of each piece.
        slope = np.gradient(_smoothed(value, curve.zeta[first], fine), fine)
        density = np.exp(-0.5 * zeta(fine) ** 2) / np.sqrt(2.0 * np.pi) * np.maximum(slope, 0.0)
        _extend(columns, curve.parameter.name, fine, density, np.abs(zeta(fine)) <= z)
    return columns


def bootstrap_densities(
    parameters: Sequence[NaturalParameter], replicates: Mapping[str, Any], level: float
) -> dict[str, list[Any]]:
    """The same columns from the replicates of a bootstrap, by a Gaussian kernel with Silverman's width.

    Values beyond the end of a parameter's range (standard deviations below zero) are folded back.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("parameter", "value", "density", "inside")}
    for parameter in parameters:
        if parameter.name not in replicates:
            continue
        draws = np.asarray(draws_of(parameter, replicates), float)
        draws = draws[np.isfinite(draws)]
        if len(draws) < 2 or np.ptp(draws) == 0.0:
            continue
        low, high = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
        quarters = np.subtract(*np.quantile(draws, [0.75, 0.25])) / 1.349
        spread = min(draws.std(), quarters) if quarters > 0 else draws.std()
        width = 0.9 * spread * len(draws) ** -0.2
        ends = (draws.min() - 3.0 * width, draws.max() + 3.0 * width)
        floor, ceiling = _range(parameter)
        fine = np.linspace(max(ends[0], floor), min(ends[1], ceiling), POINTS)
        density = np.zeros(POINTS)
        sources = [draws] + [2.0 * end - draws for end in (floor, ceiling) if np.isfinite(end)]
        for source in sources:
            density += np.exp(-0.5 * ((fine[:, None] - source) / width) ** 2).sum(axis=1)
        density /= len(draws) * width * np.sqrt(2.0 * np.pi)
        _extend(columns, parameter.name, fine, density, (fine >= low) & (fine <= high))
    return columns


def density(
    columns: Mapping[str, Sequence[Any]],
    estimates: Mapping[str, tuple[str, float]],
    source: str,
    ax: Axes | Sequence[Axes] | None = None,
) -> Figure:
    """Draw the densities and return the figure.

    Parameters
    ----------
    columns : mapping
        parameter, value, density, inside.
    estimates : mapping
        What each parameter is called in its title, and its estimate.
    source : str
        "profile" or "bootstrap", for the label.
    ax : axes, or a sequence with one for each parameter, optional
    """
    names = list(dict.fromkeys(columns["parameter"]))
    if not names:
        raise ModelError(f"plot.density(): no parameter has a density: the {source} gave no values.")
    figure, axes = panels(ax, len(names), (3.2, 2.5), "plot.density()", "give parm=, or as many axes.")
    owner = np.array(columns["parameter"], object)
    value, height = (np.array(columns[k], float) for k in ("value", "density"))
    inside = np.array(columns["inside"], bool)
    for axis, name in zip(axes, names, strict=True):
        mine = owner == name
        title, estimate = estimates[name]
        axis.fill_between(value[mine], 0.0, height[mine], where=inside[mine], color=BLUE, alpha=0.25, linewidth=0)
        axis.plot(value[mine], height[mine], color=BLUE, linewidth=1.5)
        axis.axvline(estimate, color="black", linewidth=0.8)
        if value[mine].min() < 0.0 < value[mine].max():
            axis.axvline(0.0, color=GREY, linewidth=0.8, linestyle=":")
        axis.set_ylim(bottom=0.0)
        finish(axis, title, "value", f"density ({source})", wide=32)
        axis.tick_params(labelsize=TICK - 0.5)
    return figure


def _extend(columns: dict[str, list[Any]], name: str, value: Any, height: Any, inside: Any) -> None:
    columns["parameter"] += [name] * len(value)
    for key, values in (("value", value), ("density", height), ("inside", inside)):
        columns[key] += np.asarray(values).tolist()


def _smoothed(value: np.ndarray, zeta: np.ndarray, fine: np.ndarray) -> np.ndarray:
    from scipy.interpolate import Akima1DInterpolator, CubicSpline

    if len(value) < 4:
        return np.interp(fine, value, zeta)
    found: np.ndarray = np.asarray(CubicSpline(value, zeta)(fine), float)
    if (np.diff(found) >= 0.0).all():
        return found
    return np.asarray(Akima1DInterpolator(value, zeta)(fine), float)


def _range(parameter: NaturalParameter) -> tuple[float, float]:
    if parameter.kind in ("sd", "sigma"):
        return 0.0, np.inf
    return (-1.0, 1.0) if parameter.kind == "cor" else (-np.inf, np.inf)
