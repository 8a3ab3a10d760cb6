"""Whether a fit ended at a maximum, and other optimisers' answers."""

import warnings

import numpy as np
import pytest

import models
import ranef as rf
from ranef.checks.optimizers import agreement, profiled_out
from worlds import Sites, has, linear, poisson, row, verdict


def test_a_fit_that_stopped_early_is_a_problem():
    with pytest.warns(rf.ConvergenceWarning):
        fit = models.owls().update(control=rf.Control(max_iter=1))
    found = fit.check()
    assert found.verdict == "problem"
    assert verdict(found, "convergence") == "problem"
    assert "all_fit()" in row(found, "convergence")["advice"]


def test_a_good_fit_converged_and_others_from_elsewhere_agree():
    found = models.owls().check(restarts=3)
    assert verdict(found, "convergence") == "ok"
    assert verdict(found, "curvature") == "ok"
    assert row(found, "restarts")["detail"] == "3 fits from perturbed starts agree"
    assert not has(models.owls().check(restarts=0), "restarts")


def test_restarts_find_what_a_stopped_search_missed():
    data, formula = Sites().counts(), "y ~ x + (1 + w | site)"
    with pytest.warns(rf.ConvergenceWarning):
        fit = poisson(data, formula, control=rf.Control(max_iter=1))
    found = row(fit.check(restarts=2), "restarts")
    assert found["verdict"] == "problem"
    # Both ends of the search are maxima to 1e-8.
    assert found["statistic"] == pytest.approx(poisson(data, formula).loglik - fit.loglik, abs=1e-6)
    others = fit.all_fit(starts=1)
    assert others["note"].iloc[0].endswith("below the best, not converged")
    assert others["note"].iloc[1] == "agrees with the best"


def test_a_flat_direction_is_named():
    data = Sites(sites=30, rows=5).normal()
    # Two terms on the same factor: only the sum of their variances is determined.
    with pytest.warns(rf.ConvergenceWarning):
        fit = linear(data.assign(plot=data["site"]), "y ~ x + (1 | site) + (1 | plot)")
    assert not fit.converged
    found = row(fit.check(), "curvature")
    assert found["verdict"] == "problem"
    assert "(1 | site)" in found["detail"]
    assert "(1 | plot)" in found["detail"]


def test_the_edge_of_a_family_names_the_simpler_one():
    sites = Sites(seed=1)
    # Less than Poisson variation: the dispersion of a negative binomial runs to its end.
    data = sites.data.assign(y=sites.rng.binomial(6, 0.5, sites.n))
    found = row(poisson(data, "y ~ x", family="nbinom2").check(), "edge of the family")
    assert found["verdict"] == "look"
    assert 'fit.update(family="poisson")' in found["advice"]


@pytest.mark.parametrize("model", [models.sleepstudy, models.owls, models.cbpp, models.penicillin])
def test_all_optimisers_agree_on_the_classics(model):
    fit = model()
    found = fit.all_fit(starts=1)
    assert found["optimizer"].tolist() == ["trust region", "trust region", "L-BFGS-B", "Nelder-Mead"]
    assert found["start"].tolist() == ["its own", *["perturbed 1"] * 3]
    # The simplex stops where values differ by 1e-8.
    assert np.all(found["difference"].to_numpy() > -1e-5)
    assert found["loglik"].to_numpy() == pytest.approx(fit.loglik, abs=1e-5)
    assert found["note"].iloc[0].startswith("all 4 searches agree")
    for name, value in fit.fixef().items():
        # A value of the likelihood within 1e-8 leaves estimates within about 1e-4 standard errors.
        error = dict(zip(fit.names("cond"), np.sqrt(np.diag(fit.vcov())), strict=True))[name]
        assert found[name].to_numpy() == pytest.approx(value, abs=2e-3 * error)


def test_what_is_profiled_out_is_what_the_engine_says():
    for fit in (models.sleepstudy(), models.sleepstudy(reml=False), models.penicillin(), models.pastes()):
        beta, sigma = profiled_out(fit, [np.asarray(factor) / fit.sigma for factor in fit.engine.factor])
        # Two ways to solve the same linear equations.
        assert beta[0] == pytest.approx(fit.estimates("cond"), rel=1e-7)
        assert sigma == pytest.approx(fit.sigma, rel=1e-7)


def test_precision_weights_and_offsets_are_seen_by_all():
    sites = Sites(sites=8, rows=5)
    data = sites.normal().assign(weight=sites.rng.uniform(0.5, 3.0, sites.n), known=lambda d: 2.0 * d["w"])
    fit = linear(data, weights="weight", offset="known")
    found = fit.all_fit(starts=1)
    assert np.all(found["difference"].to_numpy() > -1e-5)
    assert found["x"].to_numpy() == pytest.approx(fit.fixef()["x"], rel=1e-4)
    assert found["sigma"].to_numpy() == pytest.approx(fit.sigma, rel=1e-4)


def test_where_only_the_engine_can_search_that_is_said():
    fit = rf.lmm("Reaction ~ Days", models.data("sleepstudy"), correlation="ar1(Days | Subject)")
    found = fit.all_fit()
    assert found["optimizer"].tolist() == ["trust region"]
    assert "only the engine's own search" in found["note"].iloc[0]


def test_agreement_is_a_sentence():
    columns = {"loglik": [-10.0, -9.0, -9.0], "difference": [-1.0, 0.0, 0.0]}
    assert agreement(columns) == ("2 of 3 searches agree on the best log-likelihood, -9.0000; this fit ends 1 lower")


@pytest.mark.parametrize("max_iter", [1, 2])
def test_what_did_not_converge_is_never_ok(max_iter):
    sites = Sites()
    formula = "y ~ x + (1 + w | site)"
    for fit in (
        lambda c: linear(sites.normal(), formula, control=c),
        lambda c: poisson(sites.counts(), formula, control=c),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rf.ConvergenceWarning)
            record = fit(rf.Control(max_iter=max_iter))
        assert record.converged or record.check(restarts=0).verdict == "problem"
