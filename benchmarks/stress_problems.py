"""Five hundred problems on which fits go wrong: fifty kinds, ten data sets each, every one the same in every run.

A *kind* is a function from a random generator and the number of the data set to a `Problem`; its name is its entry
in `KINDS`, by which its seed is made. Most kinds lie where programs are known to stop too early, too late or
somewhere else: variances at zero, correlations of one, likelihoods without a maximum, predictors of odd units, few
groups, dispersions at the end of their range. Some resample the rows or the groups of published data. Every formula
is also one of lme4's or glmmTMB's, so that these can be asked too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import ranef as rf

Rng = np.random.Generator
EACH = 10


@dataclass(frozen=True)
class Problem:
    """A model with its data.

    `linear` means lmm, else glmm. `weights` and `offset` name columns. `name` is that of the kind with the number of
    the data set.
    """

    formula: str
    family: str
    frame: pd.DataFrame
    linear: bool = False
    reml: bool = False
    zi: str | None = None
    dispersion: str | None = None
    link: str | None = None
    weights: str | None = None
    offset: str | None = None
    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """What `rf.lmm` or `rf.glmm` is called with besides formula and data."""
        found: dict[str, Any] = {"reml": self.reml} if self.linear else {"family": self.family, "link": self.link}
        if not self.linear:
            found |= {"zi": self.zi, "dispersion": self.dispersion}
        return found | {name: value for name in ("weights", "offset") if (value := getattr(self, name)) is not None}


Kind = Callable[[Rng, int], Problem]
KINDS: dict[str, Kind] = {}


def kind(function: Kind) -> Kind:
    """Enters a kind in the catalogue."""
    KINDS[function.__name__] = function
    return function


def problems(each: int = EACH, kinds: tuple[str, ...] | None = None) -> Iterator[Problem]:
    """All problems, or the first `each` of some kinds."""
    for name in kinds or KINDS:
        for number in range(each):
            yield problem(name, number)


def problem(name: str, number: int) -> Problem:
    """One problem, by its kind and number."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), number])
    made = KINDS[name](rng, number)
    return Problem(**{**made.__dict__, "name": f"{name}-{number}"})


# -- what the kinds are made of ----------------------------------------------------------------------------------------


def logistic(eta: np.ndarray) -> np.ndarray:
    """The inverse logit."""
    return 1.0 / (1.0 + np.exp(-eta))


def grouped(rng: Rng, groups: int, rows: int, **columns: np.ndarray) -> pd.DataFrame:
    """`groups` groups of `rows` rows each with a standard normal x."""
    n = groups * rows
    labels = np.array([f"g{i:03d}" for i in range(groups)])
    return pd.DataFrame({"x": rng.normal(size=n), "g": np.repeat(labels, rows), **columns})


def codes(frame: pd.DataFrame, column: str = "g") -> np.ndarray:
    """Numbers of the groups of the rows."""
    return pd.factorize(frame[column])[0]


def effects(rng: Rng, frame: pd.DataFrame, sd: float, column: str = "g") -> np.ndarray:
    """A random intercept for each row."""
    at = codes(frame, column)
    return sd * rng.normal(size=at.max() + 1)[at]


def crossed(rng: Rng, n: int, first: int, second: int) -> pd.DataFrame:
    """Rows of two crossed factors of which most pairs are never seen."""
    a, b = rng.integers(0, first, n), rng.integers(0, second, n)
    return pd.DataFrame(
        {"x": rng.normal(size=n), "a": [f"a{i:02d}" for i in a], "b": [f"b{i:02d}" for i in b]},
    )


def resampled(frame: pd.DataFrame, group: str, rng: Rng, groups: int) -> pd.DataFrame:
    """`groups` groups of some data, drawn with replacement, as new groups."""
    levels = frame[group].astype(str).unique()
    parts = []
    for i, level in enumerate(rng.choice(levels, groups)):
        part = frame[frame[group].astype(str) == level].copy()
        parts.append(part.assign(**{group: f"{i:02d}"}))
    return pd.concat(parts, ignore_index=True)


def negative_binomial(rng: Rng, mean: np.ndarray, size: float | np.ndarray) -> np.ndarray:
    """Counts of variance mean + mean^2 / size."""
    return rng.poisson(mean * rng.gamma(size, 1.0 / np.asarray(size), len(mean)))


