"""Checks of residuals by simulation: `SimulatedResiduals`, of a fit or of another package's simulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.checks.simulated_residuals import (
    autocorrelation,
    dispersion,
    outliers,
    quantile_trend,
    residual_groups,
    simulated_responses,
    simulated_statistic,
)
from ranef.checks.simulated_residuals import scaled_residuals as scaling
from ranef.checks.simulated_residuals.described_rows import DescribedRows, rows_of_fit
from ranef.checks.simulated_residuals.residual_test import ResidualTest
from ranef.checks.simulated_residuals.uniformity import uniformity
from ranef.conditioning import Conditioning
from ranef.errors import DataError, ModelError
from ranef.fitting import FittedModel
from ranef.frames import IntoFrame, backend_of, frame_from
from ranef.plots import scaled_residuals as figures
from ranef.reports.simulated_residuals import residual_report
from ranef.session.answers import Answers
from ranef.simulation import engine_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Rows from which a small p-value may stand for a departure that nobody would mind.
MANY_ROWS = 1000
# Distances of all pairs of rows are held at once: 800 MB.
MOST_PLACES = 10_000

BINARY = (
    "single 0/1 responses tell little of dispersion or shape: put rows together, as in .aggregated('group'), "
    "or look at .plot_against('x') and .test_groups('factor')"
)


class SimulatedResiduals:
    """The place of each response among responses simulated from the model, from 0 to 1, and tests of these places.

    `Fit.simulate_residuals` and `scaled_residuals` make it; print it for the tests. Under the model the residuals are
    uniform and independent, whatever the family. Arguments that take a variable take the name of a column of the data,
    or a value for each row.

    Attributes
    ----------
    seed : int
        Gives the same simulations again.
    notes : tuple of str
        What there is to know about how the residuals came about.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", rf.load_dataset("owls"), family="poisson")
    >>> simulated = fit.simulate_residuals(n=250, seed=1)
    >>> simulated.test_dispersion().effect > 2
    True
    """

    def __init__(
        self,
        found: scaling.ScaledResiduals,
        rows: DescribedRows,
        backend: Any,
        record: FittedModel | None = None,
        notes: tuple[str, ...] = (),
        at_modes: bool = False,
    ) -> None:
        self._found, self._rows, self._backend, self._record = found, rows, backend, record
        self._at_modes = at_modes
        self.notes = notes + ((BINARY,) if self._binary else ())

    @property
    def scaled(self) -> np.ndarray:
        """The residuals, (nobs,): exactly 0 or 1 where the response lies outside all that was simulated."""
        return self._found.scaled.copy()

    @property
    def observed(self) -> np.ndarray:
        """The responses, (nobs,): successes of a binomial, numbers of ordered categories."""
        return self._found.observed.copy()

    @property
    def simulated(self) -> np.ndarray:
        """The simulated responses, (nobs, n); those of large data are large, so this is no copy."""
        view = self._found.simulated.view()
        view.flags.writeable = False
        return view

    @property
    def fitted(self) -> np.ndarray:
        """Means of the model, (nobs,), in the numbers of `observed`."""
        return self._found.fitted.copy()

    @property
    def n(self) -> int:
        """Simulations of each row."""
        return self._found.n

    @property
    def nobs(self) -> int:
        """Residuals: rows, or groups of them."""
        return len(self._found.scaled)

    @property
    def seed(self) -> int:
        """The seed, also where none was given."""
        return self._found.seed

    @property
    def refitted(self) -> bool:
        """Whether the residuals are placed among those of refits."""
        return self._found.refits is not None

    @property
    def _binary(self) -> bool:
        return bool(np.isin(self._found.observed, (0.0, 1.0)).all() and (self._found.simulated <= 1.0).all())

    def residuals(
        self,
        quantile_function: Callable[[np.ndarray], Any] | None = None,
        outliers: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """Residuals on the scale of another distribution, (nobs,).

        Parameters
        ----------
        quantile_function : callable, optional
            Of the probabilities; the standard normal's when left out.
        outliers : (float, float), optional
            What residuals of 0 and 1 become; for the normal distribution the quantiles of half a simulation,
            1 / (2n) from the end.
        """
        if quantile_function is None:
            from scipy.special import ndtri

            edge = float(ndtri(0.5 / self.n))
            return scaling.transformed(self._found, ndtri, (edge, -edge) if outliers is None else outliers)
        return scaling.transformed(self._found, quantile_function, outliers)

    def aggregated(self, group: Any, by: Any = "sum") -> SimulatedResiduals:
        """Residuals of groups of rows: responses are put together, observed and simulated alike, and placed anew.

        Parameters
        ----------
        group : str or array_like
            A column, a grouping factor or a value for each row: which rows go together.
        by : {"sum", "mean", "max", "min", "median"} or callable
            A callable takes the values of a group, (rows, n), and gives (n,).

        Returns
        -------
        SimulatedResiduals
            With a residual for each group, in the order of their first rows. A variable that is asked for by name has
            the value of the group, or where it differs in the group and is a number, its mean.
        """
        _, groups = self._rows.levels(group, "group")
        found = scaling.aggregated(self._found, groups, by)
        name = group if isinstance(group, str) else "the groups given"
        how = by if isinstance(by, str) else getattr(by, "__name__", "a function")
        notes = tuple(note for note in self.notes if note != BINARY)
        note = f"rows were put together by {name} ({how})"
        return SimulatedResiduals(found, self._rows.together(groups), self._backend, self._record, (*notes, note))

    def test_uniformity(self, alternative: str = "two-sided") -> ResidualTest:
        """Kolmogorov and Smirnov's test of a uniform distribution.

        Parameters
        ----------
        alternative : {"two-sided", "greater", "less"}
            "greater": the distribution function lies above the diagonal, residuals are too small.
        """
        return uniformity(self._found.scaled, alternative)

    def test_dispersion(self, alternative: str | None = None, kind: str = "simulated") -> ResidualTest:
        """Whether responses vary about their means as the model says; above one: more.

        Parameters
        ----------
        alternative : {"two-sided", "greater", "less"}, optional
            "two-sided" when left out, but for Pearson's statistic, which can only tell "greater".
        kind : {"simulated", "pearson", "refit"}
            The variance of y - fitted over its mean in simulated responses. The sum of squared Pearson residuals over
            the residual degrees of freedom. That sum over its mean in refits, after ``simulate_residuals(refit=True)``.

        Notes
        -----
        With `ranef=True` the fitted means have been drawn to the data, and so has the ratio: a little below one under
        the model; the text says where for gaussian, poisson and binomial models. ``simulate_residuals(refit=True)``
        takes that into account.
        """
        record = None if self._rows.finer is not None else self._record
        return dispersion.dispersion(self._found, kind, alternative, record, self._at_modes)

    def test_outliers(
        self, kind: str | None = None, alternative: str = "two-sided", margin: str = "both"
    ) -> ResidualTest:
        """Whether more responses lie outside all their simulations than should.

        Parameters
        ----------
        kind : {"binomial", "bootstrap"}, optional
            The exact test with the probability of a continuous response, 2 / (n + 1), or a bootstrap of the
            simulations. None: the bootstrap for whole numbers up to 500 rows.
        alternative : {"two-sided", "greater", "less"}
        margin : {"both", "lower", "upper"}
            Responses below, above, or both.
        """
        return outliers.outliers(self._found, kind, alternative, margin)

    def test_zero_inflation(self, alternative: str = "two-sided") -> ResidualTest:
        """Number of zeros over the mean number in simulated responses; above one: more zeros than the model has."""
        return simulated_statistic.zero_inflation(self._found, alternative)

    def test_generic(
        self, statistic: Callable[[np.ndarray], Any], alternative: str = "two-sided", name: str = ""
    ) -> ResidualTest:
        """Any statistic of the responses, over its mean in simulated ones.

        Parameters
        ----------
        statistic : callable
            Takes responses (nobs,), gives a number.
        alternative : {"two-sided", "greater", "less"}
        name : str
            What the statistic is called; by default the function's name.
        """
        return simulated_statistic.generic(self._found, statistic, alternative, name)

    def test_quantiles(
        self, predictor: Any = None, quantiles: Sequence[float] = quantile_trend.QUANTILES
    ) -> ResidualTest:
        """Whether quantiles of the residuals are level along a predictor; for a factor use `test_groups`.

        Score tests of quantile regression on a natural spline of the predictor's ranks: for each quantile one of its
        level and one of its bend, put together by Benjamini and Hochberg's adjustment.

        Parameters
        ----------
        predictor : str or array_like, optional
            The fitted values when left out.
        quantiles : sequence of float
        """
        values, name = self._along(predictor)
        return quantile_trend.quantile_trend(self._found.scaled, values, quantiles, name)

    def test_temporal(self, time: Any, alternative: str = "two-sided") -> ResidualTest:
        """Durbin and Watson's test of residuals in the order of time.

        Parameters
        ----------
        time : str or array_like
            Numbers or dates. Rows of the same time are put together (their responses summed) first, and the text of
            the result says so. For series within groups take one group at a time, with `aggregated` or a fit of it.
        alternative : {"two-sided", "greater", "less"}
            "greater": neighbours in time are alike.

        Notes
        -----
        The p-value is exact for normal residuals up to 100 times, and by the normal approximation beyond.
        """
        times = self._rows.measured(time, "time")
        scaled, times, said = self._one_each(times)
        test = autocorrelation.durbin_watson(scaled, times, alternative)
        return _with_text(test, said)

    def test_spatial(
        self, x: Any = None, y: Any = None, distances: Any = None, alternative: str = "two-sided"
    ) -> ResidualTest:
        """Moran's test that near residuals are alike, with weights of one over the distance.

        Parameters
        ----------
        x, y : str or array_like, optional
            Coordinates. Rows of the same place are put together (their responses summed) first.
        distances : (nobs, nobs) array_like, optional
            Distances of another kind: along roads, in a phylogeny.
        alternative : {"two-sided", "greater", "less"}
        """
        if distances is not None:
            if x is not None or y is not None:
                raise ModelError("test_spatial(): give x and y, or distances, not both")
            matrix = np.asarray(distances, float)
            if matrix.shape != (self.nobs, self.nobs):
                raise DataError(f"distances has the shape {matrix.shape}; ({self.nobs}, {self.nobs}) is needed")
            return autocorrelation.moran(self._found.scaled, matrix, alternative)
        if x is None or y is None:
            raise ModelError("test_spatial(): give x and y, the coordinates, or distances")
        places = self._rows.measured(x, "x") + 1j * self._rows.measured(y, "y")
        scaled, places, said = self._one_each(places)
        if len(places) > MOST_PLACES:
            raise ModelError(
                f"test_spatial(): {len(places)} places have {len(places) ** 2 / 1e6:.0f} million distances; put places "
                f"together with .aggregated(...) until there are {MOST_PLACES} or fewer"
            )
        distances = autocorrelation.euclidean(places.real, places.imag)
        return _with_text(autocorrelation.moran(scaled, distances, alternative), said)

    def test_groups(self, factor: Any) -> ResidualTest:
        """Whether residuals are uniform in every level of a factor, with the same spread.

        Kolmogorov and Smirnov's test in each level, with Holm's adjustment, and Levene's test between levels; both are
        in `details`, and the p-value is twice the smallest.

        Parameters
        ----------
        factor : str or array_like
        """
        names, groups = self._rows.levels(factor, "factor")
        return residual_groups.groups(self._found.scaled, names, groups, _name(factor, "factor"))

    def tests(self) -> IntoFrame:
        """The usual tests as a frame: test, statistic, p_value, alternative, effect, effect_text.

        Uniformity, dispersion, outliers, zero inflation where responses can be zero, and quantiles along fitted values.
        """
        tests = self._usual
        return frame_from(
            {
                "test": [test.test for test in tests],
                "statistic": np.array([test.statistic for test in tests]),
                "p_value": np.array([test.p_value for test in tests]),
                "alternative": [test.alternative for test in tests],
                "effect": np.array([test.effect for test in tests]),
                "effect_text": [test.effect_text for test in tests],
            },
            self._backend,
        )

    @cached_property
    def _usual(self) -> tuple[ResidualTest, ...]:
        found = self._found
        tests = [self.test_uniformity(), self.test_dispersion(), self.test_outliers()]
        zeros = max(float((found.observed == 0.0).sum()), float((found.simulated == 0.0).sum()) / self.n)
        if not self._binary and zeros >= 1.0:
            tests.append(self.test_zero_inflation())
        if len(np.unique(found.fitted)) > 1:
            tests.append(self.test_quantiles())
        return tuple(tests)

    def plot(self, ax: Any = None) -> Figure:
        """Residuals against the uniform distribution, with the tests in words, and against fitted values.

        Parameters
        ----------
        ax : sequence of two matplotlib axes, optional
            Where to draw; a new figure when left out.
        """
        if ax is not None and np.size(np.asarray(ax, object)) != 2:
            raise ModelError("plot(ax=): give two axes, one for each panel")
        first = [test for test in self._usual if test.test != "quantiles"]
        trend = next((test for test in self._usual if test.test == "quantiles"), None)
        return figures.overview(self._found.scaled, self._found.fitted, first, trend, ax)

    def plot_data(self) -> IntoFrame:
        """The frame behind the figures: residual, expected (the uniform quantile of its rank), fitted; a row each."""
        scaled = self._found.scaled
        expected = np.empty(len(scaled))
        expected[np.argsort(scaled, kind="stable")] = (np.arange(len(scaled)) + 0.5) / len(scaled)
        return frame_from({"residual": scaled, "expected": expected, "fitted": self._found.fitted}, self._backend)

    def plot_qq(self, ax: Axes | Any = None) -> Figure:
        """Residuals against the uniform distribution, with a band that holds 95 % of each point."""
        return figures.qq(self._found.scaled, [test for test in self._usual if test.test != "quantiles"], ax)

    def plot_against(self, predictor: Any = None, ax: Axes | Any = None) -> Figure:
        """Residuals against a variable: numbers by rank with quantile curves, factors by level.

        Parameters
        ----------
        predictor : str or array_like, optional
            The fitted values when left out.
        ax : matplotlib axes, optional
            Where to draw; a new figure when left out.
        """
        if predictor is not None:
            values = self._rows.values(predictor, "predictor")
            if any(isinstance(value, str | bool) for value in values):
                names, groups = self._rows.levels(predictor, "predictor")
                name = _name(predictor, "factor")
                test = self.test_groups(predictor) if len(names) > 1 else None
                return figures.by_level(self._found.scaled, names, groups, name, test, ax)
        numbers, name = self._along(predictor)
        trend = self.test_quantiles(predictor) if len(np.unique(numbers)) > 1 else None
        return figures.against(self._found.scaled, numbers, name, trend, ax)

    def hist(self, ax: Axes | Any = None) -> Figure:
        """A histogram of the residuals, with a band that holds 95 % of each bar."""
        return figures.histogram(self._found.scaled, ax)

    def _along(self, predictor: Any) -> tuple[np.ndarray, str]:
        if predictor is None:
            return self._found.fitted, "fitted value"
        values = self._rows.values(predictor, "predictor")
        if any(isinstance(value, str | bool) for value in values):
            name = predictor if isinstance(predictor, str) else "predictor"
            raise DataError(f"test_quantiles(): {name} is a factor; use test_groups() for its levels")
        return self._rows.measured(predictor, "predictor"), _name(predictor, "predictor")

    def _one_each(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        """Residuals with different keys: rows that share one are put together."""
        met, first = np.unique(keys, return_inverse=True)
        if len(met) == len(keys):
            return self._found.scaled, keys, ""
        order = np.argsort(first.reshape(-1), kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(first.reshape(-1)))[:-1])
        found = scaling.aggregated(self._found, groups, "sum")
        return found.scaled, met, f" ({len(keys)} rows summed to {len(met)})"

    def _report(self) -> Any:
        title = f"Scaled residuals of {self.nobs} rows, {self.n} simulations each"
        notes = [f"Note: {note}." for note in self.notes]
        if self.nobs >= MANY_ROWS:
            notes.append(
                f"Note: with {self.nobs} rows p-values are small for departures of no consequence too; judge by what "
                "was found."
            )
        return residual_report(title, self._usual, notes)

    def __repr__(self) -> str:
        return str(self._report())

    def _repr_html_(self) -> str:
        return str(self._report()._repr_html_())


def scaled_residuals(
    observed: Any,
    simulated: Any,
    fitted: Any = None,
    *,
    data: IntoFrame | None = None,
    method: str = "pit",
    rotation: Any = None,
    group_by: Any = None,
    seed: int | None = None,
) -> SimulatedResiduals:
    """Scaled residuals from responses that were simulated elsewhere: from any model, fitted by any package.

    Parameters
    ----------
    observed : array_like (nobs,)
    simulated : array_like (nobs, n)
        A column for each simulation, or posterior predictive draw.
    fitted : array_like (nobs,), optional
        Means of the model; those of the simulations when left out.
    data : data frame, optional
        Variables of the rows, so that tests can name them.
    method, rotation, group_by
        As in `Fit.simulate_residuals`.
    seed : int, optional
        Of the places within the probability of a discrete response, and of the bootstrap of outliers.

    Examples
    --------
    >>> import numpy as np
    >>> import ranef as rf
    >>> rng = np.random.default_rng(1)
    >>> mean = np.exp(rng.normal(size=200))
    >>> found = rf.scaled_residuals(rng.poisson(mean), rng.poisson(mean[:, None], (200, 500)), mean, seed=1)
    >>> found.test_uniformity().p_value > 0.05
    True
    """
    y, s = _numbers(observed, "observed", 1), _numbers(simulated, "simulated", 2)
    if s.shape[0] != len(y):
        turned = " Transpose it." if s.shape[1] == len(y) else ""
        raise DataError(f"simulated has {s.shape[0]} rows, observed has {len(y)}: give a row for each.{turned}")
    if s.shape[1] < 2:
        raise DataError("simulated has one column: give a column for each of two simulations or more")
    mean = s.mean(axis=1) if fitted is None else _numbers(fitted, "fitted", 1)
    if len(mean) != len(y):
        raise DataError(f"fitted has {len(mean)} values, observed has {len(y)}")
    table = None if data is None else nw.from_native(data, eager_only=True)
    if table is not None and len(table) != len(y):
        raise DataError(f"data has {len(table)} rows, observed has {len(y)}")
    found = scaling.scaled_residuals(y, s, mean, method, rotation, engine_seed(seed))
    rows = DescribedRows(len(y), np.arange(len(y)), len(y), table)
    made = SimulatedResiduals(found, rows, "pandas" if data is None else backend_of(data))
    return made if group_by is None else made.aggregated(group_by)


class ResidualChecks(Answers):
    """Residuals by simulation."""

    def simulate_residuals(
        self,
        n: int = 1000,
        seed: int | None = None,
        ranef: Conditioning = True,
        group_by: Any = None,
        method: str = "pit",
        rotation: Any = None,
        refit: bool = False,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> SimulatedResiduals:
        """Scaled residuals: the place of each response among responses simulated from the fit.

        They are uniform on (0, 1) under the model for every family, so that the same plots and tests serve all. The
        definitions are those of DHARMa 0.5.

        Parameters
        ----------
        n : int
            Simulations of each row.
        seed : int, optional
            None takes one from the system; the result's `seed` tells it.
        ranef : bool, "new" or list of terms
            True: random effects stay at their conditional modes, so that what is checked is the distribution within
            groups. "new": they are drawn afresh in each simulation, which checks their distribution too; residuals of a
            group are then correlated, and tests that take them for independent find that (`rotation` takes it out).
            False: population level. A list keeps the named terms and draws the others.
        group_by : str or array_like, optional
            Put rows together at once, as `SimulatedResiduals.aggregated` does.
        method : {"pit", "traditional"}
            The place at random between the shares of simulations below the response and not above it; or the empirical
            distribution function after uniform noise on whole numbers.
        rotation : "estimated" or (nobs, nobs) matrix, optional
            A covariance of the rows, that of the simulations when "estimated" (n above nobs), by whose inverse
            Cholesky factor observed and simulated responses are multiplied first: for residuals that are about normal.
        refit : bool
            Fit the model to each simulated response, and place the residuals of the fit among those of the refits: n
            fits.
        threads : int, optional
            Threads of the refits; the numbers do not depend on it.
        progress : bool, optional
            Whether lines about refits go to the standard error stream; None: as the fit's control says.

        Returns
        -------
        SimulatedResiduals

        Notes
        -----
        Weights that multiply the log-likelihood play no part; precision weights of `lmm` do.

        Raises
        ------
        ModelError, DataError
            When the family cannot be simulated from, or an argument is not what it should be.

        Examples
        --------
        >>> import ranef as rf
        >>> owls = rf.load_dataset("owls")
        >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, family="nbinom2", zi="~ 1")
        >>> fit.simulate_residuals(n=250, seed=1).tests()["test"].tolist()
        ['uniformity', 'dispersion', 'outliers', 'zero inflation', 'quantiles']
        """
        found, notes = simulated_responses.of_fit(self, n, seed, ranef, method, rotation, refit, threads, progress)
        made = SimulatedResiduals(found, rows_of_fit(self), backend_of(self.design.frame), self, notes, ranef is True)
        return made if group_by is None else made.aggregated(group_by)


def _numbers(values: Any, name: str, dimensions: int) -> np.ndarray:
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        raise DataError(f"{name} holds values that are not numbers") from None
    if found.ndim != dimensions:
        raise DataError(f"{name} has {found.ndim} dimensions, not {dimensions}")
    if not np.isfinite(found).all():
        raise DataError(f"{name}: row {int(np.argwhere(~np.isfinite(found))[0][0])} is not finite; leave such rows out")
    return found


def _name(what: Any, otherwise: str) -> str:
    return what if isinstance(what, str) else str(getattr(what, "name", None) or otherwise)


def _with_text(test: ResidualTest, more: str) -> ResidualTest:
    return replace(test, effect_text=test.effect_text + more)
