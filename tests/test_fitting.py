"""Controls, the record of a fit, and refitting."""

import math

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, dyestuff2, owls, pastes, penicillin, salamanders, sleepstudy, sleepstudy_glmm
from ranef.fitting import named_verdict


@pytest.mark.parametrize(
    "wrong",
    [{"max_iter": 0}, {"max_iter": 2.5}, {"threads": -1}, {"gradient_tol": 0.0}, {"gradient_tol": math.nan},
     {"optimizer": 3}, {"progress": 1}, {"max_iter": True}],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(rf.ModelError, match=next(iter(wrong))):
        rf.Control(**wrong)


def test_only_given_settings_reach_the_engine():
    assert rf.Control().for_engine() == {}
    assert rf.Control(max_iter=7, progress=True).for_engine() == {"max_iter": 7}


def test_progress_goes_to_standard_error(capfd):
    rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), control=rf.Control(progress=True))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("ranef: fitting gaussian to 180 rows")
    assert "converged" in err


def test_too_few_iterations_warn_and_still_return_a_fit():
    with pytest.warns(rf.ConvergenceWarning, match="the optimum cannot be trusted: ") as caught:
        fit = rf.glmm(
            "SiblingNegotiation ~ FoodTreatment * SexParent + (FoodTreatment | Nest)",
            data("owls"),
            family="nbinom2",
            zi="~ SexParent + (1 | Nest)",
            control=rf.Control(max_iter=2),
        )
    assert caught[0].filename == __file__
    assert not fit.converged
    assert "NOT CONVERGED" in str(fit.summary())


def test_a_verdict_names_parameters_by_the_users_model():
    fit = owls()
    flat = ["beta[0][1]", "beta[2][0]", "theta[0][0]"]
    verdict = {"flat": flat, "separated": ["beta[0][1]"], "boundary": ["something"]}
    named = named_verdict(verdict, fit.model, fit.kept)
    assert named["flat"] == ["cond: FoodTreatment[T.Satiated]", "zi: Intercept", "cond: covariance of (1 | Nest)"]
    assert named["separated"] == ["cond: FoodTreatment[T.Satiated]"]
    assert named["boundary"] == ["something"]


@pytest.mark.parametrize(
    "model", [sleepstudy, sleepstudy_glmm, cbpp, owls, salamanders, pastes], ids=lambda m: m.__name__
)
def test_criteria_follow_from_likelihood_and_parameters(model):
    fit = model()
    k, n = fit.npar, fit.nobs
    assert fit.aic == pytest.approx(2 * k - 2 * fit.loglik)
    assert fit.bic == pytest.approx(k * math.log(n) - 2 * fit.loglik)
    assert fit.aicc == pytest.approx(fit.aic + 2 * k * (k + 1) / (n - k - 1))
    assert fit.df_residual == n - k


def test_parameters_are_counted_as_r_counts_them():
    assert sleepstudy().npar == sleepstudy_glmm().npar == 6
    assert cbpp().npar == 5
    assert owls().npar == 7
    assert salamanders().npar == 11
    assert penicillin().npar == 4


def test_deviance_belongs_to_maximum_likelihood():
    ml, reml = sleepstudy(reml=False), sleepstudy()
    assert ml.deviance == pytest.approx(-2 * ml.loglik)
    assert ml.reml_criterion is None
    assert reml.deviance is None
    # The REML criterion that Bates et al. (2015), section 5.2, print for this model.
    assert reml.reml_criterion == pytest.approx(1743.6, abs=0.05)


def test_both_engines_agree_on_the_gaussian():
    profiled, general = sleepstudy(reml=False), sleepstudy_glmm()
    assert general.loglik == pytest.approx(profiled.loglik, abs=1e-5)
    assert general.sigma == pytest.approx(profiled.sigma, rel=1e-4)
    np.testing.assert_allclose(list(general.fixef().values()), list(profiled.fixef().values()), rtol=1e-5)


