"""The models of calibration_study.py: how their data are drawn, and what ranef answers.

Six models with a random intercept for 5 to 200 groups of few rows. `x` varies within groups, `z` between them: a
treatment that every second group had, coded -1/2 and 1/2, so that the number of groups limits what is known of it. The
linear model has six rows in every group, where theory is exact; the groups of the others have 4, 6, 8, 4, ... rows.
A data set depends on its case, the number of groups, and its own number alone.
"""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

import ranef as rf

GROUPS = (5, 10, 20, 50, 100, 200)
OURS, ML, QUADRATURE = "ranef", "ranef ML", "ranef quadrature"
#: Quadrature points: more move no digit that is shown.
POINTS = 15
#: The parameters that `confint` calls otherwise; the dispersion of counts is looked at on the log scale.
NAMES = {
    ("cond", "sd__Intercept"): "sd",
    ("cond", "sd__x"): "sd_x",
    ("cond", "cor__Intercept.x"): "cor",
    ("cond", "sd__Observation"): "sigma",
    ("disp", "sigma"): "log_phi",
    ("zi", "Intercept"): "zi",
}
#: Parameters of the mean.
FIXED = ("Intercept", "x", "z")


@dataclass(frozen=True)
class Case:
    """A model and the parameters that make its data.

    Attributes
    ----------
    title, formula : str
    truth : dict of float
    rows : tuple of int
        Rows of the groups, over and over.
    respond : function
        The response, from a generator and the linear predictor.
    arguments : dict
        What `glmm` is told beyond formula and data; nothing for linear models.
    programs : tuple of str
        The fits that ranef is asked for, the first of which is profiled.
    rivals : tuple of str
        Programs of R's that have the model.
    """

    title: str
    truth: dict[str, float]
    respond: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    rows: tuple[int, ...] = (4, 6, 8)
    formula: str = "y ~ x + z + (1 | g)"
    arguments: dict[str, Any] = field(default_factory=dict)
    programs: tuple[str, ...] = (OURS,)
    rivals: tuple[str, ...] = ("lme4", "glmmTMB")

    @property
    def linear(self) -> bool:
        """Whether it is a linear mixed model."""
        return not self.arguments

    @property
    def profiled(self) -> str:
        """The fit whose profile intervals are asked for."""
        return QUADRATURE if QUADRATURE in self.programs else OURS


def normal(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    """A residual of standard deviation one."""
    return eta + rng.normal(size=len(eta))


def zeros_and_ones(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    """Bernoulli, logit link."""
    return (rng.random(len(eta)) < 1.0 / (1.0 + np.exp(-eta))).astype(int)


def inflated(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    """Poisson, but zero with probability 1 / (1 + e)."""
    return np.where(rng.random(len(eta)) < 1.0 / (1.0 + np.e), 0, rng.poisson(np.exp(eta)))


LINE = {"Intercept": 1.0, "x": 0.5, "z": 1.0, "sd": 1.0}
LOG_MEAN = {"Intercept": 1.0, "x": 0.3, "z": 0.5, "sd": 0.7}

CASES = {
    "linear": Case("linear", LINE | {"sigma": 1.0}, normal, rows=(6,), programs=(OURS, ML)),
    "slopes": Case(
        "linear with slopes",
        LINE | {"sd_x": 0.5, "cor": 0.3, "sigma": 1.0},
        normal,
        formula="y ~ x + z + (x | g)",
    ),
    "binary": Case(
        "binary",
        {"Intercept": -0.5, "x": 0.7, "z": 1.0, "sd": 1.2},
        zeros_and_ones,
        arguments={"family": "binomial"},
        programs=(OURS, QUADRATURE),
        rivals=("lme4", "glmmTMB", "lme4 quadrature"),
    ),
    "poisson": Case(
        "Poisson",
        LOG_MEAN | {"Intercept": 0.5},
        lambda rng, eta: rng.poisson(np.exp(eta)),
        arguments={"family": "poisson"},
    ),
    "nbinom2": Case(
        "negative binomial",
        LOG_MEAN | {"log_phi": float(np.log(2.0))},
        lambda rng, eta: rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta))),
        arguments={"family": "nbinom2"},
        rivals=("glmmTMB",),
    ),
    "inflated": Case(
        "zero-inflated Poisson",
        LOG_MEAN | {"zi": -1.0},
        inflated,
        arguments={"family": "poisson", "zi": "~ 1"},
        rivals=("glmmTMB",),
    ),
}


