"""Adjustments, contrast sets, specifications and tables of marginal means."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, owls, salamanders
from ranef.inference.marginal_means.adjustments import FamilyOfTests
from ranef.inference.marginal_means.contrast_methods import contrasts_of
from ranef.inference.marginal_means.specification import specification


def machines():
    return rf.lmm("score ~ Machine + (1 | Worker)", data("machines"))


@pytest.mark.parametrize("adjust", ["tukey", "sidak", "bonferroni", "scheffe", "dunnett", "mvt"])
def test_simultaneous_intervals_and_p_values_agree(adjust):
    """An estimate whose interval ends at zero has an adjusted p-value of one minus the level."""
    rows = np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1.0]])
    family = FamilyOfTests(rows @ rows.T, np.full(3, 9.0), 3)
    half = family.critical_values(0.9, adjust)
    statistic = half[0] * np.ones(3)
    from ranef.inference.wald import p_value

    p = family.p_values(statistic, p_value(statistic, np.full(3, 9.0)), adjust)
    np.testing.assert_allclose(p, 0.1, rtol=1e-8)


def test_one_sided_adjustments():
    family = FamilyOfTests(np.eye(2) * 0.5 + 0.5, np.full(2, np.inf))
    greater = family.critical_values(0.95, "mvt", "greater")
    assert (greater < family.critical_values(0.95, "mvt")).all()
    np.testing.assert_allclose(family.critical_values(0.95, "none", "greater"), 1.6448536, rtol=1e-7)
    np.testing.assert_allclose(family.critical_values(0.95, "bonferroni", "less"), 1.9599640, rtol=1e-7)
    # Tukey's and Scheffe's methods are two-sided.
    assert family.effective("tukey", "less") == "sidak"
    assert family.effective("scheffe", "less") == "bonferroni"


def test_contrast_sets():
    names, matrix = contrasts_of("poly", list("abcd"))
    assert names == ["linear", "quadratic", "cubic"]
    np.testing.assert_array_equal(matrix, [[-3, -1, 1, 3], [1, -1, -1, 1], [-1, 3, -3, 1]])
    names, matrix = contrasts_of("trt.vs.ctrl", ["a", "b-c", "d"], reference="b-c")
    assert names == ["a - (b-c)", "d - (b-c)"]
    np.testing.assert_array_equal(matrix, [[1, -1, 0], [0, -1, 1]])
    assert contrasts_of("pairwise", ["a", "b"], ratio=True)[0] == ["a / b"]
    np.testing.assert_allclose(contrasts_of("eff", list("abc"))[1].sum(axis=1), 0.0, atol=1e-15)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("~ a | b", None), (["a"], ["b"])),
        (("a", "b"), (["a"], ["b"])),
        (("~a:b", None), (["a", "b"], [])),
        ((["a", "b"], ["b"]), (["a"], ["b"])),
        (("1", None), ([], [])),
    ],
)
def test_specifications(given, expected):
    assert specification(*given) == expected


def test_polynomials_have_names_to_the_fourth_degree():
    names, matrix = contrasts_of("poly", list("abcdef"))
    assert list(names) == ["linear", "quadratic", "cubic", "quartic", "degree 5"]
    # The table of orthogonal polynomials of six places.
    assert np.asarray(matrix)[3].tolist() == [1, -3, 2, 2, -3, 1]
    assert np.asarray(matrix)[4].tolist() == [-1, 5, -10, 10, -5, 1]


def test_contrasts_are_linear_in_means():
    means = machines().emmeans("Machine")
    weights = np.array([[0.2, 0.3, -0.5], [1.0, 1.0, 1.0]])
    table = means.contrasts(weights).table
    np.testing.assert_allclose(table["estimate"], weights @ means.table["emmean"], rtol=1e-12)
    np.testing.assert_allclose(table["std_error"] ** 2, np.diag(weights @ means.covariance @ weights.T), rtol=1e-10)


def test_joint_test_of_the_means_is_that_of_their_contrasts():
    fit = machines()
    contrasts = fit.emmeans("Machine", ddf="asymptotic").contrasts("consec")
    joint = contrasts.joint()
    beta, vcov = np.array(list(fit.fixef().values()))[1:], fit.vcov()[1:, 1:]
    assert joint["df"][0] == 2
    assert joint["statistic"][0] == pytest.approx(beta @ np.linalg.solve(vcov, beta), rel=1e-9)
    pairs = fit.emmeans("Machine", ddf="asymptotic").contrasts().joint()
    assert pairs["statistic"][0] == pytest.approx(joint["statistic"][0], rel=1e-9)


def test_a_number_of_degrees_of_freedom_makes_t_and_f():
    found = machines().emmeans("Machine", ddf=12)
    assert found.table["df"].tolist() == [12.0] * 3
    joint = found.contrasts("consec").joint()
    assert joint["ddf"][0] == 12.0
    asymptotic = machines().emmeans("Machine", ddf="asymptotic").contrasts("consec").joint()
    assert joint["statistic"][0] == pytest.approx(asymptotic["statistic"][0] / 2, rel=1e-10)


def test_a_cluster_robust_covariance_reaches_means_slopes_and_effects():
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"))
    robust = fit.tidy(vcov="CR2")
    slope = fit.slopes("Days", vcov="CR2")
    for name in ("std_error", "df", "p_value"):
        assert slope[name][0] == pytest.approx(robust[name][1], rel=1e-8)
    at_zero = fit.emmeans("Days", at={"Days": 0}, vcov="CR2")
    assert at_zero["conf_low"][0] == pytest.approx(robust["conf_low"][0], rel=1e-8)
    assert fit.effects("Days [0]", vcov="CR2")["std_error"][0] == pytest.approx(robust["std_error"][0], rel=1e-8)
    assert "CR2 covariance, 18 clusters of Subject" in repr(at_zero)
    with pytest.raises(rf.ModelError, match="of one component"):
        owls().comparisons("FoodTreatment", vcov="CR0")


def test_the_adjustment_of_one_comparison_is_none():
    table = owls().emmeans("FoodTreatment").contrasts().table
    plain = owls().emmeans("FoodTreatment").contrasts(adjust="none").table
    pd.testing.assert_frame_equal(table, plain)


def test_intervals_of_the_response_are_transformed():
    link = cbpp().emmeans("period").table
    response = cbpp().emmeans("period", kind="response").table
    for name in ("conf_low", "conf_high"):
        np.testing.assert_allclose(response[name], 1 / (1 + np.exp(-link[name])), rtol=1e-12)
    np.testing.assert_allclose(response["p_value"], link["p_value"], rtol=1e-12)


def test_averages_by_a_number_and_by_levels_in_their_declared_order():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"v": rng.normal(size=90), "k": rng.integers(0, 3, 90) / 2.0, "g": np.arange(90) % 9})
    frame["size"] = pd.Categorical(rng.choice(["small", "middle", "large"], 90), ["small", "middle", "large"])
    frame["y"] = frame["v"] * (1 + frame["k"]) + frame["v"] ** 2 + rng.normal(size=90)
    fit = rf.lmm("y ~ v * k + I(v^2) + size + (1 | g)", frame)
    b = fit.fixef()
    own = b["v"] + b["v:k"] * frame["k"] + 2 * b["I(v ** 2)"] * frame["v"]
    by_number = fit.slopes("v", by="k", margin="average").table
    assert by_number["k"].tolist() == [0.0, 0.5, 1.0]
    # The slope of a square by differences is right to rounding.
    np.testing.assert_allclose(by_number["slope"], own.groupby(frame["k"]).mean(), rtol=1e-7)
    by_level = fit.slopes("v", by="size", margin="average").table
    assert by_level["size"].tolist() == ["small", "middle", "large"]
    np.testing.assert_allclose(by_level["slope"], own.groupby(frame["size"], observed=True).mean(), rtol=1e-7)


def test_components():
    fit = salamanders()
    sigma = fit.emmeans("DOY", at={"DOY": [0.0, 1.0]}, component="disp", kind="response").table
    beta = list(fit.fixef("disp").values())
    np.testing.assert_allclose(sigma["response"], np.exp([beta[0], beta[0] + beta[1]]), rtol=1e-12)
    whole = owls().emmeans(["FoodTreatment", "SexParent"], component="response").table
    conditional = owls().emmeans(["FoodTreatment", "SexParent"], component="cmean").table
    zi = owls().emmeans("1", component="zi", kind="response").table["response"][0]
    np.testing.assert_allclose(whole["response"], conditional["response"] * (1 - zi), rtol=1e-12)


def test_frames_come_back_in_the_callers_kind():
    fit = rf.lmm("score ~ Machine + (1 | Worker)", data("machines", "polars"))
    table = fit.emmeans("Machine").table
    assert type(table).__module__.startswith("polars")
    assert table["Machine"].to_list() == ["A", "B", "C"]
    assert fit.joint_tests()["df"].to_list() == [2]
    assert fit.effects("Machine").table["estimate"].to_list() == table["emmean"].to_list()


def test_text_and_html():
    means = owls().emmeans("~ FoodTreatment | SexParent", kind="response")
    assert len(means) == 4
    assert means.columns[:3] == ["FoodTreatment", "SexParent", "response"]
    assert list(means["response"]) == list(means.table["response"])
    text = repr(means.contrasts(by=[]))
    assert "Tukey's method for all pairs of 4 means" in text
    assert "ratio" in text
    assert "BroodSize = 4.392" in repr(means)
    assert "<table>" in means._repr_html_()
    assert "margin 0.1" in repr(means.test(delta=0.1))
    assert "At SexParent = Female, BroodSize = 4.392" in repr(owls().effects("FoodTreatment"))


def test_an_offset_given_as_an_array_stands_at_its_mean():
    d = data("owls")
    offset = np.log(d["BroodSize"].to_numpy())
    formula = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"
    given = rf.glmm(formula, d, family="poisson", offset=offset)
    named = rf.glmm(formula + " + offset(o)", d.assign(o=offset), family="poisson")
    for ask in (
        lambda f: f.emmeans("FoodTreatment").table["emmean"],
        lambda f: f.effects("FoodTreatment").table["estimate"],
        lambda f: f.effects("FoodTreatment", margin="average").table["estimate"],
        lambda f: f.effects("FoodTreatment", interval="prediction").table["conf_high"],
    ):
        np.testing.assert_allclose(ask(given), ask(named), rtol=1e-6)


def test_comparisons_of_levels_are_differences_of_averages():
    fit = salamanders()
    levels = data("salamanders")["spp"].cat.categories[:3].tolist()
    frame = data("salamanders")
    frame = frame[frame["spp"].isin(levels)].assign(spp=lambda d: d["spp"].cat.remove_unused_categories())
    fit = rf.glmm("count ~ spp + mined + (1 | site)", frame, family="poisson")
    mean = {level: fit.predict(frame.assign(spp=level), ranef=False).mean() for level in levels}
    a, b, c = levels
    pairs = {"reference": [(b, a), (c, a)], "sequential": [(b, a), (c, b)], "pairwise": [(b, a), (c, a), (c, b)]}
    for contrast, expected in pairs.items():
        found = fit.comparisons("spp", contrast).table
        assert found["contrast"].tolist() == [f"{high} - {low}" for high, low in expected]
        np.testing.assert_allclose(found["estimate"], [mean[high] - mean[low] for high, low in expected], rtol=1e-10)
    found = fit.comparisons("spp", (c, b)).table
    assert found["estimate"].tolist() == pytest.approx([mean[b] - mean[c]])


def test_covariances_of_means_on_a_smooth_are_those_of_their_contrasts():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"x": np.linspace(0, 6, 80), "g": np.tile(np.arange(8), 10)})
    frame["y"] = np.sin(frame["x"]) + rng.normal(size=8)[frame["g"]] * 0.3 + rng.normal(size=80) * 0.3
    means = rf.lmm("y ~ s(x) + (1 | g)", frame).emmeans("x", at={"x": [1.0, 3.0, 5.0]})
    covariance = np.asarray(means.covariance)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), means.table["std_error"], rtol=1e-8)
    weights = np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1.0]])
    expected = np.sqrt(np.einsum("ij,jk,ik->i", weights, covariance, weights))
    np.testing.assert_allclose(means.contrasts("pairwise").table["std_error"], expected, rtol=1e-6)
