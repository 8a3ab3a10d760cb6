"""Covariance structures as users meet them: models that are one model, edges, names, what else a fit gives."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import ranef as rf

# Two ways to write one model end within the optimiser's tolerance of one optimum.
SAME = 1e-6


@cache
def panel(occasions: int = 5, subjects: int = 60, phi: float = 0.6) -> pd.DataFrame:
    """Repeated measures with an autoregression over occasions."""
    rng = np.random.default_rng(3)
    lag = np.abs(np.subtract.outer(np.arange(occasions), np.arange(occasions)))
    factor = np.linalg.cholesky(phi**lag)
    effects = rng.normal(size=(subjects, occasions)) @ factor.T
    frame = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(subjects), occasions),
            "time": np.tile(np.arange(occasions), subjects),
            "b": effects.ravel(),
        }
    )
    frame["x"] = rng.normal(size=len(frame))
    frame["y"] = 1.0 + 0.5 * frame["x"] + frame["b"] + 0.5 * rng.normal(size=len(frame))
    frame["count"] = rng.poisson(np.exp(0.7 + 0.3 * frame["x"] + 0.7 * frame["b"]))
    frame["t"] = occasion(frame["time"])
    frame["back"] = occasion(occasions - 1 - frame["time"])
    return frame


def occasion(values) -> pd.Series:
    return pd.Series(values).astype(str).str.zfill(2).astype("category")


def counts(term: str, data: pd.DataFrame | None = None, **options) -> rf.Fit:
    return rf.glmm(f"count ~ x + {term}", panel() if data is None else data, family="poisson", **options)


def parameters(fit: rf.Fit) -> dict[str, float]:
    frame = fit.tidy("random")
    return dict(zip(frame["term"], frame["estimate"], strict=True))


@pytest.mark.parametrize("structure", ["ar1", "hetar1", "toep", "homtoep"])
def test_time_has_no_direction(structure):
    forth, back = counts(f"{structure}(0 + t | subject)"), counts(f"{structure}(0 + back | subject)")
    assert forth.converged
    assert forth.loglik == pytest.approx(back.loglik, abs=SAME)
    assert list(parameters(forth).values())[-1] == pytest.approx(list(parameters(back).values())[-1], abs=1e-4)


@pytest.mark.parametrize("structure", ["cs", "homcs", "homdiag", "diag"])
def test_exchangeable_columns_have_no_order(structure):
    data = panel().assign(t=occasion(panel()["time"].map({0: 3, 1: 0, 2: 4, 3: 1, 4: 2})))
    shuffled = counts(f"{structure}(0 + t | subject)", data)
    assert shuffled.loglik == pytest.approx(counts(f"{structure}(0 + t | subject)").loglik, abs=SAME)


def test_two_columns_leave_one_correlation_however_it_is_called():
    data = panel()[panel()["time"] < 2]
    data = data.assign(t=occasion(data["time"]))
    fits = [counts(f"{structure}(0 + t | subject)", data) for structure in ("us", "cs", "hetar1", "toep")]
    for fit in fits[1:]:
        assert fit.loglik == pytest.approx(fits[0].loglik, abs=SAME)
        np.testing.assert_allclose(list(parameters(fit).values()), list(parameters(fits[0]).values()), atol=1e-3)


def test_full_rank_is_unstructured():
    data = panel()[panel()["time"] < 3]
    data = data.assign(t=occasion(data["time"]))
    full, reduced = counts("(0 + t | subject)", data), counts("rr(0 + t | subject, d = 3)", data)
    assert reduced.loglik == pytest.approx(full.loglik, abs=SAME)
    assert reduced.npar == full.npar
    assert counts("rr(0 + t | subject, d = 2)", data).npar == full.npar - 1


@pytest.mark.parametrize("seed", range(3))
def test_reduced_rank_of_gaussian_rows_is_the_probabilistic_principal_component(seed):
    # Tipping & Bishop (1999), J. R. Stat. Soc. B 61, 611-622: with w the eigenvalues of the covariance of the rows, the
    # maximum has sigma^2 the mean of all but the first d, and log|Sigma| = sum log w_1..d + (p - d) log sigma^2.
    p, d, n = 8, 2, 60
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)) @ rng.normal(size=(d, p)) + 0.7 * rng.normal(size=(n, p))
    data = pd.DataFrame({"y": rows.ravel(), "item": [f"i{j}" for j in range(p)] * n, "row": np.repeat(np.arange(n), p)})
    fit = rf.lmm("y ~ 0 + item + rr(0 + item | row, d = 2)", data, reml=False)
    values = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    variance = values[d:].mean()
    log_det = np.log(values[:d]).sum() + (p - d) * np.log(variance)
    assert fit.loglik == pytest.approx(-n / 2 * (p * np.log(2 * np.pi) + log_det + p), abs=SAME)
    assert fit.sigma == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_equal_correlations_are_an_intercept_and_noise():
    intercept = rf.lmm("y ~ x + (1 | subject)", panel(), reml=False)
    equal = rf.glmm("y ~ x + homcs(0 + t | subject)", panel(), family="gaussian", dispersion="~ 0")
    # The residual standard deviation of "~ 0" is 1.2e-4, so its variance 1.5e-8.
    assert equal.loglik == pytest.approx(intercept.loglik, abs=1e-5)
    found, noise = parameters(equal), parameters(intercept)["sd__Observation"]
    between = parameters(intercept)["sd__Intercept"]
    assert found["sd__homcs"] ** 2 == pytest.approx(between**2 + noise**2, rel=1e-4)
    assert found["cor__homcs"] == pytest.approx(between**2 / (between**2 + noise**2), abs=1e-4)


@pytest.mark.parametrize("structure", ["ar1", "hetar1", "cs", "toep", "homtoep", "homcs", "homdiag", "rr"])
def test_the_two_gaussian_likelihoods_agree(structure):
    # Two rows at each occasion tell the residual from every structure. A dispersion with a column of ones in the place
    # of its intercept takes the general way.
    again = panel().assign(y=panel()["y"] + 0.3 * np.random.default_rng(1).normal(size=len(panel())))
    data = pd.concat([panel(), again], ignore_index=True).assign(one=1.0)
    fits = [
        rf.lmm(f"y ~ x + {structure}(0 + t | subject)", data, reml=False),
        rf.glmm(f"y ~ x + {structure}(0 + t | subject)", data, family="gaussian", dispersion="~ 0 + one"),
    ]
    assert fits[0].loglik == pytest.approx(fits[1].loglik, abs=SAME)


def test_a_structure_without_correlations_is_part_of_those_with():
    loglik = {s: counts(f"{s}(0 + t | subject)").loglik for s in ("homdiag", "homcs", "ar1", "homtoep", "toep", "us")}
    assert loglik["homdiag"] < loglik["homcs"] < loglik["homtoep"] < loglik["toep"] < loglik["us"]
    assert loglik["homdiag"] < loglik["ar1"] < loglik["homtoep"]


# -- edges -------------------------------------------------------------------------------------------------------------


@cache
def constant() -> pd.DataFrame:
    """Counts whose subjects differ, but not their occasions: every correlation is one."""
    rng = np.random.default_rng(8)
    data = panel().copy()
    data["count"] = rng.binomial(40, 1 / (1 + np.exp(-rng.normal(size=60)[data["subject"]])))
    return data


@pytest.mark.parametrize("structure", ["ar1", "homcs", "homtoep"])
def test_a_correlation_of_one_is_an_ordinary_singular_result(structure):
    # Binomial counts fitted as Poisson vary less than the Poisson does, which leaves nothing for the occasions.
    fit, intercept = counts(f"{structure}(0 + t | subject)", constant()), counts("(1 | subject)", constant())
    assert fit.converged, fit.verdict
    assert fit.singular
    assert fit.loglik == pytest.approx(intercept.loglik, abs=SAME)
    row = fit.tidy("random").set_index("term").iloc[1]
    assert row["estimate"] == pytest.approx(1.0, abs=1e-12)
    assert np.isnan(row["std_error"])
    np.testing.assert_allclose(fit.fixef()["x"], intercept.fixef()["x"], atol=1e-5)


@pytest.mark.parametrize("structure", ["homdiag", "homcs", "ar1", "homtoep"])
def test_a_variance_of_zero_is_an_ordinary_singular_result(structure):
    rng = np.random.default_rng(5)
    data = panel().assign(count=rng.binomial(9, 0.4, size=len(panel())))
    fit, none = counts(f"{structure}(0 + t | subject)", data), counts("(1 | subject)", data)
    assert fit.converged, fit.verdict
    assert fit.singular
    assert fit.loglik == pytest.approx(none.loglik, abs=SAME)
    assert fit.tidy("random")["estimate"][0] == pytest.approx(0.0, abs=1e-6)


def test_the_lowest_equal_correlation_is_an_ordinary_singular_result():
    # Five effects that sum to zero within each subject: a correlation of -1/4.
    rng = np.random.default_rng(2)
    data = panel().copy()
    effects = rng.normal(size=(60, 5))
    data["count"] = rng.poisson(np.exp(2.5 + (effects - effects.mean(axis=1, keepdims=True)).ravel()))
    fit = counts("homcs(0 + t | subject)", data)
    assert fit.converged, fit.verdict
    assert parameters(fit)["cor__homcs"] == pytest.approx(-0.25, abs=0.02)


def test_a_structure_that_holds_the_residual_already_is_called_flat():
    with pytest.warns(rf.ConvergenceWarning, match="does not depend on some combination"):
        fit = rf.lmm("y ~ x + homcs(0 + t | subject)", panel())
    assert fit.verdict["status"] == "flat"
    assert fit.verdict["flat"] == ["cond: covariance of homcs(0 + t | subject)"]


# -- what a fit says ---------------------------------------------------------------------------------------------------


def test_parameters_that_stand_for_many_columns_have_the_name_of_the_structure():
    assert list(parameters(counts("ar1(0 + t | subject)"))) == ["sd__ar1", "cor__ar1"]
    names = list(parameters(counts("toep(0 + t | subject)")))
    assert names[:2] == ["sd__t[00]", "sd__t[01]"]
    assert names[5:] == [f"cor__toep.{lag}" for lag in (1, 2, 3, 4)]
    two = counts("homdiag(0 + t | subject) + homdiag(0 + t:x | subject)")
    assert list(parameters(two)) == ["sd__homdiag", "sd__homdiag.2"]


def test_varcorr_has_every_pair():
    table = counts("ar1(0 + t | subject)").varcorr()
    phi = parameters(counts("ar1(0 + t | subject)"))["cor__ar1"]
    pairs = table[table["var2"].notna()]
    assert len(pairs) == 10
    lags = [abs(int(a[2:4]) - int(b[2:4])) for a, b in zip(pairs["var1"], pairs["var2"], strict=True)]
    np.testing.assert_allclose(pairs["sdcor"], phi ** np.array(lags), rtol=1e-10)


@pytest.mark.parametrize("structure", ["ar1", "cs", "homtoep"])
def test_profile_and_wald_intervals_tell_the_same_story(structure):
    fit = counts(f"{structure}(0 + t | subject)")
    name = "cor__homtoep.1" if structure == "homtoep" else f"cor__{structure}"
    wald, profile = (fit.confint(method, parm=name).iloc[0] for method in ("wald", "profile"))
    assert profile["note"] == ""
    width = wald["conf_high"] - wald["conf_low"]
    # 60 subjects: the likelihood is nearly quadratic.
    assert abs(profile["conf_low"] - wald["conf_low"]) < 0.25 * width
    assert abs(profile["conf_high"] - wald["conf_high"]) < 0.25 * width


def test_a_residual_that_may_be_zero_has_a_profile_down_to_zero():
    data = panel()[panel()["subject"] < 25]
    fit = rf.lmm("y ~ x + ar1(0 + t | subject)", data, reml=False)
    row = fit.confint("profile", parm="sigma").iloc[0]
    none = rf.glmm("y ~ x + ar1(0 + t | subject)", data, family="gaussian", dispersion="~ 0")
    # chi^2 quantile of one degree of freedom, halved.
    assert (row["conf_low"] == 0.0) == (fit.loglik - none.loglik < 1.92)
    assert row["conf_high"] > row["estimate"]


def test_the_bootstrap_knows_the_parameters():
    draws = counts("ar1(0 + t | subject)").bootstrap(8, seed=1)
    assert {"sd__ar1", "cor__ar1"} <= set(draws)
    assert draws["cor__ar1"].between(-1, 1).all()


def test_summary_shows_one_correlation_once():
    text = str(counts("ar1(0 + t | subject)").summary())
    assert "t[00] .. t[04]" in text
    assert "(ar1)" in text
    text = str(counts("toep(0 + t | subject)").summary())
    assert "correlations at lags 1, 2, ...:" in text


def test_loadings_make_the_covariance():
    fit = counts("rr(0 + t | subject, d = 2)")
    table = fit.loadings()
    assert list(table.columns) == ["component", "group", "term", "latent", "loading"]
    loading = table["loading"].to_numpy().reshape(2, 5).T
    assert loading[0, 1] == 0.0
    assert (np.diag(loading) > 0).all()
    variances = fit.varcorr()
    np.testing.assert_allclose((loading**2).sum(axis=1), variances[variances["var2"].isna()]["vcov"], rtol=1e-10)
    with pytest.raises(ValueError, match="no term of this model has reduced rank"):
        counts("(1 | subject)").loadings()


def test_new_rows_are_predicted_and_simulated():
    for structure in ("ar1", "toep", "rr"):
        fit = counts(f"{structure}(0 + t | subject)")
        rows = panel().head(7)
        np.testing.assert_allclose(fit.predict(rows, kind="link"), fit.predict(kind="link")[:7], rtol=1e-10)
        assert np.isfinite(fit.predict(rows, se=True)["std_error"]).all()
        assert fit.simulate(2, seed=1).shape == (len(panel()), 2)
        assert fit.ranef().shape[0] == 300


def test_an_occasion_that_was_missed_is_predicted_from_its_neighbours():
    data = panel()
    missed = (data["time"] == 2) & (data["subject"] % 3 == 0)
    fit = rf.glmm("y ~ x + ar1(0 + t | subject)", data[~missed], family="gaussian", dispersion="~ 0")
    phi = parameters(fit)["cor__ar1"]
    around = data.assign(e=data["y"] - fit.predict(data, ranef=False)).set_index(["subject", "time"])["e"]
    expected = [
        phi / (1 + phi**2) * (around[subject, 1] + around[subject, 3]) for subject in data.loc[missed, "subject"]
    ]
    found = fit.predict(data[missed]) - fit.predict(data[missed], ranef=False)
    # The residual standard deviation is 1.2e-4, which leaves the neighbours' effects known to its square.
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("rr(0 + t | subject, d = 6)", "give a whole number from 1 to 5, not 6"),
        ("rr(0 + t | subject, d = 0)", "give a whole number from 1 to 5, not 0"),
        ("ar1(0 + t | subject, d = 2)", "ar1\\(\\) takes no options; leave `d` out"),
    ],
)
def test_options_that_there_are_not_are_refused(term, message):
    with pytest.raises(ValueError, match=message):
        counts(term)


def test_latent_variables_need_a_residual():
    with pytest.raises(ValueError, match="2 latent variables cannot explain 5 columns without a residual"):
        rf.glmm("y ~ x + rr(0 + t | subject)", panel(), family="gaussian", dispersion="~ 0")
