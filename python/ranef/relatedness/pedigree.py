"""Pedigrees: the additive relationship of animals and its sparse inverse.

An animal's breeding value is half its sire's, half its dam's and a Mendelian sampling term m of variance d,

    a_i = (a_s + a_d) / 2 + m_i,    a = P a + m,    A = (I - P)^-1 D (I - P)^-T,    A^-1 = (I - P)' D^-1 (I - P),

where d = 1/2 - (F_s + F_d) / 4 with both parents known, 3/4 - F_s / 4 with one, 1 with none, and F are the
coefficients of inbreeding. An animal's F is half the relationship of its parents, and that depends on their ancestors
alone: the animals are taken generation by generation, and columns of A, one for every sire (or dam, where those are
fewer), come from two sweeps through the pedigree of ancestors, without A itself.

References: Henderson (1976), Biometrics 32, 69-83; Quaas (1976), Biometrics 32, 949-953; Meuwissen & Luo (1992),
Genetics Selection Evolution 24, 305-313; Colleau (2002), Genetics Selection Evolution 34, 409-421.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranef.arguments import held_to_its_types
from ranef.data import Column, Table
from ranef.errors import DataError

__all__ = ["Pedigree", "pedigree"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

#: How the field writes a parent that is not known, besides a missing value.
_UNKNOWN = frozenset({"0", ""})
# Relationships held at once; bounds the memory that a large generation takes.
_NUMBERS_AT_ONCE = 10_000_000


@dataclass(frozen=True, eq=False)
class Pedigree:
    """Animals, parents before their offspring.

    Attributes
    ----------
    levels : tuple of str
        The animals' names.
    sire, dam : int array (n,)
        Positions of the parents in ``levels``, -1 where unknown.
    generation : int array (n,)
        0 for founders, otherwise one more than that of the later parent.
    inbreeding : float64 array (n,)
        Coefficients of inbreeding F.
    mendelian : float64 array (n,)
        Variances of the Mendelian sampling terms, for an additive variance of one.
    """

    levels: tuple[str, ...]
    sire: Places
    dam: Places
    generation: Places
    inbreeding: Array
    mendelian: Array

    @cached_property
    def precision(self) -> sparse.csc_matrix:
        """The inverse of the relationship matrix, sparse (n, n)."""
        flow = sparse.identity(len(self.levels), format="csc") - _descent(self.sire, self.dam)
        return sparse.csc_matrix(flow.T @ sparse.diags(1 / self.mendelian) @ flow)

    @property
    def log_det_precision(self) -> float:
        """Logarithm of the determinant of the inverse."""
        return -float(np.log(self.mendelian).sum())

    def relationship(self) -> Array:
        """The additive relationship matrix A, dense (n, n).

        Examples
        --------
        >>> import ranef as rf
        >>> animals = {"id": ["calf", "cow"], "sire": ["bull", None], "dam": ["cow", None]}
        >>> family = rf.pedigree(animals)
        >>> family.levels
        ('cow', 'bull', 'calf')
        >>> family.relationship()[2].tolist()
        [0.5, 0.5, 1.0]
        """
        n = len(self.levels)
        descent = sparse.csr_matrix(_descent(self.sire, self.dam))
        a = np.zeros((n, n))
        edges = np.concatenate([np.flatnonzero(np.diff(self.generation, prepend=-1)), [n]])
        for first, last in pairwise(edges):
            parents = descent[first:last, :first]
            a[first:last, :first] = parents @ a[:first, :first]
            a[:first, first:last] = a[first:last, :first].T
            a[first:last, first:last] = parents @ a[:first, first:last] + np.diag(self.mendelian[first:last])
        return a

    def ancestry(self, levels: Sequence[str]) -> Pedigree:
        """The pedigree of these animals alone: themselves and their ancestors.

        Descendants and strangers without records say nothing about the others, so leaving them out changes no answer.
        """
        place = {level: k for k, level in enumerate(self.levels)}
        kept = np.zeros(len(self.levels), dtype=bool)
        kept[[place[level] for level in levels]] = True
        for k in range(len(self.levels) - 1, -1, -1):
            if kept[k]:
                for parent in (self.sire[k], self.dam[k]):
                    if parent >= 0:
                        kept[parent] = True
        if kept.all():
            return self
        moved = np.append(np.cumsum(kept) - 1, -1)  # a parent unknown, -1, finds this last entry
        return Pedigree(
            tuple(level for level, keep in zip(self.levels, kept, strict=True) if keep),
            moved[self.sire[kept]],
            moved[self.dam[kept]],
            self.generation[kept],
            self.inbreeding[kept],
            self.mendelian[kept],
        )

    def _facts(self) -> dict[str, Any]:
        inbred = self.inbreeding > 0
        return {
            "animals": len(self.levels),
            "founders": int(np.sum((self.sire < 0) & (self.dam < 0))),
            "generations": int(self.generation.max()) + 1,
            "inbred": int(inbred.sum()),
            "greatest inbreeding": f"{self.inbreeding.max():.4g}"
            + (f" ({self.levels[int(self.inbreeding.argmax())]})" if inbred.any() else ""),
        }

    def __len__(self) -> int:
        return len(self.levels)

    def __repr__(self) -> str:
        return "Pedigree: " + ", ".join(f"{name} {value}" for name, value in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in self._facts().items())
        return f"<table><caption>Pedigree</caption>{rows}</table>"


@held_to_its_types
def pedigree(frame: Any, id: str = "id", sire: str = "sire", dam: str = "dam", *, monoecious: bool = False) -> Pedigree:
    """Read a pedigree: who descends from whom.

    Parameters
    ----------
    frame : data frame
        One row an animal, in any order. Any eager frame narwhals reads, or a mapping of columns.
    id, sire, dam : str
        The columns with the animal and its parents. An unknown parent is missing, 0 or an empty text. A parent
        without a row of its own becomes a founder.
    monoecious : bool
        Whether an individual may be a father here and a mother there, as in most plants; selfing included.

    Returns
    -------
    Pedigree
        With the inverse of the relationship matrix, to be used in ``propto(0 + animal | 1, family)``.

    Raises
    ------
    DataError
        At an animal that stands in the table twice, is its own ancestor, or is a sire in one row and a dam in another.

    Examples
    --------
    >>> import ranef as rf
    >>> family = rf.pedigree(
    ...     {"id": ["c", "d", "e"], "sire": ["a", "a", "c"], "dam": ["b", "b", "d"]}
    ... )
    >>> family
    Pedigree: animals 5, founders 2, generations 3, inbred 1, greatest inbreeding 0.25 (e)
    >>> family.precision.toarray()[4].tolist()
    [0.0, 0.0, -1.0, -1.0, 2.0]
    """
    table = Table(frame, "the pedigree")
    names = _labels(table.column(id))
    fathers, mothers = _labels(table.column(sire)), _labels(table.column(dam))
    if not names:
        raise DataError("the pedigree has no rows; give one for each animal")
    place: dict[str, int] = {}
    for row, name in enumerate(names):
        if name is None or name in _UNKNOWN:
            raise DataError(f"`{id}` names no animal in row {row} (counting from 0); name it or drop the row")
        if name in place:
            raise DataError(f"`{name}` stands in the pedigree twice, in rows {place[name]} and {row}; keep one of them")
        place[name] = row
    known = [[None if parent in _UNKNOWN else parent for parent in parents] for parents in (fathers, mothers)]
    if not monoecious:
        _require_one_sex(known[0], known[1], sire, dam)
    for parent in (*known[0], *known[1]):
        if parent is not None and parent not in place:
            place[parent] = len(place)
    levels = list(place)
    missing = [-1] * (len(levels) - len(names))
    parents = [
        np.array([*(-1 if p is None else place[p] for p in column), *missing], dtype=np.int64) for column in known
    ]
    generation = _generations(parents[0], parents[1], levels)
    order = np.argsort(generation, kind="stable")
    rank = np.empty(len(order) + 1, dtype=np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    father, mother = rank[parents[0][order]], rank[parents[1][order]]
    inbreeding, mendelian = _inbreeding(father, mother, generation[order])
    return Pedigree(tuple(levels[k] for k in order), father, mother, generation[order], inbreeding, mendelian)


def _labels(column: Column) -> list[str | None]:
    factor = column.factor
    levels: list[str | None] = [*factor.levels, None]  # a missing value's code -1 finds the last entry
    return [levels[code] for code in factor.codes]


def _require_one_sex(fathers: list[str | None], mothers: list[str | None], sire: str, dam: str) -> None:
    first = {name: row for row, name in reversed(list(enumerate(fathers))) if name is not None}
    for row, name in enumerate(mothers):
        if name is not None and name in first:
            raise DataError(
                f"`{name}` is a {sire} in row {first[name]} and a {dam} in row {row} (counting from 0); correct one of "
                "them, or say monoecious=True if an individual can be both"
            )


def _generations(sire: Places, dam: Places, levels: list[str]) -> Places:
    """One more than the parents' generation, founders 0; animals are placed once their parents are."""
    placed = np.full(len(levels) + 1, -1, dtype=np.int64)
    placed[-1] = 0  # where an unknown parent, -1, points
    waiting = np.arange(len(levels))
    generation = 0
    while waiting.size:
        ready = (placed[sire[waiting]] >= 0) & (placed[dam[waiting]] >= 0)
        if not ready.any():
            raise DataError(_cycle(sire, dam, waiting, levels))
        placed[waiting[ready]] = generation
        waiting = waiting[~ready]
        generation += 1
    return placed[:-1]


