"""Predictions along variables, as a table and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import hold_to_their_types
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.inference.marginal_means.testing import Testing
from ranef.plots import effects as effects_plot
from ranef.prediction import effect_layers
from ranef.prediction.effects import EffectsTable, effects
from ranef.prediction.residuals import observed_response
from ranef.reports.summary import Section
from ranef.reports.tidy_table import tidy_table
from ranef.session.answers import Answers
from ranef.session.marginal_means import MarginalMeans
from ranef.session.tabled import PrintedTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@hold_to_their_types
class Effects(PrintedTable):
    """Predictions along up to four variables, as `Fit.effects` gives them.

    It prints as a table, shows itself in notebooks, and draws itself; `table` is the frame behind it: the terms,
    estimate, std_error, conf_low, conf_high. ``effects["estimate"]`` is a column of it.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> fit.effects("Days [0, 5]").table["estimate"].round(1).tolist()
    [251.4, 303.7]
    """

    def __init__(
        self,
        fit: Answers,
        found: EffectsTable,
        level: float,
        ranef: Any = False,
        at: Mapping[str, Any] | None = None,
    ) -> None:
        self._fit = fit
        self._others = (ranef, at)
        self._found = found
        self._columns = found.columns
        self._level = level

    @property
    def notes(self) -> tuple[str, ...]:
        """At which values the other variables stand, or what was averaged over."""
        return self._found.notes

    def contrasts(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        reference: int | str = 0,
    ) -> MarginalMeans:
        """Differences of the predictions on the scale they are on, as `MarginalMeans.contrasts` makes them.

        Parameters
        ----------
        method, adjust, reference
            As there.
        by : str or list of str, optional
            The terms within whose values predictions are compared; None: all but the first.
        """
        estimates = self._found.estimates
        if estimates is None:
            raise ModelError(
                "contrasts() of effects needs random effects that are zero or averaged over, and confidence intervals: "
                "take ranef=False."
            )
        return MarginalMeans(self._fit, estimates.contrasts(method, adjust, by, None, reference), self._level)

    def plot(
        self, ax: Axes | Any = None, data: bool = False, residuals: bool = False, lines: str | None = None
    ) -> Figure:
        """Draw the predictions with their intervals, and return the figure.

        Along a number a line with a band and ticks where the data are, along a factor points with intervals; the second
        term by colour, the others by panel.

        Parameters
        ----------
        ax : matplotlib axes, or a sequence with one per panel, optional
            Where to draw; a new figure when left out.
        data : bool
            Whether the responses of the data are drawn too; of binary responses shares in bins.
        residuals : bool
            Whether partial residuals are drawn: the effect at a row's values of the terms plus its working residual.
        lines : str, optional
            A grouping factor: a thin line for each of its levels, at the conditional modes.
        """
        if data and residuals:
            raise ModelError("plot(data=True, residuals=True): responses or partial residuals, not both.")
        found = self._found
        terms = [term.name for term in found.terms]
        if found.kind == "probability":
            terms = [terms[0], "category", *terms[1:]]
        variable = found.variables[terms[0]]
        points = threads = None
        if data or residuals:
            binary = data and bool(np.isin(observed_response(self._fit), (0.0, 1.0)).all())
            columns = self._layer("data" if data else "residuals", None)
            points = effects_plot.Behind(columns, "data" if data else "residuals", binary)
        if lines is not None:
            threads = effects_plot.Behind(self._layer("lines", lines), lines)
        places = None if variable.is_factor else variable.data
        return effects_plot.effects(found.columns, terms, self._axis_label(), ax, places, points, threads)

    def layer(self, layer: str = "estimates", lines: str | None = None) -> IntoFrame:
        """A layer of the figure as a frame.

        Parameters
        ----------
        layer : {"estimates", "data", "residuals", "lines"}
            The estimates; responses or partial residuals (the terms and y, a row for each row of the fit); lines of a
            group (group, the terms, y).
        lines : str, optional
            The grouping factor of the lines.
        """
        return self._fit._frame(self._layer(layer, lines))

    def _layer(self, layer: str, lines: str | None) -> dict[str, Any]:
        if layer == "estimates":
            return dict(self._found.columns)
        if layer == "data":
            return effect_layers.response_layer(self._fit, self._found)
        if layer == "residuals":
            return effect_layers.residual_layer(self._fit, self._found, *self._others)
        if layer != "lines":
            raise ModelError(f"layer={layer!r}: give 'estimates', 'data', 'residuals' or 'lines'.")
        if lines is None:
            raise ModelError("layer='lines': name the grouping factor, lines='g'.")
        return effect_layers.group_layer(self._fit, self._found, lines, *self._others)

    def _axis_label(self) -> str:
        response = self._fit.formula.partition("~")[0].strip()
        if self._fit.model.family.counts_trials and self._found.kind in ("response", "conditional"):
            return "probability"
        return {
            "response": response,
            "conditional": f"{response}, without excess zeros",
            "link": response if self._fit.link == "identity" else f"{self._fit.link} of the mean of {response}",
            "zprob": "probability of an excess zero",
            "zlink": "zero inflation, link scale",
            "dispersion": "dispersion",
            "probability": "probability",
        }[self._found.kind]

    def _section(self) -> Section:
        notes = [*self._found.notes, f"Confidence level {self._level:g}"]
        return tidy_table(self._found.columns, "estimate", notes=notes)


class AlongVariables(Answers):
    """Predictions along variables."""

    def effects(
        self,
        terms: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        margin: str = "reference",
        kind: str = "response",
        interval: str = "confidence",
        ranef: Any = False,
        bias_correction: bool = False,
        at: Mapping[str, Any] | None = None,
        weights: str = "equal",
        ddf: str | float | None = None,
        vcov: str | None = None,
        cluster: Any = None,
        level: float = 0.95,
        seed: int | None = 0,
    ) -> Effects:
        """Predictions at values of some variables, the others typical or averaged over.

        Parameters
        ----------
        terms : str or list of str
            Up to four variables, with values in brackets as in ggeffects: ``"x"``, ``"x [0, 5, 10]"``,
            ``"x [0:10 by=2]"``, ``"f [a, b]"``, or a word: all, meansd, minmax, zeromax, quart, quart2, terciles, exp,
            pretty, n=20. Without them all levels, or round values along the data. A grouping factor is about its
            random effects, at their conditional modes.
        by : str or list of str, optional
            Further terms, after those of `terms`.
        margin : {"reference", "mean", "average"}
            Other variables: numbers at their mean and factors at their first level; marginal means, over all levels of
            the factors alike; averages over the rows of the data, each set to the values of the terms.
        kind : {"response", "link", "conditional", "zprob", "zlink", "dispersion", "probability"}
            As in `predict`: the mean with zero inflation or ("conditional") without; "probability" of the categories
            of an ordinal response.
        interval : {"confidence", "prediction"}
            For the prediction itself, formed on the scale of the link; or for a new response.
        ranef : bool, "new" or list of terms
            Random effects zero (False), at their conditional modes as in `predict`, or of groups not met before
            ("new"), whose variance then is in standard errors and intervals.
        bias_correction : bool
            Whether means are averaged over the distribution of the random effects: the mean of a population, not of
            a typical group. Standard errors hold the uncertainty of its variances (of structures us, diag and homdiag,
            in models without smooths; otherwise they are taken as known).
        at : dict, optional
            One value each for other variables.
        weights : str
            Of the cells, for margin "mean", as in `emmeans`.
        ddf : str or float, optional
            Degrees of freedom: a method as in `tidy`, or a number.
        vcov, cluster : optional
            A cluster-robust covariance of the fixed effects, as in `tidy`.
        level : float
        seed : int, optional
            Of simulated prediction intervals.

        Returns
        -------
        Effects
            `table`, `plot`, `contrasts`.

        Examples
        --------
        >>> import ranef as rf
        >>> owls = rf.load_dataset("owls")
        >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, family="nbinom2")
        >>> fit.effects("FoodTreatment").table["estimate"].round(2).tolist()
        [7.97, 3.96]
        """
        found = effects(
            self,
            terms,
            by,
            margin,
            kind,
            interval,
            ranef,
            bias_correction,
            at,
            weights,
            Testing(ddf, vcov, cluster),
            level,
            seed,
        )
        return Effects(self, found, level, ranef, at)
