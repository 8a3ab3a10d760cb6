"""Parameters that the data do not determine, and groups too few to have a variance."""

import numpy as np
import pytest

import ranef as rf
from worlds import Sites, has, linear, poisson, row, verdict

pytestmark = pytest.mark.filterwarnings("ignore::ranef.errors.ConvergenceWarning")


def test_an_aliased_column_is_named():
    data = Sites().normal().assign(twice=lambda d: 2.0 * d["x"])
    found = row(linear(data, "y ~ x + twice + (1 | site)").check(), "aliased columns")
    assert (found["verdict"], found["statistic"]) == ("look", 1.0)
    assert "twice" in found["advice"]
    assert verdict(linear(data).check(), "aliased columns") == "ok"


def test_separation_is_found_and_a_prior_offered():
    sites = Sites()
    data = sites.data.assign(y=(sites.data["x"] > 0.0).astype(int))
    found = row(rf.glmm("y ~ x + (1 | site)", data, family="binomial").check(), "separation")
    assert found["verdict"] == "problem"
    assert "cond: x" in found["detail"]
    assert "rf.prior.normal" in found["advice"]
    data["y"] = sites.rng.binomial(1, 0.5, sites.n)
    assert verdict(rf.glmm("y ~ x + (1 | site)", data, family="binomial").check(), "separation") == "ok"


def test_an_implausible_coefficient_is_named_whatever_the_units():
    sites = Sites()
    data = sites.counts()
    # A predictor that is 1 in five rows, whose counts are nearly all zero beside hundreds elsewhere.
    data["gone"] = (np.arange(sites.n) < 5).astype(float)
    data["y"] = np.where(data["gone"] > 0, 0, data["y"] * 20000)
    data.loc[0, "y"] = 1
    for unit in (1.0, 1e-3):
        fit = poisson(data.assign(gone=data["gone"] * unit), "y ~ gone", family="nbinom2")
        found = row(fit.check(), "size of coefficients")
        assert found["verdict"] == "look"
        assert "gone" in found["detail"]
    assert verdict(poisson(sites.counts()).check(), "size of coefficients") == "ok"


def test_zero_inflation_without_zeros_to_explain_is_told():
    sites = Sites()
    data = sites.counts()
    found = poisson(data, zi="~ 1").check()
    assert verdict(found, "use of zero inflation") == "look"
    data["y"] *= sites.rng.random(sites.n) > 0.35
    assert verdict(poisson(data, zi="~ 1").check(), "use of zero inflation") == "ok"


def test_scales_are_told_but_are_no_fault():
    data = Sites().normal().assign(big=lambda d: 1e6 * d["x"])
    found = row(linear(data, "y ~ big + w + (1 | site)").check(), "scale of predictors")
    assert found["verdict"] == "ok"
    assert found["statistic"] > 1e5
    assert "big" in found["advice"]
    assert row(linear(data, "y ~ x + w + (1 | site)").check(), "scale of predictors")["advice"] == ""


def test_variance_inflation_is_that_of_the_regression_on_the_others():
    sites = Sites()
    data = sites.normal().assign(near=lambda d: d["x"] + 0.3 * d["w"])
    found = row(linear(data, "y ~ x + near", reml=False).check(), "collinearity")
    r = np.corrcoef(data["x"], data["near"])[0, 1]
    # Closed form, by two inversions of a matrix of three.
    assert found["statistic"] == pytest.approx(1.0 / (1.0 - r**2), rel=1e-8)
    assert found["verdict"] == "look"
    assert verdict(linear(data, "y ~ x + w").check(), "collinearity") == "ok"


def test_generalised_variance_inflation_of_a_factor():
    sites = Sites()
    kind = np.where(sites.data["x"] > 0.5, "a", np.where(sites.data["x"] < -0.5, "b", "c"))
    data = sites.normal().assign(kind=kind)
    fit = linear(data, "y ~ kind + x", reml=False)
    dummies = np.column_stack([kind == "b", kind == "c"]).astype(float)
    everything = np.corrcoef(np.column_stack([dummies, data["x"]]).T)
    # Fox & Monette's ratio of determinants, of the predictors' own correlations.
    gvif = np.linalg.det(everything[:2, :2]) / np.linalg.det(everything)
    found = row(fit.check(), "collinearity")
    # For two groups of columns both have the same GVIF: the one with the single coefficient is the larger per degree.
    assert found["statistic"] == pytest.approx(gvif, rel=1e-8)


def test_interactions_and_powers_are_no_collinearity():
    data = Sites().normal().assign(x=lambda d: d["x"] + 20.0)
    found = linear(data, "y ~ x * w + I(x**2) + (1 | site)").check()
    assert verdict(found, "collinearity") == "ok"


def test_few_levels_are_better_a_fixed_effect():
    sites = Sites(sites=3)
    found = row(linear(sites.normal()).check(), "levels of site")
    assert (found["verdict"], found["statistic"]) == ("look", 3.0)
    assert 'fit.update("y ~ x + site")' in found["advice"]
    assert verdict(linear(Sites().normal()).check(), "levels of site") == "ok"


