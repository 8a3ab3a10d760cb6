"""`SimulatedResiduals`: the places of responses among simulated ones, with tests and figures, as users hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ranef.arguments import hold_to_their_types
from ranef.checks.simulated_residuals import (
    autocorrelation,
    dispersion,
    outliers,
    quantile_trend,
    residual_groups,
    simulated_statistic,
)
from ranef.checks.simulated_residuals import scaled_residuals as scaling
from ranef.checks.simulated_residuals.described_rows import DescribedRows
from ranef.checks.simulated_residuals.residual_test import ResidualTest
from ranef.checks.simulated_residuals.uniformity import uniformity
from ranef.errors import DataError, ModelError
from ranef.fitting import FittedModel
from ranef.frames import IntoFrame, frame_from
from ranef.plots import scaled_residuals as figures
from ranef.reports.simulated_residuals import residual_report

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


@hold_to_their_types
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
        kind : {"binomial", "bootstrap", "exchanged"}, optional
            The exact test with the probability of a continuous response, 2 / (n + 1); a bootstrap of the simulations,
            which hardly ever rejects; or the number of outliers when each simulation changes places with the data,
            which holds its level. None: the bootstrap for whole numbers up to 500 rows, else the first.
        alternative : {"two-sided", "greater", "less"}
        margin : {"both", "lower", "upper"}
            Responses below, above, or both.
        """
        return outliers.outliers(self._found, kind, alternative, margin)

    def test_zero_inflation(self, alternative: str = "two-sided", calibrated: bool = False) -> ResidualTest:
        """Number of zeros over the mean number in simulated responses; above one: more zeros than the model has.

        Parameters
        ----------
        alternative : {"two-sided", "greater", "less"}
        calibrated : bool
            Simulations with as many zeros as the data count half on either side, so that the test rejects about as
            often as it says; else they count whole, and it rejects less.
        """
        return simulated_statistic.zero_inflation(self._found, alternative, 0.5 if calibrated else 1.0)

    def test_generic(
        self,
        statistic: Callable[[np.ndarray], Any],
        alternative: str = "two-sided",
        name: str = "",
        calibrated: bool = False,
    ) -> ResidualTest:
        """Any statistic of the responses, over its mean in simulated ones.

        Parameters
        ----------
        statistic : callable
            Takes responses (nobs,), gives a number.
        alternative : {"two-sided", "greater", "less"}
        name : str
            What the statistic is called; by default the function's name.
        calibrated : bool
            Simulations that equal the data count half on either side: for counts.
        """
        return simulated_statistic.generic(self._found, statistic, alternative, name, 0.5 if calibrated else 1.0)

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
            matrix = scaling.finite_numbers(distances, "distances")
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

    def test_groups(self, factor: Any, calibrated: bool = False) -> ResidualTest:
        """Whether residuals are uniform in every level of a factor, with the same spread.

        Kolmogorov and Smirnov's test in each level, with Holm's adjustment, and Levene's test between levels; both are
        in `details`, and the p-value is twice the smallest.

        Parameters
        ----------
        factor : str or array_like
        calibrated : bool
            In place of Levene's test, which hardly ever rejects with few rows a level, one that knows how much uniform
            residuals spread.
        """
        names, groups = self._rows.levels(factor, "factor")
        return residual_groups.groups(self._found.scaled, names, groups, _name(factor, "factor"), calibrated)

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


def _name(what: Any, otherwise: str) -> str:
    return what if isinstance(what, str) else str(getattr(what, "name", None) or otherwise)


def _with_text(test: ResidualTest, more: str) -> ResidualTest:
    return replace(test, effect_text=test.effect_text + more)
