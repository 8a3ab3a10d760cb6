"""What is timed, and why: each problem leans on another part of the engine.

A problem is a formula in parts, so that every rival can write it in its own language, and the name of its data: an
example data set of the package or a scheme of ``simulated.py``. Linear mixed models are fitted by maximum likelihood
and all others by Laplace's approximation, so that log-likelihoods can be compared.
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One model on one data set."""

    name: str
    data: str
    response: str
    fixed: str
    random: tuple[tuple[str, str], ...]
    why: str
    family: str = "gaussian"
    trials: str | None = None
    offset: str | None = None
    zi: str | None = None
    #: Columns that are factors, beside those that group.
    factors: tuple[str, ...] = ()

    def formula(self) -> str:
        """As ranef, lme4 and the packages that copy its language write it."""
        left = f"cbind({self.response}, {self.trials} - {self.response})" if self.trials else self.response
        parts = [self.fixed, *([f"offset({self.offset})"] if self.offset else [])]
        parts += [f"({columns} | {group})" for columns, group in self.random]
        return f"{left} ~ {' + '.join(parts)}"

    def card(self) -> dict[str, Any]:
        """Plain values, for rivals in other processes."""
        return asdict(self) | {"formula": self.formula()}


PROBLEMS = (
    Problem("sleepstudy", "sleepstudy", "Reaction", "Days", (("1 + Days", "Subject"),), "fixed overhead"),
    Problem(
        "cbpp", "cbpp", "incidence", "period", (("1", "herd"),), "fixed overhead of a GLMM", "binomial", trials="size"
    ),
    Problem(
        "owls_nb2",
        "owls",
        "SiblingNegotiation",
        "FoodTreatment * SexParent",
        (("1", "Nest"),),
        "overdispersed counts with an offset",
        "nbinom2",
        offset="logBroodSize",
    ),
    Problem(
        "owls_zinb",
        "owls",
        "SiblingNegotiation",
        "FoodTreatment * SexParent",
        (("1", "Nest"),),
        "a second linear predictor",
        "nbinom2",
        offset="logBroodSize",
        zi="FoodTreatment * SexParent",
    ),
    Problem(
        "salamanders_zinb",
        "salamanders",
        "count",
        "spp + mined",
        (("1", "site"),),
        "near separation in the zero part",
        "nbinom2",
        zi="spp + mined",
    ),
    Problem(
        "grouseticks",
        "grouseticks",
        "TICKS",
        "YEAR + cHEIGHT",
        (("1", "BROOD"), ("1", "INDEX"), ("1", "LOCATION")),
        "more effects than rows",
        "poisson",
    ),
    Problem(
        "verbagg",
        "verbagg",
        "r2",
        "Anger + Gender + btype + situ",
        (("1", "id"), ("1", "item")),
        "binary item responses, crossed",
        "binomial",
    ),
    Problem(
        "insteval",
        "insteval",
        "y",
        "service",
        (("1", "s"), ("1", "d"), ("1", "dept:service")),
        "crossed factors with heavy fill-in",
    ),
    Problem(
        "maximal",
        "maximal",
        "rt",
        "A * B",
        (("1 + A + B + AB", "subj"), ("1 + A + B + AB", "item")),
        "20 covariance parameters, dense coupling",
    ),
    Problem("counts_1e6", "counts_1e6", "y", "x1 + x2", (("1", "g"),), "passes over a million rows decide", "poisson"),
    Problem("slopes_1e5", "slopes_1e5", "y", "x", (("1 + x", "g"),), "counts with correlated slopes", "nbinom2"),
    Problem(
        "clicks_2e5", "clicks_2e5", "y", "x", (("1", "user"), ("1", "item")), "a dense 2000 x 2000 block", "binomial"
    ),
    Problem("crossed_1e6", "crossed_1e6", "y", "x", (("1", "a"), ("1", "b")), "1e5 x 1e3 crossed levels"),
    Problem("single_1e7", "single_1e7", "y", "x", (("1", "g"),), "ten million rows: each must be met once"),
    Problem(
        "nbinom2_1e5", "nbinom2_1e5", "y", "x", (("1", "g"),), "the density of a count with a dispersion", "nbinom2"
    ),
    Problem(
        "schools_1e5",
        "schools_1e5",
        "y",
        "x + school",
        (("1", "teacher"),),
        "2000 fixed effects of a factor's levels",
        factors=("school",),
    ),
    Problem(
        "schools_counts_1e5",
        "schools_1e5",
        "count",
        "x + school",
        (("1", "teacher"),),
        "the same, all of them parameters of the search",
        "poisson",
        factors=("school",),
    ),
    Problem("genpois_1e5", "genpois_1e5", "y", "x", (("1", "g"),), "the same", "genpois"),
    Problem("tweedie_1e5", "tweedie_1e5", "y", "x", (("1", "g"),), "a density that is a series", "tweedie"),
    Problem("compois_1e5", "compois_1e5", "y", "x", (("1", "g"),), "a density without a closed constant", "compois"),
)
