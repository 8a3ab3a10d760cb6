"""Functions of several fits, or of none yet: compare, table, pool, power, scaled residuals."""

from __future__ import annotations

import functools
import random
import warnings
from typing import Any

import numpy as np

import ranef as rf
from hostile_values import (
    GOOD_VALUES,
    ROWS,
    Attempted,
    Signature,
    call_of,
    hostile_function,
    junk,
    plain_fits,
    plain_frame,
    used,
    value_for,
)

FUNCTIONS: dict[str, Signature] = {
    "compare": (("n", "test"), ("refit", "seed", "threads", "progress")),
    "table": (
        (),
        ("show", "layout", "exponentiate", "stars", "digits", "rename", "random", "statistics", "ddf", "level", "names",
         "vcov", "cluster", "title", "notes"),
    ),
    "pool": ((), ("effects", "ddf", "level")),
    "plot_coefficients_data": ((), ("exponentiate", "effects", "intercept", "level", "ddf", "vcov", "cluster")),
    "power": (
        ("n_sim",),
        ("test", "effect", "along", "within", "seed", "alpha", "method", "ddf", "level", "threads", "progress"),
    ),
    "scaled_residuals": (
        ("observed", "simulated"),
        ("fitted", "data", "method", "rotation", "group_by", "seed"),
    ),
}  # fmt: skip
GOOD: dict[str, tuple[Any, ...]] = GOOD_VALUES | {
    "test": ("lrt", "bootstrap", None, "x", "f", "Intercept", lambda fit: 0.5),
    "show": ("se", "ci", "p", ("se", "p"), ["ci", "df"], [], None),
    "layout": ("below", "beside", "wide", "long"),
    "stars": (True, {"*": 0.05}, {"*": 2.0}, {1: 0.05}, {"*": np.float64(0.01)}),
    "digits": (0, 1, 3, 30, -1, 2.5, np.int64(2), 10**6),
    "rename": ({"x": "X"}, {"x": "f"}, {"x": ""}, {"x": None}, {"x": 3}, {"x": "<b>&$_^~\\{}|"}),
    "random": ("sd", "variance", "sdcor", "none", "vcov", None),
    "statistics": (["nobs", "aic"], ["loglik", "nonsense"], [], "aic", ["r2"], ["icc", "npar"]),
    "effects": ("fixed", "random", "all"),
    "names": (["a"], ["a", "b"], ["a", "a"], [1, 2], [None, "b"], ["<b>&", "$_^"], "ab"),
    "title": ("T", "<b>&$_^~\\{}|", "", 3, "\n"),
    "notes": ("n", ["a", "b"], [3], "<b>&$_^~\\{}|"),
    "effect": ({"x": 0.5}, {"x": [0.0, 1.0]}, {"f[T.v]": 1}, {"x": []}, {"x": "a"}, {"x": None}, {"x": np.nan}),
    "along": ({"g": 8}, {"g": [3, 12]}, {"g": 0}, {"g": 2.5}, {"h": 3}, {"g": None}, {"g": []}, {"g": "a"}, {"g": -1}),
    "within": ({"g": 8}, {"g": [3, 12]}, {"g": 0}, {"g": 2.5}, {"h": 3}, {"g": True}, {"g": {"a": 2}}),
    "alpha": (0.05, 0.5, 0.0, 1.0),
    "method": ("wald", "lrt", "pit", "traditional"),
    "n_sim": (1, 2, 0, -1, 2.5, "3", None, np.int64(2), True),
    "threads": (1, 1, None, 0, -1, "2", 1.5, True),
    "seed": (1, 0, None, -1, 2**70, 1.5, "a", np.int64(3)),
    "observed": (*tuple(np.random.default_rng(k).poisson(2, ROWS) for k in range(3)), list(range(ROWS)), [], [1.0]),
    "simulated": (*tuple(np.random.default_rng(k).poisson(2, (ROWS, 20)) for k in range(4)), np.ones((ROWS, 2))),
    "fitted": (np.full(ROWS, 2.0), np.arange(ROWS) / 3.0, np.ones(3)),
    "data": (plain_frame(),),
    "rotation": ("estimated", np.eye(ROWS), np.zeros((ROWS, ROWS)), -np.eye(ROWS)),
    "group_by": ("g", "f", "y", np.arange(ROWS) % 5),
}  # fmt: skip
# What makes an answer long where it is right: the generator does not give it.
SHORT = {"n_sim": GOOD["n_sim"], "threads": GOOD["threads"]}
DESIGNED: dict[str, tuple[Any, ...]] = {
    "parameters": (
        {"Intercept": 1.0, "x": 0.5, "sd(g)": 0.4, "sigma": 1.0},
        {"Intercept": 1.0, "x": 0.5, "sd(g)": -0.4, "sigma": 1.0},
        {"Intercept": 1.0, "x": 0.5, "sd(g)": 0.4},
        {"Intercept": "a", "x": 0.5, "sd(g)": 0.4, "sigma": 1.0},
        {"Intercept": np.nan, "x": np.inf, "sd(g)": 0.4, "sigma": 0.0},
        {"Intercept": 1.0, "x": 0.5, "sd(g)": 0.4, "sigma": 1.0, "nonsense": 1.0},
        {"Intercept": 1e308, "x": 0.5, "sd(g)": 1e200, "sigma": 1e300},
        {"Intercept": 1.0, "x": 0.5, "sd(g)": 0.4},
        {},
    ),
    "data": (plain_frame(), plain_frame().drop(columns="y"), plain_frame().head(0)),
}


