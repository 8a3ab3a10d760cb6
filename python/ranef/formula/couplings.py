"""Random effects that are coupled: one for each place in time, space or kinship of a group, tied to those near it.

Long series (``ar1`` beyond a few occasions, ``ou``), fields over distances (``exp``, ``gau``, ``mat``), known matrices
(``propto``, ``equalto``) and neighbours on a map (``car``) have an effect for every place that occurs, not a column of
a block: the engine ties the levels of one grouping factor, whose levels are the places of every group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.data import label
from ranef.errors import DataError
from ranef.formula.columns import ModelMatrix
from ranef.formula.evaluation import Coded, Evaluator
from ranef.formula.grouping import NEW_LEVEL, Grouping
from ranef.formula.parser import Name, Node
from ranef.formula.terms import COORDINATES, KNOWN, Bar
from ranef.relatedness.known_matrix import KnownMatrix, resolve

__all__ = ["MOST_OCCASIONS", "Coupling", "coupling_of", "named_matrices", "rows_of"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Up to this many occasions ``ar1`` is one block a group, with a column an occasion; beyond, a chain.
MOST_OCCASIONS = 30
_MATRIX_NAME = re.compile(
    rf"\b(?:{'|'.join(sorted(KNOWN))})\s*\([^|]*\|[^,|]*,\s*(?:matrix\s*=\s*)?([A-Za-z_]\w*)\s*\)"
)


@dataclass(frozen=True, eq=False)
class Coupling:
    """The places of a coupled term, group by group, in the order the engine wants.

    Attributes
    ----------
    structure : str
    label : str
        What the places are: ``"time"``, ``"x,y"``, ``"species"``.
    members : int64 array (places,)
        The group of each, increasing.
    coordinates : float64 array (places, dimensions)
        Times, positions, or the number of a level of the known matrix; increasing within a group.
    names : tuple of str
        What a reader calls them: ``"time[3]"``.
    step : float
        The time between neighbouring occasions of ``ar1``.
    known : KnownMatrix or None
    """

    structure: str
    label: str
    members: Codes
    coordinates: Array
    names: tuple[str, ...]
    step: float = 1.0
    known: KnownMatrix | None = None

    @property
    def size(self) -> int:
        """Number of places over all groups."""
        return len(self.members)

    def find(self, groups: Codes, coordinates: Array) -> Codes:
        """The place of each row; NEW_LEVEL where the fit has none there."""
        table = {key: place for place, key in enumerate(_keys(self.members, self.coordinates))}
        return np.array([table.get(key, NEW_LEVEL) for key in _keys(groups, coordinates)], dtype=np.int64)

    def with_places(self, groups: Codes, coordinates: Array) -> Coupling:
        """The same with further places, in groups that it has."""
        members = np.concatenate([self.members, groups])
        together = np.concatenate([self.coordinates, coordinates])
        return _sorted(self, members, together)

    @property
    def reaches(self) -> bool:
        """Whether it says something about places that had no data."""
        return self.known is None

    def spec(self) -> dict[str, Any]:
        """The coupling as the engine takes it."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.members) != 0])
        if self.structure in ("ar1", "ou"):
            gaps = np.r_[np.nan, np.diff(self.coordinates[:, 0])]
            gaps[starts] = np.nan
            gaps = np.rint(gaps / self.step) if self.structure == "ar1" else gaps
            return {"kind": self.structure, "gaps": gaps}
        if self.structure in COORDINATES:
            return {
                "kind": self.structure,
                "blocks": [*starts.tolist(), self.size],
                "coordinates": [np.ascontiguousarray(column) for column in self.coordinates.T],
            }
        known, groups = self.known, len(starts)
        assert known is not None
        if self.structure == "car":
            return {"kind": "car", "levels": self.size, **_weights_of(known, groups)}
        if known.covariance is not None:
            blocks = [*starts.tolist(), self.size]
            return {"kind": "covariance", "blocks": blocks, "matrix": np.asfortranarray(known.covariance)}
        assert known.precision is not None
        return {"kind": "precision", "levels": self.size, **_entries(known.precision, groups)}


def coupling_of(
    bar: Bar, evaluator: Evaluator, grouping: Grouping, source: str, matrices: dict[str, Any]
) -> Coupling | None:
    """The places of a term; None where the term is a block of columns a level instead."""
    if bar.structure in KNOWN:
        return _known(bar, evaluator, grouping, source, matrices)
    if bar.structure in COORDINATES:
        groups, coordinates = rows_of(bar, evaluator, grouping, grouping.codes.astype(np.int64), source, None)
        names = [_text(term.factors[0]) for term in bar.terms]
        empty = Coupling(bar.structure, ",".join(names), np.empty(0, np.int64), np.empty((0, len(names))), ())
        return _sorted(empty, groups, coordinates)
    if bar.structure == "ar1":
        node = bar.terms[0].factors[0]
        groups, times = rows_of(bar, evaluator, grouping, grouping.codes.astype(np.int64), source, None)
        occasions = np.unique(times)
        step = float(np.diff(occasions).min()) if len(occasions) > 1 else 1.0
        if (occasions[-1] - occasions[0]) / step + 1.5 <= MOST_OCCASIONS + 1:
            return None
        evaluator.occasions(node, source, bar.structure)  # refuses unequal spacing
        empty = Coupling("ar1", _text(node), np.empty(0, np.int64), np.empty((0, 1)), (), step)
        return _sorted(empty, groups, times)
    return None