def test_plain_values():
    fit = pastes()
    assert fit.formula == "strength ~ 1 + (1 | batch/cask)"
    assert fit.family == "gaussian"
    assert fit.link == "identity"
    assert fit.nobs == 60
    assert fit.ngroups == {"batch": 10, "batch:cask": 30}
    assert fit.optimum.iterations > 0
    assert fit.optimum.seconds >= 0
    assert isinstance(fit.optimum.message, str)


def test_a_zero_variance_is_singular_and_no_warning():
    fit = dyestuff2()  # warnings are errors here
    assert fit.singular
    assert fit.converged
    assert "Singular fit" in str(fit.summary())


def test_collinear_columns_are_left_out_by_name():
    sleep = data("sleepstudy").assign(twice=lambda d: 2.0 * d["Days"])
    fit = rf.lmm("Reaction ~ Days + twice + (1 | Subject)", sleep)
    assert fit.aliased == {"cond": ("twice",)}
    assert list(fit.fixef()) == ["Intercept", "Days"]
    assert fit.vcov().shape == (2, 2)
    assert "linear combinations of the others: twice" in str(fit.summary())
    np.testing.assert_allclose(fit.predict(sleep), fit.fitted(), rtol=1e-10)


def test_rows_with_missing_values_are_counted():
    sleep = data("sleepstudy").copy()
    sleep.loc[[3, 7], "Days"] = np.nan
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    assert (fit.nobs, fit.n_dropped) == (178, 2)
    assert "Dropped: 2 rows with missing values (Days 2)" in str(fit.summary())
    assert len(fit.augment()) == 178


def test_refit_to_the_same_response_gives_the_same_fit():
    for fit, y in ((sleepstudy(), data("sleepstudy")["Reaction"]), (cbpp(), data("cbpp")["incidence"])):
        again = fit.refit(y)
        assert again.loglik == pytest.approx(fit.loglik, abs=1e-6)


def test_refit_follows_the_response():
    fit = sleepstudy()
    doubled = fit.refit(2.0 * data("sleepstudy")["Reaction"])
    assert doubled.fixef()["Days"] == pytest.approx(2.0 * fit.fixef()["Days"], rel=1e-6)
    assert doubled.sigma == pytest.approx(2.0 * fit.sigma, rel=1e-5)
    np.testing.assert_allclose(doubled.residuals(), 2.0 * fit.residuals(), rtol=1e-4, atol=1e-3)


def test_a_fit_is_a_start_for_the_same_model():
    again = rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"), start=sleepstudy())
    assert again.loglik == pytest.approx(sleepstudy().loglik, abs=1e-8)
    assert again.optimum.iterations <= sleepstudy().optimum.iterations
    counts = rf.glmm(owls().formula, data("owls"), family="nbinom2", zi="~ 1", start=owls())
    assert counts.loglik == pytest.approx(owls().loglik, abs=1e-7)
    assert counts.optimum.iterations < owls().optimum.iterations


@pytest.mark.parametrize(
    ("start", "text"),
    [([1.0], "start is a fit of a model with the same terms"), ({"theta": 1.0}, "'theta' means no parameter"),
     ({"factor": [[[1.0]]]}, r"sizes \[1\] were given; .* have sizes \[2\]"),
     ({"factor": [[[1.0, 0.0], [math.nan, 1.0]]]}, "not finite")],
)  # fmt: skip
def test_a_start_for_another_model_is_refused(start, text):
    with pytest.raises(rf.ModelError, match=text):
        rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"), start=start)


def test_a_start_without_coefficients_is_refused():
    with pytest.raises(rf.ModelError, match="beta has no disp"):
        rf.glmm(
            "SiblingNegotiation ~ 1 + (1 | Nest)",
            data("owls"),
            family="nbinom2",
            start={"factor": [[[0.5]]], "beta": {"cond": [1.0]}},
        )


