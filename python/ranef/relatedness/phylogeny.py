"""Phylogenies: the covariance of traits that drift along the branches of a tree, and its sparse inverse.

Under Brownian motion from a root fixed at zero, a node's value is its parent's and an independent step whose variance
is the length of the branch between them,

    a = P a + m,    S^-1 = (I - P)' D^-1 (I - P),    D = the branch lengths,

over the tips *and* the inner nodes. Two tips covary by the length of path they share from the root; that matrix is
dense, while the inverse over all nodes has three numbers a branch.

A branch of length zero ties its ends together, so an inner node at its end is one with its parent, and a tip takes its
parent's place.

References: Felsenstein (1973), American Journal of Human Genetics 25, 471-492; Hadfield & Nakagawa (2010), Journal of
Evolutionary Biology 23, 494-508. The format: Olsen (1990), "Newick's 8:45" tree format standard.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranef.arguments import held_to_its_types
from ranef.errors import DataError

__all__ = ["Phylogeny", "phylogeny"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

_ROOT = -1
# Characters that end a label without quotes.
_SPECIAL = frozenset("(),:;['")


# Branches have inverses, paths sums, and both squares, all of which are numbers.
SHORTEST, LONGEST = 1e-100, 1e100


@dataclass(frozen=True, eq=False)
class Phylogeny:
    """A tree with branch lengths, its nodes below the root with parents before their children.

    Attributes
    ----------
    levels : tuple of str
        The nodes' names: tips by their label, inner nodes by theirs where it is unique, else ``"node 3"``.
    parent : int array (n,)
        Position of the parent in ``levels``, -1 for the root.
    length : float64 array (n,)
        Of the branch that leads to the node; all positive.
    is_tip : bool array (n,)
    """

    levels: tuple[str, ...]
    parent: Places
    length: Array
    is_tip: NDArray[np.bool_]

    @property
    def tips(self) -> tuple[str, ...]:
        """Names of the tips."""
        return tuple(level for level, tip in zip(self.levels, self.is_tip, strict=True) if tip)

    @cached_property
    def depth(self) -> Array:
        """Distance of every node from the root: the variance of its value."""
        depth = np.zeros(len(self.levels))
        for k, parent in enumerate(self.parent):
            depth[k] = self.length[k] + (depth[parent] if parent >= 0 else 0.0)
        return depth

    @cached_property
    def precision(self) -> sparse.csc_matrix:
        """The inverse covariance of all nodes below the root, sparse (n, n)."""
        n = len(self.levels)
        child = np.flatnonzero(self.parent >= 0)
        descent = sparse.csc_matrix((np.ones(len(child)), (child, self.parent[child])), shape=(n, n))
        flow = sparse.identity(n, format="csc") - descent
        return sparse.csc_matrix(flow.T @ sparse.diags(1 / self.length) @ flow)

    @property
    def log_det_precision(self) -> float:
        """Logarithm of the determinant of the inverse."""
        return -float(np.log(self.length).sum())

    def covariance(self, *, correlation: bool = False) -> Array:
        """Covariance of the tips: the length of the path that two tips share from the root.

        Parameters
        ----------
        correlation : bool
            Scaled to ones on the diagonal. This changes the model where tips are not equally far from the root.

        Returns
        -------
        array (tips, tips), in the order of ``tips``

        Examples
        --------
        >>> import ranef as rf
        >>> rf.phylogeny("((a:1,b:1):2,c:3);").covariance()
        array([[3., 2., 0.],
               [2., 3., 0.],
               [0., 0., 3.]])
        """
        n = len(self.levels)
        whole = np.zeros((n, n))
        for k, parent in enumerate(self.parent):
            if parent >= 0:
                whole[k, :k] = whole[parent, :k]
                whole[:k, k] = whole[k, :k]
            whole[k, k] = self.depth[k]
        tips = np.flatnonzero(self.is_tip)
        covariance: Array = whole[np.ix_(tips, tips)]
        if correlation:
            sd = np.sqrt(np.diag(covariance))
            covariance = covariance / np.outer(sd, sd)
        return covariance

    def ancestry(self, levels: Sequence[str]) -> Phylogeny:
        """The tree of these tips alone: branches that lead to none of them are cut, which changes no answer."""
        place = {level: k for k, level in enumerate(self.levels)}
        kept = np.zeros(len(self.levels), dtype=bool)
        kept[[place[level] for level in levels]] = True
        for k in range(len(self.levels) - 1, -1, -1):
            if kept[k] and self.parent[k] >= 0:
                kept[self.parent[k]] = True
        if kept.all():
            return self
        moved = np.append(np.cumsum(kept) - 1, _ROOT)
        return Phylogeny(
            tuple(level for level, keep in zip(self.levels, kept, strict=True) if keep),
            moved[self.parent[kept]],
            self.length[kept],
            self.is_tip[kept],
        )

    def _facts(self) -> dict[str, Any]:
        depths = self.depth[self.is_tip]
        low, high = float(depths.min()), float(depths.max())
        return {
            "tips": int(self.is_tip.sum()),
            "inner nodes": int((~self.is_tip).sum()) + 1,
            "distance of the tips from the root": f"{high:.4g}"
            if np.isclose(low, high)
            else f"{low:.4g} to {high:.4g}",
        }

    def __len__(self) -> int:
        return len(self.levels)

    def __repr__(self) -> str:
        return "Phylogeny: " + ", ".join(f"{name} {value}" for name, value in self._facts().items())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in self._facts().items())
        return f"<table><caption>Phylogeny</caption>{rows}</table>"


@held_to_its_types
def phylogeny(source: str | os.PathLike[str], *, scale: bool = False) -> Phylogeny:
    """Read a tree in Newick format.

    Parameters
    ----------
    source : str or path
        The tree itself, or the file that holds it. A text with a parenthesis or a semicolon is a tree.
    scale : bool
        Whether to divide all branch lengths by the greatest distance of a tip from the root. The variance of the
        random effect is then that of the farthest tip, otherwise that of a branch of length one; the fit is the same.

    Returns
    -------
    Phylogeny
        To be used in ``propto(0 + species | 1, tree)``.

    Raises
    ------
    DataError
        Where the text is no tree, with the place, or a branch has no length that a variance could be.

    Examples
    --------
    >>> import ranef as rf
    >>> tree = rf.phylogeny("((human:6,chimp:6)hominin:2,gorilla:8);")
    >>> tree
    Phylogeny: tips 3, inner nodes 2, distance of the tips from the root 8
    >>> tree.levels
    ('hominin', 'human', 'chimp', 'gorilla')
    """
    text, where = _text_of(source)
    tree = _tree_of(_read(text, where), where)
    if scale:
        height = float(tree.depth[tree.is_tip].max())
        tree = Phylogeny(tree.levels, tree.parent, tree.length / height, tree.is_tip)
    return tree


def _text_of(source: Any) -> tuple[str, str]:
    """The tree's text, and what to call it."""
    if isinstance(source, str) and ("(" in source or ";" in source):
        return source, "the tree"
    if not isinstance(source, str | os.PathLike):
        raise DataError(f"a phylogeny is a Newick text or the path of a file, not {type(source).__name__}")
    path = Path(source)
    try:
        return path.read_text(encoding="utf-8"), f"the tree in {path.name}"
    except ValueError as error:  # no name that a file could have, or bytes that are no text
        if not isinstance(error, UnicodeDecodeError):
            raise DataError(f"{source!r} is neither a tree nor the path of a file ({error})") from error
        raise DataError(f"{path.name} is not a text in UTF-8, so it is no Newick file") from error
    except OSError as error:
        raise DataError(
            f"there is no tree to be read at {str(path)!r} ({error.strerror}); give a Newick text, such as "
            '"((a:1,b:1):2,c:3);", or the path of a file'
        ) from error


