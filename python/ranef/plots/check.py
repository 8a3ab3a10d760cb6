"""One page of what the checks looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranef.checks.finding import OK, VERDICTS, Finding
from ranef.checks.influential_groups import without_each
from ranef.checks.random_effects import standardised_modes
from ranef.checks.subject import Subject
from ranef.errors import ModelError
from ranef.plots import influence as influence_plot
from ranef.plots.canvas import finish, panels
from ranef.plots.qq import draw_qq, qq_columns
from ranef.plots.residuals import ResidualPoints, residuals
from ranef.plots.responses import response_columns, responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Panels of random effects, and levels whose influence has a line with a name.
MOST_TERMS, MOST_LEVELS = 4, 14


def check(subject: Subject, findings: Sequence[Finding], ax: Axes | Any = None) -> Figure:
    """Draw the page and return the figure."""
    record = subject.record
    modes = list(standardised_modes(subject))[:MOST_TERMS]
    found = _influence(subject)
    try:
        drawn = response_columns(record, subject.seed)
    except (ModelError, ValueError):  # a family that cannot be drawn from
        drawn = None
    figure, axes = panels(ax, 2 + (drawn is not None) + len(modes) + (found is not None), (3.9, 3.3), "check().plot()")
    free = iter(axes)
    draw_qq(
        next(free),
        qq_columns(subject.residuals),
        "residual",
        _titled("residuals", findings, "distribution", "outliers"),
    )
    scale = "" if record.link == "identity" else f", {record.link} scale"
    along = ResidualPoints(
        record.design.rows, "fitted", f"fitted value{scale}", subject.predictor, None, subject.residuals, "residual"
    )
    residuals(along, next(free), key=False, title=_titled("residuals along fitted values", findings, "spread along"))
    if drawn is not None:
        title = _titled("responses and draws of the model", findings, "dispersion", "zeros")
        responses(record, drawn, next(free), title)
    for term, name, z, _ in modes:
        title = _titled(f"{term.group}: {name}", findings, f"normal effects: {term.text} {name}", "outlying levels")
        draw_qq(next(free), qq_columns(z), "standardised random effect", title)
    if found is not None:
        axis = next(free)
        influence_plot.influence(found, axis, MOST_LEVELS)
        finish(axis, _titled("influence", findings, "influential"))
    return figure


def _influence(subject: Subject) -> Any:
    return next((found for group in subject.factors if (found := without_each(subject, group)) is not None), None)


def _titled(title: str, findings: Sequence[Finding], *starts: str) -> str:
    """A title with the worst verdict of the checks whose names begin so."""
    mine = [f.verdict for f in findings if f.check.startswith(starts)]
    return f"{title}: {max(mine, key=VERDICTS.index, default=OK)}" if mine else title
