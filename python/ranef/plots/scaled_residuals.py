"""Scaled residuals: against the uniform distribution, against a predictor, and as a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ranef.checks.simulated_residuals.quantile_trend import quantile_curves, ranked
from ranef.checks.simulated_residuals.residual_test import ResidualTest
from ranef.plots.canvas import (
    BLUE,
    DENSITY,
    GREY,
    MANY,
    NAMED,
    PALETTE,
    SMALL,
    finish,
    name_levels,
    new_axes,
    require_axes,
    room_for,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RED = PALETTE[1]


def verdict(test: ResidualTest) -> str:
    """A test in a line: how surprising the data are, and what was found."""
    least = max(1e-3, test.step)
    p = f"p < {least:g}" if test.p_value < least else f"p = {test.p_value:.3f}"
    return f"{test.test} ({p}): {test.effect_text}"


def overview(
    scaled: np.ndarray,
    fitted: np.ndarray,
    tests: Sequence[ResidualTest],
    trend: ResidualTest | None,
    axes: Any = None,
) -> Figure:
    """The two panels that are looked at first."""
    if axes is None:
        _, axes = new_axes(1, 2, 10.0, 4.9)
    axes = list(np.ravel(np.asarray(axes, object)))
    qq(scaled, tests, axes[0])
    return against(scaled, fitted, "fitted value", trend, axes[1])


def qq(scaled: np.ndarray, tests: Sequence[ResidualTest], ax: Axes | Any = None) -> Figure:
    """Sorted residuals against uniform quantiles, with pointwise 95 % bands of the order statistics."""
    from scipy.special import betaincinv

    axis = _the_axis(ax, "plot_qq()", 4.8, 4.8)
    n = len(scaled)
    ordered = np.sort(scaled)
    rank = np.arange(1, n + 1)
    theory = (rank - 0.5) / n
    some = np.unique(np.linspace(1, n, min(n, 400)).astype(int))
    bands = [betaincinv(some, n + 1 - some, edge) for edge in (0.025, 0.975)]
    axis.fill_between((some - 0.5) / n, *bands, color=GREY, alpha=0.25, linewidth=0)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.9)
    if n > MANY:
        axis.plot(theory, ordered, color=BLUE, linewidth=1.6)
    else:
        axis.plot(theory, ordered, "o", color=BLUE, markersize=3 if n > 300 else 4, alpha=0.6, markeredgewidth=0)
    axis.set_xlabel("expected (uniform)")
    axis.set_ylabel("scaled residual")
    axis.set_aspect("equal")
    return _finished(axis, [verdict(test) for test in tests])


def against(
    scaled: np.ndarray, predictor: np.ndarray, name: str, trend: ResidualTest | None, ax: Axes | Any = None
) -> Figure:
    """Residuals against the ranks of a predictor, with quantile curves; those that leave their level are dashed red."""
    axis = _the_axis(ax, "plot_against()", 5.2, 4.4)
    n = len(scaled)
    ranks = np.full(n, 0.5) if len(np.unique(predictor)) < 2 else ranked(predictor)
    if n > MANY:
        hexes = axis.hexbin(ranks, scaled, gridsize=36, extent=(0, 1, 0, 1), cmap=DENSITY, linewidths=0.1)
        hexes.set_clim(0, float(np.max(hexes.get_array())) * 1.6)
        bar = axis.figure.colorbar(hexes, ax=axis, shrink=0.7, pad=0.02)
        bar.set_label("rows", fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    else:
        size = 14 if n <= 300 else 7
        axis.scatter(ranks, scaled, s=size, color=BLUE, alpha=0.35, linewidths=0)
    edge = (scaled == 0.0) | (scaled == 1.0)
    if n <= MANY:
        axis.scatter(ranks[edge], scaled[edge], s=16, marker="*", color=RED, zorder=4, clip_on=False)
    else:
        # So many stars would make a line.
        paper = {"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1.5}
        for end, place, side in ((0.0, 0.015, "bottom"), (1.0, 0.985, "top")):
            share = f"{100.0 * float((scaled == end).mean()):.1f} % at {end:.0f}"
            axis.text(0.985, place, share, color=RED, fontsize=SMALL, ha="right", va=side, bbox=paper, zorder=5)
    if trend is not None:
        taus = [float(test.test.split()[1]) for test in trend.details]
        found = quantile_curves(scaled, predictor, taus)
        for k, (tau, test) in enumerate(zip(taus, trend.details, strict=True)):
            off = test.p_value < 0.05
            axis.axhline(tau, color=GREY, linewidth=0.8, linestyle=":")
            axis.fill_between(found.ranks, found.low[k], found.high[k], color=RED if off else "black", alpha=0.13)
            axis.plot(found.ranks, found.curves[k], color=RED if off else "black", linestyle="--" if off else "-")
    axis.set_xlabel(f"{name} (rank)")
    axis.set_ylabel("scaled residual")
    axis.set_xlim(-0.01, 1.01)
    return _finished(axis, [] if trend is None else [verdict(trend)])


def by_level(
    scaled: np.ndarray,
    levels: Sequence[str],
    rows: Sequence[np.ndarray],
    name: str,
    test: ResidualTest | None,
    ax: Axes | Any = None,
) -> Figure:
    """Residuals of each level of a factor with their quartiles; levels that are not uniform are red."""
    count = len(levels)
    axis: Any = ax
    if ax is not None:
        require_axes(ax, "plot_against()")
    else:
        upright = 0.8 * room_for(levels) if count <= NAMED else 0.0
        axis = new_axes(1, 1, min(11.0, max(4.6, 0.28 * count + 1.5)), 4.0 + upright)[1][0]
    rng = np.random.default_rng(0)
    few = len(scaled) <= MANY and count <= NAMED
    for tau in (0.25, 0.5, 0.75):
        axis.axhline(tau, color=GREY, linewidth=0.8, linestyle=":")
    for k, own in enumerate(rows):
        off = test is not None and test.details[k].p_value < 0.05
        colour = RED if off else BLUE
        if few:
            across = k + rng.uniform(-0.22, 0.22, len(own))
            axis.plot(across, scaled[own], "o", color=colour, alpha=0.3, markersize=3, markeredgewidth=0)
        low, middle, high = np.quantile(scaled[own], [0.25, 0.5, 0.75])
        if count <= NAMED:
            axis.vlines(k, low, high, color=colour, linewidth=3)
            axis.plot(k, middle, "D" if off else "o", color="white", markeredgecolor=colour, markersize=5, zorder=4)
        else:
            axis.vlines(k, low, high, color=colour, linewidth=0.8, alpha=0.35)
            axis.plot(k, middle, "D" if off else "o", color=colour, markersize=4 if off else 2.5, zorder=4)
    axis.set_ylabel("scaled residual")
    axis.set_xlim(-0.6, count - 0.4)
    figure = _finished(axis, [] if test is None else [verdict(test)])
    name_levels(axis, levels, name)
    return figure


def histogram(scaled: np.ndarray, ax: Axes | Any = None) -> Figure:
    """A histogram whose bars would all reach the line; the grey band holds 95 % of the bars of uniform residuals."""
    axis = _the_axis(ax, "hist()", 4.8, 3.4)
    n = len(scaled)
    bins = int(min(50, max(5, round(2 * n ** (1 / 3)))))
    axis.hist(scaled, bins=bins, range=(0, 1), color=BLUE, alpha=0.7, edgecolor="white", linewidth=0.5)
    half = 1.96 * np.sqrt(n / bins * (1 - 1 / bins))
    axis.axhspan(max(0.0, n / bins - half), n / bins + half, color=GREY, alpha=0.25, linewidth=0)
    axis.axhline(n / bins, color=GREY, linewidth=0.9)
    axis.set_xlabel("scaled residual")
    axis.set_ylabel("rows")
    axis.set_xlim(0, 1)
    return _finished(axis, [], False)


def _the_axis(ax: Any, called: str, width: float, height: float) -> Any:
    if ax is None:
        return new_axes(1, 1, width, height)[1][0]
    require_axes(ax, called)
    return ax


def _finished(axis: Any, lines: Sequence[str], unit: bool = True) -> Figure:
    if unit:
        axis.set_ylim(-0.02, 1.02)
    if lines:
        axis.set_title("\n".join(_wrapped(line) for line in lines), fontsize=SMALL, loc="left")
    finish(axis, None, axis.get_xlabel(), axis.get_ylabel())
    return cast("Figure", axis.figure)


def _wrapped(line: str, width: int = 72) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(line, width, subsequent_indent="    "))
