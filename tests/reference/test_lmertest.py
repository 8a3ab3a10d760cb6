"""Tests of linear mixed models against lmerTest and pbkrtest, balanced and not (made by ``lmerTest/make.R``)."""

import json

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef.inference.contrasts import denominator
from reference_cases import HERE, frame

ANSWERS = json.loads((HERE / "lmerTest" / "answers.json").read_text())
CASES = [name for name in ANSWERS if name != "made_by"]
METHODS = ["satterthwaite", "kenward-roger"]
# lmerTest differentiates numerically; with df of several hundred that leaves a few millionths. pbkrtest's are exact, at
# an optimum that lme4 finds to some 1e-7 of the parameters.
DF = {"satterthwaite": 2e-4, "kenward-roger": 1e-6}
STATISTIC = 2e-6


def without_order(data: pd.DataFrame) -> pd.DataFrame:
    factors = {c: data[c].cat.as_unordered() for c in data.select_dtypes("category")}
    return data.assign(**factors)


def data_of(case: dict) -> pd.DataFrame:
    name = case["data"]
    if name == "cake_cells":
        data = without_order(frame("cake"))
        data = data[~((data["recipe"] == "A") & (data["temperature"] == "225"))]
    elif name == "insteval_first":
        data = without_order(frame("insteval", 600))
    else:
        data = frame(name)
    every = case["thinned"]
    if isinstance(every, int):
        data = data[np.arange(1, len(data) + 1) % every != 0]
    return data.reset_index(drop=True)


_FITS: dict = {}


def fit_of(name: str) -> rf.Fit:
    if name not in _FITS:
        case = ANSWERS[name]
        _FITS[name] = rf.lmm(case["formula"].replace("^", "**"), data_of(case))
    return _FITS[name]


def columns(table: dict) -> dict:
    return {key: np.atleast_1d(values) for key, values in table.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_coefficients(name, method):
    fit, answer = fit_of(name), columns(ANSWERS[name][method]["coefficients"])
    assert fit.loglik == pytest.approx(ANSWERS[name]["loglik"], abs=1e-8)
    tidy = fit.tidy(ddf=method)
    np.testing.assert_allclose(tidy["df"], answer["df"].astype(float), rtol=DF[method])
    # lme4's optimum is that near.
    np.testing.assert_allclose(tidy["std_error"], answer["Std. Error"].astype(float), rtol=1e-6)


@pytest.mark.parametrize("type_", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [name for name in CASES if "anova1" in ANSWERS[name]["satterthwaite"]])
def test_anova(name, method, type_):
    answer = columns(ANSWERS[name][method][f"anova{type_}"])
    found = fit_of(name).anova(type=type_, ddf=method)
    assert [term.replace(" ** ", "^") for term in found["term"]] == answer["row"].tolist()
    np.testing.assert_array_equal(found["num_df"], answer["NumDF"].astype(int))
    np.testing.assert_allclose(found["den_df"], answer["DenDF"].astype(float), rtol=DF[method])
    np.testing.assert_allclose(found["statistic"], answer["F value"].astype(float), rtol=STATISTIC)
    np.testing.assert_allclose(found["p_value"], answer["Pr(>F)"].astype(float), rtol=1e-3)
    if method == "satterthwaite":
        np.testing.assert_allclose(found["sum_sq"], answer["Sum Sq"].astype(float), rtol=STATISTIC)


@pytest.mark.parametrize("name", CASES)
def test_kenward_roger_covariance(name):
    found, answer = denominator(fit_of(name), ddf="kenward-roger").covariance, np.atleast_2d(ANSWERS[name]["vcov_kr"])
    sd = np.sqrt(np.diag(answer))
    np.testing.assert_allclose(found / np.outer(sd, sd), answer / np.outer(sd, sd), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CASES if "all_kr" in ANSWERS[name]])
def test_all_fixed_effects_at_once(name):
    fit = fit_of(name)
    rows = np.eye(len(fit.fixef()))[1:]
    answer = ANSWERS[name]["all_kr"]
    found = denominator(fit, ddf="kenward-roger").joint_test(rows)
    assert (found.statistic, found.ddf, found.scale) == pytest.approx(
        (answer["statistic"], answer["ddf"], answer["scale"]), rel=STATISTIC
    )
    answer = ANSWERS[name]["all_satterthwaite"]
    found = fit.test(rows)
    assert found["statistic"][0] == pytest.approx(answer["statistic"], rel=STATISTIC)
    assert found["den_df"][0] == pytest.approx(answer["ddf"], rel=DF["satterthwaite"])
    assert found["p_value"][0] == pytest.approx(answer["p"], rel=1e-3)


@pytest.mark.parametrize("name", [name for name in CASES if "ranova" in ANSWERS[name]])
def test_random_terms(name):
    answer = columns(ANSWERS[name]["ranova"])
    found = fit_of(name).ranova()
    key = [f"{value:.6f}" for value in answer["LRT"][1:].astype(float)]
    # lme4 sorts the terms by their number of levels.
    assert sorted(f"{value:.6f}" for value in found["statistic"][1:]) == sorted(key)
    np.testing.assert_allclose(sorted(found["p_value"][1:]), sorted(answer["Pr(>Chisq)"][1:].astype(float)), rtol=1e-5)
    np.testing.assert_allclose(found["loglik"][0], answer["logLik"][0], atol=1e-7)


def test_published_sugar_beets():
    """Halekoh & Hojsgaard (2014), section 1.1: what likelihood-ratio tests get wrong."""
    fit = fit_of("beets")
    rows = fit.anova(ddf="kenward-roger").set_index("term")
    harvest, sow = rows.loc["harvest"], rows.loc["sow"]
    assert (harvest["num_df"], harvest["den_df"], harvest["statistic"]) == pytest.approx((1, 2, 15.2105), rel=1e-4)
    assert (sow["num_df"], sow["den_df"], sow["statistic"]) == pytest.approx((4, 20, 101.0), rel=1e-4)


def test_published_television_sets():
    """Kuznetsova, Brockhoff & Christensen (2017), with the picture's number as it is in the data."""
    data = frame("tvbo")
    data = data.assign(Picture=data["Picture"].astype(float))
    found = rf.lmm("Coloursaturation ~ TVset * Picture + (1 | Assessor)", data).anova()
    np.testing.assert_allclose(found["statistic"], [15.2748, 3.6987, 1.9626], rtol=2e-5)
    assert found["num_df"].tolist() == [2, 1, 2]
    np.testing.assert_allclose(found["den_df"], 179.0, rtol=1e-5)
