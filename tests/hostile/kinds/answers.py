"""Answers that can be asked more: marginal means, effects, simulated residuals, checks, influence, profiles."""

from __future__ import annotations

import functools
import random
import warnings
from typing import Any

import numpy as np
import polars as pl

import ranef as rf
from hostile_values import (
    GOOD_VALUES,
    ROWS,
    Attempted,
    Signature,
    call_of,
    hostile_function,
    plain_fits,
    plain_frame,
    used,
)

MEANS: dict[str, Signature] = {
    "contrasts": (("method",), ("adjust", "by", "interaction", "reference", "level")),
    "test": ((), ("null", "delta", "side", "adjust")),
    "confint": ((), ("level", "adjust")),
    "joint": ((), ("null",)),
    "regrid": ((), ()),
    "__getitem__": (("name",), ()),
}
EFFECTS: dict[str, Signature] = {
    "contrasts": (("method",), ("adjust", "by", "reference")),
    "layer": (("layer",), ("lines",)),
    "__getitem__": (("name",), ()),
}
SIMULATED: dict[str, Signature] = {
    "residuals": ((), ("quantile_function", "outliers")),
    "aggregated": (("group",), ("by_function",)),
    "test_uniformity": ((), ("alternative",)),
    "test_dispersion": ((), ("alternative", "kind")),
    "test_outliers": ((), ("kind", "alternative", "margin")),
    "test_zero_inflation": ((), ("alternative", "calibrated")),
    "test_generic": (("statistic",), ("alternative", "name", "calibrated")),
    "test_quantiles": ((), ("predictor", "quantiles")),
    "test_temporal": (("time",), ("alternative",)),
    "test_spatial": ((), ("x", "y", "distances", "alternative")),
    "test_groups": (("factor",), ("calibrated",)),
    "plot_data": ((), ()),
    "tests": ((), ()),
}
ROW_VALUES = (
    "x", "f", "g", "h", "y", "t", "n", "flag", "", "nonsense", 3, np.arange(ROWS), np.arange(ROWS) % 5, np.ones(ROWS),
    np.full(ROWS, np.nan), np.full(ROWS, np.inf), list("ab") * (ROWS // 2), [None] * ROWS, plain_frame()["x"],
    plain_frame()["f"], pl.Series(range(ROWS)), np.arange(5), [[1]] * ROWS, np.ones((ROWS, 2)), [1, "a"] * (ROWS // 2),
    np.array([-1e308, 1e308] * (ROWS // 2)), np.arange(ROWS) * 1e-320, np.arange("2020", "2044", dtype="M8[Y]"),
    [object()] * ROWS, b"x", [1j] * ROWS,
)  # fmt: skip
GOOD: dict[str, tuple[Any, ...]] = GOOD_VALUES | {
    "method": (
        "pairwise", "revpairwise", "trt.vs.ctrl", "eff", "poly", "consec", {"c": [1, -1, 0]}, {"c": [1, -1]}, {"c": []},
        {"c": ["a", "b", "c"]}, {"c": [np.nan, 0, 1]}, {}, [[1, -1, 0]], [1, -1, 0], np.eye(3), np.zeros((3, 3)),
        {1: [1, -1, 0]}, {"a": [1, -1, 0], "b": None}, {"c": [0, 0, 0]}, {"c": [1e308, -1e308, 1e308]},
    ),
    "adjust": ("none", "tukey", "sidak", "holm", "bonferroni", "fdr", "dunnett", "mvt", "scheffe", None),
    "by": ("f", "g", [], ["f"], "x", None, ["f", "f"]),
    "interaction": (True, "pairwise", ["pairwise"], {"f": "eff"}, ["pairwise", "poly"], {"nonsense": "eff"}, [], {}),
    "reference": (0, 1, "u", "w", -1, 99, "f", None, 0.5, True),
    "level": (0.9, 0.5, 0, 1, "0.9"),
    "null": (0.0, 1, np.nan, np.inf, "a", None, [1.0]),
    "delta": (0.0, 0.5, -1.0, np.nan, np.inf, "a", None),
    "side": ("two-sided", "less", "greater", "both", 0, None),
    "name": ("estimate", "nonsense", 0, None, ["estimate"]),
    "layer": ("estimates", "data", "residuals", "lines", "nonsense"),
    "lines": ("g", "f", "nonsense", None),
    "quantile_function": (lambda p: p, np.log, lambda p: -np.log1p(-p)),
    "outliers": ((-7.0, 7.0), (7.0, -7.0), (0.0,), ("a", "b"), [np.nan, np.nan], 3.0),
    "group": ROW_VALUES,
    "by_function": ("sum", "mean", "max", "min", "median", "nonsense", lambda v: v.sum(axis=0), np.mean, None),
    "alternative": ("two-sided", "less", "greater", "nonsense", None, 1),
    "kind": ("simulated", "pearson", "refit", "binomial", "bootstrap", "exchanged", None),
    "margin": ("both", "lower", "upper"),
    "statistic": (np.mean, np.max, lambda y: (y == 0).sum(), np.std, "mean"),
    "calibrated": (True, False, 1, None),
    "predictor": ROW_VALUES,
    "quantiles": ((0.25, 0.5, 0.75), (0.5,), [], (0.0, 1.0), ("a",), (np.nan,), 0.5, (0.5, 0.5), [1e-300]),
    "time": ROW_VALUES,
    "x": ROW_VALUES,
    "y": ROW_VALUES,
    "distances": (np.ones((ROWS, ROWS)), np.zeros((ROWS, ROWS)), np.full((ROWS, ROWS), np.nan), np.eye(3), "x", None),
    "factor": ROW_VALUES,
}  # fmt: skip
FUNCTIONS_ASKED = ("quantile_function", "statistic", "by_function")


@functools.cache
def means() -> tuple[Any, ...]:
    """Marginal means of several shapes."""
    linear, counts, binary, _, crossed = plain_fits()
    return (
        linear.emmeans("f"),
        linear.slopes("x"),
        linear.comparisons("f"),
        counts.emmeans("x", at={"x": [0.0, 1.0, 2.0]}, kind="response"),
        binary.emmeans("f", kind="response"),
        binary.slopes("x", by="f"),
        crossed.emmeans("~ f | x", at={"x": [0.0, 1.0]}),
        crossed.emmeans(["f", "x"], at={"x": [0.0, 1.0]}),
        crossed.emmeans("f").contrasts(),
    )


@functools.cache
def effects() -> tuple[Any, ...]:
    """Effects of several shapes."""
    linear, counts, binary, inflated, crossed = plain_fits()
    return (
        linear.effects("x"),
        linear.effects(["f", "x [0, 1]"]),
        counts.effects("x", margin="average"),
        binary.effects("f"),
        inflated.effects("x", kind="zprob"),
        crossed.effects(["x", "f"], interval="prediction"),
        linear.effects("f", ranef=True),
    )


@functools.cache
def simulated() -> tuple[Any, ...]:
    """Simulated residuals of several shapes."""
    linear, counts, binary, inflated, crossed = plain_fits()
    rng = np.random.default_rng(8)
    y = rng.poisson(2.0, ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (
            linear.simulate_residuals(n=40, seed=1),
            counts.simulate_residuals(n=40, seed=1, ranef="new"),
            binary.simulate_residuals(n=40, seed=1),
            inflated.simulate_residuals(n=30, seed=1).aggregated("g"),
            crossed.simulate_residuals(n=40, seed=1, method="traditional"),
            counts.simulate_residuals(n=5, seed=1, refit=True),
            rf.scaled_residuals(y, rng.poisson(2.0, (ROWS, 30)), seed=1),
            rf.scaled_residuals(y, rng.poisson(2.0, (ROWS, 30)), np.full(ROWS, 2.0), data=plain_frame(), seed=1),
            rf.scaled_residuals(np.ones(ROWS), np.ones((ROWS, 5)), seed=1),
            rf.scaled_residuals([1.0, 2.0], [[1.0, 2.0], [3.0, 4.0]], seed=1),
        )


def of_means(draw: random.Random) -> Attempted:
    """Arguments of the methods of marginal means and of effects."""
    if draw.random() < 0.75:
        place = draw.randrange(len(means()))
        target, table, shown = means()[place], MEANS, f"means()[{place}]"
    else:
        place = draw.randrange(len(effects()))
        target, table, shown = effects()[place], EFFECTS, f"effects()[{place}]"
    name, given = call_of(draw, table, GOOD)
    if name == "__getitem__":  # a table answers a name it does not have as its frames do
        known = given["name"] in target.columns if isinstance(given["name"], str) else False
        return f"{shown}[{given['name']!r}]", lambda: target[given["name"]] if known else None
    return f"{shown}.{name}(**{given!r})", lambda: used(getattr(target, name)(**given))


def of_simulated(draw: random.Random) -> Attempted:
    """Arguments of the methods of simulated residuals."""
    place = draw.randrange(len(simulated()))
    target = simulated()[place]
    name, given = call_of(draw, SIMULATED, GOOD)
    for key in FUNCTIONS_ASKED:
        if key in given and draw.random() < 0.4:
            given[key] = hostile_function(draw)
    if "by_function" in given:
        given["by"] = given.pop("by_function")
    return f"simulated()[{place}].{name}(**{given!r})", lambda: used(getattr(target, name)(**given))
