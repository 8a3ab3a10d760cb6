"""Residuals against fitted values or a variable: points with a smooth line along a number, bars for levels of a factor.

The line is the local mean with its 95 % band, the dashed ones stand a local standard deviation to either side. Of a
factor the thin bar holds 90 % of a level's residuals, the thick one half, the open mark is the median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.checks.simulated_residuals import simulated_responses
from ranef.checks.simulated_residuals.described_rows import rows_of_fit
from ranef.data import label
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.variables import Variables
from ranef.plots.canvas import BLUE, GREY, MANY, NAMED, ORANGE, finish, legend, name_levels, panels, points, room_for
from ranef.plots.local_regression import LocalLine, local_line
from ranef.prediction.predictions import predict
from ranef.prediction.residuals import residuals as residuals_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LAYERS = ("points", "trend", "levels")
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Simulations behind residuals of new random effects: so many, and of many rows so many numbers.
_DRAWS, _NUMBERS, _FEWEST_DRAWS = 250, 5_000_000, 50
_LABELS = {
    "response": "residual of {response}",
    "pearson": "Pearson residual",
    "deviance": "deviance residual",
    "working": "working residual, scale of the link",
    "quantile": "quantile residual (standard normal)",
    "normalized": "normalized residual (standard normal)",
}


@dataclass(frozen=True, eq=False)
class ResidualPoints:
    """Residuals and what they are drawn against.

    Attributes
    ----------
    rows : int array (n,)
        Numbers of the rows in the caller's data.
    against : str
        Name of the column.
    title : str
        What it is, with its scale.
    values : float array (n,)
        Numbers, or for a factor the place of the level.
    levels : list of str or None
    residual : array (n,)
    label : str
        What the residuals are, with their scale.
    """

    rows: np.ndarray
    against: str
    title: str
    values: np.ndarray
    levels: list[str] | None
    residual: np.ndarray
    label: str

    @property
    def line(self) -> LocalLine | None:
        """The smooth line along a number."""
        return None if self.levels is not None else local_line(self.values, self.residual)

    def columns(self, layer: str) -> dict[str, Any]:
        """What is drawn, by layer."""
        if layer not in LAYERS:
            raise ModelError(f"layer={layer!r}: give one of {', '.join(map(repr, LAYERS))}.")
        if layer == "trend":
            line = self.line
            names = ("estimate", "conf_low", "conf_high", "sd")
            empty = np.empty(0)
            return {
                self.against: empty if line is None else line.x,
                **{name: empty if line is None else getattr(line, name) for name in names},
            }
        if layer == "levels":
            if self.levels is None:
                raise ModelError(f"layer='levels': `{self.against}` is a number; its layers are 'points' and 'trend'.")
            own = [self.residual[self.values == k] for k in range(len(self.levels))]
            shares = np.array([np.quantile(r, SHARES) for r in own])
            return {
                self.against: self.levels,
                "rows": [len(r) for r in own],
                **{f"q{100 * p:02.0f}": shares[:, j] for j, p in enumerate(SHARES)},
            }
        values: Any = self.values if self.levels is None else [self.levels[int(k)] for k in self.values]
        return {"row": self.rows, self.against: values, "residual": self.residual}


def residual_points(
    record: FittedModel, against: Any = None, kind: str | None = None, ranef: Any = True, seed: int = 1
) -> ResidualPoints:
    """Residuals of the rows used, against their linear predictor or a variable.

    Parameters
    ----------
    record : FittedModel
    against : str or array, optional
        A column of the data, a grouping factor, or a value for each row; the linear predictor when left out.
    kind : str, optional
        As in `Fit.residuals`. None: normalized with correlated residuals, Pearson's for a linear model, else quantile.
    ranef : bool, list of terms or "new"
        As in `Fit.residuals`; "new": the place of the response among ones that are simulated with new random effects,
        on the normal scale.
    seed : int
        Of quantile residuals and simulations.
    """
    residual, said = _residuals(record, kind, ranef, seed)
    rows = np.asarray(record.design.rows)
    if against is None:
        kept = False if ranef == "new" else ranef
        eta = np.asarray(predict(record, kind="link", ranef=kept), float)
        of = "population value" if kept is False else "fitted value"
        scale = "" if record.link == "identity" else f", {record.link} scale"
        return ResidualPoints(rows, "fitted", of + scale, eta, None, residual, said)
    described = rows_of_fit(record)
    name = against if isinstance(against, str) else str(getattr(against, "name", None) or "predictor")
    values = described.values(against, "against")
    grouping = name in {term.group for term in record.terms()}
    if grouping or any(isinstance(value, str | bool) for value in values):
        texts = [label(value) for value in values]
        # The model knows the order of its factors' levels.
        known = Variables(record).get(name)
        ordered = [label(v) for v in known.levels] if known is not None and known.levels else _in_order(values)
        present = set(texts)
        levels = [text for text in ordered if text in present]
        place = {text: k for k, text in enumerate(levels)}
        return ResidualPoints(rows, name, name, np.array([place[t] for t in texts], float), levels, residual, said)
    return ResidualPoints(rows, name, name, described.measured(against, "against"), None, residual, said)


def residuals(found: ResidualPoints, ax: Axes | Any = None, key: bool = True, title: str | None = None) -> Figure:
    """Draw the residuals and return the figure."""
    named = found.levels if found.levels is not None and len(found.levels) <= NAMED else []
    # Names that stand upright take of the height.
    size = (max(4.8, min(11.0, 0.2 * len(named) + 1.5)), 3.6 + 0.8 * room_for(named))
    if found.levels is not None and not named:
        size = (8.0, 3.6)
    figure, (axis,) = panels(ax, 1, size, "plot.residuals()")
    axis.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    if found.levels is not None:
        _draw_levels(axis, found)
    else:
        points(axis, found.values, found.residual, key=key)
        line = found.line
        if line is not None:
            axis.fill_between(line.x, line.conf_low, line.conf_high, color=ORANGE, alpha=0.25, linewidth=0, zorder=3)
            axis.plot(line.x, line.estimate, color=ORANGE, linewidth=1.6, label="mean", zorder=4)
            for sign in (-1.0, 1.0):
                axis.plot(
                    line.x,
                    line.estimate + sign * line.sd,
                    color=ORANGE,
                    linewidth=1.0,
                    linestyle="--",
                    label="± sd" if sign > 0 else None,
                    zorder=4,
                )
            # Above the points, where nothing is hidden.
            low, high = float(found.residual.min()), float(found.residual.max())
            axis.set_ylim(low - 0.04 * (high - low), high + 0.16 * (high - low))
            legend(axis, loc="upper right", ncols=2)
        axis.set_xlabel(found.title)
    finish(axis, title, axis.get_xlabel(), found.label)
    if found.levels is not None:
        name_levels(axis, found.levels, found.title)
    return figure


def _draw_levels(axis: Any, found: ResidualPoints) -> None:
    columns = found.columns("levels")
    count = len(columns["rows"])
    place = np.arange(count)
    few = len(found.residual) <= MANY and count <= NAMED
    if few:
        spread = np.random.default_rng(1).uniform(-0.25, 0.25, len(found.values))
        axis.plot(found.values + spread, found.residual, "o", color=GREY, alpha=0.35, markersize=2.5, markeredgewidth=0)
    if count <= NAMED:
        axis.vlines(place, columns["q05"], columns["q95"], color=BLUE, linewidth=1.0, zorder=2)
        axis.vlines(place, columns["q25"], columns["q75"], color=BLUE, linewidth=4.0, zorder=3)
        mark = {"color": "white", "markeredgecolor": BLUE, "markeredgewidth": 0.8, "markersize": 5.0}
    else:
        # Bars of hundreds of levels would be one block: a pale one, so that the medians stand out on it.
        axis.vlines(place, columns["q25"], columns["q75"], color=BLUE, linewidth=0.8, alpha=0.35, zorder=2)
        mark = {"color": BLUE, "markersize": 2.5}
    axis.plot(place, columns["q50"], "o", zorder=4, **mark)
    axis.set_xlim(-0.7, count - 0.3)


def _residuals(record: FittedModel, kind: str | None, ranef: Any, seed: int) -> tuple[np.ndarray, str]:
    if isinstance(ranef, str) and ranef == "new":
        if kind not in (None, "quantile"):
            raise ModelError(f"residuals of kind {kind!r} have no random effects that are drawn anew; leave out kind.")
        draws = int(min(_DRAWS, max(_FEWEST_DRAWS, _NUMBERS // record.nobs)))
        drawn, _ = simulated_responses.of_fit(record, draws, seed, "new", "pit", None, False, None, False)
        from scipy.special import ndtri

        # A place between two draws, at random: with few draws the places would lie in rows.
        place = (drawn.scaled * draws + np.random.default_rng(seed).uniform(size=record.nobs)) / (draws + 1.0)
        return ndtri(place), "marginal residual (standard normal)"
    if kind is None:
        kind = "pearson" if record.family == "gaussian" else "quantile"
        kind = "normalized" if record.model.correlation is not None else kind
        try:
            found = residuals_of(record, kind, ranef, seed if kind == "quantile" else None)
        except ModelError:  # a family without a distribution function
            kind, found = "pearson", residuals_of(record, "pearson", ranef)
    else:
        found = residuals_of(record, kind, ranef, seed if kind == "quantile" else None)
    response = record.formula.partition("~")[0].strip()
    said = _LABELS[kind].format(response=response)
    if kind == "pearson" and record.family == "gaussian" and not record.model.marginal:
        said += f", scale of {response}"  # not over the residual standard deviation, as lme4 has them
    return np.asarray(found, float), ("population " if ranef is False else "") + said


def _in_order(values: list[Any]) -> list[str]:
    """Levels in the order of their values; of text as the alphabet has it."""
    try:
        return [label(value) for value in sorted(set(values))]
    except TypeError:
        return list(dict.fromkeys(label(value) for value in values))
