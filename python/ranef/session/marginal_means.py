"""What a fit says of the levels of a factor, of a unit of a variable: means, contrasts, slopes, comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import hold_to_their_types
from ranef.frames import IntoFrame
from ranef.inference.marginal_means.adjustments import adjustment_named
from ranef.inference.marginal_means.comparisons import comparisons
from ranef.inference.marginal_means.estimates import MarginalEstimates
from ranef.inference.marginal_means.means import joint_tests, marginal_means
from ranef.inference.marginal_means.slopes import slopes
from ranef.inference.marginal_means.testing import Testing
from ranef.plots import estimates as estimates_plot
from ranef.reports.summary import Section
from ranef.reports.tidy_table import tidy_table
from ranef.session.answers import Answers
from ranef.session.tabled import PrintedTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What printed tables call the adjustments.
_IN_WORDS = {
    "tukey": "Tukey's method for all pairs of {} means",
    "sidak": "Sidak's method for {} tests",
    "holm": "Holm's method for {} tests; intervals are Bonferroni's",
    "bonferroni": "Bonferroni's method for {} tests",
    "fdr": "the false discovery rate of {} tests (Benjamini-Hochberg); intervals are Bonferroni's",
    "dunnett": "the multivariate t of {} tests (Dunnett)",
    "mvt": "the multivariate t of {} tests",
    "scheffe": "Scheffe's method for {} independent contrasts",
}


@hold_to_their_types
class MarginalMeans(PrintedTable):
    """Estimates with labels: marginal means, their contrasts, slopes or comparisons.

    It prints as a table, shows itself in notebooks; `table` is the frame behind it: labels, the estimate, std_error,
    df, statistic, p_value, conf_low, conf_high. ``means["emmean"]`` is a column of it.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("score ~ Machine + (1 | Worker)", rf.load_dataset("machines"))
    >>> means = fit.emmeans("Machine")
    >>> means.table["emmean"].round(2).tolist()
    [52.36, 60.32, 66.27]
    >>> means.contrasts().table["contrast"].tolist()
    ['A - B', 'A - C', 'B - C']
    """

    def __init__(
        self, fit: Answers, estimates: MarginalEstimates, level: float = 0.95, adjust: str | None = None
    ) -> None:
        self._fit = fit
        self._level = level
        self._estimates = estimates if adjust is None else replace(estimates, adjust=adjustment_named(adjust))
        self._columns = self._estimates.table(level)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the estimates were averaged over, at which values, on which scale."""
        return self._estimates.notes

    @property
    def covariance(self) -> np.ndarray:
        """Covariance matrix of the estimates on the scale of computation (the link's as a rule), (k, k)."""
        return self._estimates.functions.covariance.copy()

    def contrasts(
        self,
        method: Any = "pairwise",
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        interaction: Any = None,
        reference: int | str = 0,
        level: float | None = None,
    ) -> MarginalMeans:
        """Contrasts of the estimates.

        On the scale of the response, differences of logarithms are ratios and those of logits odds ratios.

        Parameters
        ----------
        method : {"pairwise", "revpairwise", "trt.vs.ctrl", "eff", "poly", "consec"}, dict or array
            All differences, first minus second or second minus first; each minus the `reference`; each minus the mean
            of all; orthogonal polynomials; each minus the one before; or coefficients, ``{"a - b": [1, -1, 0]}``.
        adjust : str, optional
            "none", "tukey" (default of all pairs), "sidak", "holm", "bonferroni", "fdr", "dunnett" (default of
            "trt.vs.ctrl"), "mvt" (default of "consec"), "scheffe", within each group. Intervals are simultaneous too.
            "dunnett" and "mvt" are the multivariate t distribution with the estimates' own correlations.
        by : str or list, optional
            The columns within whose values comparisons are made; None: the groups of the means, ``by=[]`` none.
        interaction : bool, str, list or dict, optional
            Interaction contrasts: products of contrasts of each variable, of `method`, or of a method for each.
        reference : int or str
            The control of "trt.vs.ctrl", by place or label.
        level : float, optional
            Confidence level; None: as the means have it.

        Returns
        -------
        MarginalMeans

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("score ~ Machine + (1 | Worker)", rf.load_dataset("machines"))
        >>> contrast = fit.emmeans("Machine").contrasts({"A against the others": [1, -0.5, -0.5]})
        >>> contrast.table["estimate"].round(2).tolist()
        [-10.94]
        """
        found = self._estimates.contrasts(method, adjust, by, interaction, reference)
        return MarginalMeans(self._fit, found, self._level if level is None else level)

    def test(
        self, null: float = 0.0, delta: float = 0.0, side: str = "two-sided", adjust: str | None = None
    ) -> MarginalMeans:
        """Other tests of the same estimates, with intervals of the same side.

        Parameters
        ----------
        null : float
            The value tested, on the scale of computation (the link's as a rule).
        delta : float
            A margin on that scale: two-sided tests then are of equivalence (within the margin), "greater" of
            non-inferiority (above minus the margin), "less" of non-superiority.
        side : {"two-sided", "less", "greater"}
        adjust : str, optional
            As in `contrasts`; None leaves it.
        """
        return _Tested(self._fit, self._estimates, self._level, adjust, {"null": null, "delta": delta, "side": side})

    def confint(self, level: float = 0.95, adjust: str | None = None) -> MarginalMeans:
        """The same estimates with intervals of another level or adjustment."""
        return MarginalMeans(self._fit, self._estimates, level, adjust)

    def joint(self, null: float = 0.0) -> IntoFrame:
        """Test of all estimates of a group together: by variables, df, ddf, statistic (F, or chi-square), p_value."""
        return self._fit._frame(self._estimates.joint(null))

    def regrid(self) -> MarginalMeans:
        """The means on the scale of the response, by the delta method: their contrasts are differences of responses."""
        return MarginalMeans(self._fit, self._estimates.regridded(), self._level)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the estimates with their intervals, one below the other, and return the figure.

        Contrasts and slopes whose intervals exclude zero (one, for ratios) are blue and filled.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw; a new figure when left out.
        """
        found = self._estimates
        ratios = found.transformed and found.ratios
        null = None if found.head in ("emmean", "response") else 1.0 if ratios else 0.0
        return estimates_plot.estimates(self._columns, list(found.columns), found.shown_as, null, ratios, ax)

    def _section(self) -> Section:
        estimates = self._estimates
        notes = [*estimates.notes]
        notes += [estimates.functions.tested_by] if estimates.functions.tested_by else []
        notes.append(f"Confidence level {self._level:g}")
        largest = max(len(family) for family in estimates.families())
        if estimates.adjust != "none" and largest > 1:
            adjust = estimates.adjust
            if adjust == "tukey" and estimates.means is None:
                adjust = "sidak"
            count = estimates.means if adjust == "tukey" else largest
            notes.append("p values and intervals adjusted by " + _IN_WORDS[adjust].format(count))
        if estimates.transformed:
            notes.append(f"Tests and intervals on the {estimates.link} scale")
        elif estimates.link not in (None, "identity") and estimates.kind == "link":
            notes.append(f"On the {estimates.link} scale")
        return tidy_table(self._columns, estimates.shown_as, notes=notes)


class _Tested(MarginalMeans):
    """The same estimates, tested otherwise."""

    def __init__(
        self, fit: Answers, estimates: MarginalEstimates, level: float, adjust: str | None, tested: dict[str, Any]
    ) -> None:
        super().__init__(fit, estimates, level, adjust)
        self._columns = self._estimates.table(level, **tested)
        said = [f"null {tested['null']:g}"] if tested["null"] else []
        said += [f"margin {tested['delta']:g}"] if tested["delta"] else []
        said += [f"side: {tested['side']}"] if tested["side"] != "two-sided" else []
        if said:
            self._estimates = replace(self._estimates, notes=(*estimates.notes, f"Tests: {', '.join(said)}"))


class Marginal(Answers):
    """Marginal means and what is made of them."""

    def emmeans(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        kind: str = "link",
        weights: str = "equal",
        component: str = "cond",
        ddf: str | float | None = None,
        vcov: str | None = None,
        cluster: Any = None,
        level: float = 0.95,
        adjust: str = "none",
    ) -> MarginalMeans:
        """Estimated marginal means: the model's predictions on a balanced grid, averaged.

        The grid has all combinations of the factors' levels (and of numeric variables with two values), other numeric
        variables at their mean, an offset at the mean of its variable, random effects zero, smooths at their curves.
        Where the data do not have every combination, means that depend on the missing ones are NaN. A factor that is
        nested in another is averaged within it.

        Parameters
        ----------
        specs : str or list of str
            The variables of the means: ``"a"``, ``["a", "b"]``, ``"~ a * b | c"``.
        by : str or list of str, optional
            Variables that group the means: comparisons are made within their values.
        at : dict, optional
            Values of variables, ``{"x": [0, 10]}``: numbers instead of the mean, some levels instead of all.
        kind : {"link", "response"}
            The scale of the table. Intervals are formed on the link's and transformed. A response ``log(y)`` or
            ``sqrt(y)`` counts as a link.
        weights : {"equal", "proportional", "outer", "cells", "flat"}
            How the cells that are averaged over count: alike; by the frequency of their combination in the data, by the
            product of the frequencies of their levels; by that of the cell itself, specs included; or alike where there
            are data.
        component : str
            "cond", "zi", "disp", ...: its linear predictor. "response" or "cmean": the mean response with or without
            the zero inflation, averaged on its own scale.
        ddf : str or float, optional
            Degrees of freedom: a method as in `tidy`, or a number.
        vcov, cluster : optional
            A cluster-robust covariance of the fixed effects, as in `tidy`.
        level : float
            Confidence level.
        adjust : str
            Adjustment of tests and intervals for their number, as in `MarginalMeans.contrasts`.

        Returns
        -------
        MarginalMeans
            `table`, `contrasts`, `test`, `joint`, `confint`, `regrid`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.glmm(
        ...     "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)",
        ...     rf.load_dataset("owls"), family="nbinom2", zi="~ 1",
        ... )
        >>> means = fit.emmeans("~ FoodTreatment | SexParent", kind="response")
        >>> means.table["response"].round(2).tolist()
        [10.28, 6.93, 9.53, 7.33]
        >>> means.contrasts().table["ratio"].round(2).tolist()
        [1.48, 1.3]
        """
        estimates = marginal_means(self, specs, by, at, kind, weights, component, Testing(ddf, vcov, cluster))
        return MarginalMeans(self, estimates, level, adjust)

    def joint_tests(
        self,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        component: str = "cond",
        ddf: str | float | None = None,
        vcov: str | None = None,
        cluster: Any = None,
    ) -> IntoFrame:
        """Test each term of the model on the reference grid, like an anova of type III, whatever the coding.

        Parameters
        ----------
        by : str or list of str, optional
            Variables within whose values the other terms are tested.
        at : dict, optional
            Values of variables, as in `emmeans`; numeric ones stand at one below and one above their mean.
        component : str
        ddf, vcov, cluster : optional
            As in `emmeans`.

        Returns
        -------
        frame
            term, (by variables,) df, ddf, statistic (F, or chi-square where ddf is infinite), p_value. A term none of
            whose contrasts can be estimated has df 0.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("score ~ Machine + (1 | Worker)", rf.load_dataset("machines"))
        >>> fit.joint_tests()["df"].tolist()
        [2]
        """
        return self._frame(joint_tests(self, by, at, component, Testing(ddf, vcov, cluster)))

    def slopes(
        self,
        variable: str,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        kind: str = "link",
        margin: str = "mean",
        weights: str = "equal",
        bias_correction: bool = False,
        ddf: str | float | None = None,
        vcov: str | None = None,
        cluster: Any = None,
        level: float = 0.95,
    ) -> MarginalMeans:
        """What a unit more of a numeric variable adds: the derivative of the prediction, averaged.

        Parameters
        ----------
        variable : str
            A numeric variable, however the formula uses it.
        by : str or list of str, optional
            Variables at whose values slopes are given; ``by="x", at={"x": [0, 5]}`` gives them at values of `x` itself.
        at : dict, optional
            Values of variables, as in `emmeans`.
        kind : {"link", "response", "conditional", "zlink", "zprob"}
            The prediction whose slope it is, as in `predict`.
        margin : {"mean", "average", "reference"}
            Averaged over the reference grid (emtrends), over the rows of the data (average marginal effects), or at
            one typical row.
        weights : str
            Of the cells of the grid, as in `emmeans`.
        bias_correction : bool
            Whether means are averaged over the distribution of the random effects too; without it these are zero.
        ddf, vcov, cluster : optional
            As in `emmeans`.
        level : float

        Returns
        -------
        MarginalMeans
            Its estimates are called slope; `contrasts` compares them.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("yield ~ nitro * Variety + (1 | Block/Variety)", rf.load_dataset("oats"))
        >>> fit.slopes("nitro", by="Variety").table["slope"].round(2).tolist()
        [75.33, 64.58, 81.08]
        """
        found = slopes(self, variable, by, at, kind, margin, weights, bias_correction, Testing(ddf, vcov, cluster))
        return MarginalMeans(self, found, level)

    def comparisons(
        self,
        variable: str,
        contrast: Any = None,
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        kind: str = "response",
        comparison: str = "difference",
        margin: str = "average",
        weights: str = "equal",
        bias_correction: bool = False,
        ddf: str | float | None = None,
        vcov: str | None = None,
        cluster: Any = None,
        level: float = 0.95,
        adjust: str = "none",
    ) -> MarginalMeans:
        """How the mean changes when a variable is set from one value to another in the same rows, on average.

        Parameters
        ----------
        variable : str
        contrast : optional
            Of a factor: "reference" (default; every level against the first), "pairwise", "sequential", or two levels
            (from, to). Of a number: how much is added (default 1), "sd", "2sd", "iqr", "minmax", or two values.
        by : str or list of str, optional
            Variables at whose values the change is averaged: the rows that have them, or all rows at the values in
            `at`.
        at : dict, optional
            Values that variables are set to.
        kind : {"response", "conditional", "link", "zlink", "zprob"}
            The prediction that is compared, as in `predict`.
        comparison : {"difference", "ratio", "odds_ratio"}
            Of the averages; intervals of ratios are formed on the logarithm.
        margin : {"average", "mean", "reference"}
            Averaged over the rows of the data, over the reference grid, or at one typical row.
        weights, bias_correction, ddf, vcov, cluster, level
            As in `slopes`.
        adjust : str
            Adjustment for the number of comparisons.

        Examples
        --------
        >>> import ranef as rf
        >>> owls = rf.load_dataset("owls")
        >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, family="nbinom2", zi="~ 1")
        >>> fit.comparisons("FoodTreatment", comparison="ratio").table["ratio"].round(3).tolist()
        [0.761]
        """
        found = comparisons(
            self,
            variable,
            contrast,
            by,
            at,
            kind,
            comparison,
            margin,
            weights,
            bias_correction,
            Testing(ddf, vcov, cluster),
        )
        return MarginalMeans(self, found, level, adjust)
