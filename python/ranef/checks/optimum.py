"""Whether the search ended at a maximum of the likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ranef.checks.finding import LOOK, OK, PROBLEM, Finding
from ranef.checks.subject import Subject

# Distance to the optimum, in standard errors, at which estimates cannot be told from it.
NEAR = 1e-3
# A Hessian with unit diagonal whose eigenvalues differ by this factor has a direction that the data hardly inform.
ILL_CONDITIONED = 1e6
# Share of the standard error of a conditional mode that the inner search may leave.
INNER = 1e-6


def gradient(subject: Subject) -> Iterator[Finding]:
    """The distance to the optimum, sqrt(g' H^-1 g)."""
    verdict, optimum = subject.as_fitted.verdict, subject.as_fitted.optimum
    # Separation and flat directions have rows of their own.
    elsewhere = verdict["status"] in ("separated", "flat")
    distance = _number(verdict["gradient_scaled"])
    stopped = not subject.as_fitted.converged and not elsewhere
    away = distance > NEAR and not elsewhere
    effort = f"{optimum.iterations} iterations, {optimum.evaluations} evaluations"
    yield Finding(
        "convergence",
        distance,
        "distance to the optimum in standard errors",
        "; ".join((verdict["message"], effort, *optimum.remedies)),
        f"{verdict['advice']} See whether others end higher: `fit.all_fit()`." if stopped or away else "",
        PROBLEM if stopped or away else OK,
    )


def curvature(subject: Subject) -> Iterator[Finding]:
    """The eigenvalues of the Hessian, scaled to a unit diagonal: is every parameter determined?"""
    verdict = subject.record.verdict
    smallest, condition = _number(verdict["hessian_min"]), _number(verdict["condition"])
    flat = list(verdict["flat"])
    if verdict["status"] == "flat" or flat:
        names = ", ".join(flat)
        detail = f"the likelihood hardly changes along a direction of {names}"
        advice = f"The data cannot tell these parameters apart: {names}. Drop or combine one of them."
        state = PROBLEM
    elif math.isnan(smallest):  # nothing was searched for
        return
    elif condition > ILL_CONDITIONED:
        detail = f"condition number {condition:.1e}"
        advice = "Some combination of parameters is barely determined; look for estimates with huge standard errors."
        state = LOOK
    else:
        detail, advice, state = f"every parameter is determined (condition number {condition:.3g})", "", OK
    yield Finding("curvature", smallest, "smallest eigenvalue of the Hessian with unit diagonal", detail, advice, state)


def _number(value: float | None) -> float:
    """A figure of the verdict; NaN where there is none."""
    return math.nan if value is None else float(value)


def inner(subject: Subject) -> Iterator[Finding]:
    """The search for the conditional modes."""
    found = subject.record.verdict.get("inner") or {}
    decrement = found.get("decrement")
    if decrement is None or not subject.record.terms():
        return
    bad = not found["positive_definite"] or not decrement <= INNER
    yield Finding(
        "conditional modes",
        float(decrement),
        "Newton decrement of the inner search",
        "the conditional modes are found" if not bad else "the conditional modes are not found to full precision",
        "Laplace's approximation is taken at a point that is no mode. Simplify the random effects." if bad else "",
        PROBLEM if bad else OK,
    )


# What the model becomes at the edge of a family.
LIMITS = {
    "nbinom2": ("poisson", "no overdispersion is left"),
    "nbinom1": ("poisson", "no overdispersion is left"),
    "nbinom12": ("nbinom2", "one of the two kinds of overdispersion is nil"),
    "betabinomial": ("binomial", "no overdispersion is left"),
    "student_t": ("gaussian", "the tails are normal"),
    "truncated_nbinom2": ("truncated_poisson", "no overdispersion is left"),
    "truncated_nbinom1": ("truncated_poisson", "no overdispersion is left"),
    "skewnormal": ("gaussian", "the residuals are not skewed"),
}


def edge(subject: Subject) -> Iterator[Finding]:
    """Parameters of the family, or of the residuals' correlation, at the end of their range."""
    record = subject.record
    names = list(record.verdict["boundary"])
    if record.verdict["status"] != "boundary_family" and not names:
        return
    simpler, why = LIMITS.get(record.family, (None, "a parameter is at the end of its range"))
    advice = f"An ordinary result: {why}. "
    if any(name.startswith("zi:") for name in names):
        advice = "There are no excess zeros left: leave the zero-inflation part out, `fit.update(zi=None)`."
    else:
        advice += f'The simpler model says the same: `fit.update(family="{simpler}")`.' if simpler else "Simplify it."
    yield Finding("edge of the family", float(len(names)), "parameters at the edge", ", ".join(names), advice, LOOK)