@dataclass(slots=True)
class _Node:
    parent: int
    start: int
    label: str = ""
    length: float | None = None
    children: list[int] = field(default_factory=list)


class _Reader:
    """A Newick text, read from left to right without recursion, for trees may be as deep as they have tips."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where, self.at = text, where, 0

    def fail(self, at: int, message: str) -> DataError:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        start = max(0, at - 25)
        near = " ".join(self.text[start : at + 15].split())
        return DataError(f"{self.where}, line {line}, character {column}: {message} (near `{near}`)")

    def peek(self) -> str:
        """The next character that is neither blank nor in a comment; empty at the end."""
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == "[":
                self.comment()
            elif letter.isspace() or letter == "\ufeff":
                self.at += 1
            else:
                return letter
        return ""

    def comment(self) -> None:
        start, depth = self.at, 0
        while self.at < len(self.text):
            depth += {"[": 1, "]": -1}.get(self.text[self.at], 0)
            self.at += 1
            if depth == 0:
                return
        raise self.fail(start, "this comment is not closed; add a ]")

    def label(self) -> str:
        letter = self.peek()
        start = self.at
        if letter == "'":
            parts = []
            while True:
                close = self.text.find("'", self.at + 1)
                if close < 0:
                    raise self.fail(start, "this quoted label is not closed; add a '")
                parts.append(self.text[self.at + 1 : close])
                self.at = close + 1
                if self.text[self.at : self.at + 1] != "'":  # a doubled quote stands for one
                    return "'".join(parts)
        while self.at < len(self.text) and self.text[self.at] not in _SPECIAL and not self.text[self.at].isspace():
            self.at += 1
        return self.text[start : self.at]

    def length(self) -> float:
        self.at += 1  # the colon
        self.peek()
        start = self.at
        word = self.label()
        try:
            value = float(word)
        except ValueError:
            raise self.fail(start, f"a branch length is a number, not `{word}`") from None
        if not np.isfinite(value) or value < 0:
            raise self.fail(start, f"a branch length is a variance: finite and not negative, not {word}")
        if value != 0.0 and not SHORTEST <= value <= LONGEST:
            raise self.fail(
                start,
                f"a branch length is {SHORTEST:g} to {LONGEST:g}, or 0, not {word}; measure the tree in other units",
            )
        return value


def _read(text: str, where: str) -> list[_Node]:
    """Nodes in the order in which they are opened, so parents stand before their children."""
    reader = _Reader(text, where)
    if text.lstrip("\ufeff \n\r\t")[:6].upper() == "#NEXUS":
        raise DataError(f"{where} is in NEXUS format; export it as Newick, in ape: write.tree(tree)")
    if not reader.peek():
        raise DataError(f"{where} is empty; a tree looks like ((a:1,b:1):2,c:3);")
    nodes = [_Node(_ROOT, reader.at)]
    current = 0
    opening = True  # whether a node begins here; otherwise one has just ended
    while True:
        letter = reader.peek()
        if opening and letter == "(":
            nodes.append(_Node(current, reader.at))
            nodes[current].children.append(len(nodes) - 1)
            nodes[current].start = reader.at
            current = len(nodes) - 1
            reader.at += 1
            continue
        if opening:
            _finish(reader, nodes[current], True)
            opening = False
            letter = reader.peek()
        parent = nodes[current].parent
        if letter == ",":
            if parent == _ROOT:
                raise reader.fail(reader.at, "this comma is outside of all parentheses; put ( ) around the whole tree")
            nodes.append(_Node(parent, reader.at + 1))
            nodes[parent].children.append(len(nodes) - 1)
            current, opening = len(nodes) - 1, True
        elif letter == ")":
            if parent == _ROOT:
                raise reader.fail(reader.at, "this parenthesis closes nothing; remove it or open one before")
            current = parent
            reader.at += 1
            _finish(reader, nodes[current], False)
            continue
        elif letter in ("", ";"):
            if parent != _ROOT:
                raise reader.fail(nodes[parent].start, "this parenthesis is not closed; add a )")
            reader.at += 1
            break
        else:
            raise reader.fail(
                reader.at, f"`{letter}` cannot stand here; expected a comma, a parenthesis or a semicolon"
            )
        reader.at += 1
    if letter == ";" and reader.peek():
        raise reader.fail(reader.at, "something follows the tree; give one tree, without more after its semicolon")
    return nodes


def _finish(reader: _Reader, node: _Node, tip: bool) -> None:
    """Read a node's label and length; a tip must have a label."""
    reader.peek()
    start = reader.at
    node.label = reader.label()
    if tip:
        node.start = start
        if not node.label:
            raise reader.fail(start, "a tip without a name; name it or remove the comma")
    if reader.peek() == ":":
        node.length = reader.length()


