"""R-squared and intraclass correlation: stored answers, closed forms by family and link, refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import polygamma

import ranef as rf
from models import cbpp, data, owls, sleepstudy
from ranef.inference.explained_variance import null_fit, random_variances, rows_at_null, variance_at

ANSWERS = json.loads((Path(__file__).parents[1] / "reference/inference/explained_variance.json").read_text())["models"]
FITS = {
    "sleepstudy": sleepstudy,
    "machines": lambda: rf.lmm("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data("machines")),
    "cbpp": cbpp,
    "contraception": lambda: rf.glmm(
        "use ~ age + urban + livch + (1 | district)", data("contraception"), family="binomial"
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_gaussian_and_binomial_are_performance_s(name):
    fit, answer = FITS[name](), ANSWERS[name]
    # glmer leaves the parameters of `contraception` 1e-4 from the optimum, which is what this tolerance is for.
    tolerance = {"rel": 2e-4}
    assert fit.r2()["marginal"][0] == pytest.approx(answer["R2_marginal"], **tolerance)
    assert fit.r2()["conditional"][0] == pytest.approx(answer["R2_conditional"], **tolerance)
    assert fit.icc()["adjusted"][0] == pytest.approx(answer["ICC_adjusted"], **tolerance)
    assert fit.icc()["unadjusted"][0] == pytest.approx(answer["ICC_unadjusted"], **tolerance)
    parts = fit.variance_decomposition().set_index("source")["variance"]
    assert parts["fixed"] == pytest.approx(answer["var_fixed"], **tolerance)


@pytest.fixture(scope="module")
def salamanders():
    return rf.glmm("count ~ mined + (1 | site)", data("salamanders"), family="poisson")


def test_counts_with_the_mean_of_the_null_model(salamanders):
    # Current versions of insight and MuMIn on the same model.
    found = salamanders.r2("all").set_index("approximation")
    expected = {"lognormal": (0.6253, 0.7871), "delta": (0.5933, 0.7468), "trigamma": (0.5487, 0.6907)}
    for name, (marginal, conditional) in expected.items():
        assert found.loc[name, "marginal"] == pytest.approx(marginal, abs=5e-5)
        assert found.loc[name, "conditional"] == pytest.approx(conditional, abs=5e-5)
    null = rf.glmm("count ~ 1 + (1 | site)", data("salamanders"), family="poisson")
    mu = np.exp(null.fixef()["Intercept"] + 0.5 * null.varcorr()["vcov"][0])
    assert mu == pytest.approx(1.8282, abs=5e-5)
    parts = salamanders.variance_decomposition("trigamma").set_index("source")["variance"]
    assert parts["distribution"] == pytest.approx(polygamma(1, mu), rel=1e-4)


LOG_LINK = {
    "nbinom2": lambda mu, phi: 1 / mu + 1 / phi,
    "nbinom1": lambda mu, phi: (1 + phi) / mu,
    "genpois": lambda mu, phi: phi / mu,
}


@pytest.mark.parametrize("family", LOG_LINK)
def test_families_of_counts(family):
    frame = data("salamanders")
    fit = rf.glmm("count ~ mined + (1 | site)", frame, family=family)
    null = rf.glmm("count ~ 1 + (1 | site)", frame, family=family)
    mu = np.exp(null.fixef()["Intercept"] + 0.5 * null.varcorr()["vcov"][0])
    c = LOG_LINK[family](mu, fit.sigma)
    for name, value in (("lognormal", np.log1p(c)), ("delta", c), ("trigamma", polygamma(1, 1 / c))):
        parts = fit.variance_decomposition(name).set_index("source")["variance"]
        # Both null models end within the optimiser's tolerance of each other.
        assert parts["distribution"] == pytest.approx(value, rel=1e-4)


def test_gamma_has_its_shape():
    frame = pd.read_csv(Path(__file__).parents[1] / "reference/data/sim_cont.csv.gz")
    fit = rf.glmm("y_gamma ~ x + f + (1 | g)", frame, family="gamma", link="log")
    parts = {name: fit.variance_decomposition(name)["variance"].iloc[-1] for name in ("lognormal", "delta", "trigamma")}
    c = parts["delta"]
    # insight 0.19.0, whose value is one over the shape.
    assert c == pytest.approx(0.320608609319601, rel=1e-4)
    assert parts["lognormal"] == pytest.approx(np.log1p(c))
    assert parts["trigamma"] == pytest.approx(float(polygamma(1, 1 / c)))


def test_other_links():
    sqrt = rf.glmm("count ~ mined + (1 | site)", data("salamanders"), family="poisson", link="sqrt")
    # d sqrt(mu) / d mu = 1 / (2 sqrt(mu)): a quarter, whatever the mean.
    assert sqrt.variance_decomposition()["variance"].iloc[-1] == pytest.approx(0.25)
    for link, variance in (("probit", 1.0), ("cloglog", np.pi**2 / 6)):
        fit = rf.glmm(cbpp().formula, data("cbpp"), family="binomial", link=link)
        assert fit.variance_decomposition()["variance"].iloc[-1] == pytest.approx(variance)


def test_the_delta_method_for_binary_responses_is_of_one_trial():
    null = rf.glmm("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", data("cbpp"), family="binomial")
    rng = np.random.default_rng(1)
    draws = null.fixef()["Intercept"] + np.sqrt(null.varcorr()["vcov"][0]) * rng.standard_normal(400_000)
    p = np.mean(1 / (1 + np.exp(-draws)))
    found = cbpp().variance_decomposition("delta")["variance"].iloc[-1]
    # Four Monte Carlo standard errors of the mean probability move it by less than this.
    assert found == pytest.approx(1 / (p * (1 - p)), rel=0.01)


def test_beta_is_by_the_delta_method():
    frame = pd.read_csv(Path(__file__).parents[1] / "reference/data/sim_cont.csv.gz")
    response = next(name for name in frame.columns if name.startswith("y_beta"))
    fit = rf.glmm(f"{response} ~ x + (1 | g)", frame, family="beta")
    _, eta = rows_at_null(fit, null_fit(fit))
    mu = 1 / (1 + np.exp(-eta[0]))
    expected = 1 / ((1 + fit.sigma) * mu * (1 - mu))
    assert fit.variance_decomposition()["variance"].iloc[-1] == pytest.approx(expected)


def test_ordered_categories_have_the_latent_variable_s_variance():
    fit = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    table = fit.variance_decomposition().set_index("source")["variance"]
    assert table["distribution"] == pytest.approx(np.pi**2 / 3)
    assert table["random"] == pytest.approx(fit.varcorr()["vcov"][0])


def test_zero_inflation_is_part_of_the_distribution():
    fit = rf.glmm("count ~ mined + (1 | site)", data("salamanders"), family="poisson", zi="~ 1")
    rows, eta = rows_at_null(fit, null_fit(fit))
    mu, p = np.exp(eta), 1 / (1 + np.exp(-fit.fixef("zi")["Intercept"]))
    np.testing.assert_allclose(variance_at(fit, rows), (1 - p) * (mu + p * mu**2))
    found = fit.variance_decomposition("delta")["variance"].iloc[-1]
    assert found == pytest.approx(((1 / mu + p) / (1 - p)).mean())


def test_effects_with_a_level_for_each_row_are_dispersion():
    frame = data("grouseticks").assign(row=lambda d: np.arange(len(d)).astype(str))
    fit = rf.glmm("TICKS ~ YEAR + (1 | BROOD) + (1 | row)", frame, family="poisson")
    table = fit.variance_decomposition()
    variances = fit.varcorr().set_index("group")["vcov"]
    assert table.set_index("source")["variance"]["dispersion"] == pytest.approx(variances["row"])
    assert table[table["source"] == "random"]["group"].tolist() == ["BROOD"]
    assert fit.icc()["adjusted"][0] < 1


def test_random_slopes_are_averaged_over_the_rows():
    groups, _ = random_variances(sleepstudy())
    sigma = sleepstudy().engine.covariance[0]
    days = np.asarray(data("sleepstudy")["Days"], float)
    assert groups["Subject"] == pytest.approx(np.mean(sigma[0, 0] + 2 * days * sigma[0, 1] + days**2 * sigma[1, 1]))


def test_the_scale_of_a_covariate_does_not_matter(salamanders):
    other = rf.lmm("Reaction ~ scale(Days) + (scale(Days) | Subject)", data("sleepstudy"))
    # Within the optimiser's tolerance.
    np.testing.assert_allclose(
        other.r2().iloc[0, 1:].astype(float), sleepstudy().r2().iloc[0, 1:].astype(float), rtol=1e-5
    )


def test_shares_add_up_and_agree():
    fit = FITS["machines"]()
    table = fit.variance_decomposition()
    assert table["share"].sum() == pytest.approx(1.0)
    by_group = fit.icc(by_group=True)
    assert by_group["group"].tolist() == ["Worker", "Worker:Machine"]
    assert by_group["adjusted"].sum() == pytest.approx(fit.icc()["adjusted"][0])


def test_an_offset_is_part_of_the_mean_and_not_of_what_is_explained():
    frame = data("owls").assign(double=2.0)
    plain = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", frame, family="nbinom2")
    moved = plain.update(". ~ . + offset(log(double))")
    assert moved.r2()["marginal"][0] == pytest.approx(plain.r2()["marginal"][0], rel=1e-5)


def test_the_null_model_keeps_what_is_assumed_of_variances_alone():
    def fit(fixed, priors):
        return rf.glmm(f"count ~ {fixed} + (1 | site)", data("salamanders"), family="poisson", priors=priors)

    tight = rf.prior.gamma(0.3, 400.0)
    whole = fit("mined", {"sd(site)": tight, "mined[T.no]": rf.prior.normal(0, 1)})
    null = null_fit(whole)
    direct = fit("1", {"sd(site)": tight})
    assert [str(a.prior) for a in null.model.assumed.priors] == [str(tight)]
    assert null.engine.loglik == pytest.approx(direct.loglik, abs=1e-7)
    # The prior matters: without it the null model has all of the variance between mined and other streams.
    assert direct.loglik < fit("1", None).loglik - 1.0


def test_a_singular_fit_has_its_numbers():
    fit = rf.lmm("Yield ~ 1 + (1 | Batch)", data("dyestuff2"), reml=False)
    assert fit.r2()["conditional"][0] == pytest.approx(0.0, abs=1e-8)


def test_bootstrap_intervals_hold_the_estimate(salamanders):
    found = salamanders.r2(interval="bootstrap", n=60, seed=2).iloc[0]
    assert found["marginal_low"] < found["marginal"] < found["marginal_high"]
    again = salamanders.r2(interval="bootstrap", n=60, seed=2).iloc[0]
    assert found["conditional_low"] == again["conditional_low"]
    share = sleepstudy().icc(interval="bootstrap", n=200, seed=2).iloc[0]
    assert 0.4 < share["adjusted_low"] < share["adjusted"] < share["adjusted_high"] < 0.9


def test_every_family_with_a_log_link_has_an_answer():
    assert 0 < owls().r2()["marginal"][0] < owls().r2()["conditional"][0] < 1
    hurdle = rf.glmm("count ~ mined + (1 | site)", data("salamanders"), family="truncated_nbinom2", zi="~ mined")
    assert 0 < hurdle.r2()["marginal"][0] < 1


def test_effects_with_a_known_matrix_are_those_of_independent_levels_where_it_is_the_identity():
    frame = data("sleepstudy")
    subjects = sorted(frame["Subject"].unique())
    plain = rf.lmm("Reaction ~ Days + (1 | Subject)", frame, reml=False).r2()
    for scale in (1.0, 4.0):
        known = pd.DataFrame(scale * np.eye(len(subjects)), index=subjects, columns=subjects)
        fit = rf.lmm("Reaction ~ Days + propto(1 | Subject, A)", frame, reml=False, matrices={"A": known})
        # Both end within the optimiser's tolerance of one maximum.
        np.testing.assert_allclose(
            fit.r2().drop(columns="approximation", errors="ignore").select_dtypes("number"),
            plain.select_dtypes("number"),
            rtol=1e-4,
        )


def test_effects_along_time_have_their_variance():
    frame = data("sleepstudy")
    fit = rf.lmm("Reaction ~ Days + ou(0 + Days | Subject)", frame, reml=False)
    parts = fit.variance_decomposition().set_index("source")["variance"]
    assert parts["random"] == pytest.approx(float(np.asarray(fit.engine.covariance[0])[0, 0]), rel=1e-9)
    assert parts["distribution"] == pytest.approx(fit.sigma**2, rel=1e-9)


def test_a_beta_binomial_has_the_latent_variable_s_variance_and_that_of_its_probabilities():
    fit = rf.glmm(cbpp().formula, data("cbpp"), family="betabinomial")
    _, eta = rows_at_null(fit, null_fit(fit))
    p = 1 / (1 + np.exp(-eta))
    # By the delta method, the variance of a probability of Beta(p phi, (1 - p) phi).
    expected = np.pi**2 / 3 + np.mean(1 / (p * (1 - p) * (1 + fit.sigma)))
    assert fit.variance_decomposition()["variance"].iloc[-1] == pytest.approx(expected, rel=1e-9)


def test_an_identity_link_has_the_variance_at_the_mean_of_the_null_model():
    frame = pd.DataFrame({"y": np.random.default_rng(2).poisson(np.repeat([6.0, 9.0, 12.0, 8.0, 10.0], 40))})
    frame["g"], frame["x"] = np.repeat(np.arange(5), 40), np.tile(np.arange(40) / 40, 5)
    fit = rf.glmm("y ~ x + (1 | g)", frame, family="poisson", link="identity")
    null = rf.glmm("y ~ 1 + (1 | g)", frame, family="poisson", link="identity")
    assert fit.variance_decomposition()["variance"].iloc[-1] == pytest.approx(null.fixef()["Intercept"], rel=1e-4)


def test_a_variance_that_is_infinite_has_no_share():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"y": rng.standard_t(1.2, size=400), "g": np.repeat(np.arange(20), 20)})
    fit = rf.glmm("y ~ 1 + (1 | g)", frame, family="student_t")
    with pytest.raises(rf.ModelError, match="the variance of student_t is infinite at this fit"):
        fit.variance_decomposition()
