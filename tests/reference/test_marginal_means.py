"""Marginal means, contrasts and joint tests against R's emmeans (`marginal_means/make.R` wrote its answers)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, owls

ANSWERS = json.loads((Path(__file__).parent / "marginal_means" / "answers.json").read_text())["answers"]
# lme4's optimum, at BOBYQA's last radius of 1e-12, leaves variances right to 1e-6 of themselves.
LMER = {"estimate": 1e-9, "std_error": 1e-6}
# glmmTMB's standard errors come from a Hessian by differences; its estimates were polished by Newton steps.
TMB = {"estimate": 1e-8, "std_error": 2e-6}
# glmer's optimum is inexact, and its Hessian is one of finite differences.
GLMER = {"estimate": 1e-6, "std_error": 1e-5}
HEADS = ("emmean", "estimate", "response", "prob", "ratio", "odds.ratio", "nitro.trend")
OURS = ("emmean", "estimate", "response", "ratio", "odds_ratio", "slope")


@cache
def machines():
    return rf.lmm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data("machines"))


@cache
def oats():
    return rf.lmm("yield ~ nitro * Variety + (1 | Block/Variety)", data("oats"))


@cache
def arabidopsis(complete=True):
    d = data("arabidopsis")
    if complete:
        formula = "`total.fruits` ~ factor(nutrient) * amd + amd * status + factor(rack) + (1 | popu)"
        return rf.lmm(formula, d)
    d = d[~((d["amd"] == "clipped") & (d["status"] == "Transplant"))]
    return rf.lmm("`total.fruits` ~ amd * status + factor(rack) + (1 | popu)", d)


@cache
def pastes_nested():
    d = data("pastes")
    d = d.assign(lot=d["batch"].astype(str) + d["cask"].astype(str))
    d["half"] = np.where(d["batch"].astype(str) <= "D", "first", "second")
    return rf.lmm("strength ~ half + half:batch + (1 | lot)", d)


@cache
def logged():
    d = data("sleepstudy")
    return rf.lmm("log(Reaction) ~ factor(Days) + (1 | Subject)", d[d["Days"] < 3])


Z = {"ddf": "asymptotic"}


def machine_means(ddf="asymptotic"):
    return machines().emmeans("Machine", ddf=ddf)


def amd(weights):
    return arabidopsis().emmeans("amd", weights=weights, **Z)


def pairs_of_machines(adjust):
    return machine_means(ddf=10).contrasts(adjust=adjust)


AT = {"nitro": [0.2, 0.6]}
CASES = {
    "machines emmeans_asymptotic": (machine_means, LMER),
    "machines pairs_asymptotic": (lambda: machine_means().contrasts(), LMER),
    **{
        f"machines pairs_df10_{adjust}": (lambda adjust=adjust: pairs_of_machines(adjust), LMER)
        for adjust in ("none", "tukey", "sidak", "holm", "bonferroni", "fdr", "scheffe")
    },
    "machines trt_df10_none": (lambda: machine_means(ddf=10).contrasts("trt.vs.ctrl", adjust="none"), LMER),
    # mvtnorm draws at random, to an error of 1e-3 of a probability and the quantile that it is solved for.
    "machines trt_df10_mvt": (lambda: machine_means(ddf=10).contrasts("trt.vs.ctrl"), {**LMER, "limit": 3e-4}),
    **{
        f"machines {method}_df10": (
            lambda method=method: machine_means(ddf=10).contrasts(method, adjust="none"),
            LMER,
        )
        for method in ("eff", "poly", "consec", "revpairwise")
    },
    "machines own": (lambda: machine_means(ddf=10).contrasts({"later": [1, -0.5, -0.5]}), LMER),
    "oats emmeans_asymptotic": (lambda: oats().emmeans("~ Variety | nitro", at=AT, **Z), LMER),
    "oats pairs_asymptotic": (lambda: oats().emmeans("Variety", by="nitro", at=AT, **Z).contrasts(), LMER),
    "oats interaction": (
        lambda: (
            oats()
            .emmeans("~ Variety * nitro", at={"nitro": [0, 0.2, 0.6]}, **Z)
            .contrasts(interaction=["pairwise", "poly"])
        ),
        LMER,
    ),
    "oats all_pairs": (lambda: oats().emmeans("~ Variety * nitro", at={"nitro": [0, 0.2, 0.6]}, **Z).contrasts(), LMER),
    "poly emmeans": (
        lambda: rf.lmm("Reaction ~ poly(Days, 2) + (1 | Subject)", data("sleepstudy")).emmeans(
            "Days", at={"Days": [0, 4, 9]}, **Z
        ),
        LMER,
    ),
    "powers emmeans": (
        lambda: rf.lmm("Reaction ~ Days + I(Days^2) + log(Days + 1) + (1 | Subject)", data("sleepstudy")).emmeans(
            "Days", at={"Days": [0, 4, 9]}, **Z
        ),
        LMER,
    ),
    "powers mean": (
        lambda: rf.lmm("Reaction ~ Days + I(Days^2) + log(Days + 1) + (1 | Subject)", data("sleepstudy")).emmeans(
            "~ 1", **Z
        ),
        LMER,
    ),
    **{f"weights {w}": (lambda w=w: amd(w), LMER) for w in ("equal", "proportional", "outer", "cells", "flat")},
    "weights by": (lambda: arabidopsis().emmeans("~ amd | status", weights="proportional", **Z), LMER),
    "weights interaction": (lambda: arabidopsis().emmeans("~ amd * status", **Z).contrasts(interaction=True), LMER),
    "empty cells": (lambda: arabidopsis(False).emmeans("~ amd * status", **Z), LMER),
    "empty amd": (lambda: arabidopsis(False).emmeans("amd", **Z), LMER),
    "empty pairs": (lambda: arabidopsis(False).emmeans("~ status | amd", **Z).contrasts(adjust="none"), LMER),
    "nested half": (lambda: pastes_nested().emmeans("half", **Z), LMER),
    "nested batch": (lambda: pastes_nested().emmeans("batch", **Z), LMER),
    "logged link": (lambda: logged().emmeans("Days", **Z), LMER),
    "logged response": (lambda: logged().emmeans("Days", kind="response", **Z), LMER),
    "logged ratios": (lambda: logged().emmeans("Days", kind="response", **Z).contrasts(), LMER),
    "cbpp link": (lambda: cbpp().emmeans("period"), GLMER),
    "cbpp response": (lambda: cbpp().emmeans("period", kind="response"), GLMER),
    "cbpp odds_ratios": (lambda: cbpp().emmeans("period", kind="response").contrasts(), GLMER),
    "cbpp differences": (lambda: cbpp().emmeans("period").regrid().contrasts(adjust="none"), GLMER),
    "owls response": (lambda: owls().emmeans("~ FoodTreatment | SexParent", kind="response"), TMB),
    "owls ratios": (lambda: owls().emmeans("~ FoodTreatment | SexParent", kind="response").contrasts(), TMB),
    "owls zi": (lambda: owls().emmeans("1", component="zi", kind="response"), TMB),
}


def column(table, names):
    name = next(name for name in names if name in table)
    values = table[name]
    return np.array([np.nan if v is None else v for v in np.atleast_1d(np.asarray(values, object))], float)


def answer(case):
    model, name = case.split()
    return ANSWERS[model][name]


@pytest.mark.parametrize("case", CASES)
def test_estimates_standard_errors_and_intervals_are_those_of_emmeans(case):
    ask, tolerance = CASES[case]
    ours, theirs = ask().table, answer(case)
    scale = np.nanmax(np.abs(column(theirs, HEADS)))
    estimate, se = column(ours, OURS), column(ours, ["std_error"])
    np.testing.assert_allclose(estimate, column(theirs, HEADS), atol=tolerance["estimate"] * scale)
    np.testing.assert_allclose(se, column(theirs, ["SE"]), rtol=tolerance["std_error"])
    low, high = column(theirs, ["lower.CL", "asymp.LCL"]), column(theirs, ["upper.CL", "asymp.UCL"])
    limit = tolerance.get("limit", 10 * tolerance["std_error"]) * (high - low)
    # R's ptukey and qtukey are right to 1e-4 of the quantile or so; everything else to rounding.
    limit = np.maximum(limit, 2e-5 * (high - low))
    assert (np.abs(column(ours, ["conf_low"]) - low) <= limit)[~np.isnan(low)].all()
    assert (np.abs(column(ours, ["conf_high"]) - high) <= limit)[~np.isnan(low)].all()
    p = column(theirs, ["p.value"])
    # Of a tail of e-100 the logarithm is right to 1e-4 when the statistic is right to 1e-6.
    near = ~np.isnan(p) & (p > 1e-12)
    np.testing.assert_allclose(column(ours, ["p_value"])[near], p[near], rtol=tolerance.get("limit", 2e-5) * 10)
    np.testing.assert_array_equal(np.isnan(p), np.isnan(column(ours, ["p_value"])))


def test_contrasts_are_called_as_in_emmeans():
    assert list(machine_means().contrasts().table["contrast"]) == answer("machines pairs_asymptotic")["contrast"]
    table = cbpp().emmeans("period", kind="response").contrasts().table
    assert list(table["contrast"]) == answer("cbpp odds_ratios")["contrast"]
    assert (
        list(oats().emmeans("~ Variety * nitro", at={"nitro": [0, 0.2, 0.6]}).contrasts().table["contrast"])
        == (answer("oats all_pairs")["contrast"])
    )
    assert list(machine_means().contrasts("eff").table["contrast"]) == answer("machines eff_df10")["contrast"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("equivalence", {"delta": 9}),
        ("noninferiority", {"delta": 9, "side": "greater"}),
        ("greater", {"null": -10, "side": ">"}),
    ],
)
def test_one_sided_and_equivalence_tests(name, options):
    table = machine_means(ddf=10).contrasts(adjust="none").test(**options).table
    theirs = ANSWERS["machines"][name]
    np.testing.assert_allclose(table["statistic"], theirs["t.ratio"], rtol=1e-6)
    np.testing.assert_allclose(table["p_value"], theirs["p.value"], rtol=2e-6)


@pytest.mark.parametrize(
    ("fit", "model", "name", "by"),
    [
        (machines, "machines", "joint_tests_asymptotic", None),
        (oats, "oats", "joint_tests_asymptotic", None),
        (arabidopsis, "weights", "joint_tests", None),
        (arabidopsis, "weights", "joint_tests_by", "amd"),
        (lambda: arabidopsis(False), "empty", "joint_tests", None),
    ],
)
def test_joint_tests_are_those_of_emmeans(fit, model, name, by):
    ours = fit().joint_tests(by=by, **Z)
    theirs = pd.DataFrame({k: v if isinstance(v, list) else [v] for k, v in ANSWERS[model][name].items()})
    # R leaves out what cannot be estimated (or says "confounded") and names the variables without factor(...).
    ours = ours[ours["df"] > 0].reset_index(drop=True)
    key = ["term", *([by] if by else [])]
    theirs = theirs.rename(columns={"model term": "term"})
    theirs = theirs[theirs["term"] != "(confounded)"].set_index(key)
    ours = ours.set_index(key)
    assert set(ours.index) == set(theirs.index)
    theirs = theirs.loc[ours.index]
    assert list(ours["df"]) == list(theirs["df1"])
    # emmeans rounds F to three decimals and divides chi-square by its degrees of freedom.
    np.testing.assert_allclose(ours["statistic"] / ours["df"], theirs["F.ratio"], atol=6e-4)
    np.testing.assert_allclose(ours["p_value"], theirs["p.value"], rtol=1e-4)


def test_the_shared_analysis_with_residual_degrees_of_freedom():
    """glmmTMB's emmeans takes rows minus parameters, a number that can be given."""
    table = owls().emmeans("~ FoodTreatment | SexParent", kind="response", ddf=592).contrasts().table
    assert list(table["df"]) == [592.0, 592.0]
    np.testing.assert_allclose(table["p_value"], [0.004301268, 0.015044811], rtol=1e-6)
