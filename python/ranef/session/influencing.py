"""What a fit owes to single rows and groups: they are left out, one after the other."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import hold_to_their_types
from ranef.frames import IntoFrame
from ranef.inference import influence as deletion
from ranef.plots import influence as influence_plot
from ranef.session.answers import Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Sets that the text shows: who looks for influence looks for the largest.
SHOWN = 6


@hold_to_their_types
class Influence:
    """What a fit is without each row, or each level of a group, as `Fit.influence` gives it.

    Attributes
    ----------
    method : {"exact", "one-step"}

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> without = fit.influence("Subject")
    >>> without.table.nlargest(2, "cooks_distance")["level"].tolist()
    ['309', '335']
    """

    def __init__(self, fit: Answers, found: deletion.Deletion) -> None:
        self._fit = fit
        self._found = found

    @property
    def method(self) -> str:
        """How it was found: "exact" or "one-step"."""
        return self._found.method

    @property
    def table(self) -> IntoFrame:
        """A frame with a row for each set that is left out.

        row (its number in the data, counting from 0) or level, rows (how many), cooks_distance, leverage, covratio, a
        column dfbetas__<name> for each coefficient, change__<name> for each other parameter and relative__<name> for
        standard deviations (NaN by one step), converged, note.
        """
        return self._fit._frame(self._found.columns())

    @property
    def cooks_distance(self) -> np.ndarray:
        """Cook's distance of each set, (sets,): the change of the mean's fixed effects in units of their covariance."""
        return self._found.cooks_distance.copy()

    @property
    def leverage(self) -> np.ndarray:
        """Leverage of each set, (sets,): d fitted / d observed, summed over its rows."""
        return self._found.leverage.copy()

    @property
    def dfbetas(self) -> IntoFrame:
        """A frame row or level, and for each coefficient its change in standard errors without the set."""
        return self._fit._frame(self._found.dfbetas_columns())

    @property
    def estimates(self) -> IntoFrame:
        """A frame row or level, component, group, term, estimate, without: every parameter without every set."""
        return self._fit._frame(self._found.estimate_columns())

    def plot(self, ax: Axes | Any = None) -> Figure:
        """Cook's distance of each set with a line at 4 over their number; the most influential carry their names.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure when left out.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return influence_plot.influence(self._found, ax)

    def _lines(self) -> tuple[str, list[list[str]]]:
        found = self._found
        kind = "row" if found.sets.kind == "row" else found.sets.kind
        said = f"{len(found.sets.names)} {'rows' if kind == 'row' else f'levels of {kind}'} left out in turn"
        said += f" ({'refits' if found.method == 'exact' else 'one step'})"
        head = [kind, "cook's d", "leverage", "covratio", "largest dfbetas", ""]
        rows = [head]
        for j in found.order()[:SHOWN]:
            dfbetas = found.dfbetas[j]
            largest = "" if not np.isfinite(dfbetas).any() else _largest(found, dfbetas)
            numbers = (found.cooks_distance[j], found.leverage[j], found.covratio[j])
            rows.append([str(found.sets.names[j]), *(f"{v:.3f}" for v in numbers), largest, found.note[j]])
        return said, rows

    def __repr__(self) -> str:
        said, rows = self._lines()
        widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
        lines = [
            "  ".join(
                cell.ljust(width) if j in (0, 4, 5) else cell.rjust(width)
                for j, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        more = len(self._found.sets.names) - len(rows) + 1
        return "\n".join(
            [said, *lines, *([f"... and {more} more; .table has all, .plot() shows them"] if more else [])]
        )

    def _repr_html_(self) -> str:
        said, rows = self._lines()
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
        return (
            f'<div class="ranef-influence"><p>{html.escape(said)}</p>'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _largest(found: deletion.Deletion, dfbetas: np.ndarray) -> str:
    k = int(np.nanargmax(np.abs(dfbetas)))
    return f"{dfbetas[k]:+.2f} {found.coefficients[k].name}"


class Influencing(Answers):
    """Influence of rows and groups."""

    def influence(
        self,
        group: Any = None,
        method: str | None = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Influence:
        """Leave out each row, or each level of a group, and see what changes.

        Parameters
        ----------
        group : str or array_like, optional
            A grouping factor, a column of the data, or a value for each row. None: single rows.
        method : {"exact", "one-step"}, optional
            "exact" fits the model again without each set, starting from the estimates. "one-step" takes the variance
            parameters of a linear model as they are, which gives its fixed effects in closed form, and for other models
            takes one Newton step of all parameters from the estimates. None: "exact" for groups, and for single rows up
            to 1000 of them.
        threads : int, optional
            Threads of the refits; the numbers do not depend on it.
        progress : bool, optional
            Whether lines about the progress go to the standard error stream; None: as the fit's control says.

        Returns
        -------
        Influence
            Its `table` has Cook's distance (of the fixed effects of the mean, on their covariance in this fit),
            DFBETAS, leverage, the ratio of the determinants of the covariance, and the change of every variance
            parameter; a set without which something cannot be estimated has NaN and a note. `plot()` draws it.

        Notes
        -----
        `augment` has the Cook's distance of lme4, which takes the fitted random effects for parameters; this one is of
        the fixed effects alone.

        Raises
        ------
        DataError
            When there is no such group, or nothing would be left.
        ModelError
            For another method, or where one step is not there for the model.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.influence("Subject").cooks_distance.max().round(2).item()
        0.15
        """
        return Influence(self, deletion.influence(self, group, method, threads, progress))
