"""The PyPI package mixedlm, Python with a Rust core; no zero inflation."""

from importlib.metadata import version

import mixedlm

import clock
from plain import numeric_response, one_column_groups


def prepare(problem, frame):
    if problem["zi"]:
        raise NotImplementedError("no zero inflation")
    formula, options = problem["formula"], {}
    if problem["offset"]:
        formula = formula.replace(f" + offset({problem['offset']})", "")
        options["offset"] = frame[problem["offset"]].to_numpy(float)
    if problem["trials"]:
        frame = frame.assign(proportion=frame[problem["response"]] / frame[problem["trials"]])
        formula = "proportion ~" + formula.split("~", 1)[1]
        options["weights"] = frame[problem["trials"]].to_numpy(float)
    formula, frame = one_column_groups(problem, formula, numeric_response(problem, frame))
    if problem["family"] == "gaussian":
        return lambda: mixedlm.lmer(formula, frame, REML=False, **options)
    if problem["family"] == "nbinom2":
        return lambda: mixedlm.glmer_nb(formula, frame, **options)
    families = {"binomial": mixedlm.families.Binomial, "poisson": mixedlm.families.Poisson}
    family = families.get(problem["family"])
    if family is None:
        raise NotImplementedError(f"no {problem['family']}")
    return lambda: mixedlm.glmer(formula, frame, family=family(), **options)


def loglik(fit):
    found = fit.logLik() if callable(fit.logLik) else fit.logLik
    return float(getattr(found, "value", found))


clock.run(version("mixedlm"), prepare, loglik)
