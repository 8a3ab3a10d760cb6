"""Rubin's rules: numbers worked out by hand, special cases, and a simulation of what they are for."""

import numpy as np
import polars as pl
import pytest

import ranef as rf
from models import data, dyestuff2, owls, sleepstudy
from ranef.inference.pooling import rubin


def imputed(m, seed=1):
    """Fits to data in which a ninth of the responses are drawn around the subject's line."""
    frame, rng = data("sleepstudy"), np.random.default_rng(seed)
    centre, fits = sleepstudy().fitted(), []
    for _ in range(m):
        filled = frame.copy()
        filled.loc[::9, "Reaction"] = centre[::9] + rng.normal(0, 25, 20)
        fits.append(rf.lmm("Reaction ~ Days + (Days | Subject)", filled))
    return fits


def test_numbers_by_hand():
    # q = 1, 2, 3; u = 4 each: B = 1, T = 4 + 4/3, riv = 1/3, lambda = 1/4, df_old = 2 * 16 = 32.
    found = rubin(np.array([[1.0], [2.0], [3.0]]), np.full((3, 1), 4.0), np.array([np.inf]))
    assert found.estimate[0] == 2.0
    assert found.std_error[0] == pytest.approx(np.sqrt(16 / 3))
    assert (found.riv[0], found.share[0], found.df[0]) == pytest.approx((1 / 3, 1 / 4, 32.0))
    assert found.fmi[0] == pytest.approx((1 / 3 + 2 / 35) / (4 / 3))
    # With 27 degrees of freedom in each fit: df_obs = 28/30 * 27 * 3/4 = 18.9.
    small = rubin(np.array([[1.0], [2.0], [3.0]]), np.full((3, 1), 4.0), np.array([27.0]))
    assert small.df[0] == pytest.approx(1 / (1 / 32 + 1 / 18.9))


def test_equal_fits_pool_to_one_of_them():
    fit = sleepstudy()
    # With finite degrees of freedom Barnard and Rubin's are smaller than those of one fit.
    pooled, one = rf.pool([fit, fit, fit], "all", ddf="asymptotic"), fit.tidy("all", ddf="asymptotic")
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(pooled[name], one[name], rtol=1e-10)
    assert (pooled["riv"] < 1e-20).all()
    assert (pooled["fmi"][:2] < 0.1).all()


def test_columns_are_tidy_s_and_three_more():
    fits = imputed(4)
    pooled = rf.pool(fits)
    assert pooled.columns.tolist() == [*fits[0].tidy().columns, "riv", "lambda", "fmi"]
    each = np.array([fit.tidy()["estimate"] for fit in fits])
    errors = np.array([fit.tidy()["std_error"] for fit in fits])
    np.testing.assert_allclose(pooled["estimate"], each.mean(axis=0))
    total = (errors**2).mean(axis=0) + 1.25 * each.var(axis=0, ddof=1)
    np.testing.assert_allclose(pooled["std_error"], np.sqrt(total))
    assert ((pooled["fmi"] > 0) & (pooled["fmi"] < 1)).all()


def test_standard_deviations_are_pooled_by_their_logarithms():
    fits = imputed(3)
    pooled = rf.pool(fits, "random")
    sds = np.array([fit.tidy("random")["estimate"] for fit in fits])[:, 0]
    assert pooled["estimate"][0] == pytest.approx(np.exp(np.log(sds).mean()))
    assert pooled["conf_low"][0] > 0


def test_a_variance_of_zero_in_one_fit_leaves_the_mean_without_an_error():
    d = data("dyestuff2")
    moved = rf.lmm("Yield ~ 1 + (1 | Batch)", d.assign(Yield=d["Yield"] + 3.0 * np.repeat(range(6), 5)), reml=False)
    pooled = rf.pool([dyestuff2(), moved], effects="random").set_index("term")
    sds = [fit.tidy("random")["estimate"][0] for fit in (dyestuff2(), moved)]
    assert sds[0] == 0.0
    assert pooled.loc["sd__Intercept", "estimate"] == pytest.approx(np.mean(sds))
    assert np.isnan(pooled.loc["sd__Intercept", "std_error"])
    assert np.isfinite(pooled.loc["sd__Observation", "std_error"])


def test_other_components_and_frames():
    fit = owls()
    assert rf.pool([fit, fit])["component"].tolist().count("zi") == 1
    polars = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy", "polars"))
    assert isinstance(rf.pool([polars, polars]), pl.DataFrame)


def test_intervals_cover_as_often_as_they_say():
    # Normal means with half of the values missing at random, imputed properly, 5 times: 400 studies.
    rng, covered, n, m = np.random.default_rng(3), 0, 40, 5
    for _ in range(400):
        y = rng.normal(size=n)
        seen = y[:20]
        q, u = np.empty((m, 1)), np.empty((m, 1))
        for i in range(m):
            variance = seen.var(ddof=1) * 19 / rng.chisquare(19)
            mean = rng.normal(seen.mean(), np.sqrt(variance / 20))
            filled = np.concatenate([seen, rng.normal(mean, np.sqrt(variance), 20)])
            q[i], u[i] = filled.mean(), filled.var(ddof=1) / n
        found = rubin(q, u, np.array([n - 1.0]))
        half = rf_quantile(found.df[0]) * found.std_error[0]
        covered += abs(found.estimate[0]) < half
    # Three Monte Carlo standard errors.
    assert abs(covered / 400 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400)


def rf_quantile(df):
    from scipy.stats import t

    return t.ppf(0.975, df)
