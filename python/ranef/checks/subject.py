"""What the checks look at: a fit, with what several of them need, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef import _engine
from ranef.checks.row_order import MANY_ROWS, row_order
from ranef.checks.standard_form import standard_form
from ranef.errors import DataError, ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.prediction.residuals import placed_quantile_residuals, residuals, standardised_residuals
from ranef.simulation import engine_seed

# Leverage up to this is taken at its word; beyond it a residual says nothing and would be blown up.
MOST_LEVERAGE = 0.98
# Parameters and effects a row on average below which leverages of many rows are not computed.
FEW_PARAMETERS = 0.02
# A quantile residual of a row whose response has probability zero in double precision.
LARGEST_RESIDUAL = 8.2


@dataclass(frozen=True, eq=False)
class Subject:
    """A fit and what its user asked to be looked at.

    Attributes
    ----------
    record : FittedModel
        In its standard form.
    as_fitted : FittedModel
        As it was fitted.
    seed : int
        Of everything that is drawn, so that a check repeats itself.
    groups : tuple of str
        Columns that may group the rows, named by the user.
    time : str or None
        Column of the time of each row.
    space : tuple of str
        Columns of the coordinates of each row.
    restarts : int or None
        How often the fit is repeated from elsewhere; None: as the cost allows.
    """

    record: FittedModel
    as_fitted: FittedModel
    seed: int = 1
    groups: tuple[str, ...] = ()
    time: str | None = None
    space: tuple[str, ...] = ()
    restarts: int | None = None

    @cached_property
    def frame(self) -> nw.DataFrame[Any]:
        """The rows used, with all columns of the data."""
        return nw.from_native(self.record.design.frame, eager_only=True)

    @cached_property
    def leverage(self) -> np.ndarray:
        """d fitted / d observed of each row, (n,); zero where the model has none.

        Zero too where many rows have so few parameters that it cannot matter: residuals would be divided by 0.99.
        """
        record = self.record
        parameters = sum(len(record.names(c)) for c in record.model.components)
        parameters += sum(term.size * len(term.names) for term in record.terms())
        if record.nobs > MANY_ROWS and parameters < FEW_PARAMETERS * record.nobs:
            return np.zeros(record.nobs)
        try:
            found = np.asarray(self.record.engine.leverage(), float)
        except _engine.EngineError:
            return np.zeros(self.record.nobs)
        return np.clip(np.where(np.isfinite(found), found, 0.0), 0.0, MOST_LEVERAGE)

    @cached_property
    def residuals(self) -> np.ndarray:
        """Residuals that are independent and standard normal under the model, nearly, (n,).

        Normalised residuals where residuals are correlated, else quantile residuals at the conditional modes, divided
        by sqrt(1 - leverage): modes are a little too close to the data.
        """
        record = self.record
        if record.model.correlation is not None:
            found = residuals(record, "normalized")
        elif record.family == "gaussian" and not record.model.zero_inflated:
            found = self.pearson  # the same numbers, sooner
        else:
            try:
                found = self._quantile_residuals()
            except ModelError:
                found = standardised_residuals(record)
        found = np.clip(np.where(np.isnan(found), 0.0, found), -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
        return found if record.model.correlation is not None else found / np.sqrt(1.0 - self.leverage)

    def _quantile_residuals(self) -> np.ndarray:
        """Quantile residuals, whose random places do not depend on how the data are written down."""
        n = self.record.nobs
        if n > MANY_ROWS:
            return residuals(self.record, "quantile", seed=self.seed)
        places = np.empty(n)
        places[self.order] = np.random.default_rng(self.seed).random(n)
        return placed_quantile_residuals(self.record, places)

    @cached_property
    def order(self) -> np.ndarray:
        """The rows in the order in which something is drawn for them, (n,)."""
        return row_order(self.record)

    @cached_property
    def pearson(self) -> np.ndarray:
        """(y - mu) over the standard deviation of y at the conditional modes, (n,)."""
        return standardised_residuals(self.record)

    @cached_property
    def predictor(self) -> np.ndarray:
        """Linear predictor of the mean at the conditional modes, (n,)."""
        return np.asarray(self.record.engine.linear_predictor, float)[:, self.record.model.predictor("cond")]

    @property
    def counts(self) -> bool:
        """Whether the response is a count that may be zero."""
        return self.record.model.family.support == "counts"

    @property
    def discrete(self) -> bool:
        """Whether the response is a count, or successes among trials of which some rows have several."""
        support, trials = self.record.model.family.support, self.record.design.response.trials
        if support == "trials":
            return trials is not None and bool(np.max(trials) > 1)
        return support in ("counts", "positive_counts")

    @property
    def binary(self) -> bool:
        """Whether the response is zero or one."""
        return self.record.model.family.support == "trials" and not self.discrete

    @cached_property
    def modes_cov(self) -> list[np.ndarray]:
        """Per term, the covariance of each level's effects given the parameters, (levels, p_t, p_t)."""
        return [np.asarray(covariance, float) for covariance in self.record.engine.modes_cov()]

    @cached_property
    def grouped(self) -> tuple[tuple[int, RandomTerm], ...]:
        """Effects of groups: all terms but smooths and what is tied over time, space or kinship."""
        terms = enumerate(self.record.terms())
        return tuple((t, term) for t, term in terms if term.smooth is None and term.coupling is None)

    @cached_property
    def factors(self) -> dict[str, RandomTerm]:
        """A term of each grouping factor."""
        return {term.group: term for _, term in reversed(self.grouped)}

    def codes_of(self, column: str) -> tuple[np.ndarray, list[str]]:
        """The level of each row in a column of the data, and the levels; missing values are a level of their own."""
        if column not in self._codes:
            self._codes[column] = self._coded(column)
        return self._codes[column]

    @cached_property
    def _codes(self) -> dict[str, tuple[np.ndarray, list[str]]]:
        return {}

    def _coded(self, column: str) -> tuple[np.ndarray, list[str]]:
        if column in self.factors:
            term = self.factors[column]
            return np.asarray(term.codes, int), list(term.levels)
        series = self.frame[column]
        whole = series.dtype.is_integer() and not series.is_null().any()
        values = series.to_numpy() if whole else [str(value) for value in series.to_list()]
        levels, codes = np.unique(values, return_inverse=True)
        return codes.reshape(-1), [str(level) for level in levels.tolist()]

    def numbers(self, column: str, argument: str) -> np.ndarray:
        """A column of the data as finite numbers, times as days."""
        series = self.frame[column]
        if series.dtype.is_temporal():
            stamps = np.asarray(series.cast(nw.Datetime("us")).to_numpy(), "datetime64[us]")
            found = (stamps - stamps.min()) / np.timedelta64(1, "D")
        else:
            try:
                found = np.asarray(series.to_numpy(), float)
            except (TypeError, ValueError):
                raise DataError(
                    f"check({argument}={column!r}): the column is text; give numbers, or dates as such."
                ) from None
        if not np.isfinite(found).all():
            row = int(self.record.design.rows[int(np.flatnonzero(~np.isfinite(found))[0])])
            raise DataError(f"check({argument}={column!r}): missing or infinite in row {row} (counting from 0).")
        return found


