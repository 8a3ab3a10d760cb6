"""Whether Laplace's approximation is close enough for these data.

Where adaptive quadrature is possible, the likelihood is evaluated with it at the estimates; in models of crossed
factors, with the next term of Laplace's expansion. With g the gradient of the one or the other there and V the
covariance of the parameters, V g is how far a Newton step would move them: the error of Laplace's approximation, in the
units that matter.
For models too large for that, and other links, only the number of rows a level tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ranef import _engine
from ranef.checks.finding import LOOK, OK, PROBLEM, Finding
from ranef.checks.laplace_expansion import expansion_of
from ranef.checks.subject import Subject
from ranef.fitting import FittedModel

# Points of the quadrature in each direction, by the number of effects a level.
POINTS = {1: 15, 2: 7, 3: 5}
# Standard errors that an estimate would move.
LOOK_AT, PROBLEM_AT = 0.1, 0.5
# Rows a level below which binary responses are too few: variances come out too small (Breslow & Lin 1995).
FEW_ROWS = 6


def laplace(subject: Subject) -> Iterator[Finding]:
    """How far the estimates would move."""
    record = subject.record
    if not subject.grouped or record.family == "gaussian" or record.model.quadrature > 1 or not record.converged:
        return
    if (moved := shift(record)) is not None:
        distance, name, points = moved
        state = graded(distance)
        yield Finding(
            "Laplace approximation",
            distance,
            "largest move by quadrature in standard errors",
            f"with {points} quadrature points {name} would move by about {distance:.2g} standard errors",
            f"Few rows a level make the approximation coarse: `fit.update(quadrature={points})`."
            if state != OK
            else "",
            state,
        )
    elif (expected := shift_by_expansion(record)) is not None:
        distance, name = expected
        state = graded(distance)
        groups = " and ".join(subject.factors)
        yield Finding(
            "Laplace approximation",
            distance,
            "largest move by the next term of the expansion in standard errors",
            f"with the next term for {groups} {name} would move by about {distance:.2g} standard errors",
            f"Few rows a level of {groups} make the approximation coarse: standard deviations come out too small, and "
            "fixed effects with them. Quadrature is there for one grouping factor only; see how large the bias is by "
            "simulation: `fit.bootstrap(200)`."
            if state != OK
            else "",
            state,
        )
    elif subject.binary:
        rows = {
            group: float(np.median(np.bincount(np.asarray(term.codes, int)))) for group, term in subject.factors.items()
        }
        group = min(rows, key=rows.__getitem__)
        few = rows[group] < FEW_ROWS
        yield Finding(
            "Laplace approximation",
            rows[group],
            "median rows a level",
            f"{rows[group]:g} rows a level of {group}; the error itself was not measured",
            f"With so few binary rows a level of {group} its standard deviation comes out too small, and fixed effects "
            "with it. Quadrature is there for one grouping factor only; see how large the bias is by simulation: "
            "`fit.bootstrap(200)`."
            if few
            else "",
            LOOK if few else OK,
        )


def graded(distance: float) -> str:
    """The verdict on a move in standard errors."""
    return PROBLEM if distance >= PROBLEM_AT else LOOK if distance >= LOOK_AT else OK


def shift(record: FittedModel) -> tuple[float, str, int] | None:
    """The largest move of a parameter, its name and the points used; None where quadrature is not possible."""
    terms = record.terms()
    groups = {term.group for term in terms}
    effects = sum(len(term.names) for term in terms)
    suitable = len(groups) == 1 and effects in POINTS and record.model.quadrature == 1 and record.method == "ml"
    if not suitable or record.model.assumed or any(t.smooth or t.coupling is not None for t in terms):
        return None
    points = POINTS[effects]
    try:
        model = _engine.Model(replace(record.model, quadrature=points).spec())
        found = model.evaluate(record.engine.beta, record.engine.factor)
    except _engine.EngineError:
        return None
    moved = largest_move(record, [np.asarray(b, float) for b in found["beta"]], found["factor"])
    return None if moved is None else (*moved, points)


def shift_by_expansion(record: FittedModel) -> tuple[float, str] | None:
    """The largest move of a parameter by the next term, and its name; None where that is not known."""
    expansion = expansion_of(record)
    if expansion is None:
        return None
    by_beta, by_factor = expansion.gradient()
    return largest_move(record, [by_beta], by_factor)


def largest_move(
    record: FittedModel, by_beta: Sequence[np.ndarray], by_factor: Sequence[np.ndarray]
) -> tuple[float, str] | None:
    """The largest of V g over standard errors, and whose it is, with g by predictor and by entries of the factors."""
    terms = record.terms()
    by_term = [theta_gradient(record, t, np.asarray(g, float)) for t, g in enumerate(by_factor)]
    names, gradient = [], []
    for kind, first, second in record.engine.joint_names():
        if kind == "beta":
            names.append(_coefficient(record, first, second))
            gradient.append(float(by_beta[first][second]))
        elif kind == "theta" and (own := by_term[first]) is not None:
            names.append(f"the spread of {terms[first].group}")
            gradient.append(float(own[second]))
        else:
            return None
    covariance = np.asarray(record.engine.vcov_joint, float)
    if not np.isfinite(covariance).all() or not np.isfinite(gradient).all():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = np.abs(covariance @ np.array(gradient)) / np.sqrt(np.diag(covariance))
    worst = int(np.nanargmax(moves)) if np.isfinite(moves).any() else -1
    return (float(moves[worst]), names[worst]) if worst >= 0 else None


def theta_gradient(record: FittedModel, t: int, gradient: np.ndarray) -> np.ndarray | None:
    """The gradient by the term's parameters, which are entries of its factor; None where they are not."""
    theta, factor = np.asarray(record.engine.theta[t], float), np.asarray(record.engine.factor[t], float)
    size = len(factor)
    by_column = [(i, j) for j in range(size) for i in range(j, size)]
    by_row = [(i, j) for i in range(size) for j in range(i + 1)]
    diagonal = [(i, i) for i in range(size)]
    for places in (by_column, by_row, diagonal):
        if len(places) == len(theta) and np.allclose([factor[p] for p in places], theta, rtol=1e-9, atol=1e-12):
            return np.array([gradient[p] for p in places])
    return None


def _coefficient(record: FittedModel, predictor: int, column: int) -> str:
    component = next(c for c in record.model.components if predictor in record.model.predictors(c))
    name = record.names(component)[column + predictor - record.model.predictor(component)]
    return name if component == "cond" else f"{component}: {name}"