def test_refit_takes_what_simulate_gives():
    trials = rf.glmm("incidence / size ~ period + (1 | herd)", data("cbpp"), family="binomial", weights="size")
    draws = trials.simulate(1, seed=3)
    assert draws.max() <= 1.0
    assert np.isfinite(trials.refit(draws[:, 0]).loglik)


@pytest.mark.parametrize(
    ("response", "text"),
    [(np.zeros(7), "7 values; the model was fitted to 180 rows"), (np.full(180, np.nan), "value 0 is not finite"),
     (np.zeros((180, 2)), "2 dimensions"), (["a"] * 180, "not numbers")],
)  # fmt: skip
def test_refit_refuses_what_is_no_response(response, text):
    with pytest.raises(rf.DataError, match=text):
        sleepstudy().refit(response)


def test_weighted_rows_count_like_repeated_rows():
    owls_data = data("owls").head(200)
    twice = pd.concat([owls_data, owls_data], ignore_index=True)
    formula = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"
    weighted = rf.glmm(formula, owls_data.assign(w=2.0), family="poisson", weights="w")
    repeated = rf.glmm(formula, twice, family="poisson")
    assert weighted.loglik == pytest.approx(repeated.loglik, abs=1e-5)
    np.testing.assert_allclose(list(weighted.fixef().values()), list(repeated.fixef().values()), atol=1e-5)


def test_three_ways_to_write_successes_are_one_model():
    herds = data("cbpp")
    proportion = rf.glmm("incidence / size ~ period + (1 | herd)", herds, family="binomial", weights="size")
    assert proportion.loglik == pytest.approx(cbpp().loglik, abs=1e-6)
    np.testing.assert_allclose(proportion.residuals(), cbpp().residuals(), atol=1e-5)


def test_without_random_effects_the_linear_model_is_least_squares():
    sleep = data("sleepstudy")
    x = np.column_stack([np.ones(180), sleep["Days"]])
    beta, rss, *_ = np.linalg.lstsq(x, sleep["Reaction"].to_numpy(float), rcond=None)
    fit = rf.lmm("Reaction ~ Days", sleep)
    np.testing.assert_allclose(list(fit.fixef().values()), beta, rtol=1e-8)
    assert fit.sigma == pytest.approx(math.sqrt(rss[0] / 178), rel=1e-7)
    assert fit.ngroups == {}
    assert len(fit.ranef()) == 0
    # A Poisson regression: at the optimum the score X'(y - mu) vanishes.
    counts = data("owls")
    fit = rf.glmm("SiblingNegotiation ~ FoodTreatment", counts, family="poisson")
    means = counts.groupby("FoodTreatment", observed=True)["SiblingNegotiation"].mean()
    assert math.exp(fit.fixef()["Intercept"]) == pytest.approx(means.iloc[0], rel=1e-6)


# The engine shares loops over rows between threads from 16384 rows on.
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_estimates_have_the_same_bits_on_any_number_of_threads(family):
    rng = np.random.default_rng(4)
    n = 20_000
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 300, n), "h": rng.integers(0, 40, n)})
    eta = 0.2 + 0.3 * frame["x"] + 0.5 * rng.normal(size=300)[frame["g"]] + 0.3 * rng.normal(size=40)[frame["h"]]
    frame["y"] = eta + rng.normal(size=n) if family == "gaussian" else rng.poisson(np.exp(eta)).astype(float)

    def fitted(threads):
        control, formula = rf.Control(threads=threads), "y ~ x + (x | g) + (1 | h)"
        if family == "gaussian":
            return rf.lmm(formula, frame, control=control)
        return rf.glmm(formula, frame, family=family, control=control)

    one, two = fitted(1), fitted(2)
    assert one.converged
    assert one.loglik == two.loglik
    assert one.fixef() == two.fixef()
    assert one.vcov().tobytes() == two.vcov().tobytes()
    assert one.varcorr().equals(two.varcorr())
    assert one.fitted().tobytes() == two.fitted().tobytes()
