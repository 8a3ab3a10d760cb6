"""The PyPI package gpboost, C++; by Cholesky decompositions, as its iterative solvers answer approximately.

It takes matrices, which are made outside the timed part, and gives no standard errors unless asked. Random slopes are
independent of the intercept there, so problems with correlated effects are another model and left out.
"""

from importlib.metadata import version

import gpboost
import numpy as np
import patsy

import clock
from plain import numeric_response

LIKELIHOODS = {
    "gaussian": "gaussian",
    "poisson": "poisson",
    "binomial": "bernoulli_logit",
    "nbinom2": "negative_binomial",
}


def prepare(problem, frame):
    if problem["zi"] and problem["zi"] != problem["fixed"]:
        raise NotImplementedError("the zero part must have the covariates of the mean")
    if any(terms.strip() != "1" for terms, _ in problem["random"]):
        raise NotImplementedError("independent slopes only")
    if problem["family"] not in LIKELIHOODS:
        raise NotImplementedError(f"no {problem['family']}")
    frame = numeric_response(problem, frame)
    x = np.ascontiguousarray(patsy.dmatrix(problem["fixed"], frame))
    y = frame[problem["response"]].to_numpy(float)
    likelihood, weights = LIKELIHOODS[problem["family"]], {}
    if problem["trials"]:
        likelihood, weights = "binomial_logit", {"weights": frame[problem["trials"]].to_numpy(float)}
        y = y / weights["weights"]
    offset = frame[problem["offset"]].to_numpy(float) if problem["offset"] else None
    if problem["zi"]:
        likelihood = f"zero_inflated_regression_{likelihood}"
        offset = None if offset is None else np.concatenate([offset, np.zeros(len(y))])
    groups = np.column_stack(
        [frame.groupby(group.split(":"), observed=True).ngroup() for _, group in problem["random"]]
    )

    def fit():
        model = gpboost.GPModel(likelihood=likelihood, group_data=groups, matrix_inversion_method="cholesky", **weights)
        model.fit(y=y, X=x, offset=offset)
        return model

    return fit


clock.run(version("gpboost"), prepare, lambda model: -float(model.get_current_neg_log_likelihood()))
