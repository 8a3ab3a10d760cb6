"""What theory says of the cells of calibration_study.py, and whether it holds.

Every count of intervals that cover has a binomial bound, and every mean a normal one; the bounds are simultaneous: all
of them together fail by chance in one study of a thousand (Bonferroni). Intervals are looked at in each cell, and
together over the cells of a claim, whose data sets are independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from calibration_models import CASES, FIXED, ML, OURS, QUADRATURE

#: The chance that any bound fails although every claim is true.
LEVEL = 1e-3
#: From so many groups on, z stands for t, and maximum likelihood for its limit.
MANY = 100
#: Standard errors by which estimates at the same height may differ: lme4 stops that far from its maximum.
APART = 0.1


@dataclass(frozen=True)
class Check:
    """A number and what it is compared with.

    Attributes
    ----------
    claim, where : str
        What is claimed, and of which cell.
    found, expected : float
    count : int
        Intervals of which `found` is the share that covers; 0 where it is no share.
    error : float
        Standard error of `found`, estimated from `estimates`; 0 where there is no chance in it.
    estimates : int
    slack : float
        How far `found` may be from what is expected without chance; infinite below for `at_least`.
    at_least : bool
        Whether more is as good.
    """

    claim: str
    where: str
    found: float
    expected: float
    count: int = 0
    error: float = 0.0
    estimates: int = 0
    slack: float = 0.0
    at_least: bool = False

    @property
    def random(self) -> bool:
        """Whether chance has a part in it."""
        return self.count > 0 or self.error > 0.0

    def bounds(self, level: float) -> tuple[float, float]:
        """Between which the number may be, if chance oversteps in a share of `level`."""
        if self.count:
            law = stats.binom(self.count, self.expected)
            most = 1.0 if self.at_least else float(law.isf(level / 2.0)) / self.count
            return float(law.ppf(level / 2.0)) / self.count, most
        reach = self.slack
        if self.error:
            reach += self.error * float(stats.t(self.estimates - 1).isf(level / 2.0))
        return self.expected - reach, math.inf if self.at_least else self.expected + reach


def examined(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Each claim, with the number of its checks, their extremes, and those that failed."""
    checks = [*convergence(results), *coverage(results), *spread(results), *bias(results), *agreement(results)]
    level = LEVEL / max(1, sum(check.random for check in checks))
    found = []
    for claim in dict.fromkeys(check.claim for check in checks):
        own = [check for check in checks if check.claim == claim]
        failed = []
        for check in own:
            low, high = check.bounds(level)
            if not low <= check.found <= high:
                failed.append(f"{check.where}: {check.found:.4g} is not between {low:.4g} and {high:.4g}")
        least, most = min(own, key=lambda c: c.found), max(own, key=lambda c: c.found)
        found.append(
            {
                "claim": claim,
                "checks": len(own),
                "least": [float(f"{least.found:.4g}"), least.where],
                "most": [float(f"{most.found:.4g}"), most.where],
                "failed": failed,
            }
        )
    return found


def place(row: dict[str, Any]) -> str:
    """A cell in words."""
    return f"{row['case']}, {row['groups']} groups, {row['program']}"


def rows_of(
    results: dict[str, Any], case: str, program: str, parameters: tuple[str, ...], least: int
) -> Iterator[dict[str, Any]]:
    """Rows of some parameters of a case from a number of groups on."""
    for row in results["parameters"]:
        asked = (row["case"], row["program"]) == (case, program) and row["groups"] >= least
        if asked and row["parameter"] in parameters:
            yield row


def count_of(row: dict[str, Any]) -> int:
    """How many fits a row is of."""
    return row["covered"]["z"][2]


def best(case: str) -> str:
    """The fit whose likelihood is no approximation that matters: quadrature for binary data."""
    return QUADRATURE if QUADRATURE in CASES[case].programs else OURS


# -- convergence -------------------------------------------------------------------------------------------------------


def convergence(results: dict[str, Any]) -> Iterator[Check]:
    """That fits converge."""
    for cell in results["cells"]:
        if not cell["program"].startswith("ranef"):
            continue
        share = cell["converged"] / cell["asked"]
        if CASES[cell["case"]].linear:
            yield Check("ranef's linear fits converge, all of them", place(cell), share, 1.0, at_least=True)
        elif cell["groups"] >= 20:
            claim = "with 20 groups and more, 99 % of ranef's generalised fits converge"
            yield Check(claim, place(cell), share, 0.99, at_least=True)


