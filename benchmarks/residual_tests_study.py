"""How often the tests of simulated residuals reject at 5 %: under the model, and under models that are wrong.

python benchmarks/residual_tests_study.py [--times N] [--simulations S] [--cases REGEX]

360 rows in 12 groups with a covariate x and a response that is Poisson, negative binomial or binomial of 4 trials, with
a random intercept of standard deviation 0.5: about a hundred zeros. 199 simulations, of whose ranks exactly 5 % are
below 5 %. The residuals are those of

    truth      simulations from the parameters and random effects that made the data: what a test is built for
    posterior  a fit, its predictors drawn from what the data leave open about them (`ranef="posterior"`)
    modes      a fit, its random effects at their conditional modes (`ranef=True`)
    new        a fit, its random effects drawn afresh (`ranef="new"`)
    refit      a fit and its refits to the simulated responses, 100 of them

The tests are DHARMa's, and those in italics the ones that hold their level: of zeros and groups with `calibrated=True`,
of outliers by exchange, among 39 simulations, so that there are some.

and after these, under fits that are wrong: Poisson errors whose variance is inflated, a group that is 2 higher, a
random intercept left out, and a bend left out. Prints a table in Markdown: the share of rejections in percent. A data
set depends on the case and its number alone.
"""

import argparse
import re
import sys
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

import ranef as rf
from ranef.checks.simulated_residuals.quantile_trend import p_values
from ranef.checks.simulated_residuals.residual_test import smallest_adjusted

GROUPS, SIZE, SD = 12, 30, 0.5
TRIALS = 4
# Simulations for the test of outliers: of few, more rows lie outside.
FEW = 39
TESTS: dict[str, Callable[[rf.SimulatedResiduals, pd.DataFrame], float]] = {
    "uniformity": lambda found, _: found.test_uniformity().p_value,
    "dispersion": lambda found, _: found.test_dispersion(kind="refit" if found.refitted else "simulated").p_value,
    "outliers": lambda found, _: found.test_outliers().p_value,
    "zeros": lambda found, _: found.test_zero_inflation().p_value,
    # Without the curves, which only say how large the effect is.
    "quantiles": lambda found, _: smallest_adjusted(np.array(p_values(found.scaled, found.fitted))),
    "x": lambda found, frame: smallest_adjusted(np.array(p_values(found.scaled, frame["x"].to_numpy()))),
    "time": lambda found, _: found.test_temporal("time").p_value,
    "space": lambda found, _: found.test_spatial("east", "north").p_value,
    "groups": lambda found, _: found.test_groups("g").p_value,
    "*outliers*": lambda found, _: among_few(found).test_outliers("exchanged").p_value,
    "*zeros*": lambda found, _: found.test_zero_inflation(calibrated=True).p_value,
    "*groups*": lambda found, _: found.test_groups("g", calibrated=True).p_value,
}


def among_few(found: rf.SimulatedResiduals) -> rf.SimulatedResiduals:
    """The same residuals among fewer simulations."""
    return rf.scaled_residuals(found.observed, found.simulated[:, :FEW], found.fitted, seed=found.seed)


Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]
FAMILIES: dict[str, Draw] = {
    "poisson": lambda rng, eta: rng.poisson(np.exp(eta)),
    "nbinom2": lambda rng, eta: rng.negative_binomial(2.0, 2.0 / (2.0 + np.exp(eta))),
    "binomial": lambda rng, eta: rng.binomial(TRIALS, 1.0 / (1.0 + np.exp(-eta))),
}


@dataclass(frozen=True)
class Case:
    """A family, where residuals come from, and how the data differ from the model."""

    family: str
    way: str
    wrong: str = ""

    @property
    def title(self) -> str:
        """The case in words."""
        return f"{self.family} {self.way}" + (f", {self.wrong}" if self.wrong else "")


def cases() -> Iterator[Case]:
    """Those under the model, then those that are wrong."""
    for family in FAMILIES:
        for way in ("truth", "posterior", "modes", "new", "refit"):
            yield Case(family, way)
    for wrong in ("inflated variance", "no random effect", "a group apart", "inflated in groups", "a bend left out"):
        yield Case("poisson", "modes", wrong)


def drawn(case: Case, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """A data set and its linear predictor."""
    g = np.repeat(np.arange(GROUPS), SIZE)
    x = rng.normal(size=len(g))
    b = SD * rng.normal(size=GROUPS)
    if case.wrong == "a group apart":
        b[0] = 2.0
    eta = 0.4 * x + b[g]
    if case.wrong == "a bend left out":
        eta = eta + 0.25 * x**2
    noisy = eta
    if case.wrong == "inflated variance":
        noisy = eta + 0.4 * rng.normal(size=len(g))
    if case.wrong == "inflated in groups":
        noisy = eta + np.where(g < 5, 0.8, 0.0) * rng.normal(size=len(g))
    y = FAMILIES[case.family](rng, noisy)
    frame = pd.DataFrame({"y": y, "miss": TRIALS - y, "x": x, "g": [f"g{k:02d}" for k in g]})
    places = {"time": rng.permutation(len(g)), "east": rng.random(len(g)), "north": rng.random(len(g))}
    return frame.assign(**places), eta


def residuals_of(case: Case, rng: np.random.Generator, simulations: int) -> tuple[rf.SimulatedResiduals, pd.DataFrame]:
    """Simulated residuals of one data set, and the data."""
    frame, eta = drawn(case, rng)
    seed = int(rng.integers(2**31))
    if case.way == "truth":
        draw = FAMILIES[case.family]
        simulated = draw(rng, np.repeat(eta[:, None], simulations, axis=1))
        mean = TRIALS / (1.0 + np.exp(-eta)) if case.family == "binomial" else np.exp(eta)
        return rf.scaled_residuals(frame["y"], simulated, mean, data=frame, seed=seed), frame
    response = "cbind(y, miss)" if case.family == "binomial" else "y"
    effects = "" if case.wrong == "no random effect" else " + (1 | g)"
    fit = rf.glmm(f"{response} ~ x{effects}", frame, family=case.family, control=rf.Control(threads=1))
    if case.way == "refit":
        return fit.simulate_residuals(n=100, seed=seed, refit=True, threads=1), frame
    return fit.simulate_residuals(n=simulations, seed=seed, ranef=case.way if case.way != "modes" else True), frame


def rejections(case: Case, times: int, simulations: int, names: Iterable[str] = TESTS) -> dict[str, float]:
    """The share of data sets that each test rejects."""
    found = []
    for k in range(times):
        rng = np.random.default_rng((zlib.crc32(case.title.encode()), k))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rf.ConvergenceWarning)
            residuals, frame = residuals_of(case, rng, simulations)
            found.append([TESTS[name](residuals, frame) for name in names])
    return dict(zip(names, (np.array(found) < 0.05).mean(axis=0).tolist(), strict=True))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--simulations", type=int, default=199)
    parser.add_argument("--cases", default="")
    chosen = parser.parse_args()
    print(f"{chosen.times} data sets, {chosen.simulations} simulations; percent rejected at 5 %\n")
    print("| case | " + " | ".join(TESTS) + " |")
    print("| --- |" + " ---: |" * len(TESTS))
    for case in cases():
        if re.search(chosen.cases, case.title):
            shares = rejections(case, chosen.times, chosen.simulations)
            print(f"| {case.title} | " + " | ".join(f"{100 * share:.1f}" for share in shares.values()) + " |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
