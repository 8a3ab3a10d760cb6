"""The figures of a fit, `fit.plot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranef.frames import IntoFrame
from ranef.inference import smooths
from ranef.plots import caterpillar
from ranef.plots import smooth as smooth_plot
from ranef.session.effects import AlongVariables
from ranef.session.inference import Inference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Drawn(Inference, AlongVariables):
    """A fit whose inference and effects can be drawn."""


class Plots:
    """Figures of a fit, each beside a method ``..._data()`` that returns the tidy frame it draws."""

    def __init__(self, fit: Drawn) -> None:
        self._fit = fit

    def ranef(self, ax: Axes | Any = None, group: str | None = None, level: float = 0.95) -> Figure:
        """Caterpillar plot of the conditional modes: sorted, with intervals, a panel per group and term.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        group : str, optional
            Only this grouping factor.
        level : float
            Level of the intervals; those that exclude zero are blue and filled.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return caterpillar.caterpillar(self._fit, ax, group, level)

    def ranef_data(self, level: float = 0.95) -> IntoFrame:
        """The frame behind `ranef`: columns of `Fit.ranef`, and the rank within each panel."""
        return self._fit._frame(caterpillar.caterpillar_data(self._fit, level))

    def effects(
        self,
        term: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        ax: Axes | Any = None,
        data: bool = False,
        **options: Any,
    ) -> Figure:
        """Predictions along a variable, by others: lines with bands, or points with intervals.

        Parameters
        ----------
        term, by : str or list of str
            As in `Fit.effects`: the first along the axis, the second by colour, the third and fourth by panel.
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        data : bool
            Whether the responses of the data are drawn too.
        **options
            Other arguments of `Fit.effects`: margin, kind, interval, ranef, at, level, ...

        Returns
        -------
        matplotlib.figure.Figure
        """
        return self._fit.effects(term, by, **options).plot(ax, data)

    def effects_data(
        self, term: str | Sequence[str], by: str | Sequence[str] | None = None, **options: Any
    ) -> IntoFrame:
        """The frame behind `effects`: the terms, estimate, std_error, conf_low, conf_high."""
        return self._fit.effects(term, by, **options).table

    def profile(self, ax: Axes | Any = None, parm: str | Sequence[str] | None = None, level: float = 0.99) -> Figure:
        """Profile plot: zeta against the value of each parameter; straight lines where Wald intervals are right.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        parm : str or list of str, optional
            Only these parameters, as in `Fit.confint`.
        level : float
            The profile reaches as far as the interval of this level.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return self._fit.profile(parm, level).plot(ax)

    def smooth(self, name: str | None = None, ax: Axes | Any = None, level: float = 0.95) -> Figure:
        """Smooths with pointwise intervals, on the scale of the link: a curve, or a surface as contours.

        Parameters
        ----------
        name : str, optional
            ``"s(x)"``; all smooths when left out. For a smooth by a factor it stands for all levels,
            ``"s(x):f[a]"`` for one.
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        level : float
            Level of the intervals, which hold the uncertainty of all parameters.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return smooth_plot.smooth(self._fit, name, ax, level)

    def smooth_data(self, name: str | None = None, level: float = 0.95) -> IntoFrame:
        """The frame behind `smooth`: component, smooth, x, z, estimate, std_error, conf_low, conf_high."""
        return self._fit._frame(smooths.smooth_curves(self._fit, name, level))

    def profile_data(self, parm: str | Sequence[str] | None = None, level: float = 0.99) -> IntoFrame:
        """The frame behind `profile`."""
        return self._fit.profile(parm, level).data
