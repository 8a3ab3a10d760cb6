"""What may be concluded from a fit: intervals, profiles, the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ranef.arguments import hold_to_their_types
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.inference import dropped_terms, explained_variance, intervals, linear_hypotheses
from ranef.inference.anova import anova, linear_test
from ranef.inference.bootstrap import plan, replicates, summary_of
from ranef.inference.processes import replicates_by
from ranef.plots import profile as profile_plot
from ranef.session.answers import Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@hold_to_their_types
class Profile:
    """Profile likelihood of a fit's parameters, as `Fit.profile` gives it."""

    def __init__(self, fit: Answers, curves: list[intervals.ProfileCurve]) -> None:
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


class Inference(Answers):
    """Intervals and tests."""

    def confint(
        self,
        method: str = "wald",
        level: float = 0.95,
        parm: str | Sequence[str] | None = None,
        *,
        ddf: str | None = None,
        n: int = 1000,
        seed: int | None = None,
        kind: str = "percentile",
        threads: int | None = None,
        vcov: str | None = None,
        cluster: Any = None,
        resampling: str = "parametric",
        group: str | None = None,
    ) -> IntoFrame:
        """Confidence intervals of fixed effects, standard deviations, correlations and dispersion.

        Parameters
        ----------
        method : {"wald", "profile", "bootstrap"}
            "wald": estimate -+ q standard errors, formed on log(sd) and atanh(cor); q is of t for fixed effects with
            degrees of freedom, and else of the normal. "profile": where the profile
            likelihood falls by half the chi-square quantile; always of maximum likelihood, so a REML fit is refitted,
            which `note` says and `estimate` shows. "bootstrap": quantiles of `n` replicates.
        level : float
            Confidence level.
        parm : str or list of str, optional
            Only these parameters, by term (``"Days"``, ``"sd__Intercept"``) or by the names of `bootstrap`.
        ddf : str, optional
            Degrees of freedom of Wald intervals, as in `tidy`.
        n, seed : int, optional
            Replicates of the bootstrap, and its seed.
        kind : {"percentile", "basic"}
            Of the bootstrap interval: the replicates' quantiles q, or 2 estimate - q (Davison & Hinkley 1997, 5.2-5.3).
        threads : int, optional
            Threads of profile and bootstrap; the numbers do not depend on it.
        vcov, cluster : optional
            A cluster-robust covariance of the fixed effects in Wald intervals, as in `tidy`.
        resampling : {"parametric", "cases"}
            How the bootstrap makes its replicates: `kind` of `bootstrap`.
        group : str, optional
            The factor resampled by cases, as in `bootstrap`.

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
            return self._frame(intervals.wald_intervals(self, level, parm, ddf, vcov, cluster))
        if vcov is not None or cluster is not None:
            raise ModelError(f"confint({method!r}) does not use a covariance; vcov= and cluster= go with 'wald' only.")
        if method == "profile":
            return self._frame(intervals.profile_intervals(self, level, parm, threads))
        what = plan(self, n, None, seed, threads, None, resampling, group)
        columns = replicates(self, what, self._with_response)
        failed = summary_of(columns, what)["failed"]
        return self._frame(intervals.bootstrap_intervals(self, level, parm, columns, failed, kind))

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
        statistic: Callable[[Any], Any] | str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        *,
        kind: str = "parametric",
        group: str | None = None,
        backend: Any = None,
    ) -> IntoFrame:
        """Bootstrap: fit the model to responses simulated from it, or to resampled groups.

        Replicate r depends on the seed and r alone, not on the threads or the number of replicates. By simulation, up
        to 2000 rows, and with several grouping factors, it is the fit to column r of ``simulate(n, seed)``; larger
        linear mixed models of one grouping factor draw the sufficient statistics of the response instead of its rows.

        Parameters
        ----------
        n : int
            Number of replicates.
        statistic : callable or str, optional
            A function of a `Fit` that gives a number, a dict of numbers or a vector; every replicate is then a whole
            fit that comes back to Python, which takes longer than the default. "fixef", "variances", "r2" and "icc"
            are there by name. None is all parameters.
        seed : int, optional
            None takes one from the system; pandas frames keep it in ``attrs``.
        threads : int, optional
            Threads; None: those of the fit's control.
        progress : bool, optional
            Whether lines about the progress go to the standard error stream; None: as the fit's control says.
        kind : {"parametric", "cases"}
            "parametric": responses simulated with new random effects. "cases": levels of a grouping factor drawn with
            replacement, each copy a level of its own (Davison & Hinkley 1997, Bootstrap Methods and their Application,
            section 3.8); it assumes no distribution, but many independent groups.
        group : str, optional
            The factor resampled by cases; when left out, the one in which all others are nested, and rows in a model
            without groups. Factors crossed with it keep their levels.
        backend : str or joblib.Parallel, optional
            Other processes instead of threads, for a statistic that is slow in Python: "joblib", or a Parallel of
            yours. Every process fits the model again from its formula and data.

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
            When an argument is not what it should be.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> draws = fit.bootstrap(200, seed=1)
        >>> len(draws), draws.attrs["failed"]
        (200, 0)
        >>> fit.bootstrap(3, statistic=lambda refit: refit.aic, seed=1).columns.tolist()
        ['replicate', 'converged', 'singular', 'loglik', 'statistic']
        >>> fit.bootstrap(3, "fixef", seed=1, kind="cases")["Days"].round(1).tolist()
        [11.6, 12.3, 11.0]
        """
        if isinstance(statistic, str) and statistic in explained_variance.STATISTICS:
            statistic = explained_variance.STATISTICS[statistic]
        what = plan(self, n, statistic, seed, threads, progress, kind, group)
        own = backend is None
        columns = replicates(self, what, self._with_response) if own else replicates_by(self, what, backend)
        said = summary_of(columns, what)
        frame = self._frame(columns)
        if hasattr(frame, "attrs"):
            frame.attrs.update(said)
        return frame

    def anova(
        self,
        type: int | str = 3,
        ddf: str | None = None,
        component: str = "cond",
        vcov: str | None = None,
        cluster: Any = None,
    ) -> IntoFrame:
        """Analysis of variance: a test of every term of the fixed effects.

        Parameters
        ----------
        type : {1, 2, 3}, or "I", "II", "III"
            1: each term after those before it. 2: each term after all that do not contain it. 3: each term as if those
            that contain it had effects that sum to zero over the levels of its other factors (SAS's estimable
            functions); none of them depends on the coding of the factors. Numeric variables are taken at zero where
            they interact: centre them.
        ddf : {None, "satterthwaite", "kenward-roger", "residual", "asymptotic"}
            Denominator degrees of freedom, as in `tidy`: F tests by default for models of `lmm`, Wald chi-square tests
            for those of `glmm`.
        component : str
            The component whose terms are tested.
        vcov, cluster : optional
            A cluster-robust covariance, as in `tidy`.

        Returns
        -------
        frame
            term, sum_sq, mean_sq (F times the residual variance; only of F tests by the model's covariance), num_df,
            den_df, statistic, p_value. pandas frames keep a heading that tells the method in ``attrs["heading"]``.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", rf.load_dataset("machines"))
        >>> fit.anova()[["term", "num_df", "den_df", "statistic"]].round(2).values.tolist()
        [['Machine', 2, 10.0, 20.58]]
        """
        return self._headed(*anova(self, type, ddf, component, vcov, cluster))

    def test(
        self,
        L: Any,
        rhs: Any = 0.0,
        ddf: str | None = None,
        component: str = "cond",
        vcov: str | None = None,
        cluster: Any = None,
    ) -> IntoFrame:
        """Test linear hypotheses about fixed effects, all of them together.

        Parameters
        ----------
        L : array, dict, str, or list of dicts and texts
            Weights of the fixed effects in the order of `fixef`, a row a hypothesis; weights by name,
            ``{"a": 1, "b": -1}``; or equations, ``"a - b = 0"``, ``["Days = 10", "Intercept = 250"]``.
        rhs : float or array
            What rows and dicts are compared with.
        ddf : {None, "satterthwaite", "kenward-roger", "residual", "asymptotic"}
            Denominator degrees of freedom, as in `tidy`.
        component : str
            The component whose fixed effects are meant.
        vcov, cluster : optional
            A cluster-robust covariance, as in `tidy`.

        Returns
        -------
        frame
            One row: hypothesis, estimate and std_error (NaN where several are tested), num_df, den_df, statistic (F, or
            chi-square where den_df is infinite), p_value.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.test("Days = 10")[["den_df", "statistic", "p_value"]].round(3).values.tolist()
        [[17.0, 0.091, 0.766]]
        """
        names = self.names(component)
        return self._headed(*linear_test(self, *linear_hypotheses.read(L, rhs, names), ddf, component, vcov, cluster))

    def drop1(self, test: str | None = "chisq", ddf: str | None = None) -> IntoFrame:
        """Leave out each term of the fixed effects that stands in no other term.

        Parameters
        ----------
        test : {"chisq", "F", None}
            "chisq": likelihood-ratio tests; models of REML are refitted by maximum likelihood, as their AIC has to be.
            "F": tests of the terms in this fit, without refitting. None: AIC alone.
        ddf : str, optional
            Denominator degrees of freedom of F tests, as in `tidy`.

        Returns
        -------
        frame
            term, df, aic, statistic, p_value, the model itself first (``<none>``); for "F" the columns of `anova`.

        Examples
        --------
        >>> import ranef as rf
        >>> cbpp = rf.load_dataset("cbpp")
        >>> fit = rf.glmm("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
        >>> fit.drop1()[["term", "aic"]].round(2).values.tolist()
        [['<none>', 194.05], ['period', 213.66]]
        """
        return self._headed(*dropped_terms.drop1(self, self._refit, test, ddf))

    def ranova(self) -> IntoFrame:
        """Test the random-effects terms of the mean: likelihood ratios of models with less of them.

        Of a term with slopes one slope is left out, ``(x | g)`` becoming ``(1 | g)``; a term without is left out
        itself. All fits are by the criterion of this one, whose fixed effects they share.

        Returns
        -------
        frame
            term, npar, loglik, aic, statistic, df, p_value, p_boundary; the model itself first (``<none>``). `p_value`
            is of the chi-square with df. A variance cannot be negative, so that this is too large: under the hypothesis
            that one variance (with its df - 1 covariances) is zero the statistic is a mixture, half and half, of
            chi-squares with df - 1 and df (Self & Liang 1987; Stram & Lee 1994), and `p_boundary` is of that. Where a
            term with several variances is left out the mixture is another one, and `p_boundary` still too large. In
            small samples both are approximate: see `bootstrap`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Yield ~ 1 + (1 | Batch)", rf.load_dataset("dyestuff"))
        >>> fit.ranova()[["term", "statistic", "p_value", "p_boundary"]].round(4).values.tolist()[1]
        ['(1 | Batch)', 6.369, 0.0116, 0.0058]
        """
        return self._headed(*dropped_terms.ranova(self, self._refit))
