"""Neighbourhoods: which areas touch, as a sparse symmetric matrix of weights.

With W the weights and D the diagonal matrix of their row sums, an intrinsic autoregression has the precision D - W, the
Laplacian of the graph, and a proper one D - rho W.

References: Besag (1974), Journal of the Royal Statistical Society B 36, 192-236; Besag, York & Mollié (1991), Annals of
the Institute of Statistical Mathematics 43, 1-20.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ranef.arguments import held_to_its_types
from ranef.data import Table, label
from ranef.errors import DataError

__all__ = ["Adjacency", "adjacency"]


@dataclass(frozen=True, eq=False)
class Adjacency:
    """Areas and their neighbours.

    Attributes
    ----------
    levels : tuple of str
        The areas' names.
    weights : scipy.sparse.csc_matrix (n, n)
        Symmetric, not negative, zero on the diagonal.
    """

    levels: tuple[str, ...]
    weights: sparse.csc_matrix

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """How many neighbours every area has."""
        return np.diff(self.weights.indptr).astype(np.int64)

    @property
    def isolated(self) -> tuple[str, ...]:
        """Areas without a neighbour."""
        return tuple(self.levels[k] for k in np.flatnonzero(self.neighbours == 0))

    @cached_property
    def parts(self) -> NDArray[np.int64]:
        """For every area, the number of the connected part it belongs to."""
        return np.asarray(connected_components(self.weights, directed=False)[1], dtype=np.int64)

    @cached_property
    def laplacian(self) -> sparse.csc_matrix:
        """D - W: the precision of an intrinsic autoregression, singular by one for every connected part."""
        sums = np.asarray(self.weights.sum(axis=0)).ravel()
        return sparse.csc_matrix(sparse.diags(sums) - self.weights)

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "areas": len(self.levels),
            "pairs of neighbours": self.weights.nnz // 2,
            "connected parts": int(self.parts.max()) + 1,
        }
        if self.isolated:
            facts["without neighbours"] = _listed(self.isolated)
        return facts

    def __len__(self) -> int:
        return len(self.levels)

    def __repr__(self) -> str:
        return "Adjacency: " + ", ".join(f"{name} {value}" for name, value in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in self._facts().items())
        return f"<table><caption>Adjacency</caption>{rows}</table>"


@held_to_its_types
def adjacency(
    neighbours: Any,
    levels: Iterable[Any] | None = None,
    *,
    source: str | None = None,
    target: str | None = None,
    weight: str | None = None,
) -> Adjacency:
    """Say which areas are neighbours.

    Parameters
    ----------
    neighbours : data frame, array or sparse matrix
        A frame of pairs, one row a pair in either direction or in both; or the symmetric matrix of weights (0 and 1,
        as a rule), an array, a scipy sparse matrix, or a pandas frame whose index and columns name the areas.
    levels : iterable, optional
        Names of the areas: needed for an array or a sparse matrix, whose rows they name in order; for pairs, it adds
        the areas without a neighbour.
    source, target : str, optional
        The columns with the two areas of a pair; the first two by default.
    weight : str, optional
        The column with the weight of a pair; 1 by default.

    Returns
    -------
    Adjacency
        To be used in ``car(0 + area | 1, neighbours)`` and ``icar(...)``.

    Raises
    ------
    DataError
        When the matrix is not symmetric, has a weight below zero or an area as its own neighbour, naming the areas.

    Examples
    --------
    >>> import ranef as rf
    >>> pairs = {"from": ["north", "middle"], "to": ["middle", "south"]}
    >>> rf.adjacency(pairs, levels=["north", "middle", "south", "island"])
    Adjacency: areas 4, pairs of neighbours 2, connected parts 2, without neighbours island
    """
    named = None if levels is None else _names(levels)
    if sparse.issparse(neighbours) or isinstance(neighbours, np.ndarray):
        return _of_matrix(neighbours, named)
    if isinstance(neighbours, pd.DataFrame) and source is None and target is None and _is_square(neighbours):
        index, columns = _names(neighbours.index), _names(neighbours.columns)
        ordered = neighbours.set_axis(list(index), axis=0).set_axis(list(columns), axis=1).loc[list(columns)]
        if named is not None and set(named) != set(columns):
            raise DataError("levels are not the names of the matrix's columns; leave them out or correct them")
        return _of_matrix(ordered.to_numpy(), columns)
    return _of_pairs(Table(neighbours, "the pairs of neighbours"), named, source, target, weight)


def _names(values: Iterable[Any]) -> tuple[str, ...]:
    names = tuple(label(value) for value in values)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two areas are called `{twice}`; names of areas must differ")
    return names


def _is_square(frame: pd.DataFrame) -> bool:
    """Whether a frame is a matrix with the same names on both sides, rather than a list of pairs."""
    return frame.shape[0] == frame.shape[1] and set(map(label, frame.index)) == set(map(label, frame.columns))


def _of_matrix(matrix: Any, levels: tuple[str, ...] | None) -> Adjacency:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(f"a matrix of neighbours is square, not of shape {tuple(matrix.shape)}")
    if levels is None:
        raise DataError("levels=...: name the areas that the rows of the matrix stand for, in their order")
    if len(levels) != matrix.shape[0]:
        raise DataError(f"levels name {len(levels)} areas, the matrix has {matrix.shape[0]} rows")
    if not levels:
        raise DataError("the matrix of neighbours has no rows; give one for each area")
    if matrix.dtype.kind not in "iufb":
        raise DataError(f"the matrix of neighbours holds {matrix.dtype}, not numbers")
    weights = sparse.csc_matrix(matrix, dtype=np.float64)
    weights.sum_duplicates()
    weights.eliminate_zeros()
    if weights.nnz and not np.isfinite(weights.data).all():
        raise DataError("the matrix of neighbours has missing or infinite weights; use 0 for areas that do not touch")
    difference = sparse.coo_matrix(sparse.triu(weights - weights.T))
    # Weights may come from a computation, distances for example; rounding is not an asymmetry.
    uneven = np.flatnonzero(np.abs(difference.data) > 1e-8 * (np.abs(weights.data).max() if weights.nnz else 1))
    if uneven.size:
        i, j = int(difference.row[uneven[0]]), int(difference.col[uneven[0]])
        raise DataError(
            f"the matrix of neighbours is not symmetric: `{levels[i]}` to `{levels[j]}` is {weights[i, j]:g}, but "
            f"`{levels[j]}` to `{levels[i]}` is {weights[j, i]:g}; neighbours are mutual"
        )
    _require_weights(weights, levels)
    return Adjacency(levels, weights)


def _require_weights(weights: sparse.csc_matrix, levels: tuple[str, ...]) -> None:
    own = np.flatnonzero(weights.diagonal())
    if own.size:
        raise DataError(f"`{levels[own[0]]}` is its own neighbour; the diagonal of the matrix is zero")
    if weights.nnz and weights.data.min() < 0:
        pairs = sparse.coo_matrix(weights)
        k = int(np.argmin(pairs.data))
        raise DataError(
            f"the weight of `{levels[pairs.row[k]]}` and `{levels[pairs.col[k]]}` is {pairs.data[k]:g}; weights are "
            "positive, 0 for areas that do not touch"
        )


def _of_pairs(
    table: Table, levels: tuple[str, ...] | None, source: str | None, target: str | None, weight: str | None
) -> Adjacency:
    free = [name for name in table.names if name not in (source, target, weight)]
    if len(free) < (source is None) + (target is None):
        raise DataError("pairs of neighbours need two columns with the areas of a pair; name them: source=, target=")
    ends = []
    for given in (source, target):
        factor = table.column(given if given is not None else free.pop(0)).factor
        if factor.missing.any():
            row = int(np.flatnonzero(factor.missing)[0])
            raise DataError(f"row {row} (counting from 0) of the pairs of neighbours lacks an area; drop the row")
        ends.append([factor.levels[code] for code in factor.codes])
    values = np.ones(len(table))
    if weight is not None:
        numbers = table.column(weight).numbers
        if numbers is None or not np.isfinite(numbers).all():
            raise DataError(f"`{weight}` must hold a number, finite and not missing, for every pair")
        values = numbers
    if levels is None:
        levels = tuple(dict.fromkeys(name for pair in zip(*ends, strict=True) for name in pair))
    place = {level: k for k, level in enumerate(levels)}
    unknown = next((name for end in ends for name in end if name not in place), None)
    if unknown is not None:
        raise DataError(f"the pairs of neighbours name the area `{unknown}`, which is not among the levels given")
    weights: dict[tuple[int, int], float] = {}
    for one, other, value in zip(*ends, values, strict=True):
        i, j = place[one], place[other]
        if i == j:
            raise DataError(f"`{one}` is its own neighbour; drop that pair")
        if weights.setdefault((i, j), value) != value or weights.setdefault((j, i), value) != value:
            raise DataError(f"the pair `{one}` and `{other}` stands in the table with two different weights")
    rows, columns = np.array(list(weights), dtype=np.int64).reshape(-1, 2).T
    n = len(levels)
    matrix = sparse.csc_matrix((np.array(list(weights.values()), dtype=float), (rows, columns)), shape=(n, n))
    matrix.eliminate_zeros()
    if n == 0:
        raise DataError("there are no pairs of neighbours")
    _require_weights(matrix, levels)
    return Adjacency(levels, matrix)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
