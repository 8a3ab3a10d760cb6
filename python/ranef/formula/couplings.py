"""Random effects that are coupled: one for each place in time, space or kinship of a group, tied to those near it.

Long series (``ar1`` beyond a few occasions, ``ou``), fields over distances (``exp``, ``gau``, ``mat``), known matrices
(``propto``, ``equalto``) and neighbours on a map (``car``) have an effect for every place that occurs, not a column of
a block: the engine ties the levels of one grouping factor, whose levels are the places of every group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.data import label
from ranef.errors import DataError
from ranef.formula.columns import ModelMatrix
from ranef.formula.evaluation import Coded, Evaluator
from ranef.formula.grouping import NEW_LEVEL, Grouping
from ranef.formula.parser import Name, Node
from ranef.formula.terms import COORDINATES, KNOWN, Bar
from ranef.relatedness.adjacency import Adjacency, adjacency
from ranef.relatedness.known_matrix import KnownMatrix, resolve

__all__ = ["MOST_OCCASIONS", "Coupling", "coupling_of", "named_matrices", "require_level", "rows_of"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Up to this many occasions ``ar1`` is one block a group, with a column an occasion; beyond, a chain.
MOST_OCCASIONS = 30
#: Random walks, which have a precision and no covariance.
WALKS = ("rw1", "rw2")
# Numbers of steps this close to whole ones are whole.
_WHOLE = 1e-6
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
    levels : tuple of str
        What the places are called, where they are levels of a known matrix; empty for coordinates.
    step : float
        The time between neighbouring occasions of ``ar1``.
    known : KnownMatrix or None
    origin : tuple of arrays or None
        Groups and coordinates of the places whose effect is zero by definition: where a random walk starts (and ends,
        for one of second order), the first region of a map. The fixed effects say the level there.
    """

    structure: str
    label: str
    members: Codes
    coordinates: Array
    levels: tuple[str, ...] = ()
    step: float = 1.0
    known: KnownMatrix | None = None
    origin: tuple[Codes, Array] | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What a reader calls the places: ``"time[3]"``, ``"species[oak]"``."""
        words = self.levels or [",".join(map(label, row)) for row in self.coordinates.tolist()]
        return tuple(f"{self.label}[{word}]" for word in words)

    @property
    def size(self) -> int:
        """Number of places over all groups."""
        return len(self.members)

    def find(self, groups: Codes, coordinates: Array) -> Codes:
        """The place of each row; NEW_LEVEL where the fit has none there."""
        known = np.column_stack([self.members.astype(np.float64), self.coordinates])
        rows = np.column_stack([groups.astype(np.float64), coordinates])
        unique, inverse = _distinct(np.vstack([known, rows]))
        place = np.full(len(unique), NEW_LEVEL, dtype=np.int64)
        place[inverse[: self.size]] = np.arange(self.size)
        return place[inverse[self.size :]]

    def placed(self, groups: Codes, coordinates: Array) -> tuple[Codes, Array]:
        """The place of each row, and 0 for the rows where the effect is zero by definition, 1 for the others."""
        codes, weight = self.find(groups, coordinates), np.ones(len(groups))
        if self.origin is not None:
            known = set(_keys(*self.origin))
            there = np.array([key in known for key in _keys(groups, coordinates)], dtype=bool)
            codes[there], weight[there] = 0, 0.0
        return codes, weight

    def with_places(self, groups: Codes, coordinates: Array) -> Coupling:
        """The same with further places, in groups that it has."""
        members = np.concatenate([self.members, groups])
        together = np.concatenate([self.coordinates, coordinates])
        if self.structure == "rw2":
            members, together = _filled(members, together, self.step)
        return _sorted(replace(self, members=members, coordinates=together))

    @property
    def reaches(self) -> bool:
        """Whether it says something about places that had no data."""
        return self.known is None

    def spec(self) -> dict[str, Any]:
        """The coupling as the engine takes it."""
        starts = np.flatnonzero(np.r_[True, np.diff(self.members) != 0])
        if self.origin is not None:
            return {"kind": "precision", "levels": self.size, **_entries(_intrinsic(self), 1)}
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
            if not np.isfinite(known.log_det_precision):
                raise DataError(
                    f"{self.structure}(): the matrix is singular, so that some levels are sums of others: two rows are "
                    "alike, or it has fewer dimensions than levels. Join such levels, or add a small number to its "
                    "diagonal, such as 1e-6 of its mean."
                )
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
        return _sorted(Coupling(bar.structure, ",".join(names), groups, coordinates))
    if bar.structure == "ar1":
        node = bar.terms[0].factors[0]
        groups, times = rows_of(bar, evaluator, grouping, grouping.codes.astype(np.int64), source, None)
        occasions = np.unique(times)
        step = float(np.diff(occasions).min()) if len(occasions) > 1 else 1.0
        if (occasions[-1] - occasions[0]) / step + 1.5 <= MOST_OCCASIONS + 1:
            return None
        if np.ptp((occasions - occasions[0]) / step % 1.0) > _WHOLE:
            evaluator.occasions(node, source, bar.structure)  # refuses unequal spacing
        return _sorted(Coupling("ar1", _text(node), groups, times, step=step))
    if bar.structure in WALKS:
        node = bar.terms[0].factors[0]
        groups, times = rows_of(bar, evaluator, grouping, grouping.codes.astype(np.int64), source, None)
        return _walk(bar.structure, _text(node), groups, times)
    return None


def _walk(structure: str, text: str, groups: Codes, times: Array) -> Coupling:
    """A random walk in each group: from its first time on, or between its first time and its last."""
    occasions = np.unique(times)
    step = float(np.diff(occasions).min()) if len(occasions) > 1 else 1.0
    if structure == "rw2":
        groups, times = _filled(groups, times, step)
    every = _sorted(Coupling(structure, text, groups, times, step=step))
    first = np.r_[True, np.diff(every.members) != 0]
    fixed = first | np.r_[first[1:], True] if structure == "rw2" else first
    if fixed.all():
        raise DataError(f"{structure}(): no group has {'3' if structure == 'rw2' else '2'} times of `{text}`")
    origin = every.members[fixed], every.coordinates[fixed]
    return replace(every, members=every.members[~fixed], coordinates=every.coordinates[~fixed], origin=origin)


def _filled(members: Codes, times: Array, step: float) -> tuple[Codes, Array]:
    """All times between the first and the last of each group, a step apart."""
    parts = []
    for member in np.unique(members):
        own = times[members == member, 0]
        count = (own - own.min()) / step
        if np.abs(count - np.rint(count)).max() > _WHOLE:
            odd = float(own[np.abs(count - np.rint(count)) > _WHOLE][0])
            raise DataError(
                f"rw2() needs times that are whole steps apart, and {label(odd)} is not a multiple of {step:g} from "
                f"{label(float(own.min()))}; round the times"
            )
        grid = own.min() + step * np.arange(int(np.rint(count.max())) + 1)
        # A time that is there keeps its own digits, by which it is found again.
        grid[np.rint(count).astype(int)] = own
        parts.append((np.full(len(grid), member), grid))
    return np.concatenate([m for m, _ in parts]), np.concatenate([t for _, t in parts])[:, None]


def _intrinsic(coupling: Coupling) -> Any:
    """The precision of a random walk or an intrinsic map given that it is zero at its origin."""
    from scipy import sparse

    assert coupling.origin is not None
    if coupling.known is not None:
        laplacian = coupling.known.precision
        assert laplacian is not None
        kept = coupling.coordinates[:, 0].astype(int)
        return sparse.csc_matrix(laplacian[kept][:, kept])
    members = np.concatenate([coupling.members, coupling.origin[0]])
    times = np.concatenate([coupling.coordinates[:, 0], coupling.origin[1][:, 0]])
    order = np.lexsort((times, members))
    members, times = members[order], times[order] / coupling.step
    same = members[1:] == members[:-1]
    n = len(members)
    gaps = np.where(same, np.diff(times), 1.0)
    first = sparse.diags([-1.0, 1.0], [0, 1], shape=(n - 1, n)).tocsr()[same]
    if coupling.structure == "rw1":
        precision = first.T @ sparse.diags(1.0 / gaps[same]) @ first
    else:
        second = sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(n - 2, n)).tocsr()[same[1:] & same[:-1]]
        precision = second.T @ second
    # In the order of the effects, which is that of the places without the origin.
    effects = np.flatnonzero(order < coupling.size)
    return sparse.csc_matrix(precision)[effects][:, effects]


def require_level(coupling: Coupling, text: str, x: Array, groups: Codes, coordinates: Array, besides: bool) -> None:
    """Refuse a walk or map whose level the rest of the model does not say.

    Parameters
    ----------
    coupling : Coupling
    text : str
        The term, for the message.
    x : float64 array (n, p)
        The fixed effects.
    groups, coordinates : arrays
        Of the rows.
    besides : bool
        Whether other random effects give each group a level of its own.
    """
    if coupling.origin is None or besides:
        return
    basis = np.linalg.qr(x)[0] if x.shape[1] else np.zeros((len(x), 1))
    for group in np.unique(groups):
        inside = (groups == group).astype(np.float64)
        wanted = [(inside, "an intercept")]
        if coupling.structure == "rw2":
            wanted.append((inside * coordinates[:, 0], f"`{coupling.label}`"))
        for column, what in wanted:
            if np.linalg.norm(column - basis @ (basis.T @ column)) > 1e-6 * np.linalg.norm(column):
                several = len(np.unique(groups)) > 1
                raise DataError(
                    f"{text} says how the effects change, not where they begin: add {what} to the fixed effects"
                    + (" for each group, as in g + g:time" if several else "")
                )


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
    if bar.structure == "ar1" or bar.structure in WALKS:
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


def columns_of(matrix: ModelMatrix | None, coupling: Coupling, weight: Array) -> tuple[Array, tuple[str, ...]]:
    """What the effects multiply (with `weight` zero: nothing), and the names of these columns."""
    if matrix is not None:
        return (matrix.array if weight.all() else matrix.array * weight[:, None]), matrix.names
    if weight.all():
        return np.broadcast_to(1.0, (len(weight), 1)), (coupling.label,)
    return weight[:, None], (coupling.label,)


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
    if bar.structure in ("car", "icar") and not isinstance(given, Adjacency):
        given = adjacency(given, None if isinstance(given, pd.DataFrame) else levels)
    matched = resolve(given, levels, structure=bar.structure)
    count = len(matched.levels)
    every = Coupling(
        bar.structure,
        text,
        np.repeat(np.arange(groups), count),
        np.tile(np.arange(count, dtype=np.float64), groups)[:, None],
        matched.levels * groups,
        1.0,
        matched,
    )
    if bar.structure != "icar":
        return every
    if groups > 1:
        raise DataError(f"icar() is one map: write icar(0 + {text} | 1, ...) or icar(1 | {text}, ...)")
    if isinstance(given, Adjacency) and given.parts.max() > 0:
        raise DataError(
            "icar() needs a map in one piece, and this one has "
            f"{int(given.parts.max()) + 1} parts without a border between them; use car(), or a map of each part"
        )
    return replace(
        every,
        members=every.members[1:],
        coordinates=every.coordinates[1:],
        levels=every.levels[1:],
        origin=(every.members[:1], every.coordinates[:1]),
    )


def _sorted(coupling: Coupling) -> Coupling:
    """The same with each place once, ordered by group and then by coordinates."""
    unique, _ = _distinct(np.column_stack([coupling.members.astype(np.float64), coupling.coordinates]))
    return replace(
        coupling,
        members=unique[:, 0].astype(np.int64),
        coordinates=np.ascontiguousarray(unique[:, 1:]),
    )


def _distinct(rows: Array) -> tuple[Array, Codes]:
    """The distinct rows, in order, and which of them each row is. (numpy sorts rows as bytes, which takes longer.)"""
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(new) - 1
    return ordered[new], inverse


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
