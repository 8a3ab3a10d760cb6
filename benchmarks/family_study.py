"""What the families promise, by simulation: parameters recovered, and fits that converge without help.

python benchmarks/family_study.py recovery|starts [--families REGEX] [--times N]

``recovery``: n = 5000 in 100 groups, 100 data sets a family; the share in which every parameter is within 3 standard
errors of the truth. ``starts``: 200 data sets a family over a wide range of parameters (means far from 1, near-Poisson
limits, many zeros, proportions near 0 and 1, 5 to 40 groups, 60 to 1000 rows); the share that converges, and the
verdicts of the others.

Both print a table in Markdown.
"""

import argparse
import re
import sys
import time
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

import ranef as rf
from ranef import _engine

Range = tuple[float, float]


@dataclass(frozen=True)
class Truth:
    """Where a family's parameters are taken from: uniform ranges of each linear predictor's intercept.

    The first value of `recovery` is the mean's intercept, the others those of the further predictors.
    """

    wide: tuple[Range, ...]
    recovery: tuple[float, ...]
    link: str | None = None
    trials: int = 1
    #: The dispersion's range is relative to the mean's predictor.
    relative: bool = False


COUNT, TRUNCATED = (-1.5, 6.0), (-1.0, 5.0)
TRUTHS = {
    "gaussian": Truth(((-5, 5), (-3, 3)), (0.5, 0.2)),
    "binomial": Truth(((-4, 4),), (0.3,)),
    "betabinomial": Truth(((-3, 3), (-1.5, 4)), (0.3, 1.0), trials=20),
    "poisson": Truth(((-2, 7),), (0.7,)),
    "nbinom1": Truth((COUNT, (-3, 3)), (1.0, 0.4)),
    "nbinom2": Truth((COUNT, (-1.5, 6)), (1.0, 0.6)),
    "nbinom12": Truth(((0, 5), (-2, 2), (-1, 3)), (1.5, 0.3, 0.8)),
    "genpois": Truth(((-1, 5), (-0.5, 2)), (1.0, 0.6)),
    "compois": Truth(((0, 5), (-1.2, 1.2)), (1.0, -0.4)),
    "bell": Truth(((-1, 4),), (1.0,)),
    "truncated_poisson": Truth((TRUNCATED,), (0.6,)),
    "truncated_nbinom1": Truth((TRUNCATED, (-2, 2.5)), (1.0, 0.4)),
    "truncated_nbinom2": Truth((TRUNCATED, (-1, 5)), (1.0, 0.6)),
    "truncated_genpois": Truth((TRUNCATED, (-0.5, 2)), (1.0, 0.6)),
    "truncated_compois": Truth(((0, 5), (-1.2, 1.2)), (1.0, -0.4)),
    "gamma": Truth(((-4, 6), (-1, 4)), (0.5, 0.7), link="log"),
    "inverse_gaussian": Truth(((-2, 3), (-1.5, 4)), (0.5, 0.7), link="log"),
    "lognormal": Truth(((-2, 5), (-2, 1)), (0.5, -0.3), relative=True),
    "beta": Truth(((-3, 3), (0, 4)), (0.4, 1.2)),
    "ordbeta": Truth(((-2, 2), (0, 4), (-3, -0.5), (0.5, 3)), (0.4, 1.2, -1.0, 1.6)),
    "tweedie": Truth(((-1, 4), (-1, 1.5), (-2, 2)), (0.8, 0.3, 0.4)),
    "student_t": Truth(((-5, 5), (-2, 2), (0.7, 3)), (0.5, 0.2, 1.4)),
    "skewnormal": Truth(((-5, 5), (-2, 2), (-4, 4)), (0.5, 0.2, 3.0)),
    "cumulative": Truth(((-2, 2),), (0.0,)),
}
CUTS = np.array([-1.2, 0.0, 1.1, 2.3])


@dataclass(frozen=True)
class Simulated:
    """A data set and what made it: intercepts of all predictors, slope and sd of the random intercept."""

    frame: pd.DataFrame
    intercepts: tuple[float, ...]
    slope: float
    sd: float


def simulate(
    name: str, intercepts: tuple[float, ...], slope: float, sd: float, n: int, groups: int, rng: np.random.Generator
) -> Simulated:
    """y from the family with the mean's predictor ``b0 + slope x + sd u_g`` and constant further predictors."""
    truth = TRUTHS[name]
    x, g, u = rng.uniform(-1, 1, n), rng.integers(0, groups, n), rng.normal(size=groups)
    mean = intercepts[0] + slope * x + sd * u[g]
    trials = rng.integers(2, truth.trials + 1, n).astype(float) if truth.trials > 1 else None
    if name == "cumulative":
        latent = mean + rng.logistic(size=n)
        frame = pd.DataFrame({"y": 1 + np.searchsorted(CUTS, latent), "x": x, "g": g})
        return Simulated(frame, intercepts, slope, sd)
    eta = np.column_stack([mean, *(np.full(n, value) for value in intercepts[1:])])
    y = _engine.draw(name, truth.link, False, eta, trials, int(rng.integers(2**62)))
    frame = pd.DataFrame({"y": y, "x": x, "g": g})
    if trials is not None:
        frame["failures"] = trials - y
    return Simulated(frame, intercepts, slope, sd)