def _cycle(sire: Places, dam: Places, waiting: Places, levels: list[str]) -> str:
    """Words for a circle of descent; every animal that waits has a parent that waits."""
    waits = set(waiting.tolist())
    path = [int(waiting[0])]
    seen = {path[0]: 0}
    while True:
        animal = path[-1]
        parent = int(sire[animal]) if int(sire[animal]) in waits else int(dam[animal])
        if parent in seen:
            circle = [*path[seen[parent] :], parent]
            break
        seen[parent] = len(path)
        path.append(parent)
    shown = [levels[k] for k in circle]
    if len(shown) > 8:
        shown = [*shown[:4], "...", *shown[-3:]]
    return f"`{shown[0]}` is its own ancestor: {' from '.join(shown)}; correct a parent in one of these rows"


def _descent(sire: Places, dam: Places) -> sparse.csc_matrix:
    """P: a half for every known parent (one for a parent that is both)."""
    n = len(sire)
    animal = np.arange(n)
    rows = np.concatenate([animal[sire >= 0], animal[dam >= 0]])
    columns = np.concatenate([sire[sire >= 0], dam[dam >= 0]])
    return sparse.csc_matrix((np.full(len(rows), 0.5), (rows, columns)), shape=(n, n))


def _inbreeding(sire: Places, dam: Places, generation: Places) -> tuple[Array, Array]:
    """F and the Mendelian variances of animals sorted by generation."""
    n = len(sire)
    descent = sparse.csr_matrix(_descent(sire, dam))
    inbreeding, mendelian = np.append(np.zeros(n), -1.0), np.ones(n)  # F = -1 makes an unknown parent's share right
    edges = np.concatenate([np.flatnonzero(np.diff(generation, prepend=-1)), [n]])
    for first, last in pairwise(edges):
        s, d = sire[first:last], dam[first:last]
        mendelian[first:last] = 0.5 - 0.25 * (inbreeding[s] + inbreeding[d])
        both = first + np.flatnonzero((s >= 0) & (d >= 0))
        if both.size:
            found = _relationships(sire[both], dam[both], sire, dam, generation, descent, mendelian) / 2
            # Unrelated parents are so up to rounding, which must not count as inbreeding.
            inbreeding[both] = np.where(found > 1e-12, found, 0.0)
    return inbreeding[:-1], mendelian


