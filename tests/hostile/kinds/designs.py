"""Formulas of a grammar that formulaic reads too: the same columns, by name and number."""

from __future__ import annotations

import functools
import random
import warnings
from typing import Any

import formulaic
import numpy as np
import pandas as pd

from hostile_values import Attempted, require
from ranef.formula.design import build_design

NUMBERS = ("x", "z", "k")
FACTORS = ("f", "h", "b", "C(f, contr.sum)", "C(h, contr.helmert)", "C(k)", "C(f, contr.treatment(base='b'))", "C(f)")
COMPUTED = (
    "log(x)", "I(x**2)", "scale(x)", "center(z)", "poly(x, 2)", "np.log(x)", "{x * z}", "exp(z)", "I(x + z)",
    "bs(x, df=4)",
)  # fmt: skip


@functools.cache
def plots() -> pd.DataFrame:
    """Forty-eight rows with every combination of the factors' levels."""
    rng = np.random.default_rng(20)
    n = 48
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(1, 5, size=n),
            "z": rng.normal(size=n),
            "k": np.resize([3, 1, 20, 7], n),
            "f": rng.permutation(np.resize(["a", "b", "c"], n)),
            "h": rng.permutation(np.resize(["v", "u"], n)),
            "b": rng.permutation(np.resize(["yes", "no"], n)),
        }
    )


def factor(draw: random.Random) -> str:
    """One factor of a term."""
    return draw.choice(draw.choice((NUMBERS, FACTORS, FACTORS, COMPUTED)))


def terms(draw: random.Random, depth: int = 0) -> str:
    """A sum of terms."""
    roll = draw.random()
    if depth > 2 or roll < 0.35:
        return factor(draw)
    if roll < 0.6:
        return f"{terms(draw, depth + 1)} + {terms(draw, depth + 1)}"
    if roll < 0.9:
        operator = draw.choice((":", "*", ":", "*", "/"))
        return f"{inner(draw, depth)}{operator}{inner(draw, depth)}"
    return f"({factor(draw)} + {factor(draw)} + {factor(draw)})**{draw.choice((2, 3))}"


def inner(draw: random.Random, depth: int) -> str:
    """An operand of a product."""
    found = terms(draw, depth + 1)
    return (
        f"({found})" if (any(mark in found for mark in " :*/") and not found.endswith(")")) or " + " in found else found
    )


def rank(x: np.ndarray) -> int:
    """Rank of a matrix whose columns are of different sizes; dependent columns are so up to rounding."""
    return int(np.linalg.matrix_rank(x / np.maximum(np.linalg.norm(x, axis=0), 1e-300), tol=1e-8)) if x.size else 0


def of_design(draw: random.Random) -> Attempted:
    """Fixed effects, to their columns."""
    text = draw.choice(("", "", "0 + ", "1 + ")) + terms(draw)
    if draw.random() < 0.2:
        text += f" - {factor(draw)}"

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = formulaic.model_matrix(text, plots(), context={})
            except Exception:  # what formulaic refuses is no reference
                theirs = None
        try:
            ours = build_design(f"y ~ {text}", plots()).fixed["cond"]
        except ValueError as error:
            require(theirs is None, f"refused what formulaic reads: {error}")
            raise
        if theirs is not None:
            names, expected, x = list(ours.names), list(theirs.columns), np.asarray(ours.x)
            require(len(names) == len(expected), f"columns: {len(names)}, of formulaic {len(expected)}")
            if names == expected:
                # Values up to some thousands, from sums of squares in another order.
                off = np.abs(x - theirs.to_numpy(float)).max(initial=0.0, where=~np.isclose(x, theirs, 1e-9, 1e-9))
                require(off == 0.0, f"numbers: off by {off}")
            else:
                # A term that arises twice has its factors in the order of either, which decides how they are coded.
                both = np.hstack([x, theirs.to_numpy(float)])
                require(rank(both) == rank(x), f"space: {names}, of formulaic {expected}")

    return f"build_design('y ~ {text}')", run
