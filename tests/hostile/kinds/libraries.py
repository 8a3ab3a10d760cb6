"""The same data as pandas, polars and pyarrow hold them: the same design and numbers, or the same error."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import ranef as rf
from hostile_values import OWN_ERRORS, ROWS, Attempted, piece, plain_frame, quoted, require
from ranef.formula.design import Design, build_design

NAMES = ("x", "x y", "é", "a.b", "(Intercept)", "x:f", "1", "TRUE", "class")
LEVELS = ("a", "b", "", " ", "é", "a:b", "[", "NaN", "10", "9", "nan", "None", "TRUE")
Plain = dict[str, list[Any]]


def values(draw: random.Random, n: int) -> list[Any]:
    """A column of plain values of one type, with None where one is missing."""
    roll = draw.randrange(9)
    found: list[Any]
    if roll == 0:
        found = [draw.gauss(0, 1) for _ in range(n)]
    elif roll == 1:
        size = draw.choice((1e300, 1e-300, 1e20, 1e154, 1e-200))
        found = [draw.gauss(0, 1) * size for _ in range(n)]
    elif roll == 2:
        found = [draw.randrange(draw.choice((1, 2, 3, 6))) for _ in range(n)]
    elif roll == 3:
        found = [draw.randrange(2**62, 2**63 - 1) for _ in range(n)]
    elif roll == 4:
        found = [draw.random() < 0.5 for _ in range(n)]
    elif roll == 5:
        some = draw.sample(LEVELS, draw.randint(1, 5))
        found = [draw.choice(some) for _ in range(n)]
    elif roll == 6:
        found = [f"level{k}" for k in range(n)]
    elif roll == 7:
        found = [draw.choice((1.5, -1.0, 0.0, 3e5))] * n
    else:
        found = [draw.choice((1.0, 2.0, 2.5, float("inf"), -0.0)) for _ in range(n)]
    share = draw.choice((0, 0, 0, 0.15, 0.9, 1.0))
    return [None if draw.random() < share else value for value in found]


def typed(column: list[Any]) -> type:
    """The type of the values of a column; that of numbers where all are missing."""
    return next((type(value) for value in column if value is not None), float)


def as_pandas(data: Plain) -> Any:
    """The data in the nullable types of pandas where something is missing."""
    kinds = {float: "float64", int: "Int64", bool: "boolean", str: "object"}
    made = {}
    for name, column in data.items():
        kind = kinds[typed(column)]
        whole = None not in column and kind in ("Int64", "boolean")
        made[name] = pd.Series(column, dtype=kind.lower().replace("boolean", "bool") if whole else kind)
    return pd.DataFrame(made)


def as_polars(data: Plain) -> Any:
    """The data as polars holds them."""
    kinds: dict[type, Any] = {float: pl.Float64, int: pl.Int64, bool: pl.Boolean, str: pl.String}
    return pl.DataFrame({name: pl.Series(column, dtype=kinds[typed(column)]) for name, column in data.items()})


def as_pyarrow(data: Plain) -> Any:
    """The data as pyarrow holds them."""
    kinds = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
    return pa.table({name: pa.array(column, type=kinds[typed(column)]) for name, column in data.items()})


AS: tuple[Callable[[Plain], Any], ...] = (as_pandas, as_polars, as_pyarrow)
# What a message may call by the library's own words.
OF_LIBRARIES = re.compile(r"(?i)\b(float64|int64|int|float|double|string|str|object|boolean|bool|large_string|utf8)\b")


def told(call: Callable[[], Any]) -> tuple[str, Any]:
    """The answer of a call, or its error in words."""
    try:
        return "", call()
    except OWN_ERRORS as error:
        return f"{type(error).__name__}: {OF_LIBRARIES.sub('type', str(error))}", None


def numbers_of(design: Design) -> list[Any]:
    """Everything in a design that a fit depends on."""
    found: list[Any] = [design.response.y, np.asarray(design.rows), design.n_dropped]
    for part in design.fixed.values():
        found += [list(part.names), np.asarray(part.x)]
    for term in design.random:
        found += [term.group, list(term.names), list(term.levels), np.asarray(term.codes), np.asarray(term.columns)]
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, number by number."""
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    return bool(one == other)


def of_libraries(draw: random.Random) -> Attempted:
    """A frame in three libraries, to its design or its fit and predictions."""
    n = draw.choice((0, 1, 2, ROWS, ROWS, ROWS, ROWS))
    data: Plain = {name: column.tolist()[:n] for name, column in plain_frame().items()}
    for name in draw.sample(("y", "x", "z", "f", "g", "h"), draw.choice((1, 1, 2))):
        data[name] = values(draw, n)
    other = "x"
    if draw.random() < 0.2:
        other = draw.choice(NAMES)
        data = {other if name == "x" else name: column for name, column in data.items()}
    text = draw.choice(
        ("y ~ x + (1 | g)", "y ~ x * f", "y ~ x + (x || h)", "x ~ f + (1 | g:h)", "y ~ factor(x) + (1 | g)")
    )
    if draw.random() < 0.3:
        text = f"y ~ {piece(draw)} + (1 | g)"
    text = re.sub(r"\bx\b", lambda _: quoted(other) if other != "x" else "x", text)
    fitted = draw.random() < 0.3

    def design(frame: Any) -> Any:
        return numbers_of(build_design(text, frame))

    def fit(frame: Any) -> Any:
        found = rf.lmm(text, frame, control=rf.Control(max_iter=20))
        return [found.loglik, np.asarray(found.predict(frame), float), list(found.fixef().items())]

    def run() -> Any:
        asked = fit if fitted else design
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rf.ConvergenceWarning)
            answers = [told(lambda made=made: asked(made(data))) for made in AS]
        for made, (words, answer) in zip(AS[1:], answers[1:], strict=True):
            first, found = answers[0]
            require(
                first == words,
                f"{made.__name__} says otherwise: {words or 'an answer'} | pandas: {first or 'an answer'}",
            )
            require(same(found, answer), f"{made.__name__} gives other numbers: {answer} | pandas: {found}")

    return f"{'lmm' if fitted else 'build_design'}({text!r}) of { {k: v[:4] for k, v in data.items()}!r}", run
