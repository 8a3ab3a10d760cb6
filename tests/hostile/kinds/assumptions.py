"""Priors, held values, equalities and starts; families with values and links, and families of one's own."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

import ranef as rf
from hostile_values import ROWS, Attempted, hostile_function, junk, plain_frame

PRIORS = {
    "normal": ("mean", "sd"),
    "student_t": ("df", "location", "scale"),
    "cauchy": ("location", "scale"),
    "gamma": ("mean", "shape"),
    "half_normal": ("scale",),
    "half_t": ("df", "scale"),
    "half_cauchy": ("scale",),
    "lkj": ("shape",),
}
NUMBERS = (0.0, 1.0, 2.5, -1.0, 0.5, 3, 1e8, 1e-8, 1e300, 1e-300, 5e-324, 1.7e308, np.nan, np.inf, np.float64(2), True)
PARAMETERS = (
    "x", "f[T.v]", "Intercept", "fixed", "cond", "zi", "sd", "sd(g)", "sd(g, Intercept)", "sd(g, x)", "log_sd(g)",
    "cor(g)", "sigma", "disp", "nonsense", "", "sd(", "sd(nonsense)", "zi: x", "disp: Intercept", ": x", "cor(g, x)",
    "sd(g, )", "sd(g, x, x)", "SD(g)", "x ", 1, None, ("x",), "log_sd",
)  # fmt: skip
MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("y ~ x + f + (1 | g)", {}),
    ("y ~ x + f + (1 | g)", {"reml": False}),
    ("y ~ x + (x | g)", {"reml": False}),
    ("n ~ x + (1 | g)", {"family": "poisson"}),
    ("n ~ x + (1 | g)", {"family": "nbinom2", "zi": "~ 1"}),
    ("b ~ x", {"family": "binomial"}),
)


def a_prior(draw: random.Random) -> tuple[str, Any, dict[str, Any]]:
    """A function of the module of priors, and its arguments."""
    name = draw.choice(sorted(PRIORS))
    given = {
        key: draw.choice(NUMBERS[:6]) if draw.random() < 0.6 else draw.choice((*NUMBERS, junk(draw)))
        for key in PRIORS[name]
        if draw.random() < 0.95
    }
    for key in ("df", "mean", "shape"):  # without a default
        if (key in PRIORS[name] and PRIORS[name][0] == key) or (name, key) == ("gamma", "shape"):
            given.setdefault(key, 1.0)
    return name, getattr(rf.prior, name), given


def of_assumptions(draw: random.Random) -> Attempted:
    """What a model assumes of its parameters."""
    name, function, given = a_prior(draw)
    if draw.random() < 0.25:
        return f"prior.{name}(**{given!r})", lambda: repr(function(**given))
    text, options = draw.choice(MODELS)
    options = dict(options)
    roll = draw.random()
    names = [draw.choice(PARAMETERS[:13]) if draw.random() < 0.8 else draw.choice(PARAMETERS) for _ in range(2)]
    if roll < 0.45:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                made: Any = function(**given)
            except rf.ModelError:
                made = rf.prior.normal(0, draw.choice((1e-100, 1.0, 1e100)))
        options["priors"] = {names[0]: made, **({names[1]: junk(draw)} if draw.random() < 0.2 else {})}
    elif roll < 0.7:
        value = draw.choice((*NUMBERS, [0.1, 0.2], np.eye(2), "a", None, {"x": 1}))
        options["fixed"] = {names[0]: value, **({names[1]: 0.5} if draw.random() < 0.4 else {})}
    elif roll < 0.8:
        options["tied"] = draw.choice(
            ([tuple(names)], [tuple(names), tuple(names)], [names], [tuple(names[:1])], names)
        )
    else:
        start = {names[0]: draw.choice((*NUMBERS, junk(draw)))}
        factor = draw.choice(
            ([np.eye(1)], [np.zeros((1, 1))], [], np.eye(2), [np.full((1, 1), np.nan)], [[[1e308]]], 3)
        )
        beta = draw.choice(
            ({"cond": [1.0, 1.0]}, {"cond": [np.nan] * 2}, {"nonsense": [1.0]}, [1.0], {"cond": "a"}, {})
        )
        options["start"] = draw.choice((start, {"factor": factor}, {"factor": factor, "beta": beta}, {"beta": beta}))
    fit = rf.glmm if "family" in options else rf.lmm
    control = rf.Control(max_iter=30)

    def run() -> Any:
        found = fit(text, plain_frame(), control=control, **options)
        return repr(found), found.tidy("all"), found.predict(), found.confint(), str(found.equation())

    return f"{fit.__name__}({text!r}, **{options!r})", run


# Families


def gumbel(y: Any, mu: Any, sigma: Any) -> Any:
    """Log density of a law of maxima."""
    z = (y - mu) / sigma
    return -np.log(sigma) - z - np.exp(-z)


CUSTOM: dict[str, tuple[Any, ...]] = {
    "name": ("own", "", "poisson", "é", 3, None, "a b", "x" * 300, "<b>&"),
    "log_density": (gumbel,),
    "parameters": (["mu", "sigma"], ("mu", "sigma"), ["mu"], [], ["mu", "mu"], "mu", [1, 2], ["", "s"], 3),
    "links": ({"mu": "identity"}, {"mu": "nonsense"}, {"tau": "log"}, {"mu": 3}, {}, [("mu", "log")], "log"),
    "support": ("real", "positive", "nonnegative", "counts", "trials", "unit", "nonsense", 3, None, ["real"]),
    "start": ({"mu": 0.0, "sigma": 1.0}, {"mu": 0.0}, {"mu": "a", "sigma": 1}, {"mu": np.nan, "sigma": -1.0}, [0.0]),
    "derivatives": (),
    "mean": (lambda mu, sigma: mu + 0.5772 * sigma,),
    "variance": (lambda mu, sigma: sigma**2 * 1.645,),
    "cdf": (lambda y, mu, sigma: np.exp(-np.exp(-(y - mu) / sigma)),),
    "simulate": (lambda rng, mu, sigma: rng.gumbel(mu, sigma),),
    "steps": ({"mu": 0.01}, {"mu": 0.0}, {"mu": -1}, {"mu": np.nan}, {"mu": "a"}, {"tau": 0.1}, 0.1),
    "zero_inflation": (True, False, 1, "yes", None),
}  # fmt: skip
FUNCTIONS = ("log_density", "derivatives", "mean", "variance", "cdf", "simulate")
VALUES: dict[str, tuple[str, ...]] = {
    "student_t": ("df", "sigma", "nu", "shape"),
    "nbinom2": ("phi", "theta", "dispersion", "disp"),
    "gaussian": ("sigma",),
    "tweedie": ("power", "p", "phi"),
    "skewnormal": ("shape", "alpha", "sigma"),
    "cumulative": ("thresholds",),
    "gamma": ("phi", "shape"),
    "beta": ("phi",),
    "poisson": ("x",),
}


def of_family(draw: random.Random) -> Attempted:
    """A family with a link and values, or one of the caller's own, and a model that uses it."""
    control = rf.Control(max_iter=15)
    if draw.random() < 0.35:
        name = draw.choice(sorted(VALUES))
        given: dict[str, Any] = {}
        if draw.random() < 0.6:
            given["link"] = draw.choice(("log", "identity", "logit", "nonsense", None, junk(draw)))
        if draw.random() < 0.7:
            given[draw.choice(VALUES[name])] = draw.choice((*NUMBERS, "equidistant", "flexible", junk(draw)))

        def named() -> Any:
            family = getattr(rf.families, name)(**given)
            repr(family)
            fit = rf.glmm("n ~ x + (1 | g)", plain_frame(), family=family, control=control)
            return repr(fit), fit.simulate(1, seed=1) if name != "cumulative" else None

        return f"families.{name}(**{given!r})", named
    given = {"name": "own", "log_density": gumbel, "parameters": ["mu", "sigma"]}
    for key in draw.sample(sorted(CUSTOM), draw.choice((1, 2, 3, 5))):
        hostile = key in FUNCTIONS and draw.random() < 0.7
        given[key] = hostile_function(draw) if hostile else draw.choice((*CUSTOM[key], junk(draw)))
    if "mean" not in given and draw.random() < 0.5:
        given |= {key: CUSTOM[key][0] for key in ("mean", "variance", "cdf", "simulate") if key not in given}
    asked = draw.sample(("predict", "residuals", "simulate", "quantile", "check", "bootstrap", "update"), 2)

    def custom() -> Any:
        family = rf.families.custom(**given)
        repr(family)
        fit = rf.glmm("y ~ x + (1 | g)", plain_frame(), family=family, control=control)
        repr(fit)
        calls = {
            "predict": lambda: fit.predict(se=True),
            "residuals": lambda: fit.residuals("pearson"),
            "simulate": lambda: fit.simulate(2, seed=1),
            "quantile": lambda: fit.residuals("quantile", seed=1),
            "check": lambda: repr(fit.simulate_residuals(n=5, seed=1)),
            "bootstrap": lambda: fit.bootstrap(2, seed=1, threads=1),
            "update": lambda: fit.update(data=plain_frame().head(ROWS - 2)),
        }
        return [calls[name]() for name in asked]

    return f"families.custom(**{given!r}): {asked}", custom