def _relationships(
    s: Places,
    d: Places,
    sire: Places,
    dam: Places,
    generation: Places,
    descent: sparse.csr_matrix,
    mendelian: Array,
) -> Array:
    """The relationship of each s with its d, within the pedigree of their ancestors."""
    if len(np.unique(d)) < len(np.unique(s)):
        s, d = d, s
    relevant = np.zeros(max(s.max(), d.max()) + 2, dtype=bool)
    young = np.unique(np.concatenate([s, d]))
    while young.size:
        relevant[young] = True
        older = np.unique(np.concatenate([sire[young], dam[young]]))
        older = older[older >= 0]
        young = older[~relevant[older]]
    kept = np.flatnonzero(relevant)
    place = np.cumsum(relevant) - 1
    within = descent[kept][:, kept]
    edges = np.concatenate([np.flatnonzero(np.diff(generation[kept], prepend=-1)), [len(kept)]])
    steps = []
    for first, last in list(pairwise(edges))[1:]:
        parents = np.unique(within[first:last].indices)
        steps.append((first, last, parents, within[first:last, parents]))
    ones, pair = np.unique(s, return_inverse=True)
    found = np.empty(len(s))
    width = max(1, _NUMBERS_AT_ONCE // len(kept))
    for start in range(0, len(ones), width):
        some = ones[start : start + width]
        columns: Array = np.zeros((len(kept), len(some)))
        columns[place[some], np.arange(len(some))] = 1.0
        for first, last, parents, halves in reversed(steps):  # (I - P)^-T, from the youngest to the oldest
            columns[parents] += halves.T @ columns[first:last]
        columns *= mendelian[kept, None]
        for first, last, parents, halves in steps:  # (I - P)^-1
            columns[first:last] += halves @ columns[parents]
        here = (pair >= start) & (pair < start + width)
        found[here] = columns[place[d[here]], pair[here] - start]
    return found