def test_levels_seen_once_are_told():
    sites = Sites(sites=60, rows=1)
    data = sites.normal()
    data["site"] = np.where(np.arange(60) < 8, data["site"].iloc[0], data["site"])
    assert verdict(linear(data).check(), "rows per level of site") == "look"
    counts = Sites(sites=60, rows=1).counts()
    assert "effect of the observation" in row(poisson(counts).check(), "rows per level of site")["detail"]


@pytest.mark.parametrize(
    ("formula", "simpler"),
    [
        ("y ~ x + (1 | site)", 'fit.update("y ~ x")'),
        ("y ~ x + (1 + w || site)", 'fit.update("y ~ x + (1 | site)")'),
        ("y ~ x + (1 | site / plot)", 'fit.update("y ~ x + (1 | site)")'),
    ],
)
def test_the_simpler_formula_drops_what_has_no_variance_and_fits_as_well(formula, simpler):
    sites = Sites(seed=3)
    data = sites.normal().assign(plot=np.tile(list("abcde"), sites.n // 5))
    # Averages, or slopes, that are equal in all levels leave no variance between them.
    pushed = data["y"].copy()
    if formula == "y ~ x + (1 | site)":
        pushed -= data.groupby("site")["y"].transform("mean")
    elif "plot" in formula:
        pushed = pushed - data.assign(y=pushed).groupby(["site", "plot"])["y"].transform("mean")
        pushed += sites.effects[sites.site]
    else:
        w = data.groupby("site")["w"].transform(lambda values: values - values.mean())
        noise = data["y"] - 1.0 - data["x"] - sites.effects[sites.site]
        slope = (w * noise).groupby(data["site"]).transform("sum") / (w**2).groupby(data["site"]).transform("sum")
        pushed -= slope * w
    fit = linear(data.assign(y=pushed), formula, reml=False)
    assert fit.singular
    short = fit.check().table
    short = short[short["check"].str.startswith("covariance") & (short["verdict"] == "look")]
    assert len(short) == 1
    assert simpler in short["advice"].iloc[0]
    again = eval(simpler, {"fit": fit})
    # The zero is to the tolerance of the search.
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-6)
    assert not again.singular


def test_a_correlation_of_one_is_named_and_can_be_left_out():
    sites = Sites(seed=2)
    data = sites.normal().assign(y=lambda d: d["y"] + sites.effects[sites.site] * d["w"])
    fit = linear(data, "y ~ x + (1 + w | site)", reml=False)
    if not fit.singular:
        data["y"] += 2.0 * sites.effects[sites.site] * data["w"]
        fit = linear(data, "y ~ x + (1 + w | site)", reml=False)
    found = row(fit.check(), "covariance of (1 + w | site)")
    assert fit.singular
    assert found["verdict"] == "look"
    assert 'fit.update("y ~ x + (1 + w || site)")' in found["advice"]


def test_zero_inflation_effects_without_variance_are_dropped_from_their_own_formula():
    sites = Sites()
    data = sites.counts()
    data["y"] *= sites.rng.random(sites.n) > 0.3
    fit = poisson(data, zi="~ 1 + (1 | site)")
    found = row(fit.check(), "covariance of zi: (1 | site)")
    if fit.singular:
        assert 'fit.update(zi="~ 1")' in found["advice"]
    else:
        assert found["verdict"] == "ok"


def test_laplace_is_coarse_for_few_binary_rows_and_fine_for_many():
    few = Sites(seed=2, sites=150, rows=2, sd=2.0)
    p = 1.0 / (1.0 + np.exp(-0.3 - few.data["x"] - few.effects[few.site]))
    fit = rf.glmm("y ~ x + (1 | site)", few.data.assign(y=few.rng.binomial(1, p)), family="binomial")
    found = row(fit.check(), "Laplace")
    assert found["verdict"] == "problem"
    assert "quadrature=15" in found["advice"]
    assert not has(fit.update(quadrature=15).check(), "Laplace")
    many = Sites(seed=2, sites=20, rows=40)
    assert verdict(poisson(many.counts()).check(), "Laplace") == "ok"


def test_the_move_by_quadrature_is_foretold():
    sites = Sites(seed=4, sites=80, rows=4, sd=0.8)
    fit = poisson(sites.counts(), "y ~ x + (1 | site)")
    found = row(fit.check(), "Laplace")
    exact = fit.update(quadrature=15)
    errors = np.sqrt(np.diag(fit.engine.vcov_joint))
    before = [*fit.estimates("cond"), fit.engine.factor[0][0, 0]]
    after = [*exact.estimates("cond"), exact.engine.factor[0][0, 0]]
    # One Newton step from a point close by: right to its square.
    moved = np.max(np.abs(np.subtract(after, before)) / errors)
    assert found["statistic"] == pytest.approx(moved, rel=0.2)
