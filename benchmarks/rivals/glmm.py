"""The PyPI package glmm, Rust on faer; no zero inflation, no composite grouping factors."""

from importlib.metadata import version

import glmm

import clock
from plain import numeric_response, one_column_groups

FAMILIES = {"gaussian": "gaussian", "binomial": "binomial", "poisson": "poisson", "nbinom2": "negativebinomial"}


def prepare(problem, frame):
    if problem["zi"]:
        raise NotImplementedError("no zero inflation")
    if problem["family"] not in FAMILIES:
        raise NotImplementedError(f"no {problem['family']}")
    formula = problem["formula"]
    if problem["trials"]:
        frame = frame.assign(failures=frame[problem["trials"]] - frame[problem["response"]])
        formula = formula.replace(f"{problem['trials']} - {problem['response']}", "failures")
    formula, frame = one_column_groups(problem, formula, numeric_response(problem, frame))
    options = {"reml": False} if problem["family"] == "gaussian" else {}
    return lambda: glmm.fit(frame, formula, family=FAMILIES[problem["family"]], **options)


def loglik(fit):
    found = next(getattr(fit, name) for name in ("loglik", "log_lik", "logLik") if hasattr(fit, name))
    return float(found() if callable(found) else found)


clock.run(version("glmm"), prepare, loglik)
