"""The parametric bootstrap: reproducible, centred on the fit, the refits that it says it is, and clear when refused."""

import numpy as np
import polars as pl
import pytest

import ranef as rf
from models import cbpp, data, dyestuff2, owls, penicillin, sleepstudy
from ranef.errors import DataError, ModelError
from ranef.inference.bootstrap import bootstrap_interval


@pytest.mark.parametrize("model", [sleepstudy, penicillin, cbpp])
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(model):
    one, three = (model().bootstrap(40, seed=5, threads=threads) for threads in (1, 3))
    assert one.equals(three)
    assert not one.equals(model().bootstrap(40, seed=6))


def test_more_replicates_begin_with_the_same_ones():
    # 600 replicates are computed in pieces, 30 in one.
    few, many = (sleepstudy().bootstrap(n, seed=2) for n in (30, 600))
    assert few.equals(many.head(30))


@pytest.mark.parametrize("model", [sleepstudy, penicillin, cbpp])
def test_a_replicate_is_the_fit_to_that_simulated_response(model):
    fit = model()
    draws, responses = fit.bootstrap(4, seed=9), fit.simulate(4, seed=9)
    for r in range(4):
        refit = fit.refit(responses[:, r])
        # The bootstrap's searches end within 1e-4 standard errors.
        assert draws["loglik"][r] == pytest.approx(refit.loglik, abs=1e-6)
        for name, value in refit.fixef().items():
            assert draws[name][r] == pytest.approx(value, abs=1e-3 * np.sqrt(np.diag(fit.vcov())).max())
        assert bool(draws["singular"][r]) == refit.singular


def test_means_and_spreads_are_those_of_the_fit():
    fit, n = sleepstudy(reml=False), 2000
    draws = fit.bootstrap(n, seed=1)
    assert draws["converged"].all()
    errors = np.sqrt(np.diag(fit.vcov()))
    for (name, value), error in zip(fit.fixef().items(), errors, strict=True):
        # Four Monte Carlo standard errors; fixed effects are unbiased.
        assert abs(draws[name].mean() - value) < 4 * error / np.sqrt(n)
        assert abs(np.log(draws[name].std() / error)) < 4 / np.sqrt(2 * n)
    assert draws["sigma"].mean() == pytest.approx(fit.sigma, rel=0.01)


def test_columns_carry_the_names_of_tidy():
    assert list(sleepstudy().bootstrap(2, seed=1).columns) == [
        *("replicate", "converged", "singular", "loglik", "sigma", "Intercept", "Days"),
        *("sd__Intercept", "sd__Days", "cor__Intercept.Days"),
    ]
    # Two groups with an intercept each, and two components.
    assert list(penicillin().bootstrap(2, seed=1).columns)[-2:] == ["sd__Intercept|plate", "sd__Intercept|sample"]
    assert "zi__Intercept" in owls().bootstrap(2, seed=1).columns


def test_the_frame_is_of_the_data_s_kind():
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy", "polars"))
    assert isinstance(fit.bootstrap(3, seed=1), pl.DataFrame)


def test_a_singular_fit_has_replicates_that_are_not():
    draws = dyestuff2().bootstrap(200, seed=1)
    assert draws.attrs == {"seed": 1, "replicates": 200, "failed": 0, "singular": int(draws["singular"].sum())}
    # The estimate is zero, so about half of all replicates or more end there too.
    assert 80 < draws.attrs["singular"] < 200


def test_a_statistic_is_computed_from_whole_fits():
    fit = sleepstudy()
    plain = fit.bootstrap(60, seed=3)
    draws = fit.bootstrap(60, lambda refit: {"slope": refit.fixef()["Days"], "rows": refit.nobs}, seed=3)
    assert list(draws.columns) == ["replicate", "converged", "singular", "loglik", "slope", "rows"]
    np.testing.assert_allclose(draws["slope"], plain["Days"], atol=1e-3)
    vector = fit.bootstrap(2, lambda refit: refit.fitted()[:2], seed=3)
    assert list(vector.columns)[-2:] == ["statistic_0", "statistic_1"]


def test_progress_is_written_when_asked_for(capsys):
    sleepstudy().bootstrap(10, seed=1, progress=True)
    assert "bootstrap: 10 of 10 replicates" in capsys.readouterr().err
    sleepstudy().bootstrap(10, seed=1)
    assert capsys.readouterr().err == ""


def test_intervals_of_known_quantiles():
    draws = np.arange(101.0)
    assert bootstrap_interval(40.0, draws, 0.9) == pytest.approx((5.0, 95.0))
    assert bootstrap_interval(40.0, draws, 0.9, "basic") == pytest.approx((-15.0, 75.0))
    assert np.isnan(bootstrap_interval(1.0, np.array([np.nan, 1.0]), 0.9)).all()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"n": 0}, ModelError),
        ({"n": 10.5}, ModelError),
        ({"n": 10, "seed": -1}, ModelError),
        ({"n": 10, "threads": 0}, ModelError),
        ({"n": 10, "statistic": "aic"}, ModelError),
        ({"n": 10, "statistic": lambda fit: "aic"}, DataError),
        ({"n": 10, "statistic": lambda fit: {"loglik": 1.0}}, ModelError),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, error):
    with pytest.raises(error):
        sleepstudy().bootstrap(**arguments)
