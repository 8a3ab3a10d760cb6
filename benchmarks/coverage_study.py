"""How often 95 % intervals cover the parameters that made the data, by method.

python benchmarks/coverage_study.py [--times N] [--draws B] [--cases REGEX]

Four models of the size that people have: a linear mixed model with random slopes of 18 subjects, balanced and not, and
binary and negative binomial responses of 15 groups. For each of N data sets the model is fitted and `confint` asked for
Wald, profile and bootstrap (percentile, B replicates) intervals. Prints a table in Markdown: the share that covers, in
percent, with its Monte Carlo standard error. An interval without an end covers nothing. A data set depends on the case
and its number alone.
"""

import argparse
import re
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import ranef as rf

METHODS = ("wald", "profile", "bootstrap")


@dataclass(frozen=True)
class Case:
    """A model, its parameters by the terms of `confint`, and how its data are drawn."""

    title: str
    truth: dict[str, float]
    draw: Callable[[np.random.Generator], pd.DataFrame]
    fit: Callable[[pd.DataFrame], rf.Fit]


def slopes(rng: np.random.Generator, rows: np.ndarray) -> pd.DataFrame:
    """18 lines with correlated intercepts and slopes, `rows` points on each."""
    subject = np.repeat(np.arange(len(rows)), rows)
    day = np.concatenate([np.arange(count, dtype=float) for count in rows])
    b = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.15], [0.15, 0.25]], len(rows))
    y = 10.0 + 0.5 * day + b[subject, 0] + b[subject, 1] * day + rng.normal(size=len(day))
    return pd.DataFrame({"y": y, "day": day, "subject": subject.astype(str)})


def grouped(rng: np.random.Generator, size: int, sd: float) -> tuple[pd.DataFrame, np.ndarray]:
    """15 groups of `size` rows with a covariate, and the linear predictor of an effect of a half."""
    g = np.repeat(np.arange(15), size)
    x = rng.normal(size=len(g))
    return pd.DataFrame({"x": x, "g": g.astype(str)}), 0.5 * x + sd * rng.normal(size=15)[g]


def binary(rng: np.random.Generator) -> pd.DataFrame:
    """Zeros and ones, 12 in each group."""
    frame, eta = grouped(rng, 12, 1.0)
    return frame.assign(y=(rng.random(len(eta)) < 1.0 / (1.0 + np.exp(-eta))).astype(float))


def counts(rng: np.random.Generator) -> pd.DataFrame:
    """Negative binomial counts with mean about 3 and phi 2, 10 in each group."""
    frame, eta = grouped(rng, 10, 0.6)
    mu = np.exp(1.0 + eta)
    return frame.assign(y=rng.negative_binomial(2.0, 2.0 / (2.0 + mu)))


LINES = {
    "Intercept": 10.0,
    "day": 0.5,
    "sd__Intercept": 1.0,
    "sd__day": 0.5,
    "cor__Intercept.day": 0.3,
    "sd__Observation": 1.0,
}
UNEQUAL = np.array([3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15])

CASES = {
    "balanced": Case(
        "linear, 18 x 10 rows",
        LINES,
        lambda rng: slopes(rng, np.full(18, 10)),
        lambda frame: rf.lmm("y ~ day + (day | subject)", frame),
    ),
    "unbalanced": Case(
        "linear, 18 x 3 to 15 rows",
        LINES,
        lambda rng: slopes(rng, UNEQUAL),
        lambda frame: rf.lmm("y ~ day + (day | subject)", frame),
    ),
    "binary": Case(
        "binary, 15 x 12 rows",
        {"Intercept": 0.0, "x": 0.5, "sd__Intercept": 1.0},
        binary,
        lambda frame: rf.glmm("y ~ x + (1 | g)", frame, family="binomial"),
    ),
    "counts": Case(
        "nbinom2, 15 x 10 rows",
        {"Intercept": 1.0, "x": 0.5, "sd__Intercept": 0.6, "sigma": 2.0},
        counts,
        lambda frame: rf.glmm("y ~ x + (1 | g)", frame, family="nbinom2"),
    ),
}


@dataclass(frozen=True)
class Coverage:
    """How often an interval covered.

    Attributes
    ----------
    method, term : str
    covered, open_ended, times : int
        Data sets whose interval holds the truth; whose interval lacks an end; all.
    """

    method: str
    term: str
    covered: int
    open_ended: int
    times: int

    @property
    def share(self) -> float:
        """The share that covers."""
        return self.covered / self.times

    @property
    def error(self) -> float:
        """Its Monte Carlo standard error, never below that of one miss."""
        share = min(self.share, 1.0 - 1.0 / self.times)
        return float(np.sqrt(share * (1.0 - share) / self.times))


def study(name: str, times: int, draws: int, methods: tuple[str, ...] = METHODS) -> list[Coverage]:
    """Coverage of every parameter of a case by every method."""
    case = CASES[name]
    covered = {(method, term): 0 for method in methods for term in case.truth}
    missing = dict(covered)
    for replicate in range(times):
        rng = np.random.default_rng((zlib.crc32(name.encode()), replicate))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rf.ConvergenceWarning)
            fit = case.fit(case.draw(rng))
            for method in methods:
                found = fit.confint(method, n=draws, seed=replicate).set_index("term")
                for term, truth in case.truth.items():
                    low, high = found.loc[term, "conf_low"], found.loc[term, "conf_high"]
                    covered[method, term] += bool(low <= truth <= high)
                    missing[method, term] += not np.isfinite([low, high]).all()
    return [Coverage(*key, covered[key], missing[key], times) for key in covered]


def table(names: list[str], times: int, draws: int) -> Iterator[str]:
    """Lines of the table, as they come."""
    yield f"| model | parameter | {' | '.join(METHODS)} |"
    yield "| --- | --- |" + " --- |" * len(METHODS)
    for name in names:
        found = {(c.method, c.term): c for c in study(name, times, draws)}
        for term in CASES[name].truth:
            cells = []
            for method in METHODS:
                coverage = found[method, term]
                cell = f"{100 * coverage.share:.1f} ± {100 * coverage.error:.1f}"
                if coverage.open_ended:
                    cell += f" ({coverage.open_ended} without an end)"
                cells.append(cell)
            yield f"| {CASES[name].title} | `{term}` | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=400, help="data sets of each model")
    parser.add_argument("--draws", type=int, default=199, help="replicates of each bootstrap")
    parser.add_argument("--cases", default="", help="regular expression of the models to run")
    options = parser.parse_args()
    names = [name for name in CASES if re.search(options.cases, name)]
    for line in table(names, options.times, options.draws):
        print(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
