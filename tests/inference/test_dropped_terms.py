"""Models with one term less: R's drop1 tables, lmerTest's F tests, and tests of random terms."""

import numpy as np
import pytest
from scipy import stats

import ranef as rf
from models import cbpp, sleepstudy
from ranef.inference.likelihood_ratio import boundary_tail, upper_tail


def test_drop1_of_a_binomial_model_is_lme4s():
    # lme4 1.1.31, drop1(test = "Chisq"); glmer's likelihood is inexact by 1e-4 (see tests/reference/README.md).
    table = cbpp().drop1()
    assert table["term"].tolist() == ["<none>", "period"]
    np.testing.assert_allclose(table["aic"], [194.052563742994, 213.662627187711], atol=5e-4)
    assert table["df"][1] == 3
    assert table["statistic"][1] == pytest.approx(25.610063444717, abs=5e-4)
    assert table["p_value"][1] == pytest.approx(1.15093669430888e-05, rel=1e-3)


def test_drop1_of_counts_is_glmmtmbs():
    # glmmTMB 1.1.5, drop1(test = "Chisq").
    fit = rf.glmm(
        "SiblingNegotiation ~ FoodTreatment * SexParent + (1 | Nest)", rf.load_dataset("owls"), family="nbinom2"
    )
    table = fit.drop1()
    assert table["term"].tolist() == ["<none>", "FoodTreatment:SexParent"]
    np.testing.assert_allclose(table["aic"], [3499.76337904127, 3498.12864330816], atol=1e-5)
    assert table["statistic"][1] == pytest.approx(0.365264266888062, abs=1e-5)
    assert table["p_value"][1] == pytest.approx(0.545597033134554, rel=1e-4)


def test_drop1_of_a_reml_fit_compares_fits_by_maximum_likelihood():
    # lme4 1.1.31, anova(m0, m1).
    table = sleepstudy().drop1()
    np.testing.assert_allclose(table["aic"], [1763.9393444632, 1785.47588196108], atol=1e-5)
    assert table["statistic"][1] == pytest.approx(23.5365374978776, abs=1e-6)
    assert list(sleepstudy().drop1(test=None).columns) == ["term", "df", "aic"]


def test_f_tests_are_lmertests():
    fit = rf.lmm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", rf.load_dataset("machines"))
    row = fit.drop1(test="F").iloc[0]
    assert (row["sum_sq"], row["num_df"], row["den_df"], row["statistic"], row["p_value"]) == pytest.approx(
        (38.0505146717734, 2, 10.0000012344055, 20.576084549709, 0.000285548251378406), rel=1e-5
    )
    row = fit.drop1(test="F", ddf="kenward-roger").iloc[0]
    assert (row["den_df"], row["statistic"], row["p_value"]) == pytest.approx(
        (9.9999999999998, 20.5760845497092, 0.000285548397255894), rel=1e-6
    )


def test_only_terms_that_stand_in_no_other_are_left_out():
    fit = rf.lmm("distance ~ age * Sex + (1 | Subject)", rf.load_dataset("orthodont"))
    assert fit.drop1(test="F")["term"].tolist() == ["age:Sex"]


def test_what_cannot_be_dropped_is_refused():
    with pytest.raises(rf.ModelError, match="test='wald': give 'chisq', 'F' or None"):
        cbpp().drop1(test="wald")
    with pytest.raises(rf.ModelError, match="test='F' needs denominator degrees of freedom"):
        cbpp().drop1(test="F")
    with pytest.raises(rf.ModelError, match="nothing to drop"):
        rf.lmm("Yield ~ 1 + (1 | Batch)", rf.load_dataset("dyestuff")).drop1()
    with pytest.raises(rf.ModelError, match="ddf= goes with test='F'"):
        cbpp().drop1(ddf="residual")


def test_slopes_are_left_out_one_by_one():
    oats = rf.load_dataset("orthodont")
    fit = rf.lmm("distance ~ age + (age + Sex | Subject)", oats)
    table = fit.ranova()
    assert table["term"].tolist()[1:] == ["age in (1 + age + Sex | Subject)", "Sex in (1 + age + Sex | Subject)"]
    assert table["df"].tolist()[1:] == [3.0, 3.0]
    smaller = rf.lmm("distance ~ age + (1 + Sex | Subject)", oats)
    assert table["statistic"][1] == pytest.approx(2.0 * (fit.loglik - smaller.loglik), abs=1e-6)


def test_independent_effects_and_nested_groups_are_terms_of_their_own():
    fit = rf.lmm("Reaction ~ Days + (Days || Subject)", rf.load_dataset("sleepstudy"))
    table = fit.ranova()
    assert table["df"].tolist()[1:] == [1.0]
    assert table["statistic"][1] == pytest.approx(42.7957918136, abs=1e-6)
    nested = rf.lmm("strength ~ 1 + (1 | batch/cask)", rf.load_dataset("pastes")).ranova()
    assert nested["term"].tolist()[1:] == ["(1 | batch)", "(1 | batch:cask)"]


def test_a_generalised_model_is_compared_by_its_own_criterion():
    table = cbpp().ranova()
    without = rf.glmm("cbind(incidence, size - incidence) ~ period", rf.load_dataset("cbpp"), family="binomial")
    assert table["loglik"][1] == pytest.approx(without.loglik, abs=1e-8)
    assert table["p_boundary"][1] == pytest.approx(0.5 * table["p_value"][1], rel=1e-12)


def test_the_mixture_of_chi_squares():
    assert boundary_tail(2.0, 1) == pytest.approx(0.5 * stats.chi2.sf(2.0, 1))
    assert boundary_tail(5.0, 2) == pytest.approx(0.5 * (stats.chi2.sf(5.0, 1) + stats.chi2.sf(5.0, 2)))
    # Half of the time the variance is estimated as zero.
    assert boundary_tail(0.0, 1) == 1.0
    assert upper_tail(0.0, 0) == 1.0
    assert upper_tail(1e-3, 0) == 0.0


@pytest.mark.slow
def test_the_corrected_p_values_of_a_variance_are_uniform():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(40), 4)
    corrected, plain = [], []
    for _ in range(200):
        data = {"y": rng.normal(size=g.size), "g": [f"s{k}" for k in g]}
        row = rf.lmm("y ~ 1 + (1 | g)", data).ranova().iloc[1]
        corrected.append(row["p_boundary"])
        plain.append(row["p_value"])
    # Below a half, where the variance is not estimated as zero.
    below = np.array(corrected) < 0.5
    assert np.mean(np.array(corrected) < 0.1) == pytest.approx(0.1, abs=0.05)
    assert stats.kstest(2.0 * np.array(corrected)[below], "uniform").pvalue > 0.01
    assert np.mean(np.array(plain) < 0.1) < np.mean(np.array(corrected) < 0.1)
