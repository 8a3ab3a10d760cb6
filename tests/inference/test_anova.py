"""Analyses of variance: hypotheses that do not depend on the coding; least squares where there is nothing else."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import grouped, owls, sleepstudy


@pytest.fixture(scope="module")
def data():
    return grouped(31)


@pytest.mark.parametrize("type_", [1, 2, 3])
def test_no_type_depends_on_the_coding(data, type_):
    formula = "y ~ treated * visit * x + (1 | g)"
    tables = [
        rf.lmm(formula, data, contrasts=contrasts).anova(type=type_)
        for contrasts in (None, {"treated": "sum", "visit": "helmert"}, {"treated": "sum", "visit": "sum"})
    ]
    for other in tables[1:]:
        np.testing.assert_allclose(tables[0]["statistic"], other["statistic"], rtol=1e-6)
        np.testing.assert_array_equal(tables[0]["num_df"], other["num_df"])
    # With sum-to-zero contrasts a term's own coefficients are what type III tests.
    fit = rf.lmm(formula, data, contrasts={"treated": "sum", "visit": "sum"})
    if type_ == 3:
        columns = fit.design.fixed["cond"].term_columns
        each = np.eye(len(fit.fixef()))
        for term, statistic in zip(tables[2]["term"], tables[2]["statistic"], strict=True):
            assert fit.test(each[columns[term]])["statistic"][0] == pytest.approx(statistic, rel=1e-8)


def test_types_of_a_linear_model_are_reductions_of_its_residual_sum_of_squares(data):
    fit = rf.lmm("y ~ treated * visit + x", data)

    def rss(formula):
        return (rf.lmm(formula, data).residuals() ** 2).sum()

    full = rss("y ~ treated * visit + x")
    variance = full / (len(data) - 7)
    sequence = ["y ~ 1", "y ~ treated", "y ~ treated + visit", "y ~ treated + visit + x"]
    one = fit.anova(type=1)
    assert one["term"].tolist() == ["treated", "visit", "x", "treated:visit"]
    sums = [rss(formula) for formula in sequence] + [full]
    np.testing.assert_allclose(one["sum_sq"], -np.diff(sums), rtol=1e-6)
    two = fit.anova(type="II").set_index("term")["sum_sq"]
    assert two["treated"] == pytest.approx(rss("y ~ visit + x") - rss("y ~ treated + visit + x"), rel=1e-6)
    assert two["treated:visit"] == pytest.approx(rss("y ~ treated + visit + x") - full, rel=1e-6)
    np.testing.assert_allclose(one["statistic"], one["mean_sq"] / variance, rtol=1e-8)
    np.testing.assert_allclose(one["den_df"], len(data) - 7, rtol=1e-8)


def test_generalised_models_have_wald_chi_squares():
    fit = owls()
    table = fit.anova()
    assert list(table.columns) == ["term", "num_df", "den_df", "statistic", "p_value"]
    assert table["term"].tolist() == ["FoodTreatment", "SexParent", "FoodTreatment:SexParent"]
    assert np.isinf(table["den_df"]).all()
    # The interaction has one coefficient, whose z it is.
    z = fit.tidy().iloc[3]
    assert table["statistic"][2] == pytest.approx(z["statistic"] ** 2, rel=1e-8)
    assert table["p_value"][2] == pytest.approx(z["p_value"], rel=1e-8)
    assert fit.anova(component="zi").empty


def test_other_components_and_ordinal_responses_have_one_too():
    wine = rf.glmm("rating ~ temp + contact + (1 | judge)", rf.load_dataset("wine"), family="cumulative")
    table, z = wine.anova(), wine.tidy()
    z = z[z["component"] == "cond"]
    np.testing.assert_allclose(table["statistic"], z["statistic"] ** 2, rtol=1e-8)
    spread = rf.lmm("y ~ x + (1 | g)", grouped(32), dispersion="~ treated")
    assert spread.anova(component="disp")["term"].tolist() == ["treated"]


def test_the_frame_is_of_the_callers_kind_and_has_a_heading():
    table = sleepstudy().anova()
    assert table.attrs["heading"].startswith("Type III analysis of variance: Satterthwaite's degrees of freedom")
    polars = pytest.importorskip("polars")
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy", backend="polars"))
    assert isinstance(fit.anova(), polars.DataFrame)


def test_a_smooth_is_a_term_with_its_straight_part():
    ticks = rf.load_dataset("sleepstudy")
    table = rf.lmm("Reaction ~ s(Days) + (1 | Subject)", ticks).anova()
    assert len(table) == 1
    assert table["num_df"].tolist() == [1]


def test_an_unknown_type_is_refused():
    with pytest.raises(rf.ModelError, match="type=4: give 1, 2 or 3"):
        sleepstudy().anova(type=4)
    with pytest.raises(rf.ModelError, match="no component 'zi'"):
        sleepstudy().anova(component="zi")


def test_terms_without_an_intercept():
    data = grouped(33)
    fit = rf.lmm("y ~ 0 + treated + x + (1 | g)", data)
    table = fit.anova().set_index("term")
    # All levels' means are zero.
    assert table.loc["treated", "num_df"] == 2
    assert table.loc["x", "statistic"] == pytest.approx(fit.test("x = 0")["statistic"][0], rel=1e-8)


def test_a_frame_of_no_terms():
    fit = rf.lmm("Yield ~ 1 + (1 | Batch)", rf.load_dataset("dyestuff"))
    assert isinstance(fit.anova(), pd.DataFrame)
    assert fit.anova().empty


def test_terms_that_cannot_be_told_apart_have_no_degrees_of_freedom():
    frame = sleepstudy().design.frame.assign(again=lambda d: 2 * d["Days"])
    table = rf.lmm("Reaction ~ Days + again + (1 | Subject)", frame).anova(type=3)
    assert table["num_df"].tolist() == [0, 0]
    assert table["statistic"].isna().all()
    assert table["p_value"].isna().all()


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_without_fixed_effects_there_are_no_tests(kind):
    table = rf.lmm("Reaction ~ 0 + (Days | Subject)", sleepstudy().design.frame).anova(type=kind)
    assert len(table) == 0
    assert list(table.columns)[-1] == "p_value"
