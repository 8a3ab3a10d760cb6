"""Whether a fit can be trusted: its checks with a verdict each, and the same model by other optimisers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ranef.arguments import hold_to_their_types
from ranef.checks import catalogue, optimizers
from ranef.checks.finding import PROBLEM, Finding
from ranef.checks.subject import Subject, subject_of
from ranef.frames import IntoFrame
from ranef.plots import check as check_plot
from ranef.reports import check as check_report
from ranef.session.answers import Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@hold_to_their_types
class Check:
    """The verdict on a fit, assumption by assumption, as `Fit.check` gives it; `print` it.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.glmm("TICKS ~ YEAR + cHEIGHT + (1 | BROOD)", rf.load_dataset("grouseticks"), family="poisson")
    >>> found = fit.check()
    >>> found.verdict
    'problem'
    >>> found.problems["check"].tolist()
    ['dispersion', 'outliers', 'spread along fitted values']
    """

    def __init__(self, fit: Answers, subject: Subject) -> None:
        self._fit = fit
        self._subject = subject
        self._findings, self._refused = catalogue.findings_of(subject)

    @property
    def verdict(self) -> str:
        """The worst of all verdicts: "ok", "look" or "problem"."""
        return check_report.overall(self._findings)

    @property
    def table(self) -> IntoFrame:
        """A frame with a row for each check.

        check, statistic (the figure), p_value (NaN where nothing is tested), verdict ("ok", "look", "problem"), advice
        (what to do; empty where there is nothing to do), area, measure (what the figure is), detail (what was found).
        """
        return self._fit._frame(_columns(self._findings))

    @property
    def problems(self) -> IntoFrame:
        """The rows of `table` whose verdict is "problem"."""
        return self._fit._frame(_columns([f for f in self._findings if f.verdict == PROBLEM]))

    @property
    def skipped(self) -> dict[str, str]:
        """Checks that this model does not allow, with the reason."""
        return dict(self._refused)

    def plot(self, ax: Axes | Any = None) -> Figure:
        """One page of figures, each titled with its verdict.

        QQ plot of the residuals, residuals against fitted values, QQ plots of the random effects, observed against
        simulated responses (a rootogram for counts), influence of groups. What they draw: `Fit.plot.diagnostics_data`
        and `Fit.influence`.

        Parameters
        ----------
        ax : sequence of matplotlib axes, one per panel, optional
            Where to draw; a new figure when left out.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return check_plot.check(self._subject, self._findings, ax)

    def __repr__(self) -> str:
        return check_report.check_text(self._findings, self._refused)

    def _repr_html_(self) -> str:
        return check_report.check_html(self._findings, self._refused)


def _columns(findings: Sequence[Finding]) -> dict[str, list[object]]:
    texts = ("check", "verdict", "advice", "area", "measure", "detail")
    columns = {name: [getattr(f, name) for f in findings] for name in texts}
    numbers = {name: [float(getattr(f, name)) for f in findings] for name in ("statistic", "p_value")}
    order = ("check", "statistic", "p_value", "verdict", "advice", "area", "measure", "detail")
    return {name: (columns | numbers)[name] for name in order}


class Checking(Answers):
    """Checks of a fit."""

    def check(
        self,
        *,
        groups: str | Sequence[str] | None = None,
        time: str | None = None,
        space: Sequence[str] | None = None,
        restarts: int | None = None,
        seed: int = 1,
    ) -> Check:
        """Check everything that the fit assumes, with a verdict and advice for each.

        Convergence, identifiability, Laplace's approximation, dispersion, zeros, distribution and spread of the
        residuals, groups that were left out, distribution of the random effects, collinearity and influence. A verdict
        weighs the size of a departure and not the p-value alone: with many rows everything is significant. All tests
        are judged together, so that a model that is right is not called bad because a dozen things were looked at.

        Parameters
        ----------
        groups : str or list of str, optional
            Columns that may group the rows: whether residuals of a group are alike, and vary alike. None: the
            columns of text and whole numbers that the model does not use.
        time : str, optional
            Column of times: whether successive residuals, within the levels of the finest grouping factor, are alike.
        space : list of str, optional
            Two or three columns of coordinates: whether residuals of neighbours are alike.
        restarts : int, optional
            How often the model is fitted again from elsewhere; None: twice up to 1000 rows and 200 effects.
        seed : int
            Of all that is drawn; the same seed gives the same table.

        Returns
        -------
        Check
            `verdict`, `table`, `problems`, `plot()`; printed, it says what was found and what to try.

        Raises
        ------
        DataError
            When a column named is not there.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.check(time="Days").table["verdict"].value_counts().index[0]
        'ok'
        """
        return Check(self, subject_of(self, groups, time, space, restarts, seed))

    def all_fit(self, starts: int = 2, seed: int = 1, progress: bool | None = None) -> IntoFrame:
        """Fit the same model by every optimiser, from several starts.

        The engine's trust region from its own start and from perturbed ones, and from the latter L-BFGS-B and the
        simplex of Nelder and Mead. Where all agree, a warning about convergence was a false alarm; where one ends
        higher, the fit is not the maximum: take its estimates as `start`.

        Parameters
        ----------
        starts : int
            Perturbed starts: factors of the covariances times exp(N(0, 0.5)), coefficients plus N(0, 1) standard
            errors.
        seed : int
            Of the perturbations.
        progress : bool, optional
            Whether lines about the progress go to the standard error stream; None: as the fit's control says.

        Returns
        -------
        frame
            optimizer, start, loglik (with the log prior, if there is one), difference to the best, converged (by the
            optimiser's own rule), seconds, note (in words whether it agrees; the first says whether all do), and a
            column for each parameter. Where the engine alone can search (structured covariances, correlated residuals,
            priors, REML of a generalised model) the note says so.

        Raises
        ------
        ModelError
            For starts that are no whole number.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> found = fit.all_fit(starts=1)
        >>> found["optimizer"].tolist()
        ['trust region', 'trust region', 'L-BFGS-B', 'Nelder-Mead']
        >>> bool(found["difference"].min() > -1e-5)
        True
        """
        return self._frame(optimizers.all_fit(self, starts, seed, progress))
