"""Effects against ggpredict and ggemmeans, the words of their terms, ordinal responses, grouping factors."""

import json
from pathlib import Path

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, owls, sleepstudy
from ranef.inference.marginal_means.variables import Variables
from ranef.prediction.effect_terms import effect_terms, round_values

STORED = Path(__file__).parents[1] / "reference" / "marginal_means" / "answers.json"
ANSWERS = json.loads(STORED.read_text())["answers"]
# R's optima: lme4's at BOBYQA's last radius, glmmTMB's polished, glmer's inexact.
TOLERANCE = {"sleepstudy": 1e-8, "owls_plain": 1e-8, "owls_terms": 1e-7, "cbpp": 2e-6}
# Limits rest on standard errors too, which glmmTMB and glmer take from differences.
LIMITS = {"sleepstudy": 1e-6, "owls_plain": 1e-5, "owls_terms": 1e-5, "cbpp": 1e-4}


def owls_plain():
    return rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", data("owls"), family="nbinom2")


def owls_terms():
    formula = "SiblingNegotiation ~ FoodTreatment * SexParent + ArrivalTime + (1 | Nest)"
    return rf.glmm(formula, data("owls"), family="poisson")


TERMS = ["ArrivalTime [22, 25.5, 29]", "FoodTreatment"]
CASES = {
    # ggpredict takes rows minus parameters as degrees of freedom of an lmer.
    "sleepstudy ggpredict": lambda: sleepstudy().effects("Days", ddf=174),
    "sleepstudy ggpredict_random": lambda: sleepstudy().effects("Days", ddf=174, interval="prediction"),
    "owls_plain ggpredict": lambda: owls_plain().effects("FoodTreatment"),
    "owls_terms reference": lambda: owls_terms().effects(TERMS),
    "cbpp ggpredict": lambda: cbpp().effects("period"),
}


@pytest.mark.parametrize("case", CASES)
def test_predictions_and_intervals_are_those_of_ggpredict(case):
    model, name = case.split()
    ours, theirs = CASES[case]().table, {k: np.array(v) for k, v in ANSWERS[model][name].items()}
    np.testing.assert_allclose(ours["estimate"], theirs["predicted"], rtol=TOLERANCE[model])
    length = theirs["conf.high"] - theirs["conf.low"]
    for mine, other in (("conf_low", "conf.low"), ("conf_high", "conf.high")):
        assert (np.abs(ours[mine] - theirs[other]) <= LIMITS[model] * length).all()


def test_marginal_means_are_those_of_ggemmeans():
    ours = owls_terms().effects(TERMS, margin="mean", ddf=593).table
    theirs = ANSWERS["owls_terms"]["means"]
    np.testing.assert_allclose(ours["estimate"], theirs["predicted"], rtol=1e-7)
    # emmeans takes rows minus parameters (599 - 6) for glmmTMB.
    np.testing.assert_allclose(ours["conf_low"], theirs["conf.low"], rtol=1e-5)


def test_a_grouping_factor_is_at_its_conditional_modes():
    table = sleepstudy().effects("Days [0, 5, 9]", "Subject [308, 309, 310]").table
    np.testing.assert_allclose(table["estimate"], ANSWERS["sleepstudy"]["ggpredict_levels"]["predicted"], rtol=1e-7)
    assert list(table["Subject"][:3]) == ["308", "309", "310"]
    assert "Subject at their conditional modes" in repr(sleepstudy().effects("Days [0]", "Subject [308]"))


def test_a_variable_of_random_slopes_alone():
    """Model 3 of the owls' slides: no fixed effect but the intercept."""
    fit = rf.glmm("SiblingNegotiation ~ 1 + (BroodSize || Nest)", data("owls"), family="nbinom2")
    table = fit.effects("BroodSize [1, 7]", "Nest [AutavauxTV, Bochet]").table
    # ggpredict(..., type = "random"), glmmTMB 1.1.5, whose default optimum is right to 1e-5.
    expected = [5.55188135808575, 5.65641909291675, 5.12349948302987, 5.36557859088774]
    np.testing.assert_allclose(table["estimate"], expected, rtol=1e-4)