def fit(name: str, frame: pd.DataFrame) -> rf.Fit:
    """The model that made the data."""
    left = "cbind(y, failures)" if "failures" in frame else "y"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rf.glmm(f"{left} ~ x + (1 | g)", frame, family=name, link=TRUTHS[name].link)


def usable(name: str, frame: pd.DataFrame) -> bool:
    """Whether the response varies and is finite: a constant one determines no model of any family."""
    return bool(np.isfinite(frame["y"]).all() and frame["y"].nunique() > (2 if name == "cumulative" else 1))


def recovery(name: str, times: int) -> dict[str, object]:
    """Shares of data sets with all parameters, and with each, within 3 standard errors."""
    truth, inside, began, converged = TRUTHS[name], [], time.perf_counter(), 0
    for seed in range(times):
        rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
        made = simulate(name, truth.recovery, 0.4, 0.5, 5000, 100, rng)
        fitted = fit(name, made.frame)
        converged += fitted.converged
        inside.append(within(fitted, made, name))
    table = pd.DataFrame(inside)
    return {
        "family": name,
        "all within 3 se": f"{int(table.all(axis=1).sum())} of {times}",
        "least often": f"{table.mean().idxmin()} ({table.mean().min():.0%})",
        "converged": converged,
        "seconds a fit": round((time.perf_counter() - began) / times, 3),
    }


def within(fitted: rf.Fit, made: Simulated, name: str) -> dict[str, bool]:
    """For every parameter whether its estimate is within 3 standard errors of the truth."""
    expected: dict[str, list[float]] = {"cond": [made.intercepts[0], made.slope]}
    if name == "cumulative":
        expected = {"cond": [made.slope], "threshold": list(CUTS - made.intercepts[0])}
    elif name == "ordbeta":
        expected |= {"disp": [made.intercepts[1]], "threshold": list(made.intercepts[2:])}
    else:
        expected |= {c: [v] for c, v in zip(("disp", "shape"), made.intercepts[1:], strict=False)}
    found = {}
    for component, values in expected.items():
        se = np.sqrt(np.diag(fitted.vcov(component)))
        for (term, estimate), value, error in zip(fitted.fixef(component).items(), values, se, strict=True):
            found[f"{component} {term}"] = bool(abs(estimate - value) <= 3 * error)
    log_sd, log_se = log_standard_deviation(fitted)
    found["sd g"] = bool(abs(log_sd - np.log(made.sd)) <= 3 * log_se)
    return found


def log_standard_deviation(fitted: rf.Fit) -> tuple[float, float]:
    """log sd of the random intercept and its standard error."""
    theta, variance = float(fitted.engine.theta[0][0]), float(fitted.engine.theta_cov[0, 0])
    return float(np.log(abs(theta))), float(np.sqrt(variance) / abs(theta))


def starts(name: str, times: int) -> dict[str, object]:
    """The share of converged fits over wide ranges, and the verdicts."""
    truth, verdicts, silent = TRUTHS[name], Counter[str](), 0
    began, done, seed = time.perf_counter(), 0, 0
    while done < times:
        rng = np.random.default_rng([zlib.crc32(name.encode()), 1, seed])
        seed += 1
        intercepts = [rng.uniform(*wide) for wide in truth.wide]
        if truth.relative:
            intercepts[1] += intercepts[0]
        groups = int(rng.integers(5, 41))
        n = int(rng.integers(max(60, 3 * groups), 1001))
        made = simulate(name, tuple(intercepts), rng.uniform(-0.7, 0.7), rng.uniform(0.05, 1.2), n, groups, rng)
        if not usable(name, made.frame):
            continue
        done += 1
        fitted = fit(name, made.frame)
        verdicts[fitted.verdict["status"]] += 1
        numbers = [fitted.loglik, *fitted.fixef().values(), *np.sqrt(np.diag(fitted.vcov())).tolist()]
        silent += fitted.converged and not np.isfinite(numbers).all()
    good = sum(
        count for status, count in verdicts.items() if status in {"converged", "converged_singular", "boundary_family"}
    )
    others = ", ".join(f"{status} {count}" for status, count in verdicts.most_common() if status != "converged")
    return {
        "family": name,
        "converged": f"{good / times:.1%}",
        "of which singular or at the family's edge, and others": others,
        "NaN without a reason": silent,
        "ms a fit": round(1000 * (time.perf_counter() - began) / times, 1),
    }


def main() -> None:
    """Print the table of one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("recovery", "starts"))
    parser.add_argument("--families", default="")
    parser.add_argument("--times", type=int)
    options = parser.parse_args()
    study, times = (recovery, 100) if options.study == "recovery" else (starts, 200)
    header = None
    for name in TRUTHS:
        if not re.search(options.families, name) or name not in set(rf.list_families()["name"]):
            continue
        row = study(name, options.times or times)
        if header is None:
            header = list(row)
            print("| " + " | ".join(header) + " |\n|" + " --- |" * len(header))
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
