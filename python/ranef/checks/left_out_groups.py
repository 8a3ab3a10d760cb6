"""Whether rows of a group that the model does not know are alike: the grouping that was forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import Finding
from ranef.checks.group_levels import FEW
from ranef.checks.singularity import written
from ranef.checks.subject import Subject
from ranef.formula.update import update_formula

# Correlation of residuals of the same group.
LOOK_AT, PROBLEM_AT = 0.05, 0.1
# Columns looked at unasked, and rows a level on average that a column of groups has.
MOST_COLUMNS, ROWS_A_LEVEL = 12, 2.0
# Share of what a column of numbers explains that lies on a straight line.
TREND = 0.5


def left_out_groups(subject: Subject) -> Iterator[Finding]:
    """An analysis of variance of the residuals by every column that groups rows and is not in the model."""
    for column in candidates(subject):
        codes, levels = subject.codes_of(column)
        found = within_correlation(subject.residuals, codes, len(levels))
        if found is None:
            continue
        p_value, correlation = found
        straight = is_trend(subject, column, codes, len(levels))
        few = len(levels) < FEW or straight
        term = _quoted(subject, column, column if few else written(["1"], "us", column), straight)
        code = f'fit.update("{update_formula(subject.record.formula, f". ~ . + {term}")}")'
        if straight:
            advice = f"Residuals follow {column}: a predictor that is missing, or made from the response? `{code}`."
        else:
            advice = f"Rows of one level of {column} are alike in what the model leaves unexplained, so that standard "
            advice += f"errors are wrong: `{code}`."
        yield Finding(
            f"grouping by {column}",
            correlation,
            "correlation of residuals within a level",
            f"residuals of one level of {column} are alike" if correlation > 0 else "residuals do not depend on it",
            advice,
            p_value=p_value,
            size=max(correlation, 0.0),
            look_at=LOOK_AT,
            # Few levels, or numbers along a line, are a predictor that might be missing; many levels are a grouping.
            problem_at=np.inf if few and column not in subject.groups else PROBLEM_AT,
        )


def candidates(subject: Subject) -> list[str]:
    """The columns named, else those of text or whole numbers that group rows and are not used."""
    used = {*subject.record.design.variables, *subject.factors}
    if subject.groups:
        return [name for name in subject.groups if name not in subject.factors]
    found = []
    for name in subject.frame.columns:
        if name in used or name in (subject.time, *subject.space):
            continue
        series = subject.frame[name]
        if not (
            series.dtype.is_integer() or str(series.dtype) in ("String", "Categorical", "Enum", "Boolean", "Object")
        ):
            continue
        distinct = series.n_unique()
        if 2 <= distinct <= subject.record.nobs / ROWS_A_LEVEL and (not series.dtype.is_integer() or distinct >= FEW):
            found.append(name)
    return found[:MOST_COLUMNS]


def within_correlation(r: np.ndarray, codes: np.ndarray, size: int) -> tuple[float, float] | None:
    """p-value of the F test, and the intraclass correlation by the analysis of variance."""
    from scipy.special import fdtrc

    rows = np.bincount(codes, minlength=size).astype(float)
    rows_met = rows[rows > 0]
    k, n = len(rows_met), len(r)
    if k < 2 or n - k < 2:
        return None
    sums = np.bincount(codes, weights=r, minlength=size)
    means = np.divide(sums, rows, out=np.zeros(size), where=rows > 0)
    between = float(np.sum(rows * (means - r.mean()) ** 2)) / (k - 1)
    within = float(np.sum((r - means[codes]) ** 2)) / (n - k)
    if not within > 0.0:
        return None
    n0 = (n - float(np.sum(rows_met**2)) / n) / (k - 1)
    correlation = (between - within) / (between + (n0 - 1.0) * within)
    return float(fdtrc(k - 1.0, n - k, between / within)), correlation


def is_trend(subject: Subject, column: str, codes: np.ndarray, size: int) -> bool:
    """Whether most of what numbers explain lies on a straight line: they are a predictor then, and no names."""
    if column in subject.factors or not subject.frame[column].dtype.is_numeric():
        return False
    x, r = np.asarray(subject.frame[column].to_numpy(), float), subject.residuals
    rows = np.maximum(np.bincount(codes, minlength=size), 1)
    fitted = (np.bincount(codes, weights=r, minlength=size) / rows)[codes]
    if not np.isfinite(x).all() or not x.std() > 0.0 or not fitted.std() > 0.0:
        return False
    return float(np.corrcoef(x, fitted)[0, 1] ** 2) > TREND


def _quoted(subject: Subject, column: str, term: str, straight: bool) -> str:
    """The term with a name that a formula can hold."""
    if not column.isidentifier():
        return term.replace(column, f"`{column}`")
    if term == column and not straight and subject.frame[column].dtype.is_numeric():
        return f"factor({column})"
    return term
