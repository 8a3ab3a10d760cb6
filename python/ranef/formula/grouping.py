"""Grouping factors: which level of ``g``, or of the combination ``a:b``, each row belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.data import Factor, numbered
from ranef.errors import DataError
from ranef.formula.evaluation import Evaluator
from ranef.formula.parser import Name, Node

__all__ = ["NEW_LEVEL", "Grouping", "grouping_of"]

#: The code of a row whose level the fit has not seen.
NEW_LEVEL = -2

_MOST_COMBINATIONS = 2**62  # keys of combinations are 64-bit integers


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A grouping factor.

    Attributes
    ----------
    name : str
        ``"g"``, or ``"a:b"`` for combinations.
    parts : tuple of Node
        The factors it is made of.
    part_levels : tuple of tuple of str
        Their levels.
    keys : int64 array (levels,)
        The combinations that occur, increasing: the position of each part's level, the first part counting most.
    levels : tuple of str
        Their labels, ``"a1:b1"``.
    codes : uint32 array (n,)
        The level of each row.
    source : str
        The formula it stands in.
    """

    name: str
    parts: tuple[Node, ...]
    part_levels: tuple[tuple[str, ...], ...]
    keys: NDArray[np.int64]
    levels: tuple[str, ...]
    codes: NDArray[np.uint32]
    source: str

    def recode(self, evaluator: Evaluator) -> tuple[NDArray[np.int64], list[str]]:
        """Find the levels of new rows.

        Returns
        -------
        codes : int64 array (n2,)
            NEW_LEVEL where the fit has no such level.
        unknown : list of str
            The labels it does not have, in order.
        """
        n = len(evaluator.frame)
        if not self.parts:
            return np.zeros(n, dtype=np.int64), []
        factors = [evaluator.grouping_factor(node, self.source) for node in self.parts]
        key = np.zeros(n, dtype=np.int64)
        known = np.ones(n, dtype=bool)
        for factor, levels in zip(factors, self.part_levels, strict=True):
            codes, _ = factor.recode(levels)
            known &= codes >= 0
            key = key * len(levels) + codes
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        known &= self.keys[place] == key
        codes = np.where(known, place, NEW_LEVEL).astype(np.int64)
        strange = np.flatnonzero(~known)
        if not len(strange):
            return codes, []
        combinations = np.unique(np.stack([factor.codes[strange] for factor in factors]), axis=1)
        labels = [":".join(f.levels[k] for f, k in zip(factors, column, strict=True)) for column in combinations.T]
        return codes, labels


def grouping_of(parts: tuple[Node, ...], evaluator: Evaluator, source: str) -> Grouping:
    """Find the levels of a grouping factor and the level of each row.

    Parameters
    ----------
    parts : tuple of Node
        The factors whose combinations are its levels.
    evaluator : Evaluator
    source : str
        The formula, for errors.

    Returns
    -------
    Grouping
    """
    if not parts:
        # `| 1`: all rows are one group.
        every = np.zeros(len(evaluator.frame), dtype=np.uint32)
        return Grouping("1", (), (), np.zeros(1, dtype=np.int64), ("1",), every, source)
    factors = [evaluator.grouping_factor(node, source) for node in parts]
    names = [part.name if isinstance(part, Name) else part.text for part in parts]
    if prod(len(factor.levels) for factor in factors) > _MOST_COMBINATIONS:
        raise DataError(f"`{':'.join(names)}` has too many possible combinations; make them a column of its own")
    key = factors[0].codes
    for factor in factors[1:]:
        key = key * len(factor.levels) + factor.codes
    codes, keys = numbered(key, prod(len(factor.levels) for factor in factors))
    return Grouping(
        ":".join(names),
        parts,
        tuple(factor.levels for factor in factors),
        keys,
        _labels(keys, factors),
        codes.astype(np.uint32),
        source,
    )


def is_nested(inner: NDArray[Any], outer: NDArray[Any]) -> bool:
    """Whether each level of `inner` has rows in one level of `outer` only; both are codes, (n,)."""
    levels, inner = np.unique(inner, return_inverse=True)
    owner = np.empty(len(levels), dtype=np.int64)
    owner[inner] = outer
    return bool((owner[inner] == outer).all())


def _labels(keys: NDArray[np.int64], factors: list[Factor]) -> tuple[str, ...]:
    places: list[NDArray[np.int64]] = []
    rest = keys
    for factor in reversed(factors):
        places.append(rest % max(1, len(factor.levels)))
        rest = rest // max(1, len(factor.levels))
    words = [[factor.levels[k] for k in place] for factor, place in zip(factors, reversed(places), strict=True)]
    return tuple(map(":".join, zip(*words, strict=True)))
