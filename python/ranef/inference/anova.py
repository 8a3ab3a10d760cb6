"""Analysis of variance of fixed effects: a test of every term."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.fitting import FittedModel
from ranef.inference.contrasts import Denominator, JointTest, denominator
from ranef.inference.hypotheses import hypotheses, type_of

ROMAN = {1: "I", 2: "II", 3: "III"}


def anova(
    record: FittedModel,
    type_: int | str = 3,
    ddf: str | None = None,
    component: str = "cond",
    vcov: str | None = None,
    cluster: Any = None,
) -> tuple[dict[str, list[Any]], str]:
    """Columns term, sum_sq, mean_sq, num_df, den_df, statistic, p_value, and a heading.

    The squares are those of lmerTest: F sigma^2, so that mean_sq over the residual variance is F. They are left out
    where the statistic is a chi-square or the covariance is not the model's.
    """
    kind = type_of(type_)
    tests = denominator(record, component, ddf, vcov, cluster)
    found = {text: tests.joint_test(rows) for text, rows in hypotheses(record, component, kind).items()}
    heading = f"Type {ROMAN[kind]} analysis of variance: {tests.text}"
    return table(list(found), list(found.values()), tests, record, squares=vcov is None), heading


def table(
    terms: list[str], found: list[JointTest], tests: Denominator, record: FittedModel, squares: bool = True
) -> dict[str, list[Any]]:
    """Tests as columns, with squares where they are F."""
    columns: dict[str, list[Any]] = {"term": terms}
    if squares and tests.method != "asymptotic":
        variance = record.sigma**2
        columns["sum_sq"] = [test.statistic * variance * test.df for test in found]
        columns["mean_sq"] = [test.statistic * variance for test in found]
    columns["num_df"] = [test.df for test in found]
    columns["den_df"] = [test.ddf for test in found]
    columns["statistic"] = [test.statistic for test in found]
    columns["p_value"] = [test.p_value for test in found]
    return columns


def linear_test(
    record: FittedModel,
    names: list[str],
    rows: np.ndarray,
    rhs: np.ndarray,
    ddf: str | None = None,
    component: str = "cond",
    vcov: str | None = None,
    cluster: Any = None,
) -> tuple[dict[str, list[Any]], str]:
    """The joint test of ``rows @ estimates == rhs`` as one row: hypothesis, estimate, std_error, num_df, den_df, ...

    Estimate and standard error are NaN where several combinations are tested.
    """
    tests = denominator(record, component, ddf, vcov, cluster)
    test = tests.joint_test(rows, rhs)
    single = len(rows) == 1
    columns: dict[str, list[Any]] = {
        "hypothesis": ["; ".join(names)],
        "estimate": [float(rows[0] @ tests.estimate) if single else float("nan")],
        "std_error": [float(tests.std_errors(rows)[0]) if single else float("nan")],
        "num_df": [test.df],
        "den_df": [test.ddf],
        "statistic": [test.statistic],
        "p_value": [test.p_value],
    }
    return columns, f"Linear hypothesis: {tests.text}"