# -- coverage ----------------------------------------------------------------------------------------------------------

#: Claim, cases, program (the one that is best for the case where empty), parameters, method, least number of groups.
COVERED = (
    (
        "intervals of t cover 95 % of a covariate within groups, with any number of groups",
        ("linear",),
        OURS,
        ("x",),
        ("satterthwaite", "kenward-roger"),
        0,
    ),
    (
        "with random slopes and 20 groups and more, intervals of t cover 95 %",
        ("slopes",),
        OURS,
        FIXED,
        ("satterthwaite", "kenward-roger"),
        20,
    ),
    ("with 100 groups and more, intervals of z cover 95 %", tuple(CASES), "", (*FIXED, "zi"), ("z",), MANY),
    (
        "with 100 groups and more, Wald intervals of standard deviations and dispersion cover 95 %",
        tuple(CASES),
        "",
        ("sd", "sd_x", "sigma", "log_phi"),
        ("z",),
        MANY,
    ),
    ("with 50 groups and more, profile intervals cover 95 %", tuple(CASES), "", ("z", "sd"), ("profile",), 50),
)


def coverage(results: dict[str, Any]) -> Iterator[Check]:
    """That intervals cover as often as they say, or as theory says that they do not."""
    for claim, cases, program, parameters, methods, least in COVERED:
        together: dict[tuple[str, str], np.ndarray] = {}
        for case in cases:
            for row in rows_of(results, case, program or best(case), parameters, least):
                for method in methods:
                    if method not in row["covered"]:
                        continue
                    yield share_check(claim, row, method, 0.95)
                    counted = together.setdefault((row["parameter"], method), np.zeros(2, int))
                    counted += np.array(row["covered"][method])[[0, 2]]
        for (parameter, method), (hits, of) in together.items():
            yield Check(claim, f"all cells, {parameter}, {method}", hits / of, 0.95, count=int(of))
    claim = "with random slopes and fewer groups, intervals of t with Kenward and Roger cover 95 % or more"
    for row in rows_of(results, "slopes", OURS, FIXED, 0):
        if row["groups"] < 20:
            yield share_check(claim, row, "kenward-roger", 0.95, at_least=True)
    claim = "of effects between the groups of a balanced linear model, intervals cover what theory says"
    for program, methods in ((OURS, ("kenward-roger", "satterthwaite", "z")), (ML, ("z",))):
        for row in rows_of(results, "linear", program, ("Intercept", "z"), 0):
            theory = balanced(row["groups"], program == OURS)
            for method in methods:
                yield share_check(claim, row, method, theory[method])


def share_check(claim: str, row: dict[str, Any], method: str, expected: float, at_least: bool = False) -> Check:
    """That a share of intervals covers."""
    hits, _, of = row["covered"][method]
    where = f"{place(row)}, {row['parameter']}, {method}"
    return Check(claim, where, hits / of, expected, count=of, at_least=at_least)