@functools.cache
def imputed_fits() -> tuple[Any, ...]:
    """Fits of one model to data that differ a little."""
    rng = np.random.default_rng(3)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            data = plain_frame().copy()
            data["y"] = data["y"] + rng.normal(0, 0.1, ROWS)
            found.append(rf.lmm("y ~ x + f + (1 | g)", data))
        found.append(rf.lmm("y ~ x + (1 | g)", plain_frame(), reml=False))
        found.append(rf.lmm("y ~ x + f + (1 | g)", plain_frame(), reml=False))
    return tuple(found)


def some_fits(draw: random.Random) -> list[Any]:
    """Fits, some of which may stand beside each other, and sometimes something else among them."""
    pools = (imputed_fits()[:3], imputed_fits()[3:], imputed_fits(), plain_fits(), plain_fits() + imputed_fits())
    fits = draw.sample(draw.choice(pools), draw.choice((1, 2, 2, 2))) * draw.choice((1, 1, 1, 2))
    if draw.random() < 0.15:
        fits.insert(draw.randrange(len(fits) + 1), junk(draw))
    return fits


def given_as(draw: random.Random, fits: list[Any]) -> tuple[Any, ...]:
    """Fits as a caller may give them: apart, in a list, by name."""
    roll = draw.random()
    if roll < 0.6:
        return tuple(fits)
    if roll < 0.8:
        return (fits,)
    if roll < 0.95:
        return ({draw.choice(("a", "b", "", "<b>", 3, None)) if k else "m": fit for k, fit in enumerate(fits)},)
    return ()


def of_several(draw: random.Random) -> Attempted:
    """Fits and arguments of a function of fits."""
    name, given = call_of(draw, FUNCTIONS, GOOD)
    given |= {key: draw.choice(values) for key, values in SHORT.items() if key in given}
    if "test" in given and draw.random() < 0.1:
        given["test"] = hostile_function(draw)
    function = getattr(rf, name)
    if name == "scaled_residuals":
        return f"scaled_residuals(**{given!r})", lambda: used(function(**given))
    if name == "power":
        given["threads"] = 1 if draw.random() < 0.8 else given.get("threads")
        if draw.random() < 0.4:
            given |= {key: value_for(key, draw, DESIGNED) for key in DESIGNED}
            if draw.random() < 0.3:
                given[draw.choice(("family", "link", "weights", "nonsense", "reml"))] = junk(draw)
            text = draw.choice(
                ("y ~ x + (1 | g)", "w ~ x + (1 | g)", "n ~ x + (1 | g)", "y ~ ", "log(y) ~ x + (1 | g)")
            )
            return f"power({text!r}, **{given!r})", lambda: used(function(text, **given))
        fit = draw.choice((*plain_fits()[:2], *imputed_fits()))
        return f"power({fit.formula!r}, **{given!r})", lambda: used(function(fit, **given))
    fits = given_as(draw, some_fits(draw))
    shown = f"{name}(*{[getattr(fit, 'formula', fit) for fit in fits]!r}, **{given!r})"
    if name in ("pool", "plot_coefficients_data"):
        first = fits[0] if len(fits) == 1 else fits
        return shown, lambda: function(first, **given)
    if name == "compare":
        return shown, lambda: (used(answer := function(*fits, **given)), answer.reference)

    def tabled() -> Any:
        made = used(function(*fits, **given))
        return made.to_text(), made.to_html(), made.to_latex(), made.to_markdown(), made.frame

    return shown, tabled
