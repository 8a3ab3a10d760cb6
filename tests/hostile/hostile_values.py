"""What hostile inputs are made of: formulas, columns, frames and values of arguments, each drawn from a generator."""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import random
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import ranef as rf

ROWS = 24
OWN_ERRORS = (rf.DataError, rf.FormulaError, rf.ModelError, rf.SavedFitError)
#: What a kind of input makes: the call as it is shown, and the call.
Attempted = tuple[str, Callable[[], Any]]
#: The arguments of a call that are always given, and those that sometimes are.
Signature = tuple[tuple[str, ...], tuple[str, ...]]


class WrongAnswer(AssertionError):
    """An answer came, and it is not the right one."""


def require(holds: Any, what: str) -> None:
    """Find a wrong answer."""
    if not holds:
        raise WrongAnswer(what)


@functools.cache
def plain_frame() -> pd.DataFrame:
    """A table nothing is wrong with."""
    rng = np.random.default_rng(5)
    g = np.repeat(list("abcdef"), ROWS // 6)
    x = rng.normal(size=ROWS)
    return pd.DataFrame(
        {
            "y": 1 + x + rng.normal(size=6).repeat(ROWS // 6) + rng.normal(size=ROWS),
            "x": x,
            "z": rng.uniform(1, 2, ROWS),
            "n": rng.poisson(3, ROWS),
            "b": rng.integers(0, 2, ROWS),
            "f": np.tile(list("uvw"), ROWS // 3),
            "g": g,
            "h": np.tile([1, 2, 3, 4], ROWS // 4),
            "t": np.tile(np.arange(ROWS // 6), 6),
            "flag": rng.integers(0, 2, ROWS).astype(bool),
        }
    )


@functools.cache
def plain_fits() -> tuple[Any, ...]:
    """Fits nothing is wrong with."""
    data = plain_frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (
            rf.lmm("y ~ x + f + (1 | g)", data),
            rf.glmm("n ~ x + (1 | g)", data, family="poisson"),
            rf.glmm("b ~ x + f", data, family="binomial"),
            rf.glmm("n ~ x + (1 | g)", data, family="poisson", zi="~ 1"),
            rf.lmm("y ~ x * f + (x | g)", pl.DataFrame(data)),
        )


# Formulas

WORDS = (
    *["y", "x", "z", "n", "b", "f", "g", "h", "t", "flag"],
    "y",
    "x",
    "g",
    "f",
    "0",
    "1",
    "2",
    "-1",
    "1e308",
    "1e-308",
    "1e999",
    "100000",
    "0.5",
    ".",
    "TRUE",
    "NULL",
    "pi",
    "NaN",
    "inf",
    "None",
    "'a'",
    '"u"',
    "`x`",
    "`a b`",
    "``",
    "`",
    "'",
    "é",
    "ж",
    "名",
    "𝛼",
    "x²",
    "\u200b",
    "\x00",
    "\n",
    "\ud800",
    "__class__",
    "__import__",
    "x.__class__",
    "x.values",
    "np.load",
    "lambda",
    ":=",
    "lambda x: x",
    "for",
    "if",
    "None",
    "exec",
    "$",
    "@",
    "\\",
    "#",
    ";",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    "=",
    "~",
    "|",
    "||",
    "+",
    "-",
    "*",
    "/",
    ":",
    "^",
    "**",
    "%in%",
    "%%",
    "%x%",
    "&",
    "!",
    "==",
    "<",
    ">=",
)
CALLS = (
    "log", "exp", "sqrt", "I", "poly", "scale", "center", "bs", "ns", "C", "factor", "ordered", "relevel", "offset",
    "cbind", "c", "interaction", "dummy", "round", "ifelse", "pmin", "pmax", "np.log", "np.power", "s", "t2", "te",
    "ar1",    "cs", "us", "diag", "homdiag", "exp", "ou", "rr", "gr", "mm", "eval", "open", "np.fromfile",
    "as.numeric", "qlogis",
    "atan2", "cut", "standardize", "Treatment", "power", "fourier", "toep", "mat", "gau", "equalto", "propto",
    "contr.sum", "as.integer", "cosinor", "lag", "log2", "plogis", "cc", "car1", "hetar1", "homcs",
)  # fmt: skip
OPERATORS = ("+", "-", "*", "/", ":", "^", "|", "||", "%in%", "==", "<", "&", "%%", "~", ",", "=", "")


def piece(draw: random.Random, depth: int = 0) -> str:
    """A piece of a formula, by a grammar that is a little wider than ranef's own."""
    roll = draw.random()
    if depth > 4 or roll < 0.4:
        return draw.choice(WORDS[:14] if draw.random() < 0.8 else WORDS)
    if roll < 0.6:
        return f"{piece(draw, depth + 1)} {draw.choice(OPERATORS)} {piece(draw, depth + 1)}"
    if roll < 0.7:
        return f"({piece(draw, depth + 1)} {draw.choice(('|', '||'))} {draw.choice('ghft')})"
    if roll < 0.9:
        inside = ", ".join(piece(draw, depth + 1) for _ in range(draw.choice((0, 1, 1, 1, 2, 2, 3))))
        if draw.random() < 0.3:
            key = draw.choice(
                ("df", "k", "degree", "base", "levels", "ref", "by", "bs", "knots", "d", "contr", "state", "raw")
            )
            inside += f", {key} = {piece(draw, depth + 1)}"
        return f"{draw.choice(CALLS)}({inside})"
    if roll < 0.95:
        return f"({piece(draw, depth + 1)})"
    return f"{draw.choice('-+!')}{piece(draw, depth + 1)}"


GOOD = (
    "y ~ x + (1 | g)", "y ~ x * f + (x || g)", "n ~ poly(x, 2) + (1 | g/h)", "cbind(b, n) ~ x", "y ~ s(x) + (1 | g)",
    "y ~ ns(x, df = 3) + (0 + f | g)", "y ~ offset(z) + C(f, contr.sum)", "log(z) ~ I(x^2) + ar1(0 + factor(t) | g)",
    "y ~ (x + f + h)^2 - x:f", "y ~ . - g + (1 | g)", "y ~ t2(x, z)", "y ~ diag(f | g)", "y ~ bs(x, knots = c(0, 1))",
    "y ~ factor(h, levels = c(1, 2, 3, 4))", "y ~ relevel(f, ref = 'v')", "y ~ scale(x) + ou(t | g)",
)  # fmt: skip


def formula(draw: random.Random) -> Any:
    """A formula, more often wrong than right."""
    roll = draw.random()
    if roll < 0.45:
        random_part = f" + (1 | {draw.choice('ghf')})" if draw.random() < 0.3 else ""
        return f"{draw.choice(('y', 'y', 'n', piece(draw, 3)))} ~ {piece(draw)}{random_part}"
    if roll < 0.75:  # a good one with characters or words exchanged, dropped, repeated
        text = draw.choice(GOOD)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(text) + 1)
            text = (
                text[:place]
                + draw.choice((draw.choice(WORDS), "", draw.choice(CALLS)))
                + text[place + draw.randrange(3) :]
            )
        return text
    if roll < 0.9:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(12)))
    if roll < 0.94:
        return "".join(
            chr(draw.choice((draw.randrange(32, 127), draw.randrange(0x3000)))) for _ in range(draw.randrange(40))
        )
    if roll < 0.97:
        n = draw.choice((5, 20, 50, 99, 101, 120, 300, 1000) + (6000,) * (draw.random() < 0.05))
        wrap = draw.choice(
            [
                "(|)",
                "-|",
                "log(|)",
                "I(|)",
                "|^2",
                "|+x",
                "x:|",
                "[|]",
                "{|}",
                "!|",
                "2^|",
                "|/f",
                "|*z",
                "I(|+1)",
                "|%in%f",
                "(|:g)",
                "|==x",
                "s(|)",
                "-(|)",
            ]
        )
        before, after = wrap.split("|")
        return "y ~ " + before * n + "x" + after * n
    return draw.choice(
        (None, 3, b"y ~ x", ["y ~ x"], "", " ", "~", "y ~", "~ x", "y ~ x ~ z", np.nan, object(), "y ~ " + "x" * 5000)
    )


# Values of columns

SPECIAL_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1e-308, 5e-324, 1e150, 2.0**53 + 2, 1.0, -1.0)


def column(draw: random.Random, n: int) -> Any:
    """A column of n values, of any type a frame may hold."""
    seed = draw.getrandbits(32)
    rng = np.random.default_rng(seed)
    roll = draw.randrange(34)
    base = rng.normal(size=n)
    if roll == 0:
        return np.where(rng.random(n) < 0.2, draw.choice(SPECIAL_NUMBERS), base)
    if roll == 1:
        return np.full(n, draw.choice(SPECIAL_NUMBERS))
    if roll == 2:
        return base * draw.choice((1e308, 1e-308, 1e200, 1e-200, 1e20, 1e-20))
    if roll == 3:
        return base + draw.choice((1e15, 1e10, -1e300))
    if roll == 4:
        return rng.integers(0, 3, n).astype(
            draw.choice(("int8", "uint8", "int64", "uint64", "float32", "float16", "bool"))
        )
    if roll == 5:
        return rng.integers(0, 2**63 - 1, n) if draw.random() < 0.5 else rng.integers(0, 2**64 - 1, n, dtype=np.uint64)
    if roll == 6:
        return pd.array([None if r < 0.2 else int(r * 10) for r in rng.random(n)], dtype="Int64")
    if roll == 7:
        return pd.array([None if r < 0.2 else r < 0.6 for r in rng.random(n)], dtype="boolean")
    if roll == 8:
        return pd.array([None if r < 0.2 else r for r in rng.random(n)], dtype="Float64")
    if roll == 9:
        return pd.array([None if r < 0.2 else "ab"[int(r < 0.5)] for r in rng.random(n)], dtype="string")
    if roll == 10:
        return base + 1j
    if roll == 11:
        return pd.date_range("2020-01-01", periods=n, tz=draw.choice((None, "UTC")))
    if roll == 12:
        return pd.to_timedelta(np.arange(n), unit="D")
    if roll == 13:
        return pd.period_range("2020-01", periods=n, freq="M")
    if roll == 14:
        return pd.interval_range(0, n, periods=n) if n else np.empty(0)
    if roll == 15:
        return [[1, 2]] * n
    if roll == 16:
        return [{"a": 1}] * n
    if roll == 17:
        words = (1, "a", None, 2.5, True, (1,), b"x", np.nan, pd.NA, pd.NaT, object, 3 + 1j)
        return pd.Series([draw.choice(words) for _ in range(n)], dtype=object)
    if roll == 18:
        return pd.Series([decimal.Decimal(i) for i in range(n)], dtype=object)
    if roll == 19:
        return pd.Series([fractions.Fraction(i, 3) for i in range(n)], dtype=object)
    if roll == 20:
        return pd.Series([datetime.date(2020, 1, 1 + i % 28) for i in range(n)], dtype=object)
    if roll == 21:
        return pd.Categorical(rng.choice(list("ab"), n), categories=list("abcd"), ordered=draw.random() < 0.5)
    if roll == 22:
        return pd.Categorical([None] * n, categories=list("ab"))
    if roll == 23:
        return pd.Categorical(rng.integers(0, 3, n).astype(draw.choice((float, int))))
    if roll == 24:
        return [None] * n
    if roll == 25:
        return pd.Series(rng.choice(["", " ", "é", "\x00", "名", "a:b", "a/b", "`", "[", "NaN", "\n"], n), dtype=object)
    if roll == 26:
        return [f"level{i}" for i in range(n)]
    if roll == 27:
        return ["only"] * n
    if roll == 28:
        return pd.arrays.SparseArray(np.where(base > 0, base, 0.0))
    if roll == 29:
        return pd.Series(base, dtype=draw.choice(("float64[pyarrow]", "float32[pyarrow]")))
    if roll == 30:
        return pd.Series(rng.choice(list("ab"), n), dtype="string[pyarrow]")
    if roll == 31:
        return pd.Categorical(pd.to_datetime(["2020-01-01"] * n)) if n else np.empty(0)
    if roll == 32:
        return pd.Series([b"a", b"b"] * (n // 2) + [b"a"] * (n % 2), dtype=object)
    return np.ones(n) * draw.choice((0, 1, 7))


HOSTILE_NAMES = (
    "",
    " ",
    "x y",
    "é",
    "名",
    "a`b",
    "a\\b",
    "~",
    "1",
    "TRUE",
    ".",
    "(Intercept)",
    "x:f",
    "__class__",
    "I(x)",
    "\n",
)


def frame(draw: random.Random) -> tuple[Any, str]:
    """A data frame with something wrong in it, and a name of one of its columns to model on."""
    data = plain_frame().copy()
    n = draw.choice((0, 1, 2, 3, ROWS, ROWS, ROWS, ROWS, ROWS))
    data = data.head(n)
    for _ in range(draw.choice((0, 1, 1, 1, 2))):
        name = draw.choice(("y", "x", "f", "g", "h", "n", "z"))
        values = column(draw, n)
        data[name] = values.set_axis(data.index) if isinstance(values, pd.Series) else values
    other = "x"
    if draw.random() < 0.15:
        other = draw.choice(HOSTILE_NAMES)
        data = data.rename(columns={"x": other})
    if draw.random() < 0.04:
        data = pd.concat([data, data[[draw.choice(list(data.columns))]]], axis=1)
    if draw.random() < 0.04:
        data.columns = pd.MultiIndex.from_product([["a"], data.columns]) if data.columns.is_unique else data.columns
    if draw.random() < 0.04:
        data = data.rename(columns={"z": draw.choice((0, None, ("a", 1), 2.5, True))})
    if draw.random() < 0.1:
        data.index = [draw.choice((0, "a", 1)) for _ in range(n)]
    roll = draw.random()
    try:
        if roll < 0.15:
            return pl.from_pandas(data.reset_index(drop=True)), other
        if roll < 0.22:
            return pa.Table.from_pandas(data.reset_index(drop=True)), other
        if roll < 0.27:
            return {name: data[name].tolist() for name in data.columns}, other
        if roll < 0.29:
            return pl.from_pandas(data).lazy(), other
    except Exception:  # what another library cannot hold is not ranef's to answer
        return data, other
    if roll < 0.33:
        wrong = (
            None,
            3,
            "data.csv",
            [1, 2],
            np.zeros((4, 3)),
            data.get("y"),
            {},
            {"y": 1, "x": 2},
            {"y": [1, 2], "x": [1]},
            object(),
        )
        return draw.choice(wrong), other
    return data, other


def quoted(name: str) -> str:
    """A name as a formula writes it."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


# Values of arguments


def junk(draw: random.Random) -> Any:
    """A value no argument expects, or one some argument does."""
    values: tuple[Callable[[], Any], ...] = (
        lambda: None, lambda: True, lambda: False, lambda: 0, lambda: -1, lambda: 1, lambda: 2, lambda: 0.95,
        lambda: 1.5, lambda: np.nan, lambda: np.inf, lambda: 10**30, lambda: "", lambda: "x", lambda: "f",
        lambda: "g", lambda: "nonsense", lambda: "~ x", lambda: "~ 1", lambda: [], lambda: {}, lambda: (),
        lambda: [1], lambda: ["x"], lambda: ["x", "f"], lambda: {"x": 1}, lambda: {"x": None}, lambda: {"x": "a"},
        lambda: {"f": "sum"}, lambda: {"f": np.eye(3)}, lambda: {"nonsense": 1}, lambda: {1: 2},
        lambda: np.ones(ROWS), lambda: np.zeros(ROWS), lambda: -np.ones(ROWS), lambda: np.full(ROWS, np.nan),
        lambda: np.ones(3), lambda: np.ones((ROWS, 2)), lambda: np.array(1.0), lambda: np.array(["a"] * ROWS),
        lambda: [None] * ROWS, lambda: object(), lambda: int, lambda: len, lambda: b"x", lambda: 1j,
        lambda: plain_frame(), lambda: plain_frame().head(0), lambda: plain_frame()["x"],
        lambda: plain_frame()[["f"]], lambda: pl.Series([1.0] * ROWS), lambda: {"x", "f"}, lambda: range(3),
        lambda: iter([1]), lambda: np.float64(0.9), lambda: np.int64(3), lambda: np.bool_(True),
        lambda: rf.prior.normal(0, 1), lambda: {"x": rf.prior.normal(0, 1)}, lambda: [("x", "f[v]")],
        lambda: [("x", "x")], lambda: [("x",)], lambda: [1, 2], lambda: rf.Control(max_iter=1),
        lambda: datetime.date(2020, 1, 1), lambda: pd.NA, lambda: "é`", lambda: [[]], lambda: [np.nan],
        lambda: ["x", 1], lambda: {"x": [1, 2]}, lambda: {"x": []}, lambda: {"f": "u"}, lambda: {"f": ["u", 3]},
        lambda: {"x": np.inf}, lambda: {"x": np.ones((2, 2))}, lambda: [1, 0, 0, 0], lambda: [[1, 0, 0, 0]],
        lambda: np.eye(4), lambda: "x = 0", lambda: "x == f", lambda: -0.5, lambda: 1e-300, lambda: 2**63,
    )  # fmt: skip
    return draw.choice(values)()


GOOD_VALUES: dict[str, tuple[Any, ...]] = {
    "family": (
        "gaussian",
        "poisson",
        "binomial",
        "nbinom2",
        "gamma",
        "beta",
        "Poisson",
        "tweedie",
        "ordinal",
        "cumulative",
    ),
    "link": ("log", "logit", "identity", "probit", "inverse", "sqrt", "cloglog"),
    "kind": (
        "response",
        "link",
        "zprob",
        "conditional",
        "pearson",
        "deviance",
        "quantile",
        "percentile",
        "bca",
        "cases",
    ),
    "new_levels": ("error", "zero", "sample", "population"),
    "method": ("wald", "profile", "boot", "pit", "pairwise", "trt.vs.ctrl", "exact"),
    "type": (1, 2, 3, "I", "II", "III"),
    "ddf": ("satterthwaite", "kenward-roger", "residual", "normal", 5.0),
    "vcov": ("CR0", "CR1", "CR2", "HC0", "HC3", "cluster"),
    "cluster": ("g", "f"),
    "interval": ("confidence", "prediction"),
    "effects": ("fixed", "ran_pars", "ran_vals", "all"),
    "adjust": ("none", "tukey", "holm", "bonferroni", "sidak", "mvt"),
    "missing": ("drop", "error", "fail"),
    "specs": ("f", "x", ["f"]),
    "terms": ("x", "f", ["x", "f"], "x [all]", "x [0, 1]"),
    "variable": ("x", "f"),
    "component": ("cond", "zi", "disp"),
    "dispersion": ("~ 1", "~ x", "~ 0", "~ power(fitted(.))"),
    "zi": ("~ 1", "~ x"),
    "margin": ("mean", "average", "reference", "marginal", "counterfactual"),
    "weights": ("equal", "proportional", "z", "n"),
    "L": ("x", "x = 0", ["x", "x - 1"], [0, 1, 0, 0]),
    "statistic": ("fixef", "sigma"),
    "uncertainty": ("joint", "conditional"),
    "by": ("f", "g"),
    "group": ("g", "f"),
    "parm": ("x", ["x"], "sigma", "beta"),
}
# What can only be long where it is valid: the generator gives it small values or none.
COUNTED = {
    "n": (0, 1, 3, -1, 2.5, "3", None, np.nan, True, np.int64(2), 1e9 + 0.5),
    "threads": (1, 0, -1, "2", 1.5, None, True),
    "starts": (0, 1, -1, "a", 1.5),
    "restarts": (0, 1, -1, "a", 1.5),
    "quadrature": (0, 1, 2, 5, -1, 1.5, "3", None, True, 10**6, np.int64(3)),
}


# Arguments of the functions that fit.
LMM = (
    "reml",
    "weights",
    "offset",
    "contrasts",
    "missing",
    "start",
    "control",
    "correlation",
    "dispersion",
    "matrices",
    "priors",
    "fixed",
    "tied",
)
GLMM = (
    "family",
    "link",
    "zi",
    "dispersion",
    "shape",
    "reml",
    "quadrature",
    "weights",
    "offset",
    "contrasts",
    "priors",
    "missing",
    "start",
    "control",
    "matrices",
    "fixed",
    "tied",
)


def value_for(name: str, draw: random.Random, good: Mapping[str, tuple[Any, ...]] = GOOD_VALUES) -> Any:
    """A value for an argument of that name; `good` has values that are right, or nearly."""
    if name in COUNTED:
        return draw.choice(COUNTED[name])
    if name in good and draw.random() < 0.5:
        return draw.choice(good[name])
    return junk(draw)


def arguments(
    names: tuple[str, ...], draw: random.Random, most: int = 2, good: Mapping[str, tuple[Any, ...]] = GOOD_VALUES
) -> dict[str, Any]:
    """Values for some of these arguments."""
    chosen = draw.sample(names, min(len(names), draw.randint(1, most))) if names else []
    return {name: value_for(name, draw, good) for name in chosen}


def call_of(
    draw: random.Random, signatures: Mapping[str, Signature], good: Mapping[str, tuple[Any, ...]]
) -> tuple[str, dict[str, Any]]:
    """One of these functions, and values for its arguments: often right ones, with one or two that are not."""
    name = draw.choice(sorted(signatures))
    always, sometimes = signatures[name]
    given = {key: value_for(key, draw, good) for key in always} | arguments(sometimes, draw, 3, good)
    return name, given


def used(answer: Any) -> Any:
    """Whatever an answer can be asked without arguments: how it prints, and its tables."""
    repr(answer)
    for name in ("_repr_html_", "notes", "table", "data", "covariance", "problems", "dfbetas", "estimates"):
        held = getattr(type(answer), name, None)
        if isinstance(held, property) and type(answer).__module__.startswith("ranef"):
            getattr(answer, name)
    return answer


# Functions that a user may hand over


def hostile_function(draw: random.Random) -> Callable[..., Any]:
    """A function of any arguments that does anything but what it was asked for."""

    def raising(error: BaseException) -> Callable[..., Any]:
        def fails(*_: Any) -> Any:
            raise error

        return fails

    def changing(*given: Any) -> Any:
        for value in given:
            if isinstance(value, np.ndarray) and value.size:
                value[...] = -7.0
        return given[0] if given else None

    answers: tuple[Any, ...] = (
        None, np.nan, np.inf, "text", b"x", 3, True, 1j, [], [1.0], [1.0, 2.0], np.ones(3), np.ones((2, 2)), {},
        ["a", "b"], np.array(["a"]), [[1.0], [1.0, 2.0]], pd.NA, pd.Series([1.0]), (), range(3), object(),
    )  # fmt: skip
    kinds: tuple[Callable[[], Callable[..., Any]], ...] = (
        lambda: raising(draw.choice((ZeroDivisionError("by zero"), KeyError("k"), StopIteration(), TypeError("bad")))),
        lambda: raising(draw.choice((RecursionError("deep"), MemoryError("much"), AssertionError(), ValueError()))),
        lambda: (lambda answer: lambda *_: answer)(draw.choice(answers)),
        lambda: (lambda answer: lambda *_: answer)(draw.choice(answers)),
        lambda: lambda *given: given[0] if given else None,
        lambda: lambda *given: np.asarray(given[-1]) * np.nan if given else None,
        lambda: lambda *given: np.asarray(given[-1])[:-1] if np.ndim(given[-1]) else None,
        lambda: lambda *given: np.full(np.shape(given[-1]), "a"),
        lambda: lambda *given: np.ones((*np.shape(given[-1]), 2)),
        lambda: lambda *given: np.where(np.arange(np.size(given[-1])) % 2, np.inf, 1.0),
        lambda: changing,
        lambda: lambda: 1.0,
        lambda: lambda one, two, three, four, five, six: one,
        lambda: int,
        lambda: np.sum,
        lambda: np.mean,
        lambda: lambda values: (value for value in values),
    )
    return draw.choice(kinds)()


def describe(data: Any) -> str:
    """A frame in a line: its kind and its columns' types."""
    if isinstance(data, pd.DataFrame):
        types = ", ".join(f"{name!r}: {dtype}" for name, dtype in zip(data.columns, data.dtypes, strict=True))
        return f"pandas {len(data)} rows {{{types}}}"
    return f"{type(data).__name__} {getattr(data, 'schema', data)!r}"[:400].replace("\n", " ")
