"""What the paragraphs of an article say is what the fit found, and what they cite is in the list of references."""

import re

import numpy as np
import pytest

import models
import ranef as rf
from ranef.reports.article.phrases import decimals, probability, short, with_interval
from ranef.reports.article.references import CATALOGUE


def keys_of(bibtex: str) -> list[str]:
    return re.findall(r"^@\w+\{(\w+),$", bibtex, re.M)


@pytest.mark.parametrize("reference", CATALOGUE, ids=lambda reference: reference.key)
def test_bibtex_entries_can_be_read(reference):
    text = reference.bibtex
    assert text.count("{") == text.count("}")
    assert text.count("\n@") == 0
    fields = dict(re.findall(r"^  (\w+) += \{(.*)\},?$", text, re.M))
    assert {"author", "title", "year"} <= set(fields)
    assert re.fullmatch(r"\d{4}", fields["year"])
    assert reference.link.startswith("https://")
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields["doi"])
    if reference.kind == "article":
        assert {"journal", "volume", "pages"} <= set(fields)
    # A sentence cites the first author and the year.
    first = fields["author"].split(" and ")[0].split(",")[0].strip("{}")
    assert reference.cited.startswith(first)
    assert reference.cited.endswith(fields["year"])


def test_keys_are_told_apart():
    keys = [reference.key for reference in CATALOGUE]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ["sleepstudy", "owls", "cbpp", "assumed", "dyestuff2"])
def test_what_is_cited_is_what_the_text_names(name):
    fit = getattr(models, name)()
    what = (fit.check(), fit.simulate_residuals(n=30, seed=1))
    text, keys = fit.methods_text(*what), keys_of(fit.citations(*what))
    assert {"ranef", "hartig_dharma", "dunn1996", "holm1979"} <= set(keys)
    plain = re.sub(r"\((\d{4})\)", r"\1", text)
    for reference in CATALOGUE:
        assert (reference.cited in plain) == (reference.key in keys), reference.key


def test_only_what_was_used_is_cited():
    linear, counts = keys_of(models.sleepstudy().citations()), keys_of(models.owls().citations())
    assert {"bates2015", "satterthwaite1946", "patterson1971", "johnson2014"} <= set(linear)
    assert not {"brooks2017", "kenward1997", "lambert1992"} & set(linear)
    assert {"ranef", "brooks2017", "nakagawa2017"} <= set(counts)
    assert not {"bates2015", "satterthwaite1946", "patterson1971", "johnson2014"} & set(counts)
    assert not {"hartig_dharma", "dunn1996", "holm1979"} & set(counts)
    kenward = models.sleepstudy().citations(ddf="kenward-roger")
    assert "kenward1997" in keys_of(kenward)
    assert "satterthwaite1946" not in keys_of(kenward)


def numbers_behind(text: str, words: str) -> list[float]:
    """The numbers that stand behind some words, up to the next sentence."""
    rest = text[text.index(words) + len(words) :].replace("\N{MINUS SIGN}", "-")
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", rest)]


def test_a_slope_is_its_coefficient_with_its_interval():
    fit = models.sleepstudy()
    row = fit.tidy().iloc[1]
    found = numbers_behind(fit.results_text(), "rose by ")
    wanted = [row["estimate"], 95, row["conf_low"], row["conf_high"], row["df"], row["statistic"]]
    assert found[:6] == pytest.approx(wanted, abs=0.06)


def test_a_factor_is_a_ratio_of_marginal_means():
    fit = models.owls_poisson()
    table = fit.emmeans("FoodTreatment", kind="response").contrasts("revpairwise").table
    found = numbers_behind(fit.results_text(), "FoodTreatment Satiated was ")
    # Printed to three decimals.
    assert [found[0], *found[2:4]] == pytest.approx(table.loc[0, ["ratio", "conf_low", "conf_high"]].tolist(), abs=6e-4)


def test_the_baseline_does_not_depend_on_the_coding():
    owls = models.data("owls")
    formula = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"
    plain = rf.glmm(formula, owls, family="poisson")
    summed = rf.glmm(formula, owls, family="poisson", contrasts={"FoodTreatment": "sum"})
    # Different coordinates of the search end within its tolerance.
    assert plain.results_text() == summed.results_text()
    assert "FoodTreatment had sum contrasts" in summed.methods_text()


def test_odds_of_an_excess_zero():
    fit = models.owls()
    chance = 1.0 / (1.0 + np.exp(-fit.fixef("zi")["Intercept"]))
    assert numbers_behind(fit.results_text(), "probability of an excess zero was ")[0] == pytest.approx(
        chance, abs=5e-4
    )


def test_an_interaction_that_is_clear_is_told_by_level():
    fit = rf.glmm("count ~ spp * mined + (1 | site)", models.data("salamanders"), family="poisson")
    text = fit.results_text()
    assert "The effect of mined depended on spp (χ²(6) = " in text
    assert text.count(" at spp ") == 7
    assert "Averaged over" not in text


def test_checks_are_told_where_they_were_made():
    fit = models.owls()
    assert "checks" not in fit.results_text()
    found = fit.check(restarts=0)
    assert "one was worth a look (spread along fitted values)" in fit.results_text(found)
    assert "We checked" not in fit.methods_text()
    assert "Hartig" not in fit.methods_text(found)
    # Only what was done.
    assert "We checked convergence (gradient and curvature), identifiability and collinearity" in fit.methods_text(
        found
    )
    assert "restarts" in fit.methods_text(fit.check(restarts=1))
    simulated = fit.simulate_residuals(n=40, seed=1)
    assert "residuals scaled by 40 simulations of each observation" in fit.methods_text(simulated=simulated)


def test_numbers_in_sentences():
    assert [short(v) for v in (0.0, 1234567.0, 1e-9, float("nan"), -0.5)] == [
        "0",
        "1,234,567",
        "1.00 × 10^\N{MINUS SIGN}9",
        "not defined",
        "\N{MINUS SIGN}0.5",
    ]
    assert with_interval((-3.2, float("nan"), float("nan"))) == "\N{MINUS SIGN}3.2"
    assert with_interval((2.0, 1.0, float("inf"))) == "2.0 (95% CI 1.0 to infinity)"
    assert with_interval((1e8, 1e7, 1e9)) == "1.00 × 10^8 (95% CI 1.00 × 10^7 to 1.00 × 10^9)"
    assert decimals(0.0, 0.0, 0.0) >= 0
    assert [probability(p) for p in (0.0496, 0.0504, 0.999)] == ["p = 0.050", "p = 0.050", "p > 0.99"]