def subject_of(record: FittedModel, groups: Any, time: Any, space: Any, restarts: Any, seed: Any) -> Subject:
    """A fit with what is asked of it, refused where that is not there.

    Raises
    ------
    DataError, ModelError
    """
    for name, value, least in (("restarts", restarts, 0), ("seed", seed, 0)):
        if value is None and name == "restarts":
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ModelError(f"check({name}={value!r}): give a whole number, {least} or more.")
    named = _columns(groups, "groups")
    places = _columns(space, "space")
    if time is not None and not isinstance(time, str):
        raise DataError(f"check(time={time!r}): give the name of one column.")
    if len(places) not in (0, 2, 3):
        raise DataError(f"check(space={space!r}): give the names of two columns (or three), the coordinates.")
    subject = Subject(standard_form(record), record, engine_seed(int(seed)), named, time, places, restarts)
    known = [*subject.frame.columns, *subject.factors]
    asked = [("groups", name) for name in named] + [("space", name) for name in places]
    for argument, name in [*asked, *([("time", time)] if time is not None else [])]:
        if name not in known or (argument != "groups" and name not in subject.frame.columns):
            raise DataError(f"check({argument}={name!r}) is no column of the data; {did_you_mean(name, known)}")
    return subject


def _columns(value: Any, argument: str) -> tuple[str, ...]:
    names = () if value is None else (value,) if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise DataError(f"check({argument}={value!r}): give the name of a column, or a list of names.")
    return tuple(names)
