"""What users hold: `lmm`, `glmm` and the `Fit` they return; every method is one call on the module that does it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.assumptions import assuming
from ranef.conditioning import Conditioning
from ranef.errors import ModelError
from ranef.families import Family, as_family
from ranef.fitting import Control, FittedModel, fit_model, model_with_response, refit_response
from ranef.formula.couplings import named_matrices
from ranef.formula.update import update_formula
from ranef.frames import IntoFrame, backend_of, frame_from
from ranef.inference import (
    coefficients,
    fit_statistics,
    intervals,
    random_effects,
    smooths,
    tidying,
    variance_components,
)
from ranef.inference.bootstrap import bootstrap
from ranef.model import Model, build_model
from ranef.plots import caterpillar
from ranef.plots import profile as profile_plot
from ranef.plots import smooth as smooth_plot
from ranef.prediction import augmentation, predictions
from ranef.prediction import residuals as residual_kinds
from ranef.prior import Prior
from ranef.reports.summary import Summary, summarise
from ranef.simulation import simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def lmm(
    formula: str,
    data: IntoFrame,
    *,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    start: FittedModel | Mapping[str, Any] | None = None,
    control: Control | None = None,
    correlation: str | None = None,
    dispersion: str | None = None,
    matrices: Mapping[str, Any] | None = None,
    priors: Mapping[str, Prior] | None = None,
    fixed: Mapping[str, Any] | None = None,
    tied: Sequence[Sequence[str]] | None = None,
) -> Fit:
    """Fit a linear mixed model, y = X beta + Z b + e.

    b ~ N(0, Sigma) for every random-effects term and e ~ N(0, sigma^2 / w). Fixed effects and sigma are profiled out
    of the (restricted) likelihood, as in lme4 (Bates, Maechler, Bolker & Walker 2015, Journal of Statistical Software
    67(1), sections 3.4-3.5). With `correlation` or `dispersion` residuals are correlated within groups and differ in
    size, as in nlme's lme and gls (Pinheiro & Bates 2000, Mixed-Effects Models in S and S-PLUS, chapter 5): the exact
    likelihood of the groups that are independent of each other, in which all other grouping factors must be nested.

    Parameters
    ----------
    formula : str
        Response, fixed effects and random-effects terms: ``"Reaction ~ Days + (Days | Subject)"``.
    data : data frame
        pandas, polars, pyarrow or another eager frame; it is not changed.
    reml : bool
        Restricted maximum likelihood (default) or maximum likelihood.
    correlation : str, optional
        Correlation of the residuals within groups, a structure around place and group: ``"ar1(time | g)"`` (whole
        numbers; ``1`` is the order of the rows), ``"arma(time | g, p=1, q=1)"``, ``"car1(time | g)"`` (any times),
        ``"cs(1 | g)"``, ``"us(time | g)"`` (a correlation for each pair of occasions), ``"exp(x + y | g)"``,
        ``"gau(x + y | g, nugget=True)"``. `list_correlations` has them all. ``| 1`` makes one group of all rows.
    dispersion : str, optional
        One-sided formula of the log of the residual standard deviation: ``"~ sex"`` (one for each level),
        ``"~ time"`` (exponential in time), besides the variance functions ``power(x)``, ``constpower(x)``,
        ``power(fitted)``, ``exp(fitted)``, where ``fitted`` is the fitted mean at the conditional modes. `sigma` is the
        standard deviation where all of them are one.
    weights : str or array, optional
        Precision weights w, a column or one number per row: the residual variance of a row is sigma^2 / w.
    offset : str or array, optional
        Known part of the linear predictor.
    contrasts : dict, optional
        Coding by factor, e.g. ``{"treatment": "sum"}``.
    missing : {"drop", "error"}
        What happens to rows with a missing value in a variable of the model.
    matrices : dict, optional
        The known matrices that ``propto(...)``, ``equalto(...)`` and ``car(...)`` name: arrays, frames with level
        names, scipy sparse matrices, `precision_matrix`, `pedigree`, `phylogeny`, `adjacency`. A name that is not in
        there is looked up among the caller's variables.
    priors : dict, optional
        Prior densities of parameters, by name, as in `glmm`; those of fixed effects need ``reml=False``.
    fixed : dict, optional
        Parameters held at values, by the same names: ``{"sd(Nest)": 0.3, "x": 1.0, "cor(Subject)": 0}``. They have no
        standard error and do not count in `npar`.
    tied : list of tuples, optional
        Parameters that are equal: ``[("sd(a)", "sd(b)")]``; standard deviations, or fixed effects.
    start : Fit or dict, optional
        Where the optimiser starts: a fit of a model with the same terms; values of some parameters by name,
        ``{"sd(Subject)": 20}``; or ``{"factor": [...]}`` with, for every random-effects term, a matrix F such that
        sigma^2 F F' is the covariance of its effects.
    control : Control, optional
        Settings of the optimiser.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, FormulaError, ModelError
        When the input is not a model that can be fitted; the text names the column, row or term.

    Warns
    -----
    ConvergenceWarning
        When the optimum cannot be trusted; the fit is returned all the same.

    Examples
    --------
    >>> import ranef as rf
    >>> sleep = rf.load_dataset("sleepstudy")
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    >>> round(fit.fixef()["Days"], 2)
    10.47
    >>> serial = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, correlation="ar1(Days | Subject)")
    >>> serial.tidy("random")[["term", "estimate"]].round(2).values.tolist()[-1]
    ['phi__ar1', 0.72]
    """
    matrices = named_matrices((formula,), matrices, sys._getframe(1))
    arguments = {
        "formula": formula,
        "reml": reml,
        "correlation": correlation,
        "dispersion": dispersion,
        "weights": weights,
        "offset": offset,
        "contrasts": contrasts,
        "missing": missing,
        "matrices": matrices,
        "priors": priors,
        "fixed": fixed,
        "tied": tied,
    }
    model = build_model(
        formula,
        data,
        family=as_family("gaussian"),
        linear=True,
        reml=reml,
        correlation=correlation,
        dispersion=dispersion,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        missing=missing,
        matrices=matrices,
        arguments=arguments,
    )
    return fitted(assuming(model, priors, fixed, tied), control, start)


def glmm(
    formula: str,
    data: IntoFrame,
    *,
    family: str | Family,
    link: str | None = None,
    zi: str | None = None,
    dispersion: str | None = None,
    shape: str | None = None,
    reml: bool | None = None,
    quadrature: int = 1,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    priors: Mapping[str, Prior] | None = None,
    missing: str = "drop",
    start: FittedModel | Mapping[str, Any] | None = None,
    control: Control | None = None,
    matrices: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    tied: Sequence[Sequence[str]] | None = None,
) -> Fit:
    """Fit a generalized linear mixed model by the Laplace approximation.

    Every component k (the mean, and where asked for the dispersion, shape and zero inflation) has a linear predictor
    g_k(parameter_k) = X_k beta_k + Z_k b_k; the random effects are integrated out around their conditional modes, as in
    glmmTMB (Brooks et al. 2017, The R Journal 9(2), 378-400). The log-likelihood includes all constants.

    Parameters
    ----------
    formula : str
        Response, fixed effects and random-effects terms of the mean. Binomial counts are
        ``cbind(successes, failures)`` or a proportion with ``weights`` as trials.
    data : data frame
        pandas, polars, pyarrow or another eager frame; it is not changed.
    family : str or Family
        A name (see `list_families`) or an object such as ``rf.families.nbinom2(link="sqrt")``.
    link : str, optional
        Link of the mean; the family's default when left out.
    zi : str, optional
        One-sided formula of the probability of an excess zero (logit link), e.g. ``"~ 1"``.
    dispersion, shape : str, optional
        One-sided formulas of the family's further parameters; a constant when left out. ``dispersion="~ 0"`` takes
        the residual variance out of a Gaussian model.
    reml : bool, optional
        Whether the fixed effects of the mean are integrated out as well. When left out, only with smooths, whose
        variances maximum likelihood makes too small; the summary says which it was.
    quadrature : int
        Points of adaptive Gauss-Hermite quadrature in each direction, for the random effects of one grouping factor, up
        to 3 a level: nearly exact where Laplace's approximation is not (binary data with few rows a level). 1 is the
        Laplace approximation; 0 puts the fixed effects of the mean into the search for the conditional modes (lme4's
        ``nAGQ = 0``: fast, not quite the maximum of the likelihood).
    weights : str or array, optional
        Each row's log-likelihood is multiplied by its weight; for a binomial proportion they are the trials.
    offset : str or array, optional
        Known part of the linear predictor of the mean.
    contrasts : dict, optional
        Coding by factor, e.g. ``{"treatment": "sum"}``.
    priors : dict, optional
        Prior densities of parameters, by name: ``{"fixed": rf.prior.normal(0, 2.5), "sd": rf.prior.gamma(1, 2.5)}``.
        Their logarithm is added to the log-likelihood, and the estimates are the mode of the posterior. Names are
        ``x``, ``zi: x``, ``fixed`` (the mean's but the intercept), ``cond``, ``zi``, ..., ``sd``, ``sd(group)``,
        ``sd(group, column)``, ``log_sd(...)``, ``cor(group)``, ``sigma``; the most particular counts.
    missing : {"drop", "error"}
        What happens to rows with a missing value in a variable of the model.
    matrices : dict, optional
        The known matrices that ``propto(...)``, ``equalto(...)`` and ``car(...)`` name: arrays, frames with level
        names, scipy sparse matrices, `precision_matrix`, `pedigree`, `phylogeny`, `adjacency`. A name that is not in
        there is looked up among the caller's variables.
    fixed : dict, optional
        Parameters held at values, by the same names: ``{"sd(Nest)": 0.3, "x": 1.0, "cor(Subject)": 0}``. They have no
        standard error and do not count in `npar`.
    tied : list of tuples, optional
        Parameters that are equal: ``[("sd(a)", "sd(b)")]``; standard deviations, or fixed effects.
    start : Fit or dict, optional
        Where the optimiser starts: a fit of a model with the same terms; values of some parameters by name,
        ``{"sd(Nest)": 0.5, "x": 1.0}``; or ``{"factor": [...], "beta": {...}}`` with, for every random-effects term, a
        matrix F such that F F' is the covariance of its effects, and for every component its fixed effects.
    control : Control, optional
        Settings of the optimiser.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, FormulaError, ModelError
        When the input is not a model that can be fitted; the text names the column, row or term.

    Warns
    -----
    ConvergenceWarning
        When the optimum cannot be trusted; the fit is returned all the same.

    Examples
    --------
    >>> import ranef as rf
    >>> owls = rf.load_dataset("owls")
    >>> fit = rf.glmm(
    ...     "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)",
    ...     owls, family="nbinom2", zi="~ 1",
    ... )
    >>> round(fit.loglik, 1)
    -1708.8
    """
    if isinstance(quadrature, bool) or not isinstance(quadrature, int) or quadrature < 0:
        raise ModelError(
            f"quadrature={quadrature!r}: give a whole number of points, 0 or more; 1 is the Laplace approximation."
        )
    matrices = named_matrices((formula, zi, dispersion, shape), matrices, sys._getframe(1))
    arguments = {
        "formula": formula,
        "family": family,
        "link": link,
        "zi": zi,
        "dispersion": dispersion,
        "shape": shape,
        "reml": reml,
        "quadrature": quadrature,
        "weights": weights,
        "offset": offset,
        "contrasts": contrasts,
        "priors": priors,
        "missing": missing,
        "matrices": matrices,
        "fixed": fixed,
        "tied": tied,
    }
    model = build_model(
        formula,
        data,
        family=as_family(family, link),
        linear=False,
        reml=reml,
        quadrature=int(quadrature),
        zi=zi,
        dispersion=dispersion,
        shape=shape,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        missing=missing,
        matrices=matrices,
        arguments=arguments,
    )
    return fitted(assuming(model, priors, fixed, tied), control, start)


def fitted(model: Model, control: Control | None, start: FittedModel | Mapping[str, Any] | None) -> Fit:
    """Fit a model and hand the record to the user."""
    control = control or Control()
    if not isinstance(control, Control):
        raise ModelError(f"control is a ranef.Control(...), not {type(control).__name__}")
    engine, kept = fit_model(model, control, start)
    return Fit(model=model, control=control, engine=engine, kept=kept)


class Fit(FittedModel):
    """A fitted mixed model.

    `lmm` and `glmm` make it; it never changes afterwards. Plain values are attributes (`loglik`, `aic`, `sigma`,
    `converged`, ...), everything else a method. Components are named cond, zi, disp, shape and threshold; frames come
    back of the kind that the data were.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> fit.nobs, fit.ngroups, fit.npar
    (180, {'Subject': 18}, 6)
    >>> fit.converged, fit.singular
    (True, False)
    """

    # -- parameters --------------------------------------------------------------------------------------------------

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

    def vcov(self, component: str = "cond") -> np.ndarray:
        """Covariance matrix of `fixef`, (p, p), in its order.

        Parameters
        ----------
        component : {"cond", "zi", "disp", "shape", "threshold"}
        """
        return self.covariance_of_estimates(component).copy()

    def tidy(self, effects: str = "fixed", ddf: str | None = None, level: float = 0.95) -> IntoFrame:
        """All estimates as one frame, with broom.mixed's columns.

        Parameters
        ----------
        effects : {"fixed", "random", "all"}
            Fixed effects (scale of the component's link), standard deviations and correlations of the random effects,
            or both. The latter have delta-method standard errors, and Wald intervals formed on log(sd) and
            atanh(cor).
        ddf : {None, "asymptotic", "residual"}
            Degrees of freedom of the tests: infinite (z statistics) or rows minus fixed effects. None is "asymptotic".
        level : float
            Confidence level.

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
        """
        return self._frame(tidying.tidy(self, effects, ddf, level))

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

    # -- intervals ---------------------------------------------------------------------------------------------------

    def confint(
        self,
        method: str = "wald",
        level: float = 0.95,
        parm: str | Sequence[str] | None = None,
        *,
        n: int = 1000,
        seed: int | None = None,
        kind: str = "percentile",
        threads: int | None = None,
    ) -> IntoFrame:
        """Confidence intervals of fixed effects, standard deviations, correlations and dispersion.

        Parameters
        ----------
        method : {"wald", "profile", "bootstrap"}
            "wald": estimate -+ z standard errors, formed on log(sd) and atanh(cor). "profile": where the profile
            likelihood falls by half the chi-square quantile; always of maximum likelihood, so a REML fit is refitted,
            which `note` says and `estimate` shows. "bootstrap": quantiles of `n` parametric replicates.
        level : float
            Confidence level.
        parm : str or list of str, optional
            Only these parameters, by term (``"Days"``, ``"sd__Intercept"``) or by the names of `bootstrap`.
        n, seed : int, optional
            Replicates of the bootstrap, and its seed.
        kind : {"percentile", "basic"}
            Of the bootstrap interval: the replicates' quantiles q, or 2 estimate - q (Davison & Hinkley 1997, 5.2-5.3).
        threads : int, optional
            Threads of profile and bootstrap; the numbers do not depend on it.

        Returns
        -------
        frame
            component, group, term, estimate, conf_low, conf_high, note. Fixed effects are on the scale of their link.
            An end that is not found is NaN, and `note` says why; where a standard deviation of zero is inside a profile
            interval its lower end is 0.

        Raises
        ------
        ModelError
            For a method, level or parameter that there is not.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"), reml=False)
        >>> fit.confint("profile", parm="sd__Days")[["conf_low", "conf_high"]].round(2).values.tolist()
        [[3.8, 8.75]]
        """
        intervals.require_known(self, method, level, parm, kind)
        if method == "wald":
            return self._frame(intervals.wald_intervals(self, level, parm))
        if method == "profile":
            return self._frame(intervals.profile_intervals(self, level, parm, threads))
        columns, said = bootstrap(self, n, None, seed, threads, None, self._with_response)
        return self._frame(intervals.bootstrap_intervals(self, level, parm, columns, said["failed"], kind))

    def profile(
        self, parm: str | Sequence[str] | None = None, level: float = 0.99, threads: int | None = None
    ) -> Profile:
        """Profile likelihood of parameters: its points as a frame, and its plot.

        zeta(t) = sign(t - estimate) sqrt(D(t) - D(estimate)), D(t) = -2 log-likelihood maximised over all other
        parameters (Bates, Maechler, Bolker & Walker 2015, Journal of Statistical Software 67(1), section 5.1). The
        likelihood is that of maximum likelihood: a REML fit is refitted.

        Parameters
        ----------
        parm : str or list of str, optional
            Only these parameters, as in `confint`.
        level : float
            The profile reaches as far as the interval of this level.
        threads : int, optional
            Threads; the numbers do not depend on it.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.profile("Days").data.columns.tolist()
        ['parameter', 'value', 'zeta']
        """
        return Profile(self, intervals.profile_curves(self, parm, level, 4, threads))

    def bootstrap(
        self,
        n: int,
        statistic: Callable[[Fit], Any] | None = None,
        seed: int | None = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> IntoFrame:
        """Parametric bootstrap: simulate responses with new random effects, and fit the model to each.

        Replicate r uses stream r of the generator: the numbers depend on the seed alone, not on the threads. Up to 2000
        rows, and with several grouping factors, it is the fit to column r of ``simulate(n, seed)``; larger linear mixed
        models of one grouping factor draw the sufficient statistics of the response instead of its rows.

        Parameters
        ----------
        n : int
            Number of replicates.
        statistic : callable, optional
            A function of a `Fit` that gives a number, a dict of numbers or a vector. Every replicate is then a whole
            fit that comes back to Python, which takes longer than the default.
        seed : int, optional
            None takes one from the system; pandas frames keep it in ``attrs``.
        threads : int, optional
            Threads; None: those of the fit's control.
        progress : bool, optional
            Whether lines about the progress go to the standard error stream; None: as the fit's control says.

        Returns
        -------
        frame
            A row a replicate: replicate, converged, singular, loglik, and by name sigma, the fixed effects
            (``zi__Intercept`` for other components than the mean), standard deviations and correlations
            (``sd__Intercept``, with ``|group`` behind it where several groups have one); or the statistic. Replicates
            that failed are kept, with converged False; pandas frames count them in ``attrs``.

        Raises
        ------
        ModelError
            When n, seed or statistic is not what it should be.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> draws = fit.bootstrap(200, seed=1)
        >>> len(draws), draws.attrs["failed"]
        (200, 0)
        >>> fit.bootstrap(3, statistic=lambda refit: refit.aic, seed=1).columns.tolist()
        ['replicate', 'converged', 'singular', 'loglik', 'statistic']
        """
        columns, said = bootstrap(self, n, statistic, seed, threads, progress, self._with_response)
        frame = self._frame(columns)
        if hasattr(frame, "attrs"):
            frame.attrs.update(said)
        return frame

    def _with_response(self, engine: Any, y: np.ndarray) -> Fit:
        model = model_with_response(self.model, y)
        return Fit(model=model, control=self.control, engine=engine, kept=self.kept)

    # -- the fit as a whole ------------------------------------------------------------------------------------------

    def glance(self) -> IntoFrame:
        """The plain values as a frame of one row; what is not defined for this fit is NaN."""
        return self._frame(fit_statistics.glance(self))

    def summary(self, ddf: str | None = None, correlations: bool = False) -> Summary:
        """The summary as lme4 and glmmTMB print it; `print` it, or let a notebook show it.

        Parameters
        ----------
        ddf : {None, "asymptotic", "residual"}
            Degrees of freedom of the tests, as in `tidy`.
        correlations : bool
            Whether the correlations of the fixed effects are shown.
        """
        return summarise(self, ddf, correlations)

    def __repr__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # -- rows --------------------------------------------------------------------------------------------------------

    def augment(self) -> IntoFrame:
        """The rows used, with columns fitted, residual, leverage, cooks_distance and fixed (population predictor)."""
        return augmentation.augment(self)

    def predict(
        self,
        newdata: IntoFrame | None = None,
        kind: str = "response",
        ranef: Conditioning = True,
        new_levels: str = "error",
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        seed: int | None = 0,
    ) -> Any:
        """Predict for the rows of the fit or for new ones.

        Parameters
        ----------
        newdata : data frame, optional
            None: the rows of the fit.
        kind : {"response", "link", "conditional", "zprob", "zlink", "dispersion", "probability", "class"}
            Mean of the response with zero inflation; linear predictor; mean of the part that is not an excess zero;
            probability of an excess zero; its linear predictor; the dispersion, as `sigma` reports it. The mean of a
            binomial is the probability, of an ordinal response the expected number of the category, 1 to J. Only for
            ordinal responses: the "probability" of each category, and the "class", the most probable category.
        ranef : bool or list of terms
            True: at the conditional modes. False: population level, random effects zero. A list keeps the terms it
            names, by group (``"Nest"``) or text (``"(1 | Nest)"``).
        new_levels : {"error", "population"}
            Levels of a grouping factor that the fit has not met raise `DataError`, or count as zero, their variance
            entering the standard error.
        se : bool
            Whether standard errors (delta method, all parameters and random effects) are wanted.
        interval : {None, "confidence", "prediction"}
            "confidence": for the quantity itself, formed on the link scale and transformed where it depends on one
            predictor alone. "prediction": for a new response of the row; normal for a Gaussian, else quantiles of
            2000 simulated responses (a binomial's as a proportion: of the row's trials, or of one trial in new data).
        level : float
            Level of the interval.
        seed : int, optional
            Seed of the simulated prediction intervals.

        Returns
        -------
        array or frame
            An array (rows,), or with `se` or `interval` a frame estimate, std_error, conf_low, conf_high. For
            "probability" a frame with a column per category, or with `se` or `interval` a frame row, category,
            estimate, std_error, conf_low, conf_high with a line for each row and category.

        Examples
        --------
        >>> import ranef as rf
        >>> sleep = rf.load_dataset("sleepstudy")
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
        >>> fit.predict(sleep.head(2), ranef=False).round(1)
        array([251.4, 261.9])
        """
        found = predictions.predict(self, newdata, kind, ranef, new_levels, se, interval, level, seed)
        if isinstance(found, np.ndarray):
            return found
        return self._frame(found, self.design.frame if newdata is None else newdata)

    def fitted(self) -> np.ndarray:
        """Fitted means of the rows used, at the conditional modes, (nobs,); probabilities for a binomial."""
        return np.asarray(predictions.predict(self))

    def residuals(self, kind: str = "response", ranef: Conditioning = True, seed: int | None = None) -> np.ndarray:
        """Residuals of the rows used, (nobs,).

        Parameters
        ----------
        kind : {"response", "pearson", "deviance", "working", "quantile", "normalized"}
            y - mu; that over the square root of the variance function (times the weights), as lme4 and glmmTMB define
            it; the signed root of the unit deviance; y - mu on the scale of the link; the normal quantile of the
            response's place in its distribution, which is standard normal under the model for every family, zero
            inflation included (Dunn & Smyth 1996). Binomial responses count as proportions. "normalized": those over
            their standard deviation, decorrelated within the groups of `correlation`, standard normal under the model;
            with `correlation` or `dispersion` "pearson" is divided by the standard deviation too, as in nlme.
        ranef : bool or list of terms
            The random effects in mu, as in `predict`.
        seed : int, optional
            Of quantile residuals: a response that has a probability of its own (a count, an inflated zero) is placed
            within it at random, alike for the same seed.

        Examples
        --------
        >>> import ranef as rf
        >>> owls = rf.load_dataset("owls")
        >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, family="poisson")
        >>> float(fit.residuals("quantile", seed=1).std().round(1))  # 1 under the model: these counts vary more
        2.3
        """
        return residual_kinds.residuals(self, kind, ranef, seed)

    def loglik_rows(self) -> np.ndarray:
        """Log density of each row at the conditional modes, times its weight, (nobs,).

        They sum to the log-likelihood of the data given the random effects, which is larger than `loglik`: that one is
        integrated over them. Not for correlated residuals, whose rows have no densities of their own.
        """
        if self.model.correlation is not None:
            raise ModelError(
                f"loglik_rows(): the residuals of this model are correlated ({self.model.correlation.text}), so rows "
                "have no densities of their own."
            )
        return np.asarray(self.engine.loglik_rows(), float)

    def simulate(
        self, n: int, seed: int | None = None, ranef: Conditioning = "new", newdata: IntoFrame | None = None
    ) -> np.ndarray:
        """Draw new responses, (rows, n), in the form of the response (proportions or categories where it was one).

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int, optional
            The same seed gives the same draws.
        ranef : "new", bool or list of terms
            Random effects drawn afresh, kept at their conditional modes (True), or zero (False). A list keeps the
            terms it names at their modes and draws the others afresh.
        newdata : data frame, optional
            Rows to draw for; None: those of the fit. Rows of levels that the fit has not met share one drawn level.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.simulate(3, seed=1).shape
        (180, 3)
        """
        return simulate(self, n, seed, ranef, newdata)

    # -- other fits --------------------------------------------------------------------------------------------------

    def refit(self, response: Any) -> Fit:
        """Fit the same model to another response.

        All that depends on the design alone is kept. The search starts where the new response says, not at this fit's
        optimum, so that the result does not depend on the fit it was asked of.

        Parameters
        ----------
        response : array_like
            One value per row used, or per row of the data given to `lmm` or `glmm`, in the form `simulate` returns.
            For an ordinal response, every category of the fit must occur.

        Returns
        -------
        Fit
            Its `design` keeps the matrices of this fit and holds the new response.
        """
        return self._with_response(*refit_response(self, response))

    def update(self, formula: str | None = None, data: IntoFrame | None = None, **changes: Any) -> Fit:
        """Fit again with something changed.

        Parameters
        ----------
        formula : str, optional
            A formula; a dot stands for what was there: ``". ~ . - x"``, ``". ~ . + (1 | site)"``.
        data : data frame, optional
            Other data. Without it the rows of this fit are used again.
        **changes
            Any other argument of `lmm` or `glmm`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"), reml=False)
        >>> fit.update(". ~ . - Days").npar
        5
        """
        arguments = dict(self.model.arguments)
        if formula is not None:
            arguments["formula"] = update_formula(self.formula, formula)
        control, start = changes.pop("control", self.control), changes.pop("start", None)
        unknown = set(changes) - set(arguments)
        if unknown:
            raise ModelError(
                f"update({', '.join(sorted(unknown))}): arguments are {', '.join(arguments)}, control, start."
            )
        arguments |= changes
        if data is None:
            data = self.design.frame
            for name in ("weights", "offset"):
                if name not in changes:
                    arguments[name] = self._of_used_rows(arguments[name])
        fit = lmm if self.model.linear else glmm
        text = arguments.pop("formula")
        return fit(text, data, control=control, start=start, **arguments)

    def _of_used_rows(self, values: Any) -> Any:
        """An argument given as an array, for the rows used; a column name or None as it is."""
        if values is None or isinstance(values, str):
            return values
        return np.asarray(values)[np.asarray(self.design.rows)]

    # -- figures -----------------------------------------------------------------------------------------------------

    @property
    def plot(self) -> Plots:
        """Figures of this fit: ``fit.plot.ranef()``."""
        return Plots(self)

    def _frame(self, columns: Mapping[str, Any], like: IntoFrame | None = None) -> IntoFrame:
        return frame_from(columns, backend_of(self.design.frame if like is None else like))


class Profile:
    """Profile likelihood of a fit's parameters, as `Fit.profile` gives it."""

    def __init__(self, fit: Fit, curves: list[intervals.ProfileCurve]) -> None:
        self._fit = fit
        self._curves = curves

    @property
    def data(self) -> IntoFrame:
        """A frame parameter, value, zeta, ascending within each parameter."""
        return self._fit._frame(intervals.profile_data(self._curves))

    def plot(self, ax: Axes | Any = None) -> Figure:
        """Draw zeta against the value, a panel per parameter, and return the figure."""
        return profile_plot.profile(self._curves, ax)

    def __repr__(self) -> str:
        names = ", ".join(curve.parameter.name for curve in self._curves)
        return f"<profile likelihood of {names}; .data, .plot()>"


class Plots:
    """Figures of a fit, each beside a method ``..._data()`` that returns the tidy frame it draws."""

    def __init__(self, fit: Fit) -> None:
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
