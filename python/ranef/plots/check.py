"""One page of what the checks looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.checks.finding import OK, VERDICTS, Finding
from ranef.checks.influential_groups import without_each
from ranef.checks.random_effects import standardised_modes
from ranef.checks.subject import Subject
from ranef.errors import ModelError
from ranef.plots import influence as influence_plot
from ranef.plots.canvas import BLUE, GREY, PALETTE, new_axes
from ranef.simulation import simulate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Points beyond which they are drawn as density.
MANY = 5_000
# Panels of random effects, draws behind the observed response, bars of a rootogram.
MOST_TERMS, DRAWS, BARS = 4, 50, 40
# Lines of the running mean, and rows to each at least.
BINS, ROWS_A_BIN = 30, 12


def check(subject: Subject, findings: Sequence[Finding]) -> Figure:
    """Draw the page and return the figure."""
    modes = list(standardised_modes(subject))[:MOST_TERMS]
    found = _influence(subject)
    panels = 3 + len(modes) + (found is not None)
    across = 3
    figure, axes = new_axes(math.ceil(panels / across), across, 10.5, 3.3 * math.ceil(panels / across))
    for spare in axes[panels:]:
        spare.remove()
    free = iter(axes)
    qq(next(free), subject.residuals, _titled("residuals", findings, "distribution", "outliers"), "residual")
    along(next(free), subject, _titled("residuals along fitted values", findings, "spread along"))
    _responses(next(free), subject, _titled("responses and draws of the model", findings, "dispersion", "zeros"))
    for term, name, z, _ in modes:
        title = _titled(f"{term.group}: {name}", findings, f"normal effects: {term.text} {name}", "outlying levels")
        qq(next(free), z, title, "standardised effect")
    if found is not None:
        axis = next(free)
        influence_plot.influence(found, axis)
        axis.xaxis.label.set_fontsize(8)
        axis.yaxis.label.set_fontsize(8)
        axis.set_title(_titled("influence", findings, "influential"), fontsize=9)
    return figure


def qq(axis: Any, values: np.ndarray, title: str, label: str) -> None:
    """Sorted values against normal quantiles, with a pointwise 95 % band."""
    from scipy.special import betaincinv, ndtri

    values = np.sort(values)
    n = len(values)
    shown = (
        np.arange(n)
        if n <= MANY
        else np.unique(np.r_[np.arange(200), np.linspace(0, n - 1, 1000, dtype=int), np.arange(n - 200, n)])
    )
    i = shown + 1.0
    quantile = ndtri((i - 0.5) / n)
    low, high = (ndtri(betaincinv(i, n + 1.0 - i, p)) for p in (0.025, 0.975))
    axis.fill_between(quantile, low, high, color=GREY, alpha=0.25, linewidth=0)
    axis.plot(quantile, quantile, color=GREY, linewidth=0.8)
    axis.plot(quantile, values[shown], "o", color=BLUE, markersize=2.5, markeredgewidth=0)
    axis.set_xlabel("normal quantile", fontsize=8)
    axis.set_ylabel(label, fontsize=8)
    _finish(axis, title)


def along(axis: Any, subject: Subject, title: str) -> None:
    """Residuals against the linear predictor with running mean and standard deviation."""
    x, r = subject.predictor, subject.residuals
    if len(x) > MANY:
        axis.hexbin(x, r, gridsize=50, bins="log", cmap="Blues", linewidths=0)
    else:
        axis.plot(x, r, "o", color=BLUE, markersize=2.5, markeredgewidth=0, alpha=0.6)
    bins = int(min(BINS, len(x) // ROWS_A_BIN))
    axis.axhline(0.0, color=GREY, linewidth=0.8)
    if bins > 2:
        parts = np.array_split(np.argsort(x, kind="stable"), bins)
        at = [float(x[p].mean()) for p in parts]
        mean = np.array([float(r[p].mean()) for p in parts])
        sd = np.array([float(r[p].std()) for p in parts])
        axis.plot(at, mean, color=PALETTE[1], linewidth=1.4, label="mean")
        for sign in (-1.0, 1.0):
            axis.plot(
                at, mean + sign * sd, color=PALETTE[1], linewidth=1.0, linestyle="--", label="sd" if sign > 0 else None
            )
        axis.legend(fontsize=7, frameon=False, loc="upper left")
    axis.set_xlabel("fitted value, scale of the link", fontsize=8)
    axis.set_ylabel("residual", fontsize=8)
    _finish(axis, title)


def _responses(axis: Any, subject: Subject, title: str) -> None:
    record = subject.record
    response = record.design.response
    observed = np.asarray(response.y, float)
    try:
        draws = np.asarray(simulate(record, DRAWS if record.nobs <= 200_000 else 5, subject.seed, "new"))
        if response.form == "proportion" and response.trials is not None:
            draws = draws * np.asarray(response.trials, float)[:, None]
        draws = draws.astype(float)
    except (ModelError, ValueError):
        axis.set_axis_off()
        return
    if record.model.family.support in ("counts", "positive_counts", "trials"):
        rootogram(axis, observed, draws)
    else:
        _densities(axis, observed, draws)
    _finish(axis, title)


def rootogram(axis: Any, observed: np.ndarray, draws: np.ndarray) -> None:
    """Square roots of frequencies: bars hang from the expected ones; those that miss the zero line are off.

    Kleiber & Zeileis (2016), The American Statistician 70, 296-303. Large counts share a bar.
    """
    top = float(np.quantile(observed, 0.995))
    width = max(1.0, math.ceil((top + 1.0) / BARS))
    edges = np.arange(-0.5, top + width + 0.5, width)
    middle = (edges[:-1] + edges[1:]) / 2.0
    seen = np.sqrt(np.histogram(observed, edges)[0])
    drawn = np.sqrt([np.histogram(draws[:, j], edges)[0] for j in range(draws.shape[1])])
    expected = np.sqrt(np.mean(drawn**2, axis=0))
    axis.bar(middle, seen, width * 0.85, bottom=expected - seen, color=BLUE, alpha=0.6, label="observed")
    axis.plot(middle, expected, color=PALETTE[1], marker="o", markersize=2.5, linewidth=1.2, label="expected")
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    axis.fill_between(middle, expected - high, expected - low, color=GREY, alpha=0.35, linewidth=0)
    axis.axhline(0.0, color="black", linewidth=0.8)
    axis.set_xlabel("count" if width == 1.0 else f"count, in steps of {width:.0f}", fontsize=8)
    axis.set_ylabel("square root of frequency", fontsize=8)
    axis.legend(fontsize=7, frameon=False)


def _densities(axis: Any, observed: np.ndarray, draws: np.ndarray) -> None:
    edges = np.histogram_bin_edges(observed, min(60, max(10, int(2.0 * len(observed) ** 0.4))))
    # Draws may reach farther than the data.
    low, high = np.quantile(draws, [0.001, 0.999])
    step = edges[1] - edges[0]
    edges = np.arange(min(edges[0], low), max(edges[-1], high) + step, step)
    middle = (edges[:-1] + edges[1:]) / 2.0
    heights = np.array([np.histogram(draws[:, j], edges)[0] for j in range(draws.shape[1])])
    band = np.quantile(heights, [0.025, 0.5, 0.975], axis=0)
    axis.fill_between(middle, band[0], band[2], color=GREY, alpha=0.35, linewidth=0, step="mid")
    axis.step(middle, band[1], color=PALETTE[1], linewidth=1.2, where="mid", label="expected")
    axis.step(middle, np.histogram(observed, edges)[0], color=BLUE, linewidth=1.4, where="mid", label="observed")
    axis.set_xlabel("response", fontsize=8)
    axis.set_ylabel("rows", fontsize=8)
    axis.legend(fontsize=7, frameon=False)


def _influence(subject: Subject) -> Any:
    return next((found for group in subject.factors if (found := without_each(subject, group)) is not None), None)


def _titled(title: str, findings: Sequence[Finding], *starts: str) -> str:
    """A title with the worst verdict of the checks whose names begin so."""
    mine = [f.verdict for f in findings if f.check.startswith(starts)]
    return f"{title}: {max(mine, key=VERDICTS.index, default=OK)}" if mine else title


def _finish(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=7)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