def named_matrices(texts: Iterable[str | None], given: Mapping[str, Any] | None, frame: FrameType) -> dict[str, Any]:
    """The matrices that formulas name: those given, else the caller's variables of these names.

    Only names are looked up; nothing in a formula is evaluated.
    """
    found = dict(given or {})
    for text in texts:
        for name in _MATRIX_NAME.findall(text) if isinstance(text, str) else ():
            for place in (frame.f_locals, frame.f_globals):
                if name not in found and name in place:
                    found[name] = place[name]
    return found


def rows_of(
    bar: Bar, evaluator: Evaluator, grouping: Grouping, groups: Codes, source: str, coupling: Coupling | None
) -> tuple[Codes, Array]:
    """The group and the coordinates of each row, for the fit's rows or new ones."""
    if bar.structure in COORDINATES:
        columns = [evaluator.numbers(term.factors[0], source, "the coordinate") for term in bar.terms]
        return groups, np.column_stack(columns).astype(np.float64)
    if bar.structure == "ar1":
        node = bar.terms[0].factors[0]
        value = evaluator.factor_of_term(node, source)
        times = value.factor.codes if isinstance(value, Coded) else evaluator.numbers(node, source, "the time")
        return groups, np.asarray(times, np.float64)[:, None]
    assert coupling is not None
    assert coupling.known is not None
    factor_node = _levels_node(bar)
    if factor_node is None:
        return np.zeros_like(groups), np.where(groups >= 0, groups, np.nan).astype(np.float64)[:, None]
    factor = evaluator.grouping_factor(factor_node, source)
    place = {name: k for k, name in enumerate(coupling.known.levels)}
    numbers = np.array([place.get(name, np.nan) for name in factor.levels], dtype=np.float64)
    return groups, numbers[factor.codes][:, None]


def columns_of(matrix: ModelMatrix | None, coupling: Coupling, n: int) -> tuple[Array, tuple[str, ...]]:
    """What the effects multiply, and the names of these columns."""
    if matrix is None:
        return np.broadcast_to(1.0, (n, 1)), (coupling.label,)
    return matrix.values, matrix.names


def has_columns(bar: Bar) -> bool:
    """Whether the left side gives columns, because the levels of the known matrix are those of the group."""
    return bar.structure in KNOWN and _levels_node(bar) is None


def _levels_node(bar: Bar) -> Node | None:
    """The factor on the left side whose levels a known matrix ties; None where it ties those of the group."""
    if len(bar.terms) == 1 and len(bar.terms[0].factors) == 1:
        return bar.terms[0].factors[0]
    return None


def _known(bar: Bar, evaluator: Evaluator, grouping: Grouping, source: str, matrices: dict[str, Any]) -> Coupling:
    given = bar.options.get("matrix")
    if given is None:
        raise evaluator.fail(
            bar.terms[0].factors[0] if bar.terms[0].factors else grouping.parts[0],
            f"{bar.structure}() needs its matrix: {bar.structure}(0 + f | g, M)",
        )
    if isinstance(given, str):
        if given not in matrices:
            known = ", ".join(f"`{name}`" for name in matrices) or "none was given"
            raise DataError(
                f"{bar.structure}(): there is no matrix `{given}`; pass it as matrices={{{given!r}: ...}} ({known})"
            )
        given = matrices[given]
    node = _levels_node(bar)
    if node is None:
        levels, groups, text = grouping.levels, 1, grouping.name
    else:
        factor = evaluator.grouping_factor(node, source)
        used = np.unique(factor.codes)
        levels, groups, text = tuple(factor.levels[k] for k in used), len(grouping.levels), _text(node)
    matched = resolve(given, levels, structure=bar.structure)
    count = len(matched.levels)
    return Coupling(
        bar.structure,
        text,
        np.repeat(np.arange(groups), count),
        np.tile(np.arange(count, dtype=np.float64), groups)[:, None],
        tuple(f"{text}[{name}]" for name in matched.levels) * groups,
        1.0,
        matched,
    )


def _sorted(like: Coupling, members: Codes, coordinates: Array) -> Coupling:
    """A coupling with each place once, ordered by group and then by coordinates."""
    together = np.column_stack([members.astype(np.float64), coordinates])
    unique = np.unique(together, axis=0)
    names = tuple(f"{like.label}[{','.join(label(value) for value in row[1:])}]" for row in unique.tolist())
    return replace(
        like,
        members=unique[:, 0].astype(np.int64),
        coordinates=np.ascontiguousarray(unique[:, 1:]),
        names=names,
    )


def _keys(members: Codes, coordinates: Array) -> list[tuple[float, ...]]:
    return list(map(tuple, np.column_stack([members.astype(np.float64), coordinates]).tolist()))


def _entries(matrix: Any, groups: int) -> dict[str, Any]:
    """Rows, columns and values of a sparse matrix, repeated along the diagonal."""
    parts = matrix.tocoo()
    shift = np.repeat(np.arange(groups) * matrix.shape[0], parts.nnz)
    return {
        "rows": (np.tile(parts.row, groups) + shift).astype(np.uint64),
        "columns": (np.tile(parts.col, groups) + shift).astype(np.uint64),
        "values": np.tile(np.asarray(parts.data, np.float64), groups),
    }


def _weights_of(known: KnownMatrix, groups: int) -> dict[str, Any]:
    """The adjacency of a map, from its Laplacian D - W, with its eigenvalues."""
    from scipy import sparse

    laplacian = known.precision
    assert laplacian is not None
    weights = sparse.csc_matrix(sparse.diags(laplacian.diagonal()) - laplacian)
    weights.eliminate_zeros()
    eigenvalues = np.linalg.eigvalsh(weights.toarray())
    return {**_entries(weights, groups), "eigenvalues": np.tile(eigenvalues, groups)}


def _text(node: Node) -> str:
    return node.name if isinstance(node, Name) else node.text