def gaussian(formula: str, frame: pd.DataFrame, number: int, **given: Any) -> Problem:
    """A linear mixed model, by REML where the number is odd."""
    return Problem(formula, "gaussian", frame, linear=True, reml=number % 2 == 1, **given)


# -- normal responses --------------------------------------------------------------------------------------------------


@kind
def normal_groups_of_two(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 2 if number < 5 else 3)
    frame["y"] = (
        1 + frame.x + effects(rng, frame, 0.7) + effects(rng, frame, 0.3) * frame.x + rng.normal(size=len(frame))
    )
    return gaussian("y ~ x + (1 | g)" if number < 5 else "y ~ x + (1 + x || g)", frame, number)


@kind
def normal_few_groups(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 2 + number % 4, 8)
    frame["y"] = 2 + 0.5 * frame.x + effects(rng, frame, 1.0) + effects(rng, frame, 0.5) * frame.x
    frame["y"] += rng.normal(size=len(frame))
    return gaussian("y ~ x + (1 + x | g)", frame, number)


@kind
def normal_no_variance(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["y"] = 1 + frame.x + rng.normal(size=len(frame)) + effects(rng, frame, (0.0, 1e-3, 0.05)[number % 3])
    return gaussian("y ~ x + (1 | g)" if number % 2 else "y ~ x + (1 + x | g)", frame, number // 2)


@kind
def normal_perfect_correlation(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 6)
    u = effects(rng, frame, 1.0)
    sign = 1 if number % 3 else -1
    frame["y"] = 1 + u + (0.1 + 0.1 * number) * sign * u * frame.x + rng.normal(0, 0.7, len(frame))
    return gaussian("y ~ x + (1 + x | g)", frame, number)


@kind
def normal_too_many_slopes(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 8, 9)
    for name in ("v", "w"):
        frame[name] = rng.normal(size=len(frame))
    frame["y"] = frame.x + effects(rng, frame, 0.8) + effects(rng, frame, 0.3) * frame.v + rng.normal(size=len(frame))
    formula = "y ~ x + v + w + (1 + x + v + w | g)" if number < 7 else "y ~ x + v + w + (1 + x + v | g) + (0 + w | g)"
    return gaussian(formula, frame, number)


@kind
def normal_bad_units(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 8, v=rng.normal(size=80))
    frame["y"] = frame.x + frame.v + effects(rng, frame, 1.0) + effects(rng, frame, 0.5) * frame.x + rng.normal(size=80)
    frame["x"] *= 10.0 ** rng.uniform(3, 6)
    frame["v"] *= 10.0 ** rng.uniform(-6, -3)
    return gaussian("y ~ x + v + (1 + x | g)", frame, number)


@kind
def normal_years(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 9, 7)
    frame["year"] = 1990.0 + rng.integers(0, 30, len(frame))
    frame["y"] = 3 + 0.1 * (frame.year - 2000) + effects(rng, frame, 1.0) + rng.normal(size=len(frame))
    frame["y"] += effects(rng, frame, 0.1 * (number % 2)) * (frame.year - 2004)
    return gaussian("y ~ year + (1 + year | g)" if number < 6 else "y ~ year + I(year**2) + (1 | g)", frame, number)


@kind
def normal_sparse_crossed(rng: Rng, number: int) -> Problem:
    frame = crossed(rng, 70, 20, 15)
    frame["y"] = frame.x + effects(rng, frame, 1.0, "a") + effects(rng, frame, 0.2, "b") + rng.normal(size=70)
    return gaussian("y ~ x + (1 | a) + (1 | b)", frame, number)


@kind
def normal_wild_weights(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["k"] = 10.0 ** rng.uniform(-4, 4, len(frame))
    frame["y"] = 1 + frame.x + effects(rng, frame, 1.0) + rng.normal(size=len(frame)) / np.sqrt(frame.k)
    return gaussian("y ~ x + (1 | g)", frame, number, weights="k")


@kind
def normal_far_from_zero(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["y"] = frame.x + effects(rng, frame, 1.0) + rng.normal(size=len(frame))
    frame["y"] = frame.y * (1e-7, 1e7)[number % 2] + (0.0, 1e8)[number % 2]
    return gaussian("y ~ x + (1 + x | g)", frame, number)


@kind
def normal_small_residuals(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["y"] = 1 + frame.x + effects(rng, frame, 1.0) + 10.0 ** -(1 + 0.5 * number) * rng.normal(size=len(frame))
    return gaussian("y ~ x + (1 | g)", frame, number)


@kind
def normal_over_time(rng: Rng, number: int) -> Problem:
    groups, times = 14, 5
    frame = grouped(rng, groups, 2 * times)
    frame["t"] = np.tile([f"t{i}" for i in range(times)], 2 * groups)
    rho = (0.9, 0.5, 0.0, -0.4)[number % 4]
    distance = np.abs(np.subtract.outer(np.arange(times), np.arange(times)))
    root = np.linalg.cholesky(rho**distance)
    course = rng.normal(size=(groups, times)) @ root.T
    frame["y"] = np.hstack([course, course]).ravel() + 0.5 * frame.x + rng.normal(0, 0.7, len(frame))
    term = ("ar1(0 + t | g)", "cs(0 + t | g)", "toep(0 + t | g)", "homtoep(0 + t | g)", "rr(0 + t | g, d=2)")[
        number % 5
    ]
    return Problem(f"y ~ x + {term}", "gaussian", frame, linear=True, reml=number >= 5)


@kind
def sleepstudy_resampled(rng: Rng, number: int) -> Problem:
    frame = resampled(rf.load_dataset("sleepstudy", backend="pandas"), "Subject", rng, 4 + number)
    return gaussian("Reaction ~ Days + (Days | Subject)", frame, number)


# -- successes ---------------------------------------------------------------------------------------------------------


@kind
def binary_small_groups(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 30, 3)
    frame["y"] = rng.binomial(1, logistic(0.3 + 0.5 * frame.x + effects(rng, frame, 0.3 * number)))
    return Problem("y ~ x + (1 | g)", "binomial", frame)


@kind
def binary_random_slopes(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 8)
    eta = 0.2 + frame.x + effects(rng, frame, 1.0) + effects(rng, frame, 0.2 * number) * frame.x
    frame["y"] = rng.binomial(1, logistic(eta))
    return Problem("y ~ x + (1 + x | g)", "binomial", frame)


@kind
def binary_complete_separation(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 8, 6)
    frame["y"] = (frame.x + 0.1 * rng.normal() > 0).astype(int)
    frame["x"] *= 10.0 ** (number % 3 - 1)
    return Problem("y ~ x + (1 | g)", "binomial", frame)


@kind
def binary_quasi_separation(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 9)
    frame["arm"] = np.tile(["a", "b", "c"], 30)
    frame["y"] = rng.binomial(1, logistic(0.3 + 0.5 * frame.x + effects(rng, frame, 0.7)))
    frame.loc[frame.arm == "c", "y"] = number % 2
    return Problem("y ~ x + arm + (1 | g)", "binomial", frame)


@kind
def binary_groups_of_one_kind(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 5)
    whole = rng.binomial(1, 0.5, 12)
    frame["y"] = np.where(codes(frame) < 12 - number % 4, whole[codes(frame)], rng.binomial(1, 0.5, len(frame)))
    return Problem("y ~ x + (1 | g)", "binomial", frame)


@kind
def binary_sparse_crossed(rng: Rng, number: int) -> Problem:
    frame = crossed(rng, 120, 20, 15)
    eta = 0.5 * frame.x + effects(rng, frame, 0.8, "a") + effects(rng, frame, 0.3, "b")
    frame["y"] = rng.binomial(1, logistic(eta))
    return Problem("y ~ x + (1 | a) + (1 | b)", "binomial", frame, link="logit" if number % 2 else "probit")


@kind
def proportions_tiny(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 5)
    frame["trials"] = rng.integers(200, 5000, len(frame))
    frame["y"] = rng.binomial(frame.trials, logistic(-8 + 0.5 * frame.x + effects(rng, frame, 0.7)))
    frame.loc[0, "y"] += 1
    frame["no"] = frame.trials - frame.y
    return Problem("cbind(y, no) ~ x + (1 | g)", "binomial", frame, link="logit" if number % 2 else "cloglog")


@kind
def binomial_wild_weights(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 8)
    frame["y"] = rng.binomial(1, logistic(0.5 * frame.x + effects(rng, frame, 0.7)))
    frame["k"] = np.where(rng.uniform(size=80) < 0.2, 0.0, np.round(10.0 ** rng.uniform(0, 3, 80)))
    return Problem("y ~ x + (1 | g)", "binomial", frame, weights="k")


@kind
def betabinomial_edges(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    p = logistic((-3.0, 0.0)[number % 2] + 0.5 * frame.x + effects(rng, frame, 0.5))
    if number >= 5:
        p = rng.beta(np.maximum(p * 0.7, 1e-9), np.maximum((1 - p) * 0.7, 1e-9))
    frame["y"] = rng.binomial(12, p)
    frame["no"] = 12 - frame.y
    return Problem("cbind(y, no) ~ x + (1 | g)", "betabinomial", frame)


@kind
def cbpp_resampled(rng: Rng, number: int) -> Problem:
    frame = resampled(rf.load_dataset("cbpp", backend="pandas"), "herd", rng, 5 + number)
    frame["healthy"] = frame["size"] - frame["incidence"]
    return Problem("cbind(incidence, healthy) ~ period + (1 | herd)", "binomial", frame)


@kind
def toenail_resampled(rng: Rng, number: int) -> Problem:
    data = rf.load_dataset("toenail", backend="pandas")
    frame = resampled(data, "patientID", rng, 30 + 3 * number)
    frame["y"] = (frame.outcome != "none or mild").astype(int)
    return Problem("y ~ treatment * time + (1 | patientID)", "binomial", frame)


# -- counts ------------------------------------------------------------------------------------------------------------


@kind
def counts_empty_groups(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 5)
    frame["y"] = rng.poisson(np.exp(0.5 + 0.3 * frame.x + effects(rng, frame, 0.7)))
    frame.loc[codes(frame) < 1 + number, "y"] = 0
    return Problem("y ~ x + (1 | g)", "poisson", frame)


@kind
def counts_separated(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["arm"] = np.tile(["a", "b", "c"], 20)
    frame["y"] = np.where(frame.arm == "b", 0, rng.poisson(np.exp(0.5 + effects(rng, frame, 0.5))))
    return Problem("y ~ arm + x + (1 | g)", ("poisson", "nbinom2")[number % 2], frame)


@kind
def counts_huge(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 5)
    frame["row"] = [f"r{i:02d}" for i in range(50)]
    eta = 13.8 + 0.3 * frame.x + effects(rng, frame, 0.5) + (1e-3, 0.3)[number % 2] * rng.normal(size=50)
    frame["y"] = rng.poisson(np.exp(eta))
    return Problem("y ~ x + (1 | g) + (1 | row)" if number < 6 else "y ~ x + (1 | g)", "poisson", frame)


@kind
def counts_large_offsets(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["exposure"] = rng.uniform(*((10, 18), (-20, -10))[number % 2], len(frame))
    intercept = -14 if number % 2 == 0 else 15
    frame["y"] = rng.poisson(np.exp(intercept + frame.exposure + 0.4 * frame.x + effects(rng, frame, 0.6)))
    return Problem("y ~ x + (1 | g)", ("poisson", "nbinom2")[number % 3 == 2], frame, offset="exposure")


@kind
def counts_random_slopes(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 9, 6)
    eta = 0.5 + 0.3 * frame.x + effects(rng, frame, 0.7) + effects(rng, frame, 0.15 * (number % 4)) * frame.x
    frame["y"] = rng.poisson(np.exp(eta))
    return Problem("y ~ x + (1 + x | g)", "poisson", frame)


@kind
def counts_row_effects(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 8, 6)
    frame["row"] = [f"r{i:02d}" for i in range(48)]
    eta = 0.8 + 0.3 * frame.x + effects(rng, frame, 0.5)
    frame["y"] = rng.poisson(np.exp(eta)) if number % 2 else rng.binomial(6, logistic(eta - 1.5))
    return Problem("y ~ x + (1 | g) + (1 | row)", "poisson", frame)


@kind
def counts_bad_units(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 8)
    frame["year"] = 1995.0 + rng.integers(0, 25, 80)
    frame["y"] = rng.poisson(np.exp(0.7 + 0.4 * frame.x + 0.03 * (frame.year - 2007) + effects(rng, frame, 0.6)))
    frame["x"] *= 10.0 ** rng.uniform(-6, 6)
    return Problem("y ~ x + year + (1 + x | g)" if number < 5 else "y ~ x + year + (1 + year | g)", "poisson", frame)


@kind
def counts_sparse_crossed(rng: Rng, number: int) -> Problem:
    frame = crossed(rng, 80, 25, 20)
    eta = -0.5 + 0.3 * frame.x + effects(rng, frame, 0.7, "a") + effects(rng, frame, 0.4, "b")
    frame["y"] = rng.poisson(np.exp(eta))
    return Problem("y ~ x + (1 | a) + (1 | b)", ("poisson", "nbinom2")[number % 2], frame)


@kind
def negative_binomial_without_excess(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    mean = np.exp(1 + 0.3 * frame.x + effects(rng, frame, 0.5))
    frame["y"] = rng.poisson(mean) if number % 2 else rng.binomial(10, np.clip(mean / 10, 0, 0.95))
    return Problem("y ~ x + (1 | g)", ("nbinom2", "nbinom1")[number >= 5], frame)


@kind
def negative_binomial_wild(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 8, 6)
    frame["y"] = negative_binomial(
        rng, np.exp(2 + 0.3 * frame.x + effects(rng, frame, 0.5)), (0.05, 0.2, 1.0)[number % 3]
    )
    frame.loc[0, "y"] += 1
    return Problem("y ~ x + (1 | g)", ("nbinom2", "nbinom1")[number >= 6], frame)


@kind
def negative_binomial_two_predictors(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 8)
    size = np.exp(0.5 + (0.8, 3.0)[number % 2] * frame.x)
    frame["y"] = negative_binomial(rng, np.exp(1.2 + 0.3 * frame.x + effects(rng, frame, 0.5)), size)
    return Problem("y ~ x + (1 | g)", ("nbinom2", "nbinom1")[number >= 5], frame, dispersion="~ x")


@kind
def counts_of_other_families(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 6)
    mean = np.exp(1 + 0.3 * frame.x + effects(rng, frame, 0.4))
    counts = (rng.binomial(12, np.clip(mean / 12, 0, 0.95)), rng.poisson(mean), negative_binomial(rng, mean, 1.5))
    frame["y"] = counts[number % 3]
    return Problem("y ~ x + (1 | g)", ("genpois", "compois", "nbinom12", "bell")[number % 4], frame)


@kind
def counts_truncated(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 6)
    mean = np.exp((0.0, 1.5)[number % 2] + 0.3 * frame.x + effects(rng, frame, 0.5))
    frame["y"] = np.maximum(rng.poisson(mean) if number < 5 else negative_binomial(rng, mean, 1.0), 1)
    families = ("truncated_poisson", "truncated_nbinom2", "truncated_genpois", "truncated_nbinom1", "truncated_compois")
    return Problem("y ~ x + (1 | g)", families[number % 5], frame)


@kind
def zero_inflation_without_zeros(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 7)
    frame["y"] = rng.poisson(np.exp((0.5, 2.5)[number % 2] + 0.3 * frame.x + effects(rng, frame, 0.5)))
    return Problem("y ~ x + (1 | g)", ("poisson", "nbinom2")[number >= 5], frame, zi="~ 1")


@kind
def zero_inflation_nearly_all(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 10)
    counts = rng.poisson(np.exp(1.5 + 0.3 * frame.x + effects(rng, frame, 0.3)))
    frame["y"] = np.where(rng.uniform(size=len(frame)) < (0.8, 0.95)[number % 2], 0, counts)
    return Problem("y ~ x + (1 | g)", ("poisson", "nbinom2")[number >= 6], frame, zi="~ 1")


@kind
def zero_inflation_by_predictor(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 8)
    frame["arm"] = np.tile(["a", "b"], len(frame) // 2)
    share = np.where(frame.arm == "a", 0.4, (0.3, 0.0)[number % 2])
    counts = rng.poisson(np.exp(1.3 + 0.3 * frame.x + effects(rng, frame, 0.4)))
    frame["y"] = np.where(rng.uniform(size=len(frame)) < share, 0, counts)
    return Problem("y ~ x + (1 | g)", ("poisson", "nbinom2")[number >= 6], frame, zi="~ arm")


@kind
def owls_resampled(rng: Rng, number: int) -> Problem:
    frame = resampled(rf.load_dataset("owls", backend="pandas"), "Nest", rng, 8 + number)
    formula = "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)"
    return Problem(formula, ("poisson", "nbinom2", "nbinom1")[number % 3], frame, zi="~ 1")


@kind
def grouseticks_resampled(rng: Rng, number: int) -> Problem:
    frame = resampled(rf.load_dataset("grouseticks", backend="pandas"), "LOCATION", rng, 12 + number)
    frame["INDEX"] = [f"{i:03d}" for i in range(len(frame))]
    formula = "TICKS ~ YEAR + HEIGHT + (1 | LOCATION) + (1 | INDEX)"
    return Problem(formula if number % 2 else "TICKS ~ YEAR + HEIGHT + (1 + HEIGHT | LOCATION)", "poisson", frame)


# -- positive numbers, shares, and others ------------------------------------------------------------------------------


@kind
def gamma_extremes(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    shape = (0.05, 0.5, 1e4)[number % 3]
    mean = np.exp(1 + 0.3 * frame.x + effects(rng, frame, 0.4))
    frame["y"] = np.maximum(rng.gamma(shape, mean / shape), 1e-200)
    return Problem("y ~ x + (1 | g)", "gamma", frame, link="log")


@kind
def positive_skewed(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    mean = np.exp(1 + 0.3 * frame.x + effects(rng, frame, 0.4))
    frame["y"] = mean * np.exp((0.1, 1.5)[number % 2] * rng.normal(size=len(frame)))
    return Problem("y ~ x + (1 | g)", ("lognormal", "inverse_gaussian")[number >= 5], frame, link="log")


@kind
def tweedie_extremes(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    mean = np.exp((0.0, 3.0)[number % 2] + 0.4 * frame.x + effects(rng, frame, 0.4))
    counts = rng.poisson(mean * (0.3, 3.0)[number >= 5])
    frame["y"] = np.where(counts > 0, rng.gamma(np.maximum(counts, 1) * (0.3, 5.0)[number % 2], 1.0), 0.0)
    return Problem("y ~ x + (1 | g)", "tweedie", frame)


@kind
def student_extremes(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    noise = rng.normal(size=60) if number % 2 else rng.standard_t(1.2, 60)
    frame["y"] = 1 + 0.5 * frame.x + effects(rng, frame, 0.7) + noise
    if number >= 6:
        frame.loc[0, "y"] += 1e4
    return Problem("y ~ x + (1 | g)", "student_t", frame)


@kind
def skewed_residuals(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 8)
    noise = rng.gamma(0.7, 1.0, 80) if number % 2 else rng.normal(size=80)
    frame["y"] = 1 + 0.5 * frame.x + effects(rng, frame, 0.5) + noise
    return Problem("y ~ x + (1 | g)", "skewnormal", frame)


@kind
def shares_near_bounds(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    mean, precision = (
        logistic((-4, 0, 3)[number % 3] + 0.5 * frame.x + effects(rng, frame, 0.5)),
        (0.5, 2, 500)[number % 3],
    )
    y = np.clip(rng.beta(mean * precision, (1 - mean) * precision), 1e-12, 1 - 1e-12)
    if number >= 6:
        y = np.where(y < 0.02, 0.0, np.where(y > 0.98, 1.0, y))
        y[:2], y[2:4] = 0.0, 1.0
    frame["y"] = y
    return Problem("y ~ x + (1 | g)", ("beta", "ordbeta")[number >= 6], frame)


@kind
def ordered_rare_categories(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 12, 7)
    latent = 0.7 * frame.x + effects(rng, frame, 0.8) + rng.logistic(size=84)
    cuts = np.array([-4.5, -0.5, -0.45, 1.0, 4.5]) if number % 2 else np.array([-1.0, 0.0, 1.0])
    frame["y"] = np.searchsorted(cuts, latent)
    if number >= 6:
        frame["y"] = np.where(codes(frame) < 3, frame.y.max(), frame.y)
    formula = "y ~ x + (1 | g)" if number < 8 else "y ~ x + (1 + x | g)"
    return Problem(formula, "cumulative", frame, link="logit" if number % 3 else "probit")


@kind
def ordered_separated(rng: Rng, number: int) -> Problem:
    frame = grouped(rng, 10, 6)
    frame["arm"] = np.tile(["a", "b", "c"], 20)
    frame["y"] = np.searchsorted([-0.7, 0.7], effects(rng, frame, 0.6) + rng.logistic(size=60))
    frame.loc[frame.arm == "c", "y"] = (0, 2)[number % 2]
    return Problem("y ~ arm + x + (1 | g)", "cumulative", frame)
