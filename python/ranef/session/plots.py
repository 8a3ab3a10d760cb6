"""The figures of a fit, `fit.plot`, and of several, `plot_coefficients`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import held_to_its_types, hold_to_their_types
from ranef.data import Table
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.inference import intervals, located_effects, smooths
from ranef.inference.comparison import descriptions
from ranef.inference.natural_parameters import chosen, natural_parameters
from ranef.plots import (
    caterpillar,
    coefficients,
    density,
    diagnostics,
    effects_map,
    residuals,
    responses,
    series,
)
from ranef.plots import smooth as smooth_plot
from ranef.plots.canvas import panels
from ranef.session.effects import AlongVariables
from ranef.session.inference import Inference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Drawn(Inference, AlongVariables):
    """A fit whose inference and effects can be drawn."""


@hold_to_their_types
class Plots:
    """Figures of a fit, each beside a method ``..._data()`` that returns the tidy frame it draws.

    Every figure takes ``ax=``: matplotlib axes to draw on, a sequence with one for each panel where there are several.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> [axis.get_title() for axis in fit.plot.ranef().axes]
    ['Subject: Intercept', 'Subject: Days']
    """

    def __init__(self, fit: Drawn) -> None:
        self._fit = fit

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]

    def __repr__(self) -> str:
        names = [name for name in dir(self) if not name.endswith("_data")]
        return f"<figures of a fit: {', '.join(f'.{name}()' for name in names)}; ..._data() gives what they draw>"

    # -- estimates -----------------------------------------------------------------------------------------------------

    def coefficients(self, ax: Axes | Any = None, **options: Any) -> Figure:
        """Fixed effects with their intervals, a panel for each component.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        **options
            As in `coefficients_data`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return plot_coefficients({"": self._fit}, ax, **options)

    def coefficients_data(self, **options: Any) -> IntoFrame:
        """The frame behind `coefficients`: model, effect, component, group, term, estimate, std_error, conf_low, ...

        Parameters
        ----------
        **options
            effects ("fixed", "random" or "all"), intercept (False: left out), exponentiate (True: ratios, for log and
            logit links), level, ddf, vcov, cluster.
        """
        return plot_coefficients_data({"": self._fit}, **options)

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

    def profile_data(self, parm: str | Sequence[str] | None = None, level: float = 0.99) -> IntoFrame:
        """The frame behind `profile`: parameter, value, zeta."""
        return self._fit.profile(parm, level).data

    def density(
        self,
        ax: Axes | Any = None,
        parm: str | Sequence[str] | None = None,
        draws: IntoFrame | None = None,
        level: float = 0.95,
    ) -> Figure:
        """Densities of parameters, from their profiles or from a bootstrap, with the interval shaded.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per parameter, optional
            Where to draw; a new figure when left out.
        parm : str or list of str, optional
            Only these parameters, as in `Fit.confint`.
        draws : frame, optional
            What `Fit.bootstrap` returned; profiles are computed when left out.
        level : float
            Level of the shaded interval; the line marks the estimate.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> figure = fit.plot.density(draws=fit.bootstrap(100, seed=1), parm=["Days", "sigma"])
        >>> [axis.get_title() for axis in figure.axes]
        ['Days', 'sigma']
        """
        columns, estimates, source = self._densities(parm, draws, level)
        return density.density(columns, estimates, source, ax)

    def density_data(
        self, parm: str | Sequence[str] | None = None, draws: IntoFrame | None = None, level: float = 0.95
    ) -> IntoFrame:
        """The frame behind `density`: parameter, value, density, inside (the interval)."""
        return self._fit._frame(self._densities(parm, draws, level)[0])

    def _densities(
        self, parm: str | Sequence[str] | None, draws: IntoFrame | None, level: float
    ) -> tuple[dict[str, list[Any]], dict[str, tuple[str, float]], str]:
        wanted = chosen(natural_parameters(self._fit), parm)
        titles = {p.name: p.name + ("" if p.group is None or p.kind == "sigma" else f", {p.group}") for p in wanted}
        if draws is None:
            curves = intervals.profile_curves(self._fit, parm, max(level, 0.99), 4)
            estimates = {c.parameter.name: (titles[c.parameter.name], c.estimate) for c in curves}
            return density.profile_densities(curves, level), estimates, "profile"
        frame = Table(draws, "plot.density(draws=)").frame
        if "converged" not in frame.columns:
            raise ModelError(
                "plot.density(draws=): give the frame that fit.bootstrap(n) returns; it has no `converged`."
            )
        replicates = {name: frame[name].to_numpy() for name in frame.columns}
        values = intervals.wald_intervals(self._fit, level, parm, "asymptotic")["estimate"]
        estimates = {p.name: (titles[p.name], float(v)) for p, v in zip(wanted, values, strict=True)}
        return density.bootstrap_densities(wanted, replicates, level), estimates, "bootstrap"

    # -- effects -------------------------------------------------------------------------------------------------------

    def effects(
        self,
        term: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        ax: Axes | Any = None,
        data: bool = False,
        residuals: bool = False,
        lines: str | None = None,
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
            Whether the responses of the data are drawn too; of binary responses shares in bins.
        residuals : bool
            Whether partial residuals are: the effect at a row's values of the terms plus its working residual, through
            the inverse of the link.
        lines : str, optional
            A grouping factor: a thin line for each of its levels, at the conditional modes.
        **options
            Other arguments of `Fit.effects`: margin, kind, interval, ranef, at, level, ...

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.plot.effects("Days", data=True, lines="Subject").axes[0].get_ylabel()
        'Reaction'
        """
        return self._fit.effects(term, by, **options).plot(ax, data, residuals, lines)

    def effects_data(
        self,
        term: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        layer: str = "estimates",
        lines: str | None = None,
        **options: Any,
    ) -> IntoFrame:
        """The frame behind `effects`: the terms, estimate, std_error, conf_low, conf_high.

        Parameters
        ----------
        term, by : str or list of str
            As there.
        layer : {"estimates", "data", "residuals", "lines"}
            What stands behind the estimates: responses or partial residuals (the terms and y, a row for each row of the
            fit), or the lines of a group (group, the terms, y).
        lines : str, optional
            The grouping factor of ``layer="lines"``.
        **options
            Other arguments of `Fit.effects`.
        """
        return self._fit.effects(term, by, **options).layer(layer, lines)

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

    # -- random effects ------------------------------------------------------------------------------------------------

    def ranef(self, ax: Axes | Any = None, group: str | None = None, level: float = 0.95) -> Figure:
        """Caterpillar plot of the conditional modes: sorted, with intervals, a panel per group and term.

        Effects of times and places are drawn by `series` and `map`.

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

    def series(self, ax: Axes | Any = None, group: str | None = None, level: float = 0.95) -> Figure:
        """Random effects of occasions (ar1, ou, rw1, rw2, ...) along time, with bands.

        Up to 12 levels of a group have a panel each; the lines of more share one, with their mean.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        group : str, optional
            Only this grouping factor.
        level : float
            Level of the bands.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return series.series(self._fit, ax, group, level)

    def series_data(self, level: float = 0.95) -> IntoFrame:
        """The frame behind `series`: component, group, level, time, estimate, std_error, conf_low, conf_high."""
        return self._fit._frame(located_effects.series_columns(self._fit, level))

    def map(
        self,
        ax: Axes | Any = None,
        group: str | None = None,
        column: str = "estimate",
        positions: Any = None,
        level: float = 0.95,
    ) -> Figure:
        """Random effects of places (exp, gau, mat, car, icar) on a map; dark edges where intervals exclude zero.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        group : str, optional
            Only this grouping factor.
        column : {"estimate", "std_error", "conf_low", "conf_high"}
            What the colours tell.
        positions : mapping or pair of str, optional
            Where regions are: ``{"Skye": (57.3, -6.2), ...}``, or two columns of the data. Without it neighbours are
            put near each other.
        level : float
            Level of the intervals.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return effects_map.effects_map(self._fit, ax, group, column, positions, level)

    def map_data(self, positions: Any = None, level: float = 0.95) -> IntoFrame:
        """The frame behind `map`: component, group, level, place, x, y, estimate, std_error, conf_low, conf_high."""
        return self._fit._frame(located_effects.map_columns(self._fit, positions, level))

    # -- residuals -----------------------------------------------------------------------------------------------------

    def residuals(
        self,
        against: Any = None,
        ax: Axes | Any = None,
        kind: str | None = None,
        ranef: Any = True,
        seed: int = 1,
    ) -> Figure:
        """Residuals against fitted values, a variable or a group, with a smooth line and its band.

        Parameters
        ----------
        against : str or array_like, optional
            A column of the data, a grouping factor or a value for each row; fitted values on the scale of the link when
            left out. Levels of a factor have bars: 90 % and half of their residuals, and the median.
        ax : matplotlib axes, optional
            Where to draw; a new figure when left out.
        kind : str, optional
            As in `Fit.residuals`. None: Pearson's for a Gaussian model, normalized with correlated residuals, else
            quantile residuals, which are standard normal under the model for every family.
        ranef : bool, list of terms or "new"
            True: conditional residuals, at the modes. False: of the population value. "new": the place of the response
            among ones simulated with new random effects, on the normal scale: marginal residuals of any family.
        seed : int
            Of quantile residuals and simulations.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return residuals.residuals(residuals.residual_points(self._fit, against, kind, ranef, seed), ax)

    def residuals_data(
        self, against: Any = None, kind: str | None = None, ranef: Any = True, seed: int = 1, layer: str = "points"
    ) -> IntoFrame:
        """The frame behind `residuals`: row, fitted (or the variable), residual.

        Parameters
        ----------
        against, kind, ranef, seed
            As there.
        layer : {"points", "trend", "levels"}
            The points; the line, with conf_low, conf_high and the standard deviation along it; the bars of a factor.
        """
        return self._fit._frame(residuals.residual_points(self._fit, against, kind, ranef, seed).columns(layer))

    def qq(
        self, of: str = "residuals", ax: Axes | Any = None, kind: str | None = None, ranef: Any = True, seed: int = 1
    ) -> Figure:
        """Normal QQ plot of the residuals, or of the random effects, with pointwise 95 % bands.

        Parameters
        ----------
        of : {"residuals", "ranef"}
            Random effects are divided by the standard deviation that their modes have under the model.
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        kind, ranef, seed
            Of the residuals, as in `residuals`; those of a Gaussian model are standardised when `kind` is left out.

        Returns
        -------
        matplotlib.figure.Figure
        """
        found = self._qq_panels(of, kind, ranef, seed)
        figure, axes = panels(ax, len(found), (3.8, 3.5), "plot.qq()")
        for axis, panel in zip(axes, found, strict=True):
            panel.draw(axis)
        return figure

    def qq_data(self, of: str = "residuals", kind: str | None = None, ranef: Any = True, seed: int = 1) -> IntoFrame:
        """The frame behind `qq`: panel, theoretical, sample, conf_low, conf_high."""
        parts = [(panel.title, panel.columns()) for panel in self._qq_panels(of, kind, ranef, seed)]
        names = {"theoretical": "x", "sample": "y", "conf_low": "conf_low", "conf_high": "conf_high"}
        columns = {name: np.concatenate([part[key] for _, part in parts]) for name, key in names.items()}
        return self._fit._frame({"panel": [title for title, part in parts for _ in part["x"]], **columns})

    def _qq_panels(self, of: str, kind: str | None, ranef: Any, seed: int) -> list[diagnostics.Panel]:
        if of not in ("residuals", "ranef"):
            raise ModelError(f"plot.qq(of={of!r}): give 'residuals' or 'ranef'.")
        if of == "residuals":
            return [diagnostics.residual_panel(self._fit, kind, ranef, seed)]
        found = diagnostics.random_effect_panels(self._fit)
        if not found:
            raise ModelError(
                "plot.qq('ranef'): no random effect has a variance above zero and 8 levels of which the data say "
                "something; fewer show no shape."
            )
        return found

    def responses(self, ax: Axes | Any = None, seed: int = 1) -> Figure:
        """Observed responses beside those drawn from the model: a rootogram for counts, else a histogram.

        Bars of a rootogram hang from the expected frequencies; those that miss the grey band at zero are off.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure when left out.
        seed : int
            Of the draws.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return responses.responses(self._fit, responses.response_columns(self._fit, seed), ax)

    def responses_data(self, seed: int = 1) -> IntoFrame:
        """The frame behind `responses`: from, to, observed, expected, conf_low, conf_high, in numbers of rows."""
        return self._fit._frame(responses.response_columns(self._fit, seed))

    def diagnostics(self, ax: Axes | Any = None, seed: int = 1) -> Figure:
        """A page: conditional and marginal residuals, QQ plots of residuals and random effects, responses.

        Parameters
        ----------
        ax : sequence of matplotlib axes, one per panel, optional
            Where to draw; a new figure when left out.
        seed : int
            Of quantile residuals and simulations.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return diagnostics.diagnostics(self._fit, ax, seed)

    def diagnostics_data(self, seed: int = 1) -> IntoFrame:
        """The frame behind `diagnostics`: panel, x, y, conf_low, conf_high."""
        return self._fit._frame(diagnostics.diagnostics_columns(self._fit, seed))


@held_to_its_types
def plot_coefficients(
    fits: Mapping[str, Drawn] | Sequence[Drawn] | Drawn,
    ax: Axes | Any = None,
    exponentiate: bool = False,
    **options: Any,
) -> Figure:
    """Coefficients of several models side by side, with their intervals.

    Parameters
    ----------
    fits : mapping of names to fits, or sequence of fits
        Without names models are called by what tells them apart.
    ax : matplotlib axes, or a sequence with one per component, optional
        Where to draw; a new figure when left out.
    exponentiate : bool
        Whether coefficients on log and logit scales become ratios.
    **options
        effects ("fixed", "random" or "all"), intercept (False: left out), level, ddf, vcov, cluster.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import ranef as rf
    >>> owls = rf.load_dataset("owls")
    >>> poisson = rf.glmm("SiblingNegotiation ~ FoodTreatment * SexParent + (1 | Nest)", owls, family="poisson")
    >>> figure = rf.plot_coefficients({"poisson": poisson, "negative binomial": poisson.update(family="nbinom2")})
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['poisson', 'negative binomial']
    """
    named = _named(fits)
    columns = _columns(named, exponentiate=exponentiate, **options)
    return coefficients.coefficients(named, columns, exponentiate, ax)


@held_to_its_types
def plot_coefficients_data(
    fits: Mapping[str, Drawn] | Sequence[Drawn] | Drawn, exponentiate: bool = False, **options: Any
) -> IntoFrame:
    """The frame behind `plot_coefficients`.

    Parameters
    ----------
    fits, exponentiate, **options
        As there.

    Returns
    -------
    frame
        model, effect, component, group, term, estimate, std_error, conf_low, conf_high.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> rf.plot_coefficients_data({"ours": fit})[["model", "term", "estimate"]].round(2).values.tolist()
    [['ours', 'Days', 10.47]]
    """
    named = _named(fits)
    first = next(iter(named.values()))
    return first._frame(_columns(named, exponentiate=exponentiate, **options))


_columns = held_to_its_types(coefficients.coefficient_columns, "plot_coefficients")


def _named(fits: Any) -> dict[str, Drawn]:
    given = [fits] if isinstance(fits, Drawn) else fits
    values = list(given.values()) if isinstance(given, Mapping) else list(given) if hasattr(given, "__iter__") else []
    if not values or not all(isinstance(fit, Drawn) for fit in values):
        raise ModelError("plot_coefficients(): give fits, as rf.lmm and rf.glmm return them, in a list or by name.")
    names = list(map(str, given)) if isinstance(given, Mapping) else descriptions(values)
    found: dict[str, Drawn] = {}
    for name, fit in zip(names, values, strict=True):
        label, again = name, 2
        while label in found:
            label, again = f"{name} ({again})", again + 1
        found[label] = fit
    return found
