"""Conditional modes and coefficients per level."""

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, grouped, owls, pastes, sleepstudy, sleepstudy_uncorrelated


def test_modes_of_a_balanced_one_way_layout_are_shrunken_means():
    fit = rf.lmm("Yield ~ 1 + (1 | Batch)", data("dyestuff"))
    dyes = data("dyestuff")
    means = dyes.groupby("Batch", observed=True)["Yield"].mean() - dyes["Yield"].mean()
    tau2 = fit.varcorr()["vcov"][0]
    shrinkage = tau2 / (tau2 + fit.sigma**2 / 5)
    modes = fit.ranef()
    np.testing.assert_allclose(modes["estimate"], shrinkage * means.to_numpy(), rtol=1e-5)
    # Given the parameters, the conditional variance is tau^2 (1 - shrinkage).
    conditional = fit.ranef(uncertainty="conditional")["std_error"]
    np.testing.assert_allclose(conditional, np.sqrt(tau2 * (1 - shrinkage)), rtol=1e-5)
    assert (modes["std_error"] > conditional).all()


def test_columns_and_order():
    modes = sleepstudy().ranef()
    assert list(modes.columns) == [
        "component",
        "group",
        "level",
        "term",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
    ]
    assert len(modes) == 36
    assert modes["term"].tolist()[:2] == ["Intercept", "Days"]
    assert modes["level"].tolist()[:4] == ["308", "308", "309", "309"]
    assert set(pastes().ranef()["group"]) == {"batch", "batch:cask"}


def test_uncertainty_has_two_kinds():
    with pytest.raises(rf.ModelError, match="uncertainty="):
        sleepstudy().ranef(uncertainty="none")


@pytest.mark.parametrize("model", [sleepstudy, sleepstudy_uncorrelated], ids=lambda m: m.__name__)
def test_coef_is_the_sum(model):
    fit = model()
    coef = fit.coef().set_index(["level", "term"])["estimate"]
    modes = fit.ranef().set_index(["level", "term"])["estimate"]
    assert len(coef) == len(modes) == 36
    for (level, term), value in coef.items():
        assert value == pytest.approx(fit.fixef()[term] + modes[level, term], rel=1e-10)


def test_a_coefficient_without_a_random_effect_repeats():
    coef = cbpp().coef()
    own = coef[coef["term"] == "period[T.2]"]
    assert own["estimate"].nunique() == 1
    expected = cbpp().tidy().set_index("term").loc["period[T.2]", "std_error"]
    np.testing.assert_allclose(own["std_error"], expected, rtol=1e-6)


def test_the_standard_error_is_that_of_the_prediction():
    fit = cbpp()
    herds = data("cbpp")
    first = herds[herds["period"] == "1"].head(1)
    expected = fit.predict(first, kind="link", se=True).iloc[0]
    coef = fit.coef()
    row = coef[(coef["level"] == str(first["herd"].iloc[0])) & (coef["term"] == "Intercept")].iloc[0]
    assert row["estimate"] == pytest.approx(expected["estimate"])
    assert row["std_error"] == pytest.approx(expected["std_error"])


def test_coefficients_ignore_the_offset():
    coef = owls().coef()
    level = coef["level"].iloc[0]
    mode = owls().ranef().set_index("level").loc[level, "estimate"]
    value = coef[(coef["level"] == level) & (coef["term"] == "Intercept")]["estimate"].iloc[0]
    assert value == pytest.approx(owls().fixef()["Intercept"] + mode)


def test_coefficients_of_a_dispersion_are_its_fixed_plus_its_random_effects():
    fit = rf.glmm(
        "count ~ mined + (1 | site)", data("salamanders"), family="nbinom2", dispersion="~ mined + (1 | sample)"
    )
    coefficients = fit.coef().query("component == 'disp'").set_index(["level", "term"])["estimate"]
    modes = fit.ranef().query("component == 'disp'").set_index("level")["estimate"]
    fixed = fit.fixef("disp")
    assert list(coefficients.index.get_level_values("level").unique()) == list(modes.index)
    for level, mode in modes.items():
        assert coefficients[level, "Intercept"] == pytest.approx(fixed["Intercept"] + mode, rel=1e-12)
        assert coefficients[level, "mined[T.no]"] == pytest.approx(fixed["mined[T.no]"], rel=1e-12)


@pytest.mark.parametrize("dispersion", [None, "~ treated"])
@pytest.mark.parametrize("uncertainty", ["joint", "conditional"])
def test_standard_errors_do_not_depend_on_the_order_of_the_columns(uncertainty, dispersion):
    frames = []
    for random in ("(0 + x + time | g)", "(0 + time + x | g)"):
        fit = rf.lmm(f"y ~ x + time + {random}", grouped(8), dispersion=dispersion)
        frames.append(fit.ranef(uncertainty=uncertainty).set_index(["level", "term"]).sort_index())
    # Two searches for one optimum.
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(frames[0][column], frames[1][column], rtol=1e-3, atol=1e-5)
    assert (frames[0]["std_error"] > 0.0).all()