def _tree_of(nodes: list[_Node], where: str) -> Phylogeny:
    """Name the nodes, and join those that a branch of length zero ties together."""
    if len(nodes) < 3 or len(nodes[0].children) == 0:
        raise DataError(f"{where} has fewer than two tips")
    tips = Counter(node.label for node in nodes if not node.children)
    label, count = tips.most_common(1)[0]
    if count > 1:
        raise DataError(f"{where} has {count} tips called `{label}`; names of tips must differ")
    missing = [node for node in nodes[1:] if node.length is None]
    if missing:
        named = next((f"`{node.label}`" for node in missing if node.label), "an inner node")
        raise DataError(
            f"{where} has {len(missing)} branches without a length, the first leads to {named}; the covariance is made "
            "of branch lengths, as in (a:1.5,b:1.5);"
        )
    inner = Counter(node.label for node in nodes[1:] if node.children)
    names: list[str] = []
    parents: list[int] = []
    lengths: list[float] = []
    is_tip: list[bool] = []
    stands_for: dict[int, int] = {0: _ROOT}
    for k, node in enumerate(nodes[1:], start=1):
        parent = stands_for[node.parent]
        if node.length == 0.0:
            stands_for[k] = parent
            if node.children:
                continue
            if parent == _ROOT:
                raise DataError(
                    f"{where} has the tip `{node.label}` at its root, where the variance is zero; give its branch a "
                    "length or leave the tip out"
                )
            if is_tip[parent]:
                raise DataError(
                    f"{where} has the tips `{names[parent]}` and `{node.label}` in one place: branches of length zero "
                    "lie between them, so their effects cannot differ; join the two levels or give them lengths"
                )
            names[parent], is_tip[parent] = node.label, True
            continue
        stands_for[k] = len(names)
        own = node.label and (not node.children or (inner[node.label] == 1 and node.label not in tips))
        names.append(node.label if own else f"node {k}")
        parents.append(parent)
        lengths.append(float(node.length or 0.0))
        is_tip.append(not node.children)
    return Phylogeny(tuple(names), np.array(parents, dtype=np.int64), np.array(lengths), np.array(is_tip, dtype=bool))
