"""Formulas, frames and arguments to designs and fits, and arguments of the methods of fits."""

from __future__ import annotations

import random
from typing import Any

import ranef as rf
from hostile_values import (
    GLMM,
    LMM,
    Attempted,
    arguments,
    describe,
    formula,
    frame,
    plain_fits,
    plain_frame,
    quoted,
    value_for,
)
from ranef.formula.design import build_design

SANDWICH = ("vcov", "cluster")
METHODS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # method: (arguments always given, arguments sometimes given)
    "predict": ((), ("newdata", "kind", "ranef", "new_levels", "se", "interval", "level", "seed")),
    "simulate": (("n",), ("seed", "ranef", "newdata")),
    "residuals": ((), ("kind", "ranef", "seed")),
    "refit": (("response",), ()),
    "update": ((), ("formula", "data", "family", "weights", "nonsense", "reml")),
    "confint": (("n",), ("method", "level", "parm", "ddf", "seed", "kind", "vcov", "cluster", "resampling", "group")),
    "profile": ((), ("parm", "level")),
    "bootstrap": (("n",), ("statistic", "seed", "kind", "group")),
    "anova": ((), ("type", "ddf", "component", *SANDWICH)),
    "test": (("L",), ("rhs", "ddf", "component", *SANDWICH)),
    "drop1": ((), ("test", "ddf")),
    "fixef": ((), ("component",)),
    "vcov": ((), ("component", "kind", "cluster")),
    "tidy": ((), ("effects", "ddf", "level", *SANDWICH)),
    "ranef": ((), ("level", "uncertainty")),
    "coef": ((), ("level",)),
    "summary": ((), ("ddf", "correlations", *SANDWICH)),
    "emmeans": (("specs",), ("by", "at", "kind", "weights", "component", "ddf", "level", "adjust", *SANDWICH)),
    "joint_tests": ((), ("by", "at", "component", "ddf", *SANDWICH)),
    "slopes": (("variable",), ("by", "at", "kind", "margin", "weights", "bias_correction", "ddf", "level", *SANDWICH)),
    "comparisons": (
        ("variable",),
        ("contrast", "by", "at", "kind", "comparison", "margin", "level", "adjust", *SANDWICH),
    ),
    "effects": (
        ("terms",),
        ("by", "margin", "kind", "interval", "ranef", "at", "weights", "ddf", "level", "seed", *SANDWICH),
    ),
    "check": ((), ("groups", "time", "space", "seed")),
    "all_fit": (("starts",), ("seed",)),
    "influence": ((), ("group", "method")),
    "simulate_residuals": (("n",), ("seed", "ranef", "group_by", "method", "rotation")),
    "r2": (("n",), ("approximation", "level", "seed", "interval")),
    "icc": (("n",), ("by_group", "approximation", "level", "seed", "interval")),
    "variance_decomposition": ((), ("approximation",)),
    "caic": ((), ("method",)),
}


FORMULAS = ("y ~ x + (1 | g)", "y ~ x + f", "y ~ f + (1 | g) + (1 | h)")


def of_formula(draw: random.Random) -> Attempted:
    """A formula to its design."""
    given = formula(draw)
    kind = draw.choice(("numeric", "numeric", "numeric", "binomial", "ordinal"))
    return f"build_design({given!r}, response_kind={kind!r})", lambda: build_design(
        given, plain_frame(), response_kind=kind
    )


def of_fitted_formula(draw: random.Random) -> Attempted:
    """A formula to its fit and its predictions."""
    given = formula(draw)
    control = rf.Control(max_iter=30)

    def run() -> Any:
        fit = rf.lmm(given, plain_frame(), control=control)
        return fit.predict(plain_frame().head(3)), repr(fit), fit.tidy()

    return f"lmm({given!r})", run


def of_frame(draw: random.Random) -> Attempted:
    """A data frame to its design."""
    data, other = frame(draw)
    text = draw.choice(FORMULAS).replace("x", quoted(other))
    return f"build_design({text!r}, {describe(data)})", lambda: build_design(text, data)


def of_fitted_frame(draw: random.Random) -> Attempted:
    """A data frame to its fit, or as new data of one."""
    data, other = frame(draw)
    text = draw.choice(FORMULAS).replace("x", quoted(other))
    roll = draw.random()
    if roll < 0.4:
        fit = draw.choice(plain_fits())
        given = {"newdata": data, **({"new_levels": "population"} if draw.random() < 0.5 else {})}
        return f"{fit.formula}: predict({describe(data)})", lambda: fit.predict(**given)
    if roll < 0.55:
        family = draw.choice(("poisson", "binomial", "gamma", "nbinom2", "beta"))
        made = {"family": family, "control": rf.Control(max_iter=30)}
        return f"glmm({text!r}, {describe(data)}, {made!r})", lambda: repr(rf.glmm(text, data, **made))

    def run() -> Any:
        fit = rf.lmm(text, data, control=rf.Control(max_iter=30))
        return repr(fit), fit.tidy(), fit.ranef(), fit.predict(data)

    return f"lmm({text!r}, {describe(data)})", run


def of_arguments(draw: random.Random) -> Attempted:
    """Arguments of lmm and glmm."""
    if draw.random() < 0.5:
        given = arguments(LMM, draw)
        return f"lmm(**{given!r})", lambda: rf.lmm("y ~ x + f + (1 | g)", plain_frame(), **given)
    given = {"family": draw.choice(("poisson", "nbinom2", "gaussian", "poisson")), **arguments(GLMM, draw)}
    return f"glmm(**{given!r})", lambda: rf.glmm("n ~ x + (1 | g)", plain_frame(), **given)


def of_method(draw: random.Random) -> Attempted:
    """Arguments of a method of a fit."""
    place = draw.randrange(len(plain_fits()))
    fit = plain_fits()[place]
    name = draw.choice(sorted(METHODS))
    always, sometimes = METHODS[name]
    given = {key: value_for(key, draw) for key in always} | arguments(sometimes, draw, 3)
    return f"plain_fits()[{place}].{name}(**{given!r})", lambda: getattr(fit, name)(**given)
