"""Terms to a model matrix.

A factor in a product stands either for all its levels or for its contrast. Which one is decided so that the columns of
the whole matrix are linearly independent whatever the data, and every term keeps what it adds: each product of factors
is split into the spaces it spans (a factor spans the constant and its contrast), spaces already spanned by earlier
terms are left out, and the rest is put together again, contrast + constant becoming all levels. The rule, the order of
columns and their names are formulaic's (the tests compare the two), and give R's coding in every formula whose terms
are preceded by their margins.

Reference: Chambers & Hastie (1992), Statistical Models in S, section 2.4.1, on coding by margins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ranef.formula.contrasts import Contrast
from ranef.formula.evaluation import Coded, Evaluator, Value
from ranef.formula.level_columns import LEAST_COLUMNS, LevelColumns
from ranef.formula.parser import Name, Node
from ranef.formula.terms import Term
from ranef.formula.transforms import Basis

__all__ = ["ModelMatrix", "model_matrix"]

Array = NDArray[np.float64]
# A piece of a term: factor text -> whether by contrast (True) or by all levels (False). Order is that of the term.
Piece = tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class ModelMatrix:
    """The columns of some terms.

    Attributes
    ----------
    values : float64 array (n, p), by columns, or LevelColumns
    names : tuple of str
    term_columns : dict
        Text of a term (``"1"`` for the intercept) -> positions of its columns.
    """

    values: Array | LevelColumns
    names: tuple[str, ...]
    term_columns: dict[str, list[int]]

    @property
    def array(self) -> Array:
        """The values with all their zeros, not copied where they have them."""
        return np.asarray(self.values, np.float64)


def without_intercept(matrix: ModelMatrix) -> ModelMatrix:
    """The same columns, coded beside an intercept, but for the intercept itself."""
    (intercept,) = matrix.term_columns["1"]
    kept = [j for j in range(len(matrix.names)) if j != intercept]
    places = {j: k for k, j in enumerate(kept)}
    columns = {term: [places[j] for j in js] for term, js in matrix.term_columns.items() if term != "1"}
    names = tuple(matrix.names[j] for j in kept)
    if isinstance(matrix.values, LevelColumns):
        return ModelMatrix(matrix.values.without(intercept), names, columns)
    return ModelMatrix(np.asfortranarray(matrix.values[:, kept]), names, columns)


def model_matrix(
    terms: Sequence[Term],
    evaluator: Evaluator,
    source: str,
    contrasts: Mapping[str, Contrast],
    *,
    by_level: bool = False,
) -> ModelMatrix:
    """Build the model matrix of some terms.

    Parameters
    ----------
    terms : sequence of Term
        Sorted, the intercept first where there is one.
    evaluator : Evaluator
    source : str
        The formula they stand in, for errors.
    contrasts : mapping
        Factor -> contrast, for factors that do not bring their own.
    by_level : bool
        Whether many columns of one factor may be kept without their zeros.

    Returns
    -------
    ModelMatrix
    """
    n = len(evaluator.frame)
    if [len(term.factors) for term in terms] == [0]:
        # An intercept alone, as most random-effects terms have it, takes no memory.
        return ModelMatrix(np.broadcast_to(1.0, (n, 1)), ("Intercept",), {terms[0].text: [0]})
    nodes = {node.text: node for term in terms for node in term.factors}
    values = {text: evaluator.factor_of_term(node, source) for text, node in nodes.items()}
    plan = _coding(terms, values)
    indicated = {
        text: _indicators(nodes[text], value, contrasts) for text, value in values.items() if isinstance(value, Coded)
    }
    wide = _widest(plan, values, indicated) if by_level else None
    encoded: dict[tuple[str, bool], tuple[list[Array], list[str]]] = {}
    columns: list[Array] = []
    places: list[int] = []
    kinds: list[tuple[Array | None, NDArray[np.intp]]] = []
    names: list[str] = []
    term_columns: dict[str, list[int]] = {}
    for term, pieces in zip(terms, plan, strict=True):
        first = len(names)
        for piece in pieces:
            if not piece:
                columns.append(np.broadcast_to(1.0, n))
                places.append(len(names))
                names.append("Intercept")
                continue
            for key in piece:
                if key not in encoded and key[0] != wide:
                    encoded[key] = _encode(nodes[key[0]], values[key[0]], key[1], contrasts)
            if wide is not None and any(text == wide for text, _ in piece):
                kinds += _level_columns(piece, wide, nodes, values, indicated[wide], encoded, names)
                continue
            parts = [encoded[key] for key in piece]
            # The first factor varies fastest.
            for place in product(*(range(len(part[0])) for part in reversed(parts))):
                chosen = list(zip(parts, reversed(place), strict=True))
                columns.append(reduce(np.multiply, (part[0][k] for part, k in chosen)))
                places.append(len(names))
                names.append(":".join(part[1][k] for part, k in chosen))
        term_columns[term.text] = list(range(first, len(names)))
    matrix = np.empty((n, len(columns)), order="F")
    for k, column in enumerate(columns):
        matrix[:, k] = column
    if wide is None:
        return ModelMatrix(matrix, tuple(names), term_columns)
    value = values[wide]
    assert isinstance(value, Coded)
    by_levels = LevelColumns(
        matrix,
        np.array(places, dtype=np.intp),
        np.asarray(value.factor.codes).astype(np.uint32),
        tuple(multiplier for multiplier, _ in kinds),
        np.array([own for _, own in kinds], dtype=np.intp),
    )
    return ModelMatrix(by_levels, tuple(names), term_columns)


def _indicators(node: Node, value: Coded, contrasts: Mapping[str, Contrast]) -> int | None:
    """The base level of treatment coding, whose columns are indicators of the others; None for another coding."""
    name = node.name if isinstance(node, Name) else node.text
    contrast = value.contrast or contrasts.get(name) or Contrast("poly" if value.factor.ordered else "treatment")
    return contrast.base_of(name, value.factor.levels) if contrast.coding == "treatment" else None


def _widest(plan: list[list[Piece]], values: Mapping[str, Value], indicated: Mapping[str, int | None]) -> str | None:
    """The factor with most columns, if they are indicators and many enough to be worth a form of their own."""

    def width(text: str) -> int:
        value = values[text]
        if isinstance(value, Coded):
            return len(value.factor.levels)
        return value.values.shape[1] if isinstance(value, Basis) else 1

    widths: dict[str, int] = {}
    for piece in (piece for pieces in plan for piece in pieces):
        for text, by_contrast in piece:
            if isinstance(values[text], Coded):
                usable = not by_contrast or indicated[text] is not None
                columns = reduce(lambda product, part: product * width(part[0]), piece, 1)
                # A factor that stands by some other contrast anywhere is no candidate.
                widths[text] = widths.get(text, 0) + columns if usable else -sys.maxsize
    best = max(widths, key=lambda text: (widths[text], width(text)), default=None)
    return best if best is not None and widths[best] > 0 and width(best) > LEAST_COLUMNS else None


def _level_columns(
    piece: Piece,
    wide: str,
    nodes: Mapping[str, Node],
    values: Mapping[str, Value],
    base: int | None,
    encoded: Mapping[tuple[str, bool], tuple[list[Array], list[str]]],
    names: list[str],
) -> list[tuple[Array | None, NDArray[np.intp]]]:
    """The columns of a piece with the factor `wide`, by kind: multiplier and place of each level; adds their names."""
    value, node = values[wide], nodes[wide]
    assert isinstance(value, Coded)
    levels, name = value.factor.levels, node.name if isinstance(node, Name) else node.text
    position = next(k for k, (text, _) in enumerate(piece) if text == wide)
    by_contrast = piece[position][1]
    used = [k for k in range(len(levels)) if not (by_contrast and k == base)]
    labels = [f"{name}[{'T.' if by_contrast else ''}{levels[k]}]" for k in used]
    parts = [encoded.get(key, ([], [])) for key in piece]
    sizes = [len(used) if k == position else len(part[0]) for k, part in enumerate(parts)]
    kinds: dict[tuple[int, ...], tuple[Array | None, NDArray[np.intp]]] = {}
    for place in product(*(range(size) for size in reversed(sizes))):
        chosen = list(reversed(place))
        kind = tuple(chosen[:position] + chosen[position + 1 :])
        if kind not in kinds:
            others = [part[0][k] for j, (part, k) in enumerate(zip(parts, chosen, strict=True)) if j != position]
            multiplier = reduce(np.multiply, others) if others else None
            kinds[kind] = (multiplier, np.full(len(levels), -1, dtype=np.intp))
        kinds[kind][1][used[chosen[position]]] = len(names)
        own = [
            labels[k] if j == position else part[1][k] for j, (part, k) in enumerate(zip(parts, chosen, strict=True))
        ]
        names.append(":".join(own))
    return list(kinds.values())


def _spans_intercept(value: Value) -> bool:
    return isinstance(value, Coded) or (isinstance(value, Basis) and value.spans_intercept)


def _coding(terms: Iterable[Term], values: Mapping[str, Value]) -> list[list[Piece]]:
    """Decide, term by term, which factors stand by contrast and which by all levels."""
    spanned: set[frozenset[tuple[str, bool]]] = set()
    plan: list[list[Piece]] = []
    for term in terms:
        choices: list[list[tuple[str, bool] | None]] = [
            [(node.text, True), None] if _spans_intercept(values[node.text]) else [(node.text, False)]
            for node in term.factors
        ]
        spaces = [tuple(part for part in choice if part is not None) for choice in product(*choices)]
        new = [space for space in spaces if frozenset(space) not in spanned]
        spanned.update(frozenset(space) for space in new)
        plan.append(_put_together(sorted(new, key=len)))
    return plan


def _put_together(spaces: list[Piece]) -> list[Piece]:
    """Join (anything):(contrast) and (anything) to (anything):(all levels) while that is possible."""
    pieces: list[Piece] = []
    for space in sorted(spaces, key=len):
        for k, smaller in enumerate(pieces):
            extra = set(space) - set(smaller)
            if len(smaller) == len(space) - 1 and len(extra) == 1 and (grown := next(iter(extra)))[1]:
                joined = tuple((text, False) if (text, by) == grown else (text, by) for text, by in space)
                pieces = _put_together(pieces[:k] + pieces[k + 1 :] + [joined])
                break
        else:
            pieces.append(space)
    return pieces


def _encode(
    node: Node, value: Value, by_contrast: bool, contrasts: Mapping[str, Contrast]
) -> tuple[list[Array], list[str]]:
    """Return the columns of one factor of a term, and their names."""
    name = node.name if isinstance(node, Name) else node.text
    if isinstance(value, Basis):
        first = 1 if by_contrast and value.spans_intercept else 0
        return (
            [value.values[:, k] for k in range(first, value.values.shape[1])],
            [f"{name}[{field}]" for field in value.names[first:]],
        )
    if not isinstance(value, Coded):
        return [value], [name]
    factor = value.factor
    if not by_contrast:
        return (
            [(factor.codes == k).astype(np.float64) for k in range(len(factor.levels))],
            [f"{name}[{level}]" for level in factor.levels],
        )
    contrast = value.contrast or contrasts.get(name) or Contrast("poly" if factor.ordered else "treatment")
    matrix, labels = contrast.columns(name, factor.levels)
    if contrast.coding == "treatment":  # indicators: comparing beats looking up
        rows = np.flatnonzero(matrix.sum(axis=1))
        return [(factor.codes == k).astype(np.float64) for k in rows], [f"{name}{text}" for text in labels]
    return [matrix[factor.codes, j] for j in range(matrix.shape[1])], [f"{name}{text}" for text in labels]
