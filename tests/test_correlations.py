"""Linear models with correlated and heteroscedastic residuals: identities with other models, and every method."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf

CHICKS = Path(__file__).parent / "reference" / "data" / "chickweight.csv.gz"


@pytest.fixture(scope="module")
def sleep():
    return rf.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def orthodont():
    return rf.load_dataset("orthodont")


@pytest.fixture(scope="module")
def serial(orthodont):
    return rf.lmm("distance ~ age * Sex", orthodont, correlation="car1(age | Subject)", dispersion="~ power(age)")


@pytest.mark.parametrize("reml", [True, False])
def test_compound_symmetry_is_a_random_intercept(sleep, reml):
    marginal = rf.lmm("Reaction ~ Days", sleep, correlation="cs(1 | Subject)", reml=reml)
    mixed = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, reml=reml)
    # One model in two coordinates: the searches end within 1e-7 standard errors of one optimum.
    assert marginal.loglik == pytest.approx(mixed.loglik, abs=1e-9)
    between, within = mixed.varcorr()["vcov"]
    assert marginal.tidy("random")["estimate"].iloc[-1] == pytest.approx(between / (between + within), rel=1e-6)
    assert marginal.sigma**2 == pytest.approx(between + within, rel=1e-6)
    np.testing.assert_allclose(marginal.vcov(), mixed.vcov(), rtol=1e-6)
    assert marginal.npar == mixed.npar


def test_a_dispersion_that_says_nothing_is_the_ordinary_model(sleep):
    # An offset of zero brings the marginal likelihood about; what is known of effects and rows must not change.
    zero = sleep.assign(zero=0.0)
    ordinary = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    marginal = rf.lmm("Reaction ~ Days + (Days | Subject)", zero, dispersion="~ offset(zero)")
    assert marginal.model.marginal
    assert not ordinary.model.marginal
    assert marginal.loglik == pytest.approx(ordinary.loglik, abs=1e-9)
    for effects in ("fixed", "random"):
        one, two = (fit.tidy(effects).query("component == 'cond'") for fit in (marginal, ordinary))
        assert one["term"].tolist() == two["term"].tolist()
        for column in ("estimate", "std_error", "conf_low", "conf_high"):
            # Hessians by differences on one side, exact on the other.
            np.testing.assert_allclose(one[column], two[column], rtol=1e-4)
    for uncertainty in ("joint", "conditional"):
        one, two = marginal.ranef(uncertainty=uncertainty), ordinary.ranef(uncertainty=uncertainty)
        np.testing.assert_allclose(one["estimate"], two["estimate"], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=1e-4)
    np.testing.assert_allclose(marginal.coef()["std_error"], ordinary.coef()["std_error"], rtol=1e-4)
    for keep in (True, False):
        one, two = (fit.predict(zero.head(20), ranef=keep, se=True) for fit in (marginal, ordinary))
        np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=1e-4)
    np.testing.assert_allclose(marginal.augment()["leverage"], ordinary.augment()["leverage"], rtol=1e-5)


def test_a_log_linear_dispersion_is_that_of_glmm(sleep):
    frame = sleep.assign(late=np.where(sleep["Days"] > 4, "late", "early"))
    marginal = rf.lmm("Reaction ~ Days + (1 | Subject)", frame, dispersion="~ late", reml=False)
    general = rf.glmm("Reaction ~ Days + (1 | Subject)", frame, family="gaussian", dispersion="~ late")
    assert marginal.loglik == pytest.approx(general.loglik, abs=1e-8)
    for component in ("cond", "disp"):
        one, two = marginal.fixef(component), general.fixef(component)
        assert list(one) == list(two)
        np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=1e-5)
    np.testing.assert_allclose(np.diag(marginal.vcov("disp")), np.diag(general.vcov("disp")), rtol=1e-3)


def test_an_unstructured_matrix_is_that_of_the_multivariate_normal(orthodont):
    fit = rf.lmm(
        "distance ~ factor(age)", orthodont, reml=False, correlation="us(age | Subject)", dispersion="~ factor(age)"
    )
    wide = orthodont.pivot_table(index="Subject", columns="age", values="distance", observed=True).to_numpy()
    # With a mean for each age the maximum likelihood estimate is the sample covariance.
    sample = np.cov(wide.T, bias=True)
    sd = np.exp([fit.fixef("disp")["Intercept"] + v for v in (0.0, *list(fit.fixef("disp").values())[1:])])
    found = dict(zip(fit.tidy("random")["term"], fit.tidy("random")["estimate"], strict=True))
    ages = [8, 10, 12, 14]
    for i in range(4):
        assert sd[i] == pytest.approx(np.sqrt(sample[i, i]), rel=1e-5)
        for j in range(i + 1, 4):
            expected = sample[i, j] / np.sqrt(sample[i, i] * sample[j, j])
            assert found[f"cor__{ages[i]}.{ages[j]}"] == pytest.approx(expected, abs=1e-5)


def test_spellings_of_one_correlation(sleep):
    base = "Reaction ~ Days + (1 | Subject)"
    expected = rf.lmm(base, sleep, correlation="ar1(Days | Subject)").loglik
    same = ("ar1(1 | Subject)", "arma(Days | Subject, p=1, q=0)", "~ ar1(Days|Subject)", "car1(Days | Subject)")
    for text in (*same, "exp(Days | Subject)"):
        assert rf.lmm(base, sleep, correlation=text).loglik == pytest.approx(expected, abs=1e-8), text
    shuffled = sleep.sample(frac=1.0, random_state=1)
    assert rf.lmm(base, shuffled, correlation="ar1(Days | Subject)").loglik == pytest.approx(expected, abs=1e-8)


def test_all_rows_can_be_one_group(sleep):
    one = sleep[sleep["Subject"] == sleep["Subject"].iloc[0]]
    every = rf.lmm("Reaction ~ Days", one, correlation="ar1(Days | 1)")
    assert every.converged
    assert every.model.correlation.levels == ("all rows",)


def test_missing_times_drop_their_rows(sleep):
    holes = sleep.assign(when=sleep["Days"].astype(float))
    holes.loc[[3, 17], "when"] = np.nan
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", holes, correlation="ar1(when | Subject)")
    assert (fit.nobs, fit.n_dropped) == (178, 2)
    assert fit.model.design.dropped_because == {"when": 2}


def test_frames_of_other_kinds(orthodont):
    polars = pytest.importorskip("polars")
    arguments = {"correlation": "car1(age | Subject)", "dispersion": "~ Sex"}
    frame = polars.from_pandas(orthodont.assign(Subject=orthodont["Subject"].astype(str)))
    one = rf.lmm("distance ~ age + (1 | Subject)", frame, **arguments)
    two = rf.lmm("distance ~ age + (1 | Subject)", orthodont, **arguments)
    assert one.loglik == pytest.approx(two.loglik, abs=1e-9)
    assert isinstance(one.tidy("random"), polars.DataFrame)


def test_predictions_of_new_rows(serial, orthodont):
    new = orthodont.head(4)
    np.testing.assert_allclose(serial.predict(new), serial.fitted()[:4], rtol=1e-12)
    (power,) = (e for function, _, _, e, _ in serial.engine.residual_parameters() if function == 0)
    expected = serial.sigma * new["age"].to_numpy(float) ** power
    np.testing.assert_allclose(serial.predict(new, kind="dispersion"), expected, rtol=1e-12)
    np.testing.assert_allclose(serial.predict(kind="dispersion")[:4], expected, rtol=1e-12)
    interval = serial.predict(new, interval="prediction")
    half = (interval["conf_high"] - interval["conf_low"]) / 2
    np.testing.assert_allclose(half, 1.959964 * np.hypot(interval["std_error"], expected), rtol=1e-6)


def test_a_power_of_the_fitted_mean_is_consistent(sleep):
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep, dispersion="~ power(fitted)")
    # The mean held at its own fitted values gives the same fit: that is the definition.
    held = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep.assign(v=fit.fitted()), dispersion="~ power(v)")
    assert held.loglik == pytest.approx(fit.loglik, abs=1e-6)
    np.testing.assert_allclose(held.fitted(), fit.fitted(), rtol=1e-6)
    (power,) = (estimate for *_, estimate, _ in fit.engine.residual_parameters())
    np.testing.assert_allclose(fit.predict(kind="dispersion"), fit.sigma * fit.fitted() ** power, rtol=1e-6)
    new = sleep.head(3)
    np.testing.assert_allclose(fit.predict(new, kind="dispersion"), fit.predict(kind="dispersion")[:3], rtol=1e-6)


def test_residuals(serial, orthodont):
    raw = serial.residuals()
    np.testing.assert_allclose(raw, orthodont["distance"] - serial.fitted())
    pearson = serial.residuals("pearson")
    np.testing.assert_allclose(pearson, raw / serial.predict(kind="dispersion"), rtol=1e-12)
    phi = serial.tidy("random")["estimate"].iloc[-1]
    first = pearson[:4]
    # Four occasions two years apart: an autoregression's innovations.
    rho = phi**2
    expected = np.r_[first[0], (first[1:] - rho * first[:-1]) / np.sqrt(1 - rho**2)]
    np.testing.assert_allclose(serial.residuals("normalized")[:4], expected, rtol=1e-10)


def test_simulated_residuals_have_their_correlation(orthodont):
    fit = rf.lmm("distance ~ age", orthodont, correlation="ar1(1 | Subject)", dispersion="~ Sex")
    draws = fit.simulate(4000, seed=1)
    assert (fit.simulate(2, seed=1) == draws[:, :2]).all()
    e = (draws - fit.fitted()[:, None]) / fit.predict(kind="dispersion")[:, None]
    phi = fit.tidy("random")["estimate"].iloc[-1]
    sample = np.corrcoef(e[:4])
    # A correlation of 4000 draws has a standard error of at most 1/63; ten of them are looked at.
    for i in range(4):
        for j in range(i):
            assert sample[i, j] == pytest.approx(phi ** (i - j), abs=4 / 63)
    assert np.abs(np.corrcoef(e[[0, 4, 8]])[np.triu_indices(3, 1)]).max() < 4 / 63
    np.testing.assert_allclose(e.std(axis=1), 1.0, atol=4 / np.sqrt(2 * 4000))


def test_refit_update_and_bootstrap(serial, orthodont):
    again = serial.refit(orthodont["distance"])
    assert again.loglik == pytest.approx(serial.loglik, abs=1e-9)
    assert again.tidy("random")["estimate"].to_numpy() == pytest.approx(serial.tidy("random")["estimate"].to_numpy())
    assert serial.update(correlation=None, dispersion=None).model.marginal is False
    assert serial.update(". ~ . - Sex - age:Sex").model.correlation is not None
    draws = serial.bootstrap(8, seed=1)
    assert draws["converged"].all()
    whole = serial.bootstrap(8, lambda fit: fit.loglik, seed=1)
    np.testing.assert_allclose(whole["statistic"], draws["loglik"], rtol=1e-9)


def test_precision_weights_multiply_the_dispersion(orthodont):
    frame = orthodont.assign(w=1.0 / orthodont["age"] ** 2, log_age=np.log(orthodont["age"]))
    weighted = rf.lmm("distance ~ age", frame, weights="w", correlation="ar1(1 | Subject)")
    offset = rf.lmm("distance ~ age", frame, dispersion="~ offset(log_age)", correlation="ar1(1 | Subject)")
    assert weighted.loglik == pytest.approx(offset.loglik, abs=1e-9)
    assert weighted.sigma == pytest.approx(offset.sigma, rel=1e-9)


def test_many_small_groups_cost_by_their_number_only():
    rng = np.random.default_rng(1)
    groups, rows = 4000, 5
    frame = pd.DataFrame(
        {"g": np.repeat(np.arange(groups), rows), "t": np.tile(np.arange(rows), groups), "x": rng.normal(size=20000)}
    )
    frame["y"] = frame["x"] + np.repeat(rng.normal(size=groups), rows) + rng.normal(size=20000)
    fit = rf.lmm("y ~ x + (1 | g)", frame, correlation="ar1(t | g)")
    assert fit.converged
    # 20 evaluations of 4000 matrices of order 5; one dense matrix of 20000 rows would take hours.
    assert fit.optimum.seconds < 60.0


def test_a_correlation_at_the_end_of_its_interval_is_said(orthodont):
    # Residuals of neighbouring ages are correlated less than nothing, which a continuous autoregression cannot be.
    fit = rf.lmm("distance ~ age * Sex + (1 | Subject)", orthodont, correlation="car1(age | Subject)")
    assert fit.verdict["status"] == "boundary_family"
    assert fit.verdict["boundary"] == ["residuals: car1(age | Subject)"]
    without = rf.lmm("distance ~ age * Sex + (1 | Subject)", orthodont)
    assert fit.loglik == pytest.approx(without.loglik, abs=1e-6)
    last = fit.tidy("random").iloc[-1]
    # Two years apart this is a correlation of a millionth, below which the likelihood has no curvature.
    assert last["estimate"] == pytest.approx(0.0, abs=1e-3)
    assert np.isnan(last["std_error"])


def test_a_mean_that_does_not_settle_is_said():
    chicks = pd.read_csv(CHICKS)
    with pytest.warns(rf.ConvergenceWarning, match="do not settle"):
        # nlme ends with "maximum number of iterations reached without convergence".
        fit = rf.lmm(
            "weight ~ Time * factor(Diet)", chicks, correlation="car1(Time|Chick)", dispersion="~ power(fitted)"
        )
    assert fit.verdict["status"] == "unsettled"


def test_catalogues():
    assert rf.list_correlations()["name"].tolist() == ["ar1", "arma", "car1", "cs", "us", "exp", "gau"]
    assert rf.list_variance_functions()["name"].tolist() == ["power", "exp", "constpower"]
