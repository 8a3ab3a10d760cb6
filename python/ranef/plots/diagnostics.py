"""One page of diagnostics: conditional and marginal residuals, QQ plots of residuals and random effects, responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.checks.random_effects import standardised_modes
from ranef.checks.subject import Subject
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.plots.canvas import panels
from ranef.plots.qq import draw_qq, qq_columns
from ranef.plots.residuals import ResidualPoints, residual_points, residuals
from ranef.plots.responses import response_columns, responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Panels of random effects; beyond them `plot.qq("ranef")` draws all.
MOST_TERMS = 6


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel: its title, the columns x, y, conf_low, conf_high that it draws, and how."""

    title: str
    columns: Callable[[], dict[str, Any]]
    draw: Callable[[Any], object]


def diagnostics(record: FittedModel, ax: Axes | Any = None, seed: int = 1) -> Figure:
    """Draw the page and return the figure."""
    found = _panels(record, seed)
    figure, axes = panels(ax, len(found), (3.9, 3.3), "plot.diagnostics()")
    for axis, panel in zip(axes, found, strict=True):
        panel.draw(axis)
    return figure


def diagnostics_columns(record: FittedModel, seed: int = 1) -> dict[str, Any]:
    """Columns panel, x, y, conf_low, conf_high of all panels, one below the other; NaN where there is no band."""
    parts = [(panel.title, panel.columns()) for panel in _panels(record, seed)]
    sizes = [len(columns["x"]) for _, columns in parts]
    return {
        "panel": [title for (title, _), size in zip(parts, sizes, strict=True) for _ in range(size)],
        **{
            name: np.concatenate(
                [
                    np.asarray(columns.get(name, np.full(size, np.nan)), float)
                    for (_, columns), size in zip(parts, sizes, strict=True)
                ]
            )
            for name in ("x", "y", "conf_low", "conf_high")
        },
    }


def random_effect_panels(record: FittedModel, most: int | None = None) -> list[Panel]:
    """A QQ plot of each column of random effects, over the standard deviation its modes have under the model."""
    found = []
    for term, name, z, _ in standardised_modes(Subject(record)):
        title = f"{term.group}: {name}" + ("" if term.component == "cond" else f" ({term.component})")
        found.append(_qq(title, z, "standardised random effect"))
    return found[:most]


def residual_panel(record: FittedModel, kind: str | None, ranef: Any, seed: int) -> Panel:
    """A QQ plot of the residuals; Pearson's of a linear model are over their standard deviation."""
    found = residual_points(record, None, kind, ranef, seed)
    values, label = found.residual, found.label
    if record.family == "gaussian" and kind is None and record.model.correlation is None:
        # As the checks take them: over the residual standard deviation and the root of one minus the leverage.
        values, label = Subject(record, seed).residuals, "standardised residual"
    return _qq("residuals", values, label)


def _panels(record: FittedModel, seed: int) -> list[Panel]:
    found = [_along("conditional residuals", residual_points(record, None, None, True, seed))]
    gaussian = record.family == "gaussian" and record.link == "identity"
    try:
        marginal = residual_points(record, None, "response" if gaussian else None, False if gaussian else "new", seed)
        found.append(_along("marginal residuals", marginal))
    except ModelError:  # a family that cannot be drawn from
        pass
    found.append(residual_panel(record, None, True, seed))
    try:
        columns = response_columns(record, seed)
        found.append(
            Panel(
                "responses and draws of the model",
                lambda: (
                    {"x": (columns["from"] + columns["to"]) / 2.0, "y": columns["observed"]}
                    | {name: columns[name] for name in ("conf_low", "conf_high")}
                ),
                lambda axis: responses(record, columns, axis, "responses and draws of the model"),
            )
        )
    except ModelError:
        pass
    return found + random_effect_panels(record, MOST_TERMS)


def _along(title: str, found: ResidualPoints) -> Panel:
    return Panel(
        title,
        lambda: {"x": found.values, "y": found.residual},
        lambda axis: residuals(found, axis, key=False, title=title),
    )


def _qq(title: str, values: np.ndarray, label: str) -> Panel:
    def columns() -> dict[str, Any]:
        found = qq_columns(values)
        return {"x": found["theoretical"], "y": found["sample"]} | {
            name: found[name] for name in ("conf_low", "conf_high")
        }

    return Panel(title, columns, lambda axis: draw_qq(axis, qq_columns(values), label, title))
