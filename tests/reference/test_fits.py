"""Fits against R's lme4 and glmmTMB: log-likelihood, estimates, random effects, predictions.

Each case is a JSON file in `lme4/` or `glmmTMB/`: the model, R's versions and call, the answers, and the agreement to
expect of each kind of number. README.md beside this file tells where R's own answers are inexact.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln, xlogy

from reference_cases import CASES, fitted, r_name, same_grouping, same_level

# The tolerances of a case stand in its file, by package and criterion:
#   lme4, linear models   logLik 1e-5, estimates 1e-5, se 1e-4: both optimisers stop within 1e-9 of one optimum.
#   lme4, glmer           logLik 2e-4, estimates 1e-3, se 2e-3: its log-determinant lags one inner step, and its
#                         standard errors come from a finite-difference Hessian of about three digits.
#   glmmTMB               logLik 1e-5, estimates 1e-4, se 1e-3: the stored optima were polished by Newton steps, but
#                         its Hessian is a finite difference of the gradient.
# A maximum is a maximum: no linear mixed model may end below lme4's log-likelihood by more than this.
LMM_LOSS = 1e-6
# Correlations are flat near +-1; a thousandth is far below anything that is read off them.
CORRELATION = 1e-3
# Conditional sds of glmmTMB carry its finite-difference Hessian twice (joint precision, then inversion).
MODE_SD = 2e-3
# Fitted values and predictions carry the error of the estimates through the inverse link (exp doubles it at most).
PREDICTION = 5e-4
PREDICTION_SE = 2e-3
# A standard deviation that R has at exactly zero.
ZERO = 1e-6

KIND = {
    "link": "link",
    "response": "response",
    "conditional": "conditional",
    "zprob": "zprob",
    "zlink": "zlink",
    "disp": "dispersion",
}

every_case = pytest.mark.parametrize("name", CASES)


def by_r_name(values: dict[str, float]) -> dict[str, float]:
    return {r_name(name): value for name, value in values.items()}


def estimated_components(case: dict) -> dict[str, dict[str, float]]:
    """Components whose fixed effects are comparable: a constant dispersion is compared as sigma instead."""
    return {c: v for c, v in case["fixef"].items() if v and not (c == "disp" and list(v) == ["(Intercept)"])}


def on_our_scale(case: dict, component: str) -> float:
    """glmmTMB 1.1.5 models the log variance of a gaussian, ranef the log standard deviation."""
    return 0.5 if component == "disp" and case["family"] == "gaussian" else 1.0


def saturated(fit) -> float:
    """The binomial log-likelihood at the observed proportions."""
    response = fit.design.response
    trials = np.ones(fit.nobs) if response.trials is None else np.asarray(response.trials)
    successes = np.asarray(response.y)
    failures = trials - successes
    choose = gammaln(trials + 1) - gammaln(successes + 1) - gammaln(failures + 1)
    return float(np.sum(choose + xlogy(successes, successes / trials) + xlogy(failures, failures / trials)))


@every_case
def test_log_likelihood(name):
    case, fit = CASES[name], fitted(name)
    assert fit.converged
    assert fit.nobs == case["n"]
    # With several nodes lme4's log-likelihood is relative to the saturated model.
    gap = fit.loglik - case["logLik"] - (saturated(fit) if case.get("quadrature", 1) > 1 else 0.0)
    tolerance = case["tolerances"]["logLik_abs"]
    assert gap > -tolerance
    if name.startswith("lmm_"):
        assert gap > -LMM_LOSS
    if not case["default_poorer"]:
        assert gap < tolerance
    if not (case["reml"] and case["package"] == "glmmTMB"):  # there R counts the outer parameters only
        assert fit.npar == case["df"]


@every_case
def test_fixed_effects_and_standard_errors(name):
    case, fit = CASES[name], fitted(name)
    for component, reference in estimated_components(case).items():
        scale = on_our_scale(case, component)
        ours = by_r_name(fit.fixef(component))
        errors = dict(zip(ours, np.sqrt(np.diag(fit.vcov(component))), strict=True))
        reference_se = case["se"][component]
        for term, value in reference.items():
            key, value, se = r_name(term), scale * value, scale * reference_se[term]
            assert abs(ours[key] - value) < case["tolerances"]["fixef_rel"] * max(abs(value), se), (component, term)
            assert errors[key] == pytest.approx(se, rel=case["tolerances"]["se_rel"]), (component, term)


@every_case
def test_variance_components(name):
    case, fit = CASES[name], fitted(name)
    table = fit.varcorr()
    sds, correlations = {}, {}
    for component, group, var1, var2, value in zip(
        *(table[column] for column in ("component", "group", "var1", "var2", "sdcor")), strict=True
    ):
        place = (component, same_grouping(group))
        if group == "Residual":
            sds["Residual"] = value
        elif isinstance(var2, str) and var2:
            correlations[(*place, frozenset((r_name(var1), r_name(var2))))] = value
        else:
            sds[(*place, r_name(var1))] = value
    relative = case["tolerances"]["sd_rel"]
    for component, groups in case["varcorr"].items():
        for group, card in groups.items():
            place, terms = (component, same_grouping(group)), [r_name(term) for term in card["terms"]]
            for term, sd in zip(terms, card["stddev"], strict=True):
                assert sds[(*place, term)] == pytest.approx(sd, rel=relative, abs=ZERO)
            for i, row in enumerate(card["corr"] or []):
                for j in range(i if card["structure"] != "diag" else 0):
                    ours = correlations[(*place, frozenset((terms[i], terms[j])))]
                    assert ours == pytest.approx(row[j], abs=CORRELATION)
    if "Residual" in sds:
        assert sds["Residual"] == pytest.approx(case["sigma"], rel=relative)
    if case["sigma"] is not None and case["dispersion"] in (None, "~1"):
        assert fit.sigma == pytest.approx(case["sigma"], rel=relative)


@every_case
def test_conditional_modes(name):
    case, fit = CASES[name], fitted(name)
    table = fit.ranef()
    ours = {
        (component, same_grouping(group), same_level(group, level), r_name(term)): (estimate, error)
        for component, group, level, term, estimate, error in zip(
            *(table[c] for c in ("component", "group", "level", "term", "estimate", "std_error")), strict=True
        )
    }
    compared = 0
    for component, groups in case["ranef"].items():
        for group, card in groups.items():
            modes = np.array(list(card["values"].values()), float)
            spread = np.maximum(modes.std(axis=0), ZERO)
            for level, values in card["values"].items():
                for k, column in enumerate(card["columns"]):
                    key = (component, same_grouping(group), same_level(group, level), r_name(column))
                    estimate, error = ours[key]
                    assert abs(estimate - values[k]) < case["tolerances"]["ranef_abs_over_sd"] * spread[k], key
                    # lme4's conditional sd holds the parameters at their estimates; only glmmTMB's is comparable.
                    if case["package"] == "glmmTMB" and card.get("condsd"):
                        assert error == pytest.approx(card["condsd"][level][k], rel=MODE_SD), key
                    compared += 1
    assert compared or not case["ranef"]


@every_case
def test_fitted_values(name):
    case, fit = CASES[name], fitted(name)
    reference = np.array(case["fitted_first"], float)
    np.testing.assert_allclose(np.asarray(fit.fitted())[: len(reference)], reference, rtol=PREDICTION, atol=PREDICTION)


@every_case
def test_predictions(name):
    case, fit = CASES[name], fitted(name)
    compared = 0
    for block in case["predictions"]["blocks"]:
        if block["type"] not in KIND:
            continue
        rows = pd.DataFrame(case["predictions"][block["newdata"]])
        known = block["newdata"] == "known"
        with_se = block["se"] is not None and all(block["se"])
        out = fit.predict(
            rows,
            kind=KIND[block["type"]],
            ranef=block["re_form"] == "all",
            new_levels="error" if known else "population",
            se=with_se,
        )
        estimate = np.asarray(out["estimate"] if with_se else out, float)
        what = str({key: block[key] for key in ("newdata", "re_form", "type")})
        np.testing.assert_allclose(estimate, block["fit"], rtol=PREDICTION, atol=PREDICTION, err_msg=what)
        # At a level it has not met, glmmTMB adds the variance between groups to the squared standard error.
        if with_se and known:
            relative = max(PREDICTION_SE, case["tolerances"]["se_rel"])
            np.testing.assert_allclose(out["std_error"], block["se"], rtol=relative, err_msg=what)
        compared += 1
    assert compared == len([b for b in case["predictions"]["blocks"] if b["type"] in KIND])
