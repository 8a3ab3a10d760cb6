"""How much a fit explains: shares of variance, and its conditional AIC."""

from __future__ import annotations

from ranef.frames import IntoFrame
from ranef.inference import conditional_aic, explained_variance
from ranef.inference.explained_variance import Interval
from ranef.session.answers import Answers


class ExplainedVariance(Answers):
    """R-squared, intraclass correlation and the variances behind them; the conditional AIC."""

    def r2(
        self,
        approximation: str | None = None,
        interval: str | None = None,
        *,
        n: int = 500,
        seed: int | None = None,
        level: float = 0.95,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> IntoFrame:
        """Nakagawa's R-squared: the share of the variance, on the scale of the link, that the model explains.

        Marginal: var(X beta) over the sum of the variances of fixed effects, random effects, dispersion and
        distribution; conditional: that of fixed and random effects (Nakagawa, Johnson & Schielzeth 2017, Journal of the
        Royal Society Interface 14, 20170213; random slopes by Johnson 2014, Methods in Ecology and Evolution 5,
        944-946). The mean that the distribution's variance depends on is that of the null model,
        exp(beta_0 + v_0 / 2) for a log link, v_0 the variance of its random effects.

        Parameters
        ----------
        approximation : {None, "lognormal", "delta", "trigamma", "theoretical", "exact", "all"}
            The way to the distribution's variance: with a log link lognormal (default), delta or trigamma; for
            binomial responses theoretical (default) or delta; the others have one. "all" gives a row for each.
        interval : {None, "bootstrap"}
            Percentile intervals of `n` parametric replicates.
        n, seed, level, threads, progress
            Of the bootstrap, as in `bootstrap` and `confint`.

        Returns
        -------
        frame
            approximation, marginal, conditional; with an interval marginal_low, marginal_high, conditional_low,
            conditional_high.

        Raises
        ------
        ModelError
            Where it is not defined for the family and link, or a random effect has no one variance (car, rw1, ...).

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.r2().round(3).values.tolist()
        [['exact', 0.279, 0.799]]
        >>> counts = rf.glmm("count ~ mined + (1 | site)", rf.load_dataset("salamanders"), family="poisson")
        >>> counts.r2("all").round(4).values.tolist()
        [['lognormal', 0.6253, 0.7871], ['delta', 0.5933, 0.7468], ['trigamma', 0.5487, 0.6907]]
        """
        how = Interval(interval, n, seed, level, threads, progress)
        return self._frame(explained_variance.r2(self, approximation, how))

    def icc(
        self,
        by_group: bool = False,
        approximation: str | None = None,
        interval: str | None = None,
        *,
        n: int = 500,
        seed: int | None = None,
        level: float = 0.95,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> IntoFrame:
        """Intraclass correlation: the share of the random effects in the variance that fixed effects leave.

        Parameters
        ----------
        by_group : bool
            Whether there is a row for each grouping factor.
        approximation, interval, n, seed, level, threads, progress
            As in `r2`.

        Returns
        -------
        frame
            approximation, (group,) adjusted (of the variance without that of the fixed effects), unadjusted (of all);
            with an interval the ends of both.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", rf.load_dataset("machines"))
        >>> fit.icc(by_group=True)[["group", "adjusted"]].round(3).values.tolist()
        [['Worker', 0.606], ['Worker:Machine', 0.369]]
        """
        how = Interval(interval, n, seed, level, threads, progress)
        return self._frame(explained_variance.icc(self, by_group, approximation, how))

    def variance_decomposition(self, approximation: str | None = None) -> IntoFrame:
        """The variances behind `r2` and `icc`, on the scale of the link.

        Parameters
        ----------
        approximation : str, optional
            As in `r2`.

        Returns
        -------
        frame
            approximation, source (fixed, random, dispersion, distribution), group, variance, share.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.variance_decomposition()[["source", "variance"]].round(1).values.tolist()
        [['fixed', 909.0], ['random', 1698.1], ['dispersion', 0.0], ['distribution', 654.9]]
        """
        return self._frame(explained_variance.shares(self, approximation))

    def caic(self, method: str | None = None, threads: int | None = None) -> IntoFrame:
        """Conditional AIC: -2 log f(y | conditional modes) + 2 df, for predictions in the groups there are.

        `aic` is about new groups, this one about new data of the same groups; its degrees of freedom say how many
        parameters the random effects, shrunk as they are, are worth (Vaida & Blanchard 2005, Biometrika 92, 351-370).

        Parameters
        ----------
        method : {None, "exact", "refits", "leverage"}
            How df is found. "exact": tr(d yhat / d y) + 1 of a linear mixed model, which holds that variances are
            estimated (Greven & Kneib 2010, Biometrika 97, 773-789); for `us`, `diag`, `homdiag`, `homcs` and
            intercepts. "refits": Poisson responses (Lian 2012) and binary ones (Efron 2004; Saefken et al. 2014), with
            one refit a row. "leverage": sum of d mu_i / d y_i and the number of dispersion parameters, given the
            variances; for all others. None takes the first that there is.
        threads : int, optional
            Threads of the refits.

        Returns
        -------
        frame
            One row: caic, df, loglik (given the conditional modes), aic (the marginal one), method, note.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.caic()[["caic", "df", "loglik"]].round(2).values.tolist()
        [[1711.52, 31.25, -824.51]]
        """
        return self._frame(conditional_aic.columns(conditional_aic.conditional_aic(self, method, threads), self))
