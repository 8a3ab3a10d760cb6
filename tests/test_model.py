"""What is refused before fitting, and what a model says of itself."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import data, owls, salamanders, sleepstudy


@pytest.fixture
def sleep():
    return data("sleepstudy").assign(row=[f"r{i}" for i in range(180)])


def test_as_many_levels_as_rows_cannot_be_told_from_the_residual(sleep):
    with pytest.raises(rf.ModelError, match=r"grouping factor row has 180 levels for 180 rows: the variance of"):
        rf.lmm("Reaction ~ Days + (1 | row)", sleep)
    with pytest.raises(rf.ModelError, match="cannot be separated from the residual"):
        rf.glmm("Reaction ~ Days + (1 | row)", sleep, family="gaussian")


def test_as_many_random_effects_as_rows_cannot_be_told_from_the_residual(sleep):
    wide = sleep.assign(g=np.repeat(np.arange(90), 2).astype(str))
    with pytest.raises(rf.ModelError, match=r"90 levels x 2 columns = 180 random effects for 180 rows"):
        rf.lmm("Reaction ~ Days + (Days | g)", wide)


def test_an_observation_level_effect_is_an_ordinary_term_of_a_poisson_model():
    ticks = data("grouseticks")
    fit = rf.glmm("TICKS ~ YEAR + (1 | INDEX)", ticks, family="poisson")
    assert fit.ngroups == {"INDEX": len(ticks)}


def test_a_constant_response_is_refused(sleep):
    with pytest.raises(rf.DataError, match="response `Reaction` is 5 in all 180 rows"):
        rf.lmm("Reaction ~ Days + (1 | Subject)", sleep.assign(Reaction=5.0))


def test_a_response_outside_the_family_names_the_row_of_the_callers_data():
    counts = pd.DataFrame({"y": [np.nan, 1.0, 2.0, -3.0, 1.0, 4.0], "g": list("aabbcc")})
    with pytest.raises(
        rf.DataError, match=r"response `y` is -3 in row 3 \(counting from 0\); the poisson family needs"
    ):
        rf.glmm("y ~ 1 + (1 | g)", counts, family="poisson")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"family": "poisson", "dispersion": "~ 1"}, "poisson has no dispersion parameter"),
        ({"family": "poisson", "shape": "~ 1"}, "poisson has no shape parameter"),
        ({"family": "nbinom2", "dispersion": "~ 0"}, "nbinom2 needs its dispersion"),
        ({"family": "poisson", "quadrature": 0.5}, "whole number of points"),
        ({"family": "poisson", "quadrature": True}, "whole number of points"),
        ({"family": "poisson", "quadrature": -1}, "whole number of points, 0 or more"),
        ({"family": "poisson", "quadrature": 5, "reml": True}, "Leave one of the two arguments out"),
        ({"family": "poisson", "priors": {"Days": 1}}, "means no parameter of this model"),
        ({"family": "poisson", "control": {"max_iter": 3}}, r"control is a ranef\.Control"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, text):
    with pytest.raises(rf.ModelError, match=text):
        rf.glmm("SiblingNegotiation ~ 1 + (1 | Nest)", data("owls"), **arguments)


@pytest.mark.parametrize(
    ("formula", "quadrature", "text"),
    [
        ("y ~ 1 + (1 | a) + (1 | b)", 5, "random effects of one grouping factor; the model has 2: a, b"),
        ("y ~ 1", 5, "random effects of one grouping factor; the model has none"),
        ("y ~ 1 + (1 + u + v + w | a)", 5, r"up to 3 random effects a level; a has 4 \(Intercept, u, v, w\)"),
        ("y ~ 1 + (1 + u + v | a)", 99, r"99 with 3 random effects a level makes 970299 nodes"),
    ],
)
def test_integrals_that_quadrature_cannot_take_are_refused(formula, quadrature, text):
    rng = np.random.default_rng(1)
    made = pd.DataFrame({name: rng.normal(size=60) for name in "uvw"})
    made = made.assign(y=rng.poisson(2.0, 60), a=np.tile(list("abcdef"), 10), b=np.repeat(list("klmno"), 12))
    with pytest.raises(rf.ModelError, match=text):
        rf.glmm(formula, made, family="poisson", quadrature=quadrature)


def test_as_many_fixed_effects_as_rows_leave_no_residual():
    with pytest.raises(rf.ModelError, match="fixed effects have 3 columns for 3 rows"):
        rf.lmm("Reaction ~ poly(Days, 2)", data("sleepstudy").head(3))


def test_a_precision_of_zero_is_refused_by_row():
    sleep = data("sleepstudy").assign(w=[1.0] * 5 + [0.0] + [1.0] * 174)
    with pytest.raises(rf.DataError, match="weights `w` are 0 in row 5 "):
        rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, weights="w")


def test_reml_is_true_or_false():
    with pytest.raises(rf.ModelError, match="reml='no'"):
        rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), reml="no")


def test_a_structure_the_engine_lacks_is_refused_at_its_place():
    with pytest.raises(rf.FormulaError, match="nosuch"):
        rf.lmm("Reaction ~ Days + nosuch(1 | Subject)", data("sleepstudy"))


def test_components_and_their_order():
    assert sleepstudy().model.components == ("cond", "disp")
    assert sleepstudy().model.written_components == ("cond",)
    assert owls().model.components == ("cond", "disp", "zi")
    assert owls().model.written_components == ("cond", "zi")
    assert salamanders().model.written_components == ("cond", "disp")


def test_a_model_prints_what_is_fitted():
    text = str(owls().model)
    assert "nbinom2(link='log')" in text
    assert "zi: ~ 1" in text
    assert "cond: (1 | Nest): 27 levels x 1 (Intercept), us" in text


def test_what_weights_mean_is_said():
    sleep = data("sleepstudy").assign(w=2.0)
    precision = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, weights="w")
    assert "precision weights" in precision.model.weights_meaning
    likelihood = rf.glmm("Reaction ~ Days + (1 | Subject)", sleep, family="gaussian", weights="w")
    assert "log-likelihood" in likelihood.model.weights_meaning
    trials = rf.glmm("incidence / size ~ period + (1 | herd)", data("cbpp"), family="binomial", weights="size")
    assert "trials" in trials.model.weights_meaning
    assert sleepstudy().model.weights_meaning is None


def test_a_fixed_parameter_is_the_estimated_model_at_that_value():
    owls = rf.load_dataset("owls")
    formula = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"
    free = rf.glmm(formula, owls, family="nbinom2")
    held = rf.glmm(formula, owls, family=rf.families.nbinom2(phi=free.sigma))
    # At the estimate of phi nothing else changes, and one parameter less is counted.
    assert held.loglik == pytest.approx(free.loglik, abs=1e-7)
    assert held.npar == free.npar - 1
    for term, value in free.fixef().items():
        assert held.fixef()[term] == pytest.approx(value, abs=1e-5)
    assert held.sigma == pytest.approx(free.sigma, rel=1e-12)
    assert held.fixef("disp") == {}
    assert held.vcov("disp").shape == (0, 0)
    assert rf.glmm(formula, owls, family=rf.families.nbinom2(phi=2)).loglik < free.loglik
    assert "not estimated" in str(held.summary())
    assert "nbinom2(link='log', phi=" in str(held.model)
    assert list(held.tidy()["component"]) == ["cond", "cond"]
    assert held.predict(owls.head(3), kind="dispersion") == pytest.approx([free.sigma] * 3)
    assert held.update(". ~ . - FoodTreatment").sigma == held.sigma
    assert "sigma" not in set(held.confint()["term"])


def test_a_gaussian_with_known_variance():
    data = rf.load_dataset("sleepstudy")
    fit = rf.glmm("Reaction ~ Days", data, family=rf.families.gaussian(phi=50))
    # Least squares, whose standard errors have the variance given.
    x = np.column_stack([np.ones(180), data["Days"]])
    np.testing.assert_allclose(fit.vcov(), 50**2 * np.linalg.inv(x.T @ x), rtol=1e-6)
    assert fit.sigma == pytest.approx(50, rel=1e-14)
    assert fit.npar == 2
    assert "Residual" not in set(fit.varcorr()["group"])


def test_a_fixed_parameter_has_no_formula():
    with pytest.raises(rf.ModelError, match=r"phi has the value 2 .*nothing to model"):
        rf.glmm(
            "SiblingNegotiation ~ 1",
            rf.load_dataset("owls"),
            family=rf.families.nbinom2(phi=2),
            dispersion="~ FoodTreatment",
        )
