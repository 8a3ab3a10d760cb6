"""What a fit found: parameters, random effects, the summary."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.frames import IntoFrame
from ranef.inference import (
    coefficients,
    contrasts,
    fit_statistics,
    random_effects,
    smooths,
    tidying,
    variance_components,
)
from ranef.reports.summary import Summary, summarise
from ranef.session.answers import Answers


class Estimates(Answers):
    """Parameters and random effects with their standard errors."""

    def fixef(self, component: str = "cond") -> dict[str, float]:
        """Fixed effects by name, on the scale of the component's link.

        Parameters
        ----------
        component : {"cond", "zi", "disp", "shape", "threshold"}

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> list(fit.fixef())
        ['Intercept', 'Days']
        """
        return coefficients.fixef(self, component)

    def vcov(self, component: str = "cond", kind: str | None = None, cluster: Any = None) -> np.ndarray:
        """Covariance matrix of `fixef`, (p, p), in its order.

        Parameters
        ----------
        component : {"cond", "zi", "disp", "shape", "threshold"}
        kind : {None, "CR0", "CR1", "CR2"}
            The model's, or a cluster-robust one, as `vcov` in `tidy`.
        cluster : str or array_like, optional
            Its clusters, as in `tidy`.
        """
        if kind is None and cluster is None:
            return self.covariance_of_estimates(component).copy()
        return contrasts.denominator(self, component, None, kind, cluster).covariance.copy()

    def tidy(
        self,
        effects: str = "fixed",
        ddf: str | None = None,
        level: float = 0.95,
        vcov: str | None = None,
        cluster: Any = None,
    ) -> IntoFrame:
        """All estimates as one frame, with broom.mixed's columns.

        Parameters
        ----------
        effects : {"fixed", "random", "all"}
            Fixed effects (scale of the component's link), standard deviations and correlations of the random effects,
            or both. The latter have delta-method standard errors, and Wald intervals formed on log(sd) and
            atanh(cor).
        ddf : {None, "satterthwaite", "kenward-roger", "residual", "asymptotic"}
            Degrees of freedom of tests and intervals of the mean's fixed effects: by Satterthwaite's approximation; by
            Kenward and Roger's, with their standard errors; rows minus fixed effects; infinite (z statistics). None is
            "satterthwaite" for models of `lmm` and "asymptotic" for those of `glmm`; see "Degrees of freedom" in the
            documentation.
        level : float
            Confidence level.
        vcov : {None, "CR0", "CR1", "CR2"}
            A cluster-robust covariance of the fixed effects, right whatever the dependence and the variances within
            clusters are; "CR2" has the least bias with few clusters. `ddf` is then "satterthwaite" (default: t tests)
            or "asymptotic".
        cluster : str or array_like, optional
            A column of the data, a grouping factor, or a value for each row. None: the grouping factor within which
            all random effects are nested.

        Returns
        -------
        frame
            effect, component, group, term, estimate, std_error, statistic, df, p_value, conf_low, conf_high.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.tidy("random")["term"].tolist()
        ['sd__Intercept', 'sd__Days', 'cor__Intercept.Days', 'sd__Observation']
        >>> fit.tidy(vcov="CR2")[["std_error", "df"]].round(2).values.tolist()
        [[6.82, 17.0], [1.55, 17.0]]
        """
        return self._frame(tidying.tidy(self, effects, ddf, level, vcov, cluster))

    def varcorr(self) -> IntoFrame:
        """Variances and covariances (`vcov`), standard deviations and correlations (`sdcor`) of the random effects.

        Returns
        -------
        frame
            component, group, var1, var2 (missing for a variance), vcov, sdcor, as lme4's
            ``as.data.frame(VarCorr(fit))``; a row of group Residual where there is one residual variance.
        """
        return self._frame(variance_components.varcorr(self))

    def loadings(self) -> IntoFrame:
        """Loadings of the terms of reduced rank, ``rr(0 + species | site, d = 2)``.

        The effects of a level are b = Lambda u, with u independent standard normal latent variables. The loadings
        Lambda are determined up to a rotation, chosen so that those above the diagonal are zero and those on it
        positive.

        Returns
        -------
        frame
            component, group, term (the column), latent (1, 2, ...), loading.

        Raises
        ------
        ModelError
            When no term has reduced rank.

        Examples
        --------
        >>> import ranef as rf
        >>> growth = rf.load_dataset("orthodont")
        >>> growth["visit"] = "at " + growth["age"].astype(int).astype(str)
        >>> fit = rf.lmm("distance ~ visit + rr(0 + visit | Subject, d = 1)", growth)
        >>> fit.loadings()["loading"].round(2).tolist()
        [1.7, 2.47, 2.41, 1.9]
        """
        return self._frame(variance_components.loadings(self))

    def ranef(self, level: float = 0.95, uncertainty: str = "joint") -> IntoFrame:
        """Conditional modes of the random effects.

        Parameters
        ----------
        level : float
            Level of the intervals.
        uncertainty : {"joint", "conditional"}
            Whether `std_error` holds the uncertainty of the parameters too (as glmmTMB's), or is conditional on them
            (as lme4's ``condVar``).

        Returns
        -------
        frame
            component, group, level, term, estimate, std_error, conf_low, conf_high.
        """
        return self._frame(random_effects.conditional_modes(self, level, uncertainty))

    def smooths(self) -> IntoFrame:
        """The smooths of the model, one row a curve or surface.

        Returns
        -------
        frame
            component, smooth, basis, k (functions), edf (effective degrees of freedom: 1 is a straight line), sd
            (standard deviation of the departure from the straight line, on the scale of the link).

        Examples
        --------
        >>> import ranef as rf
        >>> ticks = rf.load_dataset("grouseticks")
        >>> fit = rf.glmm("TICKS ~ YEAR + s(cHEIGHT) + (1 | BROOD)", ticks, family="poisson")
        >>> fit.smooths()[["smooth", "k"]].values.tolist()
        [['s(cHEIGHT)', 9]]
        """
        return self._frame(smooths.smooth_table(self))

    def coef(self, level: float = 0.95) -> IntoFrame:
        """Fixed plus random effects, for every level of every grouping factor; columns as `ranef`."""
        return self._frame(random_effects.coefficients_by_level(self, level))

    def glance(self) -> IntoFrame:
        """The plain values as a frame of one row; what is not defined for this fit is NaN."""
        return self._frame(fit_statistics.glance(self))

    def summary(
        self,
        ddf: str | None = None,
        correlations: bool = False,
        vcov: str | None = None,
        cluster: Any = None,
    ) -> Summary:
        """The summary as lme4 and glmmTMB print it; `print` it, or let a notebook show it.

        Parameters
        ----------
        ddf : {None, "satterthwaite", "kenward-roger", "residual", "asymptotic"}
            Degrees of freedom of the tests, as in `tidy`; a line below the table says which, and why.
        correlations : bool
            Whether the correlations of the fixed effects are shown.
        vcov, cluster : optional
            A cluster-robust covariance of the fixed effects, as in `tidy`.
        """
        return summarise(self, ddf, correlations, vcov, cluster)

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()
