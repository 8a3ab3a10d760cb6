"""Which rows are left out, one set after the other, and what a method says of the fit without each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.errors import DataError, ModelError, did_you_mean
from ranef.fitting import FittedModel

# A direction of the parameters whose information falls below this share when a set is left out cannot be estimated.
NO_INFORMATION = 1e-9


@dataclass(frozen=True, eq=False)
class DeletedSets:
    """What is left out, one after the other.

    Attributes
    ----------
    kind : str
        "row", or what the groups are: a column, a grouping factor, "group" where an array was given.
    names : list
        Row numbers of the caller's data, or levels as text.
    rows : list of int arrays
    """

    kind: str
    names: list[Any]
    rows: list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Without:
    """What the fits without each set are; arrays over the sets, NaN where it cannot be told.

    Attributes
    ----------
    estimate : (sets, k + v) array
        k coefficients, then v other parameters.
    std_error : (sets, k) array
        Of the coefficients.
    covratio : (sets,) array
        Determinant of the covariance of the mean's coefficients, over that of the whole fit.
    converged : (sets,) bool array
    note : list of str
    """

    estimate: np.ndarray
    std_error: np.ndarray
    covratio: np.ndarray
    converged: np.ndarray
    note: list[str]


def deleted_sets(record: FittedModel, group: Any) -> DeletedSets:
    """The rows of each set that is left out.

    Raises
    ------
    DataError
        When there is no such group, or nothing would be left.
    """
    numbers = np.asarray(record.design.rows)
    if group is None:
        return DeletedSets("row", numbers.tolist(), [np.array([i]) for i in range(record.nobs)])
    terms = {term.group: term for term in record.terms() if term.smooth is None and term.coupling is None}
    frame = nw.from_native(record.design.frame, eager_only=True)
    if isinstance(group, str):
        kind = group
        if group in terms:
            names, codes = list(terms[group].levels), np.asarray(terms[group].codes, int)
        elif group in frame.columns:
            names, codes = _levels(frame[group].to_list(), numbers, group)
        else:
            raise DataError(
                f"influence(group={group!r}) is no grouping factor and no column of the data; "
                f"{did_you_mean(group, [*terms, *frame.columns])}"
            )
    else:
        kind = "group"
        try:
            values = list(group)
            # Each is the name of a level: a value that equals itself, or is missing, and can be looked up.
            {value for value in values if bool(value == value)}
        except (TypeError, ValueError):
            raise DataError(
                f"influence(group={group!r}): give the name of a grouping factor or column, or a value for each row"
            ) from None
        if len(values) == record.nobs + record.n_dropped:
            values = [values[i] for i in numbers.tolist()]
        if len(values) != record.nobs:
            raise DataError(f"influence(group=) has {len(values)} values; the model was fitted to {record.nobs} rows")
        names, codes = _levels(values, numbers, "group")
    met, first = np.unique(codes, return_inverse=True)
    if len(met) < 2:
        raise DataError(f"influence(group={kind!r}): all rows are of `{names[met[0]]}`; without it nothing is left.")
    order = np.argsort(first, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(first.reshape(-1)))[:-1])
    return DeletedSets(kind, [names[k] for k in met], pieces)


def _levels(values: Sequence[Any], numbers: np.ndarray, name: str) -> tuple[list[str], np.ndarray]:
    places: dict[Any, int] = {}
    codes = np.empty(len(values), int)
    for i, value in enumerate(values):
        if value is None or value != value:
            raise DataError(f"influence(group={name!r}) is missing in row {numbers[i]} (counting from 0).")
        codes[i] = places.setdefault(value, len(places))
    return [str(value) for value in places], codes


def free_block(record: FittedModel, covariance: np.ndarray) -> np.ndarray:
    """The part of a covariance of the mean's coefficients that belongs to those that are not held."""
    free = ~record.held("cond")
    return covariance[np.ix_(free, free)]


def ratio_of_determinants(without: np.ndarray, whole: np.ndarray) -> float:
    """det(without) / det(whole); NaN where either is not known."""
    if not np.isfinite(without).all() or not np.isfinite(whole).all():
        return float("nan")
    return float(np.exp(np.linalg.slogdet(without)[1] - np.linalg.slogdet(whole)[1]))


def require_uncoupled(record: FittedModel) -> None:
    """Refuse coupled terms, whose levels are tied to those that would be left out."""
    for term in record.terms():
        if term.coupling is not None:
            raise ModelError(
                f"influence(method='one-step') is not there for effects that depend on each other ({term.text}); use "
                "method='exact'."
            )
