"""Bootstrap replicates as ArviZ's InferenceData; with ArviZ where it is installed, else with its call standing in."""

import sys
import types

import numpy as np
import pytest

import ranef as rf
from models import data, owls_poisson, sleepstudy


class Found:
    """What the stand-in makes: the groups as they were given."""

    def __init__(self, groups, coords, dims):
        self.groups, self.coords, self.dims, self.attrs = groups, coords, dims, {}


def older(posterior=None, *, posterior_predictive=None, sample_stats=None, observed_data=None, coords=None, dims=None):
    groups = {
        "posterior": posterior,
        "posterior_predictive": posterior_predictive,
        "sample_stats": sample_stats,
        "observed_data": observed_data,
    }
    return Found({name: group for name, group in groups.items() if group is not None}, coords, dims)


def newer(data, *, name=None, coords=None, dims=None):
    return Found(data, coords, dims)


@pytest.fixture(params=[older, newer], ids=["before 1.0", "since 1.0"])
def arviz(request, monkeypatch):
    module = types.ModuleType("arviz")
    module.from_dict = request.param
    monkeypatch.setitem(sys.modules, "arviz", module)


@pytest.mark.usefixtures("arviz")
def test_replicates_are_dealt_to_chains_and_named():
    fit = sleepstudy()
    found = fit.to_arviz(20, seed=4, chains=4)
    table = fit.bootstrap(20, seed=4)
    assert set(found.groups) == {"posterior", "observed_data", "posterior_predictive", "sample_stats"}
    cond, random = found.groups["posterior"]["cond"], found.groups["posterior"]["random"]
    assert cond.shape == (4, 5, 2)
    np.testing.assert_array_equal(cond.reshape(20, 2)[:, 1], table["Days"])
    assert found.coords["cond_term"] == ["Intercept", "Days"]
    assert found.coords["random_term"] == ["sd__Intercept", "sd__Days", "cor__Intercept.Days", "sigma"]
    np.testing.assert_array_equal(random.reshape(20, 4)[:, 3], table["sigma"])
    np.testing.assert_array_equal(found.groups["sample_stats"]["lp"].ravel(), table["loglik"])
    np.testing.assert_array_equal(found.groups["observed_data"]["Reaction"], data("sleepstudy")["Reaction"])
    assert found.groups["posterior_predictive"]["Reaction"].shape == (4, 5, 180)
    assert "not a posterior" in found.attrs["meaning"]
    assert found.dims == {"cond": ["cond_term"], "random": ["random_term"], "Reaction": ["row"]}


@pytest.mark.usefixtures("arviz")
def test_responses_are_those_that_the_replicates_were_fitted_to():
    fit = sleepstudy()
    found = fit.to_arviz(6, seed=4)
    drawn = found.groups["posterior_predictive"]["Reaction"][0]
    np.testing.assert_array_equal(drawn, fit.simulate(6, seed=4).T)
    refitted = fit.refit(drawn[2])
    assert found.groups["sample_stats"]["lp"][0, 2] == pytest.approx(refitted.loglik, abs=1e-7)


@pytest.mark.usefixtures("arviz")
def test_replicates_that_do_not_fill_the_chains_are_left_out():
    found = owls_poisson().to_arviz(7, seed=1, chains=2)
    assert found.groups["posterior"]["cond"].shape == (2, 3, 2)
    assert found.groups["posterior_predictive"]["SiblingNegotiation"].shape[:2] == (2, 3)


@pytest.mark.parametrize("chains", [0, 3, 2.0, True])
@pytest.mark.usefixtures("arviz")
def test_chains_that_cannot_be(chains):
    with pytest.raises(rf.ModelError, match="chains="):
        sleepstudy().to_arviz(2, chains=chains)


def test_without_arviz_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError, match="pip install arviz"):
        sleepstudy().to_arviz(10**9)


def test_with_arviz_itself():
    arviz = pytest.importorskip("arviz", reason="arviz is not installed", exc_type=ImportError)
    found = sleepstudy().to_arviz(40, seed=1, chains=4)
    summary = arviz.summary(found, var_names=["cond", "random"])
    assert next(name for name in summary.index if "Days" in name) == "cond[Days]"
