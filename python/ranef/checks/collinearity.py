"""Predictors that can hardly be told apart: variance inflation.

The generalised variance inflation factor of a term (Fox & Monette 1992) is how much the volume of the joint
confidence region of its coefficients grows by what the other terms share with it. GVIF^(1 / (2 df)) compares terms of
any number of coefficients; its square is the VIF where there is one. Terms that contain another (interactions, powers
of the same variable) are left out of that term's: they are collinear by construction, by the choice of the origin.

Reference: Fox & Monette (1992), Journal of the American Statistical Association 87, 178-183.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import LOOK, OK, PROBLEM, Finding
from ranef.checks.subject import Subject
from ranef.errors import FormulaError
from ranef.fitting import FittedModel
from ranef.formula.terms import terms_of, variables_of

# Variance inflation: performance's "moderate" and a point at which nothing can be told.
LOOK_AT, PROBLEM_AT = 5.0, 100.0


def collinearity(subject: Subject) -> Iterator[Finding]:
    """The largest inflation of each component with two predictors or more."""
    record = subject.record
    for component in record.model.components:
        if component == "threshold":
            continue
        found = {name: value for name, value in inflation(record, component).items() if math.isfinite(value[0])}
        if not found:
            continue
        worst = max(found, key=lambda name: found[name][1])
        gvif, scaled = found[worst]
        vif = scaled**2
        state = PROBLEM if vif >= PROBLEM_AT else LOOK if vif >= LOOK_AT else OK
        high = [name for name, value in found.items() if value[1] ** 2 >= LOOK_AT]
        yield Finding(
            "collinearity" if component == "cond" else f"collinearity, {component}",
            vif,
            "GVIF^(1/df), the VIF of one coefficient",
            f"largest for {worst}: its standard error is {scaled:.2g} times what it would be alone"
            + (f" (GVIF {gvif:.3g})" if gvif != vif else ""),
            f"{', '.join(high)} share most of what they vary by. Estimates are right but imprecise: do not read their "
            "separate effects, and combine or drop one if that is asked of the data."
            if state != OK
            else "",
            state,
        )


def inflation(record: FittedModel, component: str) -> dict[str, tuple[float, float]]:
    """GVIF and GVIF^(1 / (2 df)) of each term of one variable or more that has company."""
    covariance = record.covariance_of_estimates(component)
    if not np.isfinite(covariance).all() or not len(covariance):
        return {}
    part = record.design.fixed[component]
    place = {int(column): j for j, column in enumerate(record.kept[component])}
    columns = {
        name: [place[c] for c in where if c in place] for name, where in part.term_columns.items() if name != "1"
    }
    columns = {name: where for name, where in columns.items() if where}
    if len(columns) < 2:
        return {}
    scale = np.sqrt(np.diag(covariance))
    if not np.all(scale > 0.0):
        return {}
    try:
        information = np.linalg.inv(covariance / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        return {}
    variables = {name: _variables(name) for name in columns}
    found: dict[str, tuple[float, float]] = {}
    for name, mine in columns.items():
        if ":" in name:
            continue
        above = {other for other in columns if other != name and variables[name] <= variables[other]}
        others = [j for other, where in columns.items() if other not in above and other != name for j in where]
        if not others:
            continue
        own = [j for j in range(len(information)) if j not in {c for o in above for c in columns[o]}]
        try:
            reduced = np.linalg.inv(information[np.ix_(own, own)])
        except np.linalg.LinAlgError:
            continue
        spread = np.sqrt(np.diag(reduced))
        correlation = reduced / np.outer(spread, spread)
        at = {j: i for i, j in enumerate(own)}
        a, b = [at[j] for j in mine], [at[j] for j in others]
        logs = [np.linalg.slogdet(correlation[np.ix_(which, which)])[1] for which in (a, b, a + b)]
        gvif = math.exp(min(logs[0] + logs[1] - logs[2], 700.0))
        found[name] = (gvif, gvif ** (1.0 / (2.0 * len(mine))))
    return found


def _variables(term: str) -> frozenset[str]:
    """The columns of the data that a term of the formula uses."""
    try:
        return frozenset(
            name.name for part in terms_of(f"~ {term}").fixed for f in part.factors for name in variables_of(f)
        )
    except FormulaError:
        return frozenset({term})