def drawn(name: str, groups: int, number: int) -> pl.DataFrame:
    """Data set `number` of a case and a number of groups."""
    case, truth = CASES[name], CASES[name].truth
    rng = np.random.default_rng((zlib.crc32(name.encode()), groups, number))
    g = np.repeat(np.arange(groups), np.resize(case.rows, groups))
    x, z = rng.normal(size=len(g)), g % 2 - 0.5
    first, second = rng.normal(size=(2, groups))
    eta = truth["Intercept"] + truth["x"] * x + truth["z"] * z + truth["sd"] * first[g]
    if "sd_x" in truth:
        along = truth["cor"] * first + np.sqrt(1.0 - truth["cor"] ** 2) * second
        eta = eta + truth["sd_x"] * along[g] * x
    return pl.DataFrame({"y": case.respond(rng, eta), "x": x, "z": z, "g": g})


@dataclass
class Answer:
    """What one program says of one data set.

    Attributes
    ----------
    converged, singular : bool
        Its own verdict, and whether the covariance of its random effects has no full rank.
    loglik : float
    said : str
        The verdict in its words.
    seconds : float
        Processor time of the fit with its standard errors, from data frame and formula on.
    estimates, errors : dict of float
        By parameter.
    intervals : dict
        By method (`z`, `satterthwaite`, `kenward-roger`, `profile`), then by parameter: both ends. Profiles are for `z`
        and `sd`.
    """

    converged: bool
    singular: bool
    loglik: float
    said: str
    seconds: float
    estimates: dict[str, float] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)


def answered(name: str, program: str, frame: pl.DataFrame, profile: bool = False) -> Answer:
    """What ranef says: its fit, its verdict, and its intervals."""
    case, control = CASES[name], rf.Control(threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rf.ConvergenceWarning)
        began = time.process_time()
        if case.linear:
            fit = rf.lmm(case.formula, frame, reml=program != ML, control=control)
        else:
            points = POINTS if program == QUADRATURE else 1
            fit = rf.glmm(case.formula, frame, quadrature=points, control=control, **case.arguments)
        found = fit.tidy("all", ddf="asymptotic")
        seconds = time.process_time() - began
        answer = Answer(bool(fit.converged), bool(fit.singular), fit.loglik, str(fit.verdict["status"]), seconds)
        if not fit.converged:
            return answer
        answer.estimates, answer.intervals["z"] = read(found)
        for effect, component, term, error in found.select("effect", "component", "term", "std_error").iter_rows():
            if effect == "fixed":
                answer.errors[NAMES.get((component, term), term)] = error
        if "log_phi" in case.truth:
            # `tidy` is silent on a dispersion without a formula.
            answer.estimates, answer.intervals["z"] = read(fit.confint("wald"))
        if case.linear and program == OURS:
            for ddf in ("satterthwaite", "kenward-roger"):
                answer.intervals[ddf] = read(fit.tidy("fixed", ddf=ddf))[1]
        if profile and program == case.profiled:
            answer.intervals["profile"] = read(fit.confint("profile", parm=["z", "sd__Intercept"]))[1]
    return answer


def read(table: pl.DataFrame) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Estimates and intervals of `tidy` or `confint`, by the study's parameters."""
    estimates, intervals = {}, {}
    columns = ("component", "term", "estimate", "conf_low", "conf_high")
    for component, term, *values in table.select(columns).iter_rows():
        name = NAMES.get((component, term), term)
        if name == "log_phi":
            with np.errstate(divide="ignore"):
                values = np.log(np.array(values, float)).tolist()
        estimates[name], intervals[name] = values[0], (values[1], values[2])
    return estimates, intervals


def in_the_limit(groups: int) -> dict[str, float]:
    """Laplace's estimates of the binary model minus those by quadrature, in very many groups, by parameter."""
    frame = drawn("binary", groups, 0)
    laplace, quadrature = (answered("binary", program, frame).estimates for program in (OURS, QUADRATURE))
    return {name: round(laplace[name] - quadrature[name], 4) for name in quadrature}
