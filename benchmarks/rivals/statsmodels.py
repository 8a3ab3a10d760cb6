"""statsmodels: linear mixed models with one grouping factor; its GLMMs are not by maximum likelihood."""

from importlib.metadata import version

import statsmodels.formula.api as smf

import clock


def prepare(problem, frame):
    if problem["family"] != "gaussian":
        raise NotImplementedError("no maximum likelihood for GLMMs")
    if len(problem["random"]) > 1:
        raise NotImplementedError("crossed factors only as dense variance components")
    columns, group = problem["random"][0]
    formula = f"{problem['response']} ~ {problem['fixed']}"
    return lambda: smf.mixedlm(formula, frame, groups=frame[group], re_formula=f"~ {columns}").fit(reml=False)


clock.run(version("statsmodels"), prepare, lambda fit: float(fit.llf))