@cache
def balanced(groups: int, reml: bool) -> dict[str, float]:
    """Theory of the balanced linear model: how often intervals of `z` cover, the mean of the sd, the share singular.

    The mean squares between groups and within them are multiples of chi-squares,

        B ~ (sigma^2 + n sd^2) chi2(d_B) / d_B,    W ~ sigma^2 chi2(d_W) / d_W,    d_B = G - 2,    d_W = G (n - 1) - 1,

    for two coefficients are estimated between groups, and one within. REML takes these mean squares, maximum likelihood
    divides by G and G (n - 1) instead; where B < W the variance between groups is zero, and both are pooled. The
    estimate of a coefficient between groups is independent of them, and its standard error is a multiple of sqrt(B).
    Degrees of freedom are d_B, but for Satterthwaite's where the variance is zero: those of the model without it.
    """
    case = CASES["linear"]
    n, sd, sigma = case.rows[0], case.truth["sd"], case.truth["sigma"]
    between, within = groups - 2, groups * (n - 1) - 1
    middles = (np.arange(1000) + 0.5) / 1000.0
    total = sigma**2 + n * sd**2
    sum_between = total * stats.chi2(between).ppf(middles)[:, None]
    sum_within = sigma**2 * stats.chi2(within).ppf(middles)[None, :]
    by_between, by_within = (between, within) if reml else (groups, groups * (n - 1))
    mean_between, mean_within = sum_between / by_between, sum_within / by_within
    pooled = (sum_between + sum_within) / (by_between + by_within)
    singular = mean_between < mean_within
    used = np.where(singular, pooled, mean_between)
    few, many = stats.t(between).ppf(0.975), stats.t(groups * n - 3).ppf(0.975)
    quantiles = {"z": stats.norm.ppf(0.975), "kenward-roger": few, "satterthwaite": np.where(singular, many, few)}
    errors = np.sqrt(used / total)
    return {
        **{name: float((2.0 * stats.norm.cdf(q * errors) - 1.0).mean()) for name, q in quantiles.items()},
        "sd": float(np.sqrt(np.where(singular, 0.0, mean_between - mean_within) / n).mean()),
        "singular": float(singular.mean()),
    }


# -- standard errors ---------------------------------------------------------------------------------------------------


def spread(results: dict[str, Any]) -> Iterator[Check]:
    """That standard errors are the standard deviations of the estimates."""
    claim = "with 100 groups and more, standard errors are the standard deviations of the estimates"
    for case in CASES:
        for row in rows_of(results, case, best(case), (*FIXED, "zi"), MANY):
            if row["se_ratio"] is not None:
                error = 1.0 / math.sqrt(2.0 * (count_of(row) - 1))
                yield Check(
                    claim,
                    f"{place(row)}, {row['parameter']}",
                    row["se_ratio"],
                    1.0,
                    error=error,
                    estimates=count_of(row),
                )


# -- bias --------------------------------------------------------------------------------------------------------------


def mean_check(claim: str, row: dict[str, Any], found: float, expected: float, slack: float = 0.0) -> Check:
    """That a mean over the data sets is what is expected."""
    where = f"{place(row)}, {row['parameter']}"
    return Check(claim, where, found, expected, error=row["bias_error"], estimates=count_of(row), slack=slack)


def bias(results: dict[str, Any]) -> Iterator[Check]:
    """That estimates are right on average, or as far off as theory says."""
    claim = "coefficients of linear models have no bias"
    for case, program in (("linear", OURS), ("linear", ML), ("slopes", OURS)):
        for row in rows_of(results, case, program, FIXED, 0):
            yield mean_check(claim, row, row["bias"], 0.0)
    claim = "with 200 groups, coefficients of generalised models have no bias that these data sets show"
    for case in CASES:
        if CASES[case].linear:
            continue
        for row in rows_of(results, case, best(case), (*FIXED, "zi", "log_phi"), 200):
            yield mean_check(claim, row, row["bias"], 0.0)
    claim = "the standard deviation between groups of the linear model has the mean that theory says"
    for program in (OURS, ML):
        for row in rows_of(results, "linear", program, ("sd",), 0):
            expected = balanced(row["groups"], program == OURS)["sd"]
            yield mean_check(claim, row, row["truth"] + row["bias"], expected)
    claim = "with 200 groups, standard deviations between groups are at most 2.5 % off"
    for case in CASES:
        for row in rows_of(results, case, best(case), ("sd",), 200):
            yield mean_check(claim, row, row["bias"], 0.0, slack=0.025 * row["truth"])


# -- agreement ---------------------------------------------------------------------------------------------------------


def agreement(results: dict[str, Any]) -> Iterator[Check]:
    """That nobody finds a higher likelihood than a fit of ours that says that it converged."""
    for cell in results["cells"]:
        if cell.get("both"):
            claim = "no fit of lme4 or glmmTMB has a log-likelihood more than 0.01 above ranef's"
            yield Check(claim, place(cell), float(cell["ours_lower"]), 0.0)
            claim = f"where log-likelihoods are the same, coefficients are within {APART} standard errors"
            if cell["apart"] is not None:
                yield Check(claim, place(cell), cell["apart"], 0.0, slack=APART)
