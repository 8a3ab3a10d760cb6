"""A known matrix, in whatever form it was given, matched by name to the levels of a factor.

A covariance among the levels of the data is all that the model needs of a dense matrix. A precision may tie them
together through others that the data do not have (ancestors, inner nodes of a tree): those stay, as latent levels,
because the precision of a few of them would be dense.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from ranef.arguments import held_to_its_types
from ranef.data import label
from ranef.errors import DataError, did_you_mean
from ranef.relatedness.adjacency import Adjacency
from ranef.relatedness.pedigree import Pedigree
from ranef.relatedness.phylogeny import Phylogeny

__all__ = ["KnownMatrix", "PrecisionMatrix", "precision_matrix", "resolve"]

Array = NDArray[np.float64]

# Matrices come out of other programs, often through text with a few decimals lost in inverses and products.
_SYMMETRIC = 1e-8
# A correlation matrix of rank r computed in floating point has eigenvalues of this size below zero.
_SEMIDEFINITE = 1e-8
# Of the entries of a known matrix.
LARGEST = 1e100
#: Structures whose matrix is a neighbourhood rather than a covariance.
_NEIGHBOURHOODS = ("car", "icar")


@dataclass(frozen=True, eq=False)
class KnownMatrix:
    """Levels and how they covary: a dense covariance, or a sparse precision.

    Attributes
    ----------
    levels : tuple of str
        Those of the data first, in the order of the factor; then the latent ones, which no row has.
    covariance : float64 array (n, n) or None
        Positive semidefinite.
    precision : scipy.sparse.csc_matrix (n, n) or None
        Positive definite; for a neighbourhood the Laplacian D - W, which is singular.
    log_det_precision : float
        Infinite for a singular covariance. For a Laplacian it is that of its eigenvalues other than zero.
    """

    levels: tuple[str, ...]
    covariance: Array | None
    precision: sparse.csc_matrix | None
    log_det_precision: float


@dataclass(frozen=True, eq=False)
class PrecisionMatrix:
    """A matrix marked as an inverse covariance; made by :func:`precision_matrix`."""

    matrix: Any
    levels: tuple[str, ...] | None


@held_to_its_types
def precision_matrix(matrix: Any, levels: Iterable[Any] | None = None) -> PrecisionMatrix:
    """Mark a matrix as an inverse covariance.

    Parameters
    ----------
    matrix : array, scipy sparse matrix or pandas frame
    levels : iterable, optional
        Names of the rows, which may be more than the levels of the data. Without names, the rows are the levels of the
        factor in their order.

    Returns
    -------
    PrecisionMatrix
        To be used where a known matrix is expected, as in ``propto(0 + animal | 1, inverse)``.

    Examples
    --------
    >>> import numpy as np
    >>> import ranef as rf
    >>> inverse = rf.precision_matrix(np.array([[2.0, -1.0], [-1.0, 2.0]]), levels=["a", "b"])
    >>> inverse.levels
    ('a', 'b')
    """
    return PrecisionMatrix(matrix, None if levels is None else tuple(label(level) for level in levels))


def resolve(matrix: Any, levels: Sequence[str], *, structure: str) -> KnownMatrix:
    """Match a known matrix to the levels of a factor.

    Parameters
    ----------
    matrix : array, frame, scipy sparse matrix, PrecisionMatrix, Pedigree, Phylogeny or Adjacency
        What the user gave. A matrix without names has its rows in the order of the levels.
    levels : sequence of str
        The levels of the factor that have data.
    structure : str
        ``"propto"``, ``"equalto"``, ``"car"``, ``"icar"``, ...; for the messages, and because a neighbourhood is
        neither covariance nor precision by itself.

    Returns
    -------
    KnownMatrix

    Raises
    ------
    DataError
        When levels are missing in the matrix, or it is not symmetric or not positive semidefinite (definite, for a
        precision); the text names the levels at fault.

    Examples
    --------
    >>> import pandas as pd
    >>> given = pd.DataFrame([[1.0, 0.5], [0.5, 2.0]], index=["b", "a"], columns=["b", "a"])
    >>> known = resolve(given, ["a", "b"], structure="propto")
    >>> known.levels, known.covariance.tolist()
    (('a', 'b'), [[2.0, 0.5], [0.5, 1.0]])
    """
    levels = tuple(levels)
    if isinstance(matrix, Adjacency) or structure in _NEIGHBOURHOODS:
        return _neighbourhood(matrix, levels, structure)
    if isinstance(matrix, Pedigree | Phylogeny):
        known = matrix.levels if isinstance(matrix, Pedigree) else matrix.tips
        _require_levels(levels, known, structure, "pedigree" if isinstance(matrix, Pedigree) else "tree")
        part = matrix.ancestry(levels)
        return _precision(part.precision, part.levels, levels, part.log_det_precision)
    inverse = isinstance(matrix, PrecisionMatrix)
    values, names = _values(matrix.matrix, structure) if inverse else _values(matrix, structure)
    if inverse and matrix.levels is not None:
        names = _named(matrix.levels, values, structure)
    if names is None:
        if values.shape[0] != len(levels):
            raise DataError(
                f"{structure}(): the matrix has {values.shape[0]} rows and no names, the factor has {len(levels)} "
                f"levels ({_listed(levels)}); give a pandas frame with the levels as its index and columns"
            )
        names = levels
    _require_levels(levels, names, structure, "matrix")
    _require_symmetric(values, names, structure)
    if inverse:
        determinant = _log_determinant(sparse.csc_matrix(values), structure)
        return _precision(sparse.csc_matrix(values), names, levels, determinant)
    is_sparse = bool(sparse.issparse(values))
    place = {name: k for k, name in enumerate(names)}
    chosen = [place[level] for level in levels]
    values = values[chosen][:, chosen]
    covariance: Array = values.toarray() if is_sparse else values
    covariance = (covariance + covariance.T) / 2
    return KnownMatrix(levels, covariance, None, _log_det_precision(covariance, levels, structure))


def _values(matrix: Any, structure: str) -> tuple[Any, tuple[str, ...] | None]:
    """A square matrix, dense or sparse, and the names of its rows where it has some."""
    names: tuple[str, ...] | None = None
    if isinstance(matrix, np.ndarray):
        values: Any = matrix
    elif sparse.issparse(matrix):
        values = sparse.csc_matrix(cast(Any, matrix))
    elif isinstance(matrix, pd.DataFrame):
        names, values = _of_pandas(matrix, structure)
    else:
        try:
            frame = nw.from_native(matrix, eager_only=True)
        except TypeError:
            raise DataError(
                f"{structure}() takes a matrix: a numpy array, a scipy sparse matrix, a data frame, a pedigree or a "
                f"phylogeny, not {type(matrix).__name__}"
            ) from None
        names, values = _of_pandas(pd.DataFrame(frame.to_dict(as_series=False)), structure)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise DataError(f"{structure}(): a known matrix is square, not of shape {tuple(values.shape)}")
    if values.dtype.kind not in "iufb":
        raise DataError(f"{structure}(): the matrix holds {values.dtype}, not numbers")
    values = values.astype(np.float64)
    entries = sparse.coo_array(values)
    if not np.isfinite(entries.data).all():
        k = int(np.flatnonzero(~np.isfinite(entries.data))[0])
        raise DataError(
            f"{structure}(): the matrix is {entries.data[k]} in row {entries.row[k]}, column {entries.col[k]} "
            "(counting from 0)"
        )
    if len(entries.data) and np.abs(entries.data).max() > LARGEST:
        raise DataError(
            f"{structure}(): the matrix holds {np.abs(entries.data).max():g}; give {LARGEST:g} at most, whose "
            "sums and squares are numbers too: measure it in other units"
        )
    return values, None if names is None else _named(names, values, structure)


def _of_pandas(frame: pd.DataFrame, structure: str) -> tuple[tuple[str, ...], Any]:
    """The names of the columns and the values with rows in the same order.

    The rows are named by the index, by a first column of text, or, where neither does, by the columns.
    """
    if frame.shape[1] == frame.shape[0] + 1 and not pd.api.types.is_numeric_dtype(frame.dtypes.iloc[0]):
        frame = frame.set_index(frame.columns[0])
    columns = tuple(label(name) for name in frame.columns)
    rows = tuple(label(name) for name in frame.index)
    if len(rows) != len(columns):
        raise DataError(f"{structure}(): a known matrix is square, not of shape {tuple(frame.shape)}")
    values = frame.to_numpy()
    if rows == columns or isinstance(frame.index, pd.RangeIndex):
        return columns, values
    if set(rows) != set(columns) or len(set(rows)) < len(rows):
        odd = next((name for name in rows if name not in columns), None)
        told = f"row `{odd}` is no column" if odd is not None else "a name stands there twice"
        raise DataError(f"{structure}(): index and columns of the matrix name different levels: {told}")
    place = {name: k for k, name in enumerate(rows)}
    return columns, values[[place[name] for name in columns]]


def _named(names: tuple[str, ...], values: Any, structure: str) -> tuple[str, ...]:
    if len(names) != values.shape[0]:
        raise DataError(f"{structure}(): {len(names)} names for a matrix with {values.shape[0]} rows")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{structure}(): two rows of the matrix are called `{twice}`")
    return names


def _require_levels(levels: Sequence[str], known: Sequence[str], structure: str, what: str) -> None:
    missing = sorted(set(levels) - set(known))
    if missing:
        hint = did_you_mean(missing[0], known)
        raise DataError(
            f"{structure}(): {len(missing)} of {len(levels)} levels are not in the {what}: {_listed(missing)}; for "
            f"`{missing[0]}`, {hint}"
        )


def _require_symmetric(values: Any, names: Sequence[str], structure: str) -> None:
    if not values.shape[0]:
        raise DataError(f"{structure}(): the matrix is empty")
    difference = abs(values - values.T)
    largest = abs(values).max()
    if difference.max() > _SYMMETRIC * largest:
        flat = int(difference.argmax())
        i, j = divmod(flat, values.shape[0])
        raise DataError(
            f"{structure}(): the matrix is not symmetric: [`{names[i]}`, `{names[j]}`] is {values[i, j]:.6g}, but "
            f"[`{names[j]}`, `{names[i]}`] is {values[j, i]:.6g}"
        )


def _log_det_precision(covariance: Array, levels: Sequence[str], structure: str) -> float:
    """Minus the log determinant of a covariance; refuses one that is not positive semidefinite."""
    diagonal = np.diag(covariance)
    if (diagonal < 0).any():
        k = int(np.argmin(diagonal))
        raise DataError(f"{structure}(): the matrix is no covariance: `{levels[k]}` has the variance {diagonal[k]:.4g}")
    if not diagonal.any():
        raise DataError(f"{structure}(): the matrix is zero")
    eigenvalues = np.linalg.eigvalsh(covariance)
    if eigenvalues[0] < -_SEMIDEFINITE * eigenvalues[-1]:
        raise DataError(
            f"{structure}(): the matrix is no covariance: its smallest eigenvalue is {eigenvalues[0]:.4g}. If it was "
            "rounded or put together from pairs, use the nearest positive definite matrix; if it is an inverse "
            "covariance, say so with rf.precision_matrix(...)"
        )
    if eigenvalues[0] <= len(levels) * np.finfo(float).eps * eigenvalues[-1]:
        return float("inf")
    return -float(np.log(eigenvalues).sum())


def _log_determinant(precision: sparse.csc_matrix, structure: str) -> float:
    """Log determinant of a sparse positive definite matrix; refuses any other."""
    # Without row exchanges the pivots of a symmetric matrix are all positive just when it is positive definite.
    try:
        factor = splu(precision, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        pivots = factor.U.diagonal() if np.array_equal(factor.perm_r, factor.perm_c) else np.array([-1.0])
    except RuntimeError:  # exactly singular
        pivots = np.array([0.0])
    if pivots.min() <= len(pivots) * np.finfo(float).eps * pivots.max():
        raise DataError(
            f"{structure}(): the matrix given as a precision is not positive definite, so it has no inverse to be a "
            "covariance"
        )
    return float(np.log(pivots).sum())


def _precision(
    precision: sparse.csc_matrix, names: Sequence[str], levels: tuple[str, ...], log_determinant: float
) -> KnownMatrix:
    """Bring the levels with data to the front, in their order."""
    place = {name: k for k, name in enumerate(names)}
    have = set(levels)
    order = [*(place[level] for level in levels), *(k for k, name in enumerate(names) if name not in have)]
    moved = sparse.csc_matrix(precision[order][:, order])
    moved.sort_indices()
    return KnownMatrix(tuple(names[k] for k in order), None, moved, log_determinant)


def _neighbourhood(matrix: Any, levels: tuple[str, ...], structure: str) -> KnownMatrix:
    """The Laplacian of a graph of areas; those without data stay, for they carry what their neighbours tell."""
    if structure not in _NEIGHBOURHOODS:
        raise DataError(
            f"{structure}() takes a covariance or a precision; neighbours make neither by themselves. "
            "Use car() or icar()"
        )
    if not isinstance(matrix, Adjacency):
        raise DataError(f"{structure}() takes neighbours: rf.adjacency(...), not {type(matrix).__name__}")
    _require_levels(levels, matrix.levels, structure, "neighbourhood")
    if matrix.isolated:
        raise DataError(
            f"{structure}(): areas without a neighbour: {_listed(matrix.isolated)}; join them to another area or leave "
            "them out"
        )
    total = 0.0
    for part in range(int(matrix.parts.max()) + 1):
        # By the matrix-tree theorem: the product of the other eigenvalues is n times any principal minor.
        members = np.flatnonzero(matrix.parts == part)
        total += float(np.log(len(members)))
        total += _log_determinant(sparse.csc_matrix(matrix.laplacian[members[1:]][:, members[1:]]), structure)
    return _precision(matrix.laplacian, matrix.levels, levels, total)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