def test_zero_inflated_counts_without_their_excess_zeros():
    fit = rf.glmm("count ~ mined + DOY + (1 | site)", data("salamanders"), family="poisson", zi="~ mined")
    table = fit.effects("mined", kind="conditional").table
    # ggpredict(type = "fixed"), glmmTMB 1.1.5 at its default optimum.
    np.testing.assert_allclose(table["estimate"], [1.09299377122266, 3.43451432411133], rtol=2e-5)
    np.testing.assert_allclose(table["conf_low"], [0.69053046662239, 2.86636287046421], rtol=1e-3)
    whole = fit.effects("mined").table["estimate"]
    zeros = fit.effects("mined", kind="zprob").table["estimate"]
    np.testing.assert_allclose(whole, table["estimate"] * (1 - zeros), rtol=1e-10)


def test_probabilities_of_categories_add_up_to_one():
    fit = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    for options in ({}, {"margin": "average"}, {"margin": "average", "bias_correction": True}):
        table = fit.effects("temp", "contact", kind="probability", **options).table
        sums = table.groupby(["temp", "contact"], observed=True)["estimate"].sum()
        np.testing.assert_allclose(sums, 1.0, atol=1e-12)
        assert ((table["conf_low"] > 0) & (table["conf_high"] < 1)).all()
    direct = fit.predict(table[["temp", "contact"]].iloc[::5], kind="probability", ranef=False)
    reference = fit.effects("temp", "contact", kind="probability").table["estimate"].to_numpy().reshape(-1, 5)
    np.testing.assert_allclose(reference, np.column_stack([direct[c] for c in direct]), rtol=1e-10)


def test_contrasts_of_effects_are_differences_of_means():
    found = owls().effects("FoodTreatment", "SexParent")
    table, pairs = found.table, found.contrasts().table
    first = table[table["SexParent"] == "Female"]["estimate"].to_numpy()
    assert pairs["estimate"][0] == pytest.approx(first[0] - first[1], rel=1e-12)
    assert list(pairs["SexParent"]) == ["Female", "Male"]


WORDS = {
    "ArrivalTime [meansd]": lambda x: [x.mean() - x.std(), x.mean(), x.mean() + x.std()],
    "ArrivalTime [minmax]": lambda x: [x.min(), x.max()],
    "ArrivalTime [zeromax]": lambda x: [0.0, x.max()],
    "ArrivalTime [quart]": lambda x: np.quantile(x, [0, 0.25, 0.5, 0.75, 1]),
    "ArrivalTime [quart2]": lambda x: np.quantile(x, [0.25, 0.5, 0.75]),
    "ArrivalTime [terciles]": lambda x: np.quantile(x, [1 / 3, 2 / 3]),
    "ArrivalTime [all]": np.unique,
    "ArrivalTime [22:29 by=2]": lambda x: [22, 24, 26, 28],
    "ArrivalTime [22:24, 29]": lambda x: [22, 23, 24, 29],
    "ArrivalTime[-1,2.5e1]": lambda x: [-1, 25],
    "ArrivalTime [n=4]": lambda x: [22, 24, 26, 28],
}


@pytest.mark.parametrize("text", WORDS)
def test_words_of_terms(text):
    found = effect_terms(text, None, Variables(owls_terms()))
    np.testing.assert_allclose(found[0].values, WORDS[text](data("owls")["ArrivalTime"]), rtol=1e-12)


def test_usual_values():
    variables = Variables(owls_terms())
    first, second = effect_terms("ArrivalTime", ["SexParent"], variables)
    assert list(second.values) == ["Female", "Male"]
    x = data("owls")["ArrivalTime"]
    assert first.values[0] == x.min()
    assert first.values[-1] == x.max()
    assert 30 < len(first.values) < 100
    np.testing.assert_allclose(effect_terms("SexParent [Male]", "ArrivalTime", variables)[1].values[1], x.mean())
    curve = effect_terms("ArrivalTime [exp]", None, variables)[0].values
    np.testing.assert_allclose(np.diff(np.log(curve)), np.log(x.max() / x.min()) / (len(curve) - 1), rtol=1e-8)
    np.testing.assert_allclose(round_values(0.0, 1.0, 4), [0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(round_values(3.0, 3.0, 4), [3.0])


def test_other_variables_can_be_set():
    fit = owls_terms()
    set_to = fit.effects("FoodTreatment", at={"SexParent": "Male", "ArrivalTime": 26}).table
    row = data("owls").head(2).assign(FoodTreatment=["Deprived", "Satiated"], SexParent="Male", ArrivalTime=26.0)
    np.testing.assert_allclose(set_to["estimate"], fit.predict(row, ranef=False), rtol=1e-12)
