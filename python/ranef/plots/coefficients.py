"""Coefficients of one or several models with their intervals, a row a term, a panel a component."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.tidying import tidy
from ranef.plots.canvas import BLUE, LABEL, LONGEST, MARKERS, PALETTE, SMALL, TICK, finish, panels, room_for, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("model", "effect", "component", "group", "term", "estimate", "std_error", "conf_low", "conf_high")
WORDS = {
    "cond": "mean",
    "zi": "zero inflation",
    "disp": "dispersion",
    "shape": "shape",
    "threshold": "thresholds",
}
# Rows up to which each has a name.
MOST_NAMES = 120


def coefficient_columns(
    records: Mapping[str, FittedModel],
    effects: str = "fixed",
    intercept: bool = False,
    exponentiate: bool = False,
    level: float = 0.95,
    ddf: str | None = None,
    vcov: str | None = None,
    cluster: Any = None,
) -> dict[str, list[Any]]:
    """Columns model, effect, component, group, term, estimate, std_error, conf_low, conf_high.

    Parameters
    ----------
    records : mapping
    effects : {"fixed", "random", "all"}
        As in `Fit.tidy`: coefficients, standard deviations and correlations, or both.
    intercept : bool
        Whether intercepts and thresholds are there, which often make the other estimates small.
    exponentiate : bool
        Whether coefficients on a log or logit scale become ratios; others stay.
    level : float
    ddf, vcov, cluster : optional
        As in `Fit.tidy`.
    """
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for model, record in records.items():
        found = tidy(record, effects, ddf, level, vcov, cluster)
        for i, (effect, component, term) in enumerate(
            zip(found["effect"], found["component"], found["term"], strict=True)
        ):
            if not intercept and effect == "fixed" and (term == "Intercept" or component == "threshold"):
                continue
            row = {name: found[name][i] for name in COLUMNS[1:]}
            if exponentiate and effect == "fixed" and _ratio(record, component) is not None:
                with np.errstate(over="ignore"):  # of a coefficient that runs to infinity
                    row |= {name: float(np.exp(row[name])) for name in ("estimate", "conf_low", "conf_high")}
                row["std_error"] = row["estimate"] * row["std_error"]
            columns["model"].append(model)
            for name in COLUMNS[1:]:
                columns[name].append(row[name])
    return columns


def coefficients(
    records: Mapping[str, FittedModel], columns: Mapping[str, Sequence[Any]], exponentiate: bool, ax: Any = None
) -> Figure:
    """Draw the columns and return the figure."""
    n = len(columns["term"])
    if not n:
        raise ModelError("plot_coefficients(): nothing to draw: the models have intercepts alone; give intercept=True.")
    keys = [_panel(columns, i) for i in range(n)]
    drawn = list(dict.fromkeys(keys))
    rows_of = {
        key: list(dict.fromkeys(t for t, k in zip(columns["term"], keys, strict=True) if k == key)) for key in drawn
    }
    models = list(dict.fromkeys(columns["model"]))
    # A row has room for a mark of each model.
    row = 0.17 + 0.11 * len(models)
    places = [sum(max(row, 0.15 * (1 + t.count("\n"))) for t in _wrapped(terms)) for terms in rows_of.values()]
    heights = [0.35 + min(place, 9.0) for place in places]
    lines = [line for terms in rows_of.values() for term in _wrapped(terms) for line in term.split("\n")]
    width = 4.2 + min(2.6, room_for(lines))
    share = {"height_ratios": heights}
    total = sum(heights) + 0.55 * len(drawn)
    figure, axes = panels(
        ax, len(drawn), (width, total / len(drawn)), "plot_coefficients()", "give as many.", 1, 5.0, **share
    )
    for axis, key in zip(axes, drawn, strict=True):
        own = [i for i in range(n) if keys[i] == key]
        _draw(axis, columns, own, rows_of[key], models, len(models) > 1)
        component, group = key
        title = WORDS.get(component, component) + (f": {group}" if group else "")
        ratio = {_ratio(record, component) for record in records.values()} if exponentiate and not group else {None}
        said = next(iter(ratio)) if len(ratio) == 1 else "estimate"
        axis.axvline(
            1.0 if said not in (None, "estimate") else 0.0, color="black", linewidth=0.8, linestyle=":", zorder=1
        )
        if said not in (None, "estimate"):
            _logarithmic(axis)
        links = {_link(record, component) for record in records.values() if component in record.model.components}
        scale = f" ({next(iter(links))} scale)" if len(links) == 1 and links != {"identity"} else ""
        label = said if said is not None else "estimate" if group else f"coefficient{scale}"
        finish(axis, title if len(drawn) > 1 else None, label)
        axis.tick_params(axis="y", labelsize=TICK if len(rows_of[key]) <= 40 else 6.0)
    if len(models) > 1:
        handles, names = axes[0].get_legend_handles_labels()
        said_models: dict[str, Any] = {"fontsize": SMALL, "frameon": False}
        if ax is None:
            texts = [textwrap.fill(name, int(12 * width)) for name in names]
            figure.legend(handles, texts, loc="outside lower center", **said_models)
            figure.set_figheight(figure.get_figheight() + 0.15 * sum(t.count("\n") + 1 for t in texts) + 0.15)
        else:
            axes[-1].legend(handles, shortened(names, 44), **said_models)
    return figure


def _panel(columns: Mapping[str, Sequence[Any]], i: int) -> tuple[str, str]:
    """Component, and for parameters of random effects what they are: correlations have an axis of their own."""
    if columns["effect"][i] == "fixed":
        return columns["component"][i], ""
    if columns["group"][i] in ("Residual", None):
        return columns["component"][i], "residual"
    what = "correlations" if str(columns["term"][i]).startswith("cor__") else "standard deviations"
    return columns["component"][i], f"{what} of {columns['group'][i]}"


def _wrapped(terms: Sequence[str]) -> list[str]:
    """Terms, interactions that are long below each other."""
    return [t if len(t) <= LONGEST else ":\n".join(shortened(t.split(":"), 40)) for t in terms]


def _draw(
    axis: Any, columns: Mapping[str, Sequence[Any]], own: list[int], terms: list[str], models: list[str], several: bool
) -> None:
    place = {term: len(terms) - 1 - k for k, term in enumerate(terms)}
    step = 0.7 / len(models)
    for k, model in enumerate(models):
        rows = [i for i in own if columns["model"][i] == model]
        y = np.array([place[columns["term"][i]] for i in rows]) - step * (k - (len(models) - 1) / 2.0)
        estimate, low, high = (
            np.array([columns[name][i] for i in rows], float) for name in ("estimate", "conf_low", "conf_high")
        )
        colour = PALETTE[k % len(PALETTE)] if several else BLUE
        # Each model has its legend, also where it has no such term.
        axis.hlines(y, low, high, color=colour, linewidth=1.4, zorder=2)
        axis.plot(
            estimate,
            y,
            MARKERS[k % len(MARKERS)],
            color=colour,
            markersize=4.5 if several else 5,
            label=model,
            zorder=3,
        )
    if len(terms) <= MOST_NAMES:
        axis.set_yticks([place[term] for term in terms], _wrapped(terms))
    else:
        axis.set_yticks([])
        axis.set_ylabel(f"{len(terms)} terms", fontsize=LABEL)
    axis.set_ylim(-0.6, len(terms) - 0.4)


def _link(record: FittedModel, component: str) -> str:
    """The link of a component; thresholds are on that of the mean."""
    if component in ("cond", "threshold"):
        return record.link
    own = next((p.link for p in record.model.family.parameters if p.component == component), None)
    return own or ("logit" if component == "zi" else "log")


def _ratio(record: FittedModel, component: str) -> str | None:
    """What the exponential of a coefficient is, on the scale of its link; None for other links."""
    return {"log": "ratio", "logit": "odds ratio", "cloglog": "hazard ratio"}.get(_link(record, component))


def _logarithmic(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
