"""Pedigrees, trees, neighbourhoods and known matrices, and models that use them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse

import ranef as rf
from hostile_values import Attempted, column, junk, plain_frame

LEVELS = list("abcdef")
NAMES = ("a", "b", "c", "d", "e", "f", "g", "", None, "0", 0, 1, 2, 3, np.nan, "é", " a", "A")
TREES = (
    "((a:1,b:1):2,(c:1,(d:0.5,e:0.5):0.5):2,f:3);", "(a:1,b:1,c:1,d:1,e:1,f:1);", "((a:1,b:1):2,c:3);", "(a,b);", "a;",
    "(((((a:1,b:1):1,c:2):1,d:3):1,e:4):1,f:5);", "(a:1,a:1);", "(a:0,b:0);", "(a:-1,b:1);", "(a:1e308,b:1e308):1e308;",
    "('a b':1,[c]b:1)x:1;", "(a:nan,b:inf);", "();", "(,);", "((a:1,b:1):0,c:1);", "(a:1e-320,b:1e-320,c:1e308);",
)  # fmt: skip
PIECES = ("(", ")", ",", ":", ";", "'", "[", "]", "a", "1", "-", "e", " ", "\n", "\x00", "é", ":1", "_", "1e999", "nan")


def tree(draw: random.Random) -> Any:
    """A tree with something wrong in it."""
    roll = draw.random()
    if roll < 0.15:
        return draw.choice(TREES)
    if roll < 0.75:
        text = draw.choice(TREES)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(text) + 1)
            text = text[:place] + draw.choice(PIECES) + text[place + draw.randrange(2) :]
        return text
    if roll < 0.85:
        return "".join(draw.choice(PIECES) for _ in range(draw.randrange(20)))
    if roll < 0.9:
        depth = draw.choice((10, 500, 5000))
        return "(" * depth + "a:1" + ",b{}:1):1" * 0 + ")" * draw.choice((depth, depth - 1, depth + 1)) + ";"
    return draw.choice((None, 3, b"(a:1,b:1);", "nowhere.nwk", "", ".", "/", "\x00", ["(a:1,b:1);"], junk(draw)))


def parents(draw: random.Random) -> Any:
    """A table of animals and parents with something wrong in it."""
    n = draw.choice((0, 1, 2, 6, 8))
    good = {
        "id": LEVELS[:n] or [],
        "sire": [None, None, "a", "a", "c", "c"][:n],
        "dam": [None, None, "b", "b", "d", "d"][:n],
    }
    table: dict[str, Any] = {name: list(values) for name, values in good.items()}
    if n == 8:
        table = {name: [draw.choice(NAMES) for _ in range(n)] for name in good}
    for _ in range(draw.choice((0, 1, 2, 4))):
        name = draw.choice(list(table))
        if table[name]:
            table[name][draw.randrange(len(table[name]))] = draw.choice(NAMES)
    if draw.random() < 0.15:
        name = draw.choice(list(table))
        table[name] = column(draw, len(table["id"]))
    if draw.random() < 0.1:
        table.pop(draw.choice(list(table)))
    try:
        return draw.choice((dict, pd.DataFrame, pd.DataFrame, pl.DataFrame))(table)
    except Exception:  # what another library cannot hold is not ranef's to answer
        return table


def matrix(draw: random.Random) -> Any:
    """A known matrix with something wrong in it."""
    n = draw.choice((0, 1, 5, 6, 6, 6, 7))
    rng = np.random.default_rng(draw.getrandbits(32))
    root = rng.normal(size=(n, n))
    values: Any = root @ root.T + np.eye(n)
    roll = draw.randrange(14)
    if roll == 0 and n:
        values[draw.randrange(n), draw.randrange(n)] = draw.choice((np.nan, np.inf, -1e300, 0.0, 1e308))
    elif roll == 1:
        values = -values
    elif roll == 2:
        values = values * 0
    elif roll == 3:
        values = values * draw.choice((1e308, 1e-308, 1e150, 1e-150, 5e-324))
    elif roll == 4:
        values = root
    elif roll == 5:
        values = values[:, :-1] if n else values
    elif roll == 6:
        values = np.ones((n, n))
    elif roll == 7:
        values = values.astype(object)
    elif roll == 8:
        values = values + 1j
    elif roll == 9:
        values = values.ravel()
    elif roll == 10:
        values = (values > 1).astype(draw.choice((bool, int, np.uint8)))
    if values.ndim == 2:
        names = [*LEVELS, "g"][: values.shape[0]]
        if draw.random() < 0.2 and names:
            names[draw.randrange(len(names))] = draw.choice(NAMES)
        shape = draw.randrange(6)
        try:
            if shape == 1 and values.shape[0] == values.shape[1]:
                values = pd.DataFrame(values, index=names, columns=names)
            elif shape == 2:
                values = sparse.csc_matrix(values)
            elif shape == 3 and values.shape[0] == values.shape[1]:
                values = pl.DataFrame({str(name): values[:, k] for k, name in enumerate(names)})
            elif shape == 4:
                values = sparse.coo_array(values)
            elif shape == 5:
                values = values.tolist()
        except Exception:  # what another library cannot hold is not ranef's to answer
            return values
    return values


def neighbours(draw: random.Random) -> tuple[Any, dict[str, Any]]:
    """Neighbours as pairs or as a matrix, and the other arguments."""
    given: dict[str, Any] = {}
    if draw.random() < 0.5:
        n = draw.choice((0, 1, 6, 8))
        table: dict[str, Any] = {
            "from": [draw.choice(LEVELS if draw.random() < 0.9 else NAMES) for _ in range(n)],
            "to": [draw.choice(LEVELS if draw.random() < 0.9 else NAMES) for _ in range(n)],
            "w": [draw.choice((1, 1, 2, 0.5, 0, -1, np.nan, np.inf, 1e308)) for _ in range(n)],
        }
        if draw.random() < 0.2:
            table[draw.choice(list(table))] = column(draw, n)
        for name in ("source", "target", "weight"):
            if draw.random() < 0.3:
                given[name] = draw.choice(("from", "to", "w", "nonsense", junk(draw)))
        try:
            what: Any = draw.choice((dict, pd.DataFrame, pl.DataFrame))(table)
        except Exception:  # what another library cannot hold is not ranef's to answer
            what = table
    else:
        what = matrix(draw)
        if isinstance(what, np.ndarray) and what.ndim == 2 and draw.random() < 0.5:
            what = np.abs(np.sign(what.real.astype(float))) if what.dtype != object else what
            np.fill_diagonal(what, 0.0)
    if draw.random() < 0.5:
        given["levels"] = draw.choice(
            (LEVELS, LEVELS[:5], [*LEVELS, "g"], ["a", "a"], [], [1, 2, 3], "abcdef", junk(draw))
        )
    return what, given


def of_relatedness(draw: random.Random) -> Attempted:
    """A description of relatives, and often a model in which it is used."""
    kind = draw.choice(("pedigree", "phylogeny", "adjacency", "precision_matrix", "matrix"))
    given: dict[str, Any] = {}
    what: Any
    if kind == "pedigree":
        what = parents(draw)
        for name in ("id", "sire", "dam", "monoecious"):
            if draw.random() < 0.1:
                given[name] = junk(draw)
    elif kind == "phylogeny":
        what = tree(draw)
        if draw.random() < 0.3:
            given["scale"] = draw.choice((True, False, junk(draw)))
    elif kind == "adjacency":
        what, given = neighbours(draw)
    else:
        what = matrix(draw)
        if kind == "precision_matrix" and draw.random() < 0.6:
            given["levels"] = draw.choice((LEVELS, LEVELS[:5], [*LEVELS, "g"], ["a", "a"], [], "abcdef", junk(draw)))
    structure = draw.choice(("propto", "equalto") if kind != "adjacency" else ("car", "icar", "car", "propto"))
    term = draw.choice((f"{structure}(0 + g | 1, m)", f"{structure}(0 + g | 1, m)", f"{structure}(0 + f | g, m)"))
    fitted = draw.random() < 0.6

    def run() -> Any:
        made = what if kind == "matrix" else getattr(rf, kind)(what, **given)
        if kind not in ("matrix", "precision_matrix"):
            repr(made), made._repr_html_(), len(made)
            made.precision if hasattr(made, "precision") else made.laplacian
        if kind == "phylogeny":
            made.covariance(), made.covariance(correlation=True), made.tips
        if kind == "pedigree":
            made.relationship()
        if fitted:
            fit = rf.lmm(f"y ~ x + {term}", plain_frame(), matrices={"m": made}, control=rf.Control(max_iter=20))
            return repr(fit), fit.predict(plain_frame()), fit.simulate(1, seed=1), fit.ranef()
        return made

    return f"{kind}({what!r}, **{given!r}){f' in {term}' if fitted else ''}", run
