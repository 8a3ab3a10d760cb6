"""Priors, held values, equal parameters and starts by name: closed forms, dense optima, invariances, refusals."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import cbpp, data, sleepstudy
from ranef.inference.wald import quantile

REFERENCE = json.loads((Path(__file__).parent / "reference" / "assumptions.json").read_text(encoding="utf-8"))
SLEEP = "Reaction ~ Days + (Days | Subject)"


def sleep(**arguments):
    return rf.lmm(SLEEP, data("sleepstudy"), reml=False, **arguments)


def dense_loglik(beta, sds, cor, sigma):
    """The log-likelihood of the sleep study, from the marginal normal of every subject."""
    frame, total = data("sleepstudy"), 0.0
    covariance = np.diag(sds) @ np.array([[1.0, cor], [cor, 1.0]]) @ np.diag(sds)
    for _, rows in frame.groupby("Subject", observed=True):
        z = np.column_stack([np.ones(len(rows)), rows["Days"]])
        v = z @ covariance @ z.T + sigma**2 * np.eye(len(rows))
        r = rows["Reaction"].to_numpy() - z @ beta
        total -= 0.5 * (len(r) * math.log(2 * math.pi) + np.linalg.slogdet(v)[1] + r @ np.linalg.solve(v, r))
    return total


def natural(fit):
    """Fixed effects, standard deviations, correlation, sigma of a fit of the sleep study; and their standard errors."""
    frame = fit.tidy("all")
    order = [*fit.fixef(), "sd__Intercept", "sd__Days", "cor__Intercept.Days", "sd__Observation"]
    found = frame.set_index("term").loc[order]
    return found["estimate"].to_numpy(), found["std_error"].to_numpy()


def derivatives(f, at):
    """Gradient and Hessian by central differences, in steps of a thousandth of each value."""
    h = 1e-4 * np.maximum(np.abs(at), 0.1)
    k, steps = len(at), np.diag(h)
    gradient = np.array([(f(at + s) - f(at - s)) / (2 * d) for s, d in zip(steps, h, strict=True)])
    hessian = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            a, b = 10 * steps[i], 10 * steps[j]
            hessian[i, j] = (f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (400 * h[i] * h[j])
    return gradient, hessian


# -- priors ----------------------------------------------------------------------------------------------------------


def test_the_mode_is_that_of_a_dense_posterior():
    norm, t, gamma = (pytest.importorskip("scipy.stats").__dict__[name] for name in ("norm", "t", "gamma"))
    fit = sleep(
        priors={
            "Intercept": rf.prior.student_t(4, 240, 10),
            "Days": rf.prior.normal(5, 2),
            "sd(Subject)": rf.prior.gamma(10, 2.5),
            "sd(Subject, Days)": rf.prior.half_t(3, 4),
            "cor(Subject)": rf.prior.lkj(3),
            "sigma": rf.prior.half_normal(20),
        }
    )

    def log_prior(p):
        return (
            t(4, 240, 10).logpdf(p[0])
            + norm(5, 2).logpdf(p[1])
            + gamma(2.5, scale=10 / 2.5).logpdf(p[2])
            + math.log(2)
            + t(3, 0, 4).logpdf(p[3])
            # The integral of (1 - r^2)^2 over (-1, 1) is 16 / 15.
            + 2 * math.log(1 - p[4] ** 2)
            - math.log(16 / 15)
            + math.log(2)
            + norm(0, 20).logpdf(p[5])
        )

    def log_posterior(p):
        return dense_loglik(p[:2], p[2:4], p[4], p[5]) + log_prior(p)

    estimate, std_error = natural(fit)
    assert fit.converged
    assert not fit.singular
    assert fit.log_prior == pytest.approx(log_prior(estimate), abs=1e-9)
    assert fit.loglik == pytest.approx(dense_loglik(estimate[:2], estimate[2:4], estimate[4], estimate[5]), abs=1e-8)
    assert fit.log_posterior == fit.loglik + fit.log_prior
    gradient, hessian = derivatives(log_posterior, estimate)
    # Differences with steps of 1e-4: truncation of third derivatives leaves about 1e-5 standard errors.
    assert np.abs(gradient * std_error).max() < 1e-5
    # Second differences with steps of 1e-3 of each value: four digits.
    np.testing.assert_allclose(std_error, np.sqrt(np.diag(np.linalg.inv(-hessian))), rtol=2e-3)


def test_normal_priors_and_known_variances_have_a_closed_form():
    mean, sd = np.array([200.0, 20.0]), np.array([15.0, 1.5])
    fit = rf.lmm(
        "Reaction ~ Days + (1 | Subject)",
        data("sleepstudy"),
        reml=False,
        priors={"Intercept": rf.prior.normal(200, 15), "Days": rf.prior.normal(20, 1.5)},
        fixed={"sd(Subject)": 36.0, "sigma": 31.0},
    )
    frame = data("sleepstudy")
    x = np.column_stack([np.ones(len(frame)), frame["Days"]])
    codes = frame["Subject"].astype("category").cat.codes.to_numpy()
    v = 36.0**2 * (codes[:, None] == codes) + 31.0**2 * np.eye(len(frame))
    information = x.T @ np.linalg.solve(v, x) + np.diag(sd**-2.0)
    mode = np.linalg.solve(information, x.T @ np.linalg.solve(v, frame["Reaction"]) + mean / sd**2)
    np.testing.assert_allclose(list(fit.fixef().values()), mode, rtol=1e-8)
    # The Hessian is made of differences of the gradient.
    np.testing.assert_allclose(fit.vcov(), np.linalg.inv(information), rtol=1e-6, atol=1e-8)
    assert fit.npar == 2
    assert fit.sigma == pytest.approx(31.0, rel=1e-12)


def test_a_gamma_prior_keeps_a_variance_from_zero():
    formula, frame = "Yield ~ 1 + (1 | Batch)", data("dyestuff2")
    assert rf.lmm(formula, frame).singular
    fit = rf.lmm(formula, frame, priors={"sd": rf.prior.gamma(1e8, 2.5)})
    assert fit.converged
    assert not fit.singular
    sd = fit.tidy("random").set_index("term").loc["sd__Intercept"]
    assert sd["estimate"] > 0.5
    assert 0 < sd["std_error"] < 2
    # At the mode the restricted likelihood falls as fast as the prior rises.
    step = 1e-3
    logliks = [
        rf.lmm(formula, frame, fixed={"sd(Batch)": sd["estimate"] + s, "sigma": fit.sigma}).loglik
        for s in (-step, step)
    ]
    assert (logliks[1] - logliks[0]) / (2 * step) == pytest.approx(-1.5 / sd["estimate"] + 2.5e-8, rel=1e-5)


def separated():
    rng = np.random.default_rng(3)
    x = np.sort(rng.normal(size=80))
    return pd.DataFrame({"x": x, "y": (x > 0.2).astype(int), "g": np.tile(list("abcdefgh"), 10)})


def test_separated_responses_have_finite_estimates():
    frame = separated()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rf.ConvergenceWarning)
        assert rf.glmm("y ~ x", frame, family="binomial").verdict["status"] == "separated"
    fit = rf.glmm("y ~ x", frame, family="binomial", priors={"cond": rf.prior.normal(0, 2.5)})
    assert fit.converged, fit.verdict
    x, beta = np.column_stack([np.ones(80), frame["x"]]), np.zeros(2)
    for _ in range(50):
        mu = 1 / (1 + np.exp(-x @ beta))
        information = x.T @ (x * (mu * (1 - mu))[:, None]) + np.eye(2) / 2.5**2
        beta = beta + np.linalg.solve(information, x.T @ (frame["y"] - mu) - beta / 2.5**2)
    np.testing.assert_allclose(list(fit.fixef().values()), beta, rtol=1e-7)
    np.testing.assert_allclose(fit.vcov(), np.linalg.inv(information), rtol=1e-6)
    mixed = rf.glmm(
        "y ~ x + (1 | g)", frame, family="binomial",
        priors={"fixed": rf.prior.cauchy(0, 2.5), "Intercept": rf.prior.normal(0, 5), "sd": rf.prior.half_normal(1)},
    )  # fmt: skip
    assert mixed.converged
    assert np.isfinite(mixed.vcov()).all()


def test_a_prior_speaks_in_the_units_of_the_data():
    frame = data("sleepstudy").assign(Weeks=lambda d: d["Days"] / 7)
    first = sleep(priors={"fixed": rf.prior.normal(0, 2), "sd(Subject, Days)": rf.prior.half_normal(1)})
    second = rf.lmm(
        "Reaction ~ Weeks + (Weeks | Subject)", frame, reml=False,
        priors={"fixed": rf.prior.normal(0, 14), "sd(Subject, Weeks)": rf.prior.half_normal(7)},
    )  # fmt: skip
    assert second.fixef()["Weeks"] == pytest.approx(7 * first.fixef()["Days"], rel=1e-6)
    assert second.loglik == pytest.approx(first.loglik, abs=1e-7)
    assert second.log_prior == pytest.approx(first.log_prior - 2 * math.log(7), abs=1e-6)


def test_the_more_particular_name_counts():
    fit = sleep(
        priors={"cond": rf.prior.normal(0, 1000), "fixed": rf.prior.normal(0, 2), "Days": rf.prior.cauchy(1, 3)}
    )
    shown = {a.parameter.name: a.prior.text for a in fit.model.assumed.priors}
    assert shown == {"Intercept": "normal(0, 1000)", "Days": "cauchy(1, 3)"}


def test_log_sd_is_the_logarithm():
    fit = sleep(
        priors={"log_sd(Subject, Intercept)": rf.prior.normal(3, 0.01), "log_sd(Residual)": rf.prior.normal(3, 0.01)}
    )
    estimate, _ = natural(fit)
    assert math.log(estimate[2]) == pytest.approx(3, abs=0.01)
    assert math.log(fit.sigma) == pytest.approx(3, abs=0.02)


def test_other_components_have_priors():
    formula, frame = "count ~ mined + (1 | site)", data("salamanders")
    plain = rf.glmm(formula, frame, family="nbinom2", zi="~ mined")
    fit = rf.glmm(
        formula, frame, family="nbinom2", zi="~ mined",
        priors={"zi": rf.prior.normal(0, 0.01), "disp": rf.prior.normal(1, 0.01)},
    )  # fmt: skip
    assert all(abs(value) < 0.05 for value in fit.fixef("zi").values())
    assert fit.fixef("disp")["Intercept"] == pytest.approx(1, abs=0.05)
    assert abs(plain.fixef("disp")["Intercept"]) < 0.5


def test_refits_keep_what_is_assumed():
    fit = sleep(priors={"Days": rf.prior.normal(0, 1)}, fixed={"sd(Subject, Intercept)": 20})
    again = fit.refit(fit.design.response.y)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-7)
    assert again.log_prior == pytest.approx(fit.log_prior, abs=1e-6)
    assert fit.update(priors=None, fixed=None).loglik == pytest.approx(sleepstudy(reml=False).loglik, abs=1e-7)
    draws = fit.bootstrap(5, seed=1)
    assert "sd__Intercept" not in fit.confint()["term"].tolist()
    assert draws["converged"].all()
    simulated = fit.refit(fit.simulate(1, seed=1)[:, 0])
    assert draws["loglik"][0] == pytest.approx(simulated.loglik, abs=1e-5)


# -- held and tied ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["tied", "held"])
def test_held_and_tied_parameters_are_glmmtmbs_map(which):
    expected = REFERENCE[which]
    arguments = {"tied": {"tied": [("sd(site)", "sd(spp)")]}, "held": {"fixed": {"sd(site)": 0.3, "mined[T.no]": 2.0}}}
    frame = data("salamanders").assign(mined=lambda d: pd.Categorical(d["mined"].astype(str), ["yes", "no"]))
    fit = rf.glmm("count ~ mined + (1 | site) + (1 | spp)", frame, family="poisson", **arguments[which])
    assert fit.converged
    assert fit.npar == expected["npar"]
    assert fit.loglik == pytest.approx(expected["loglik"], abs=1e-6)
    # glmmTMB stops within 1e-4 standard errors of its optimum.
    error = np.nan_to_num(np.array(expected["se"], float), nan=1e-8)
    assert (np.abs(np.array(list(fit.fixef().values())) - expected["fixef"]) < 1e-4 * error).all()
    np.testing.assert_allclose(fit.tidy()["std_error"], np.array(expected["se"], float), rtol=1e-4)
    sds = fit.tidy("random")["estimate"]
    assert sds.iloc[-1] == pytest.approx(expected["sd"], rel=1e-5)
    assert sds.iloc[0] == pytest.approx(expected["sd"] if which == "tied" else 0.3, rel=1e-5)


def test_held_values_meet_the_profile():
    fit = sleep()
    for parameter, key in (("Days", "Days"), ("sd__Intercept", "sd(Subject, Intercept)"), ("sigma", "sigma")):
        points = fit.profile(parameter, level=0.9).data
        for value, zeta in points[["value", "zeta"]].to_numpy()[::3]:
            held = sleep(fixed={key: value})
            assert fit.loglik - held.loglik == pytest.approx(0.5 * zeta**2, abs=2e-5), (parameter, value)


def test_profiles_and_intervals_hold_what_is_held():
    fit = rf.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), family="binomial",
        fixed={"period[T.2]": -1.0}, priors={"period[T.4]": rf.prior.normal(0, 0.5)},
    )  # fmt: skip
    intervals = fit.confint("profile").set_index("term")
    assert "period[T.2]" not in intervals.index
    for name, key in (("period[T.3]", "period[T.3]"), ("sd__Intercept", "sd(herd)"), ("Intercept", "Intercept")):
        for end in ("conf_low", "conf_high"):
            held = fit.update(fixed={"period[T.2]": -1.0, key: intervals.loc[name, end]})
            fall = fit.log_posterior - held.log_posterior
            assert fall == pytest.approx(0.5 * float(quantile(0.95)) ** 2, abs=1e-3), (name, end)


def test_a_standard_deviation_of_zero_takes_the_term_out():
    frame = data("penicillin")
    with_it = rf.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", frame, fixed={"sd(sample)": 0.0})
    without = rf.lmm("diameter ~ 1 + (1 | plate)", frame)
    assert with_it.loglik == pytest.approx(without.loglik, abs=1e-7)
    assert with_it.npar == without.npar
    assert with_it.converged
    assert not with_it.singular


def test_known_correlations():
    frame = data("sleepstudy")
    independent = rf.lmm("Reaction ~ Days + (Days || Subject)", frame)
    held = rf.lmm(SLEEP, frame, fixed={"cor(Subject)": 0.0})
    assert held.loglik == pytest.approx(independent.loglik, abs=1e-7)
    assert held.npar == independent.npar
    estimate = natural(sleep())[0][4]
    at_the_estimate = sleep(fixed={"cor(Subject, Intercept, Days)": estimate})
    assert at_the_estimate.loglik == pytest.approx(sleep().loglik, abs=1e-7)
    assert at_the_estimate.varcorr()["sdcor"].iloc[2] == pytest.approx(estimate, abs=1e-9)
    all_held = sleep(fixed={"cor(Subject)": [[1, 0.2], [0.2, 1]], "sd(Subject, Days)": 5.0})
    assert all_held.npar == 4
    assert all_held.converged
    sds = all_held.tidy("random")["estimate"].to_numpy()
    by_hand = dense_loglik(np.array(list(all_held.fixef().values())), sds[:2], 0.2, sds[2])
    assert all_held.loglik == pytest.approx(by_hand, abs=1e-7)


def test_precision_weights_stay_with_a_prior():
    formula, weights = "Reaction ~ Days + (1 | Subject)", np.linspace(1, 2, 180)
    plain = rf.lmm(formula, data("sleepstudy"), weights=weights)
    fit = rf.lmm(formula, data("sleepstudy"), weights=weights, priors={"sd": rf.prior.gamma(1e8, 1)})
    # An exponential density with a mean of 1e8 is flat.
    assert fit.loglik == pytest.approx(plain.loglik, abs=1e-7)
    assert fit.sigma == pytest.approx(plain.sigma, rel=1e-5)
    np.testing.assert_allclose(fit.vcov(), plain.vcov(), rtol=1e-2)


def test_a_correlation_beside_a_held_standard_deviation_has_an_error():
    fit = rf.lmm("Reaction ~ Days + cs(Days | Subject)", data("sleepstudy"), fixed={"sd(Subject, Days)": 5})
    errors = fit.tidy("random").set_index("term")["std_error"]
    assert errors["cor__cs"] > 0.1
    assert np.isnan(errors["sd__Days"])


def test_equal_coefficients():
    frame = data("cbpp")
    fit = rf.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", frame, family="binomial",
        tied=[("period[T.3]", "period[T.2]", "period[T.4]")],
    )  # fmt: skip
    merged = frame.assign(later=(frame["period"].astype(str) != "1").astype(float))
    other = rf.glmm("cbind(incidence, size - incidence) ~ later + (1 | herd)", merged, family="binomial")
    assert fit.loglik == pytest.approx(other.loglik, abs=1e-8)
    assert fit.npar == other.npar
    assert fit.fixef()["period[T.2]"] == pytest.approx(other.fixef()["later"], abs=1e-6)
    assert fit.vcov()[1, 1] == pytest.approx(other.vcov()[1, 1], rel=1e-5)


def test_starts_by_name_lead_to_the_same_optimum():
    assert sleep(start={"sd(Subject, Days)": 1.0, "sigma": 40.0}).loglik == pytest.approx(sleep().loglik, abs=1e-8)
    fit = rf.glmm(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), family="binomial",
        start={"sd(herd)": 2.0, "beta": {"Intercept": 0.5}},
    )  # fmt: skip
    assert fit.loglik == pytest.approx(cbpp().loglik, abs=1e-7)


# -- refusals --------------------------------------------------------------------------------------------------------


def test_refusals_say_what_to_do():
    with pytest.raises(rf.ModelError, match="did you mean `Days`"):
        sleep(priors={"Dayz": rf.prior.normal()})
    with pytest.raises(rf.ModelError, match="with reml=True the fixed effects of the mean are integrated out"):
        rf.lmm(SLEEP, data("sleepstudy"), priors={"Days": rf.prior.normal()})
    with pytest.raises(rf.ModelError, match="contradict each other"):
        sleep(fixed={"Days": 3, "Intercept": 4}, tied=[("Days", "Intercept")])


def test_what_is_left_out_cannot_be_held():
    frame = data("sleepstudy").assign(Weeks=lambda d: d["Days"] / 7)
    with pytest.raises(rf.ModelError, match="cond: Weeks is a linear combination of other fixed effects"):
        rf.lmm("Reaction ~ Days + Weeks + (1 | Subject)", frame, reml=False, fixed={"Weeks": 1.0})
    fit = rf.lmm("Reaction ~ Days + Weeks + (1 | Subject)", frame, reml=False, priors={"fixed": rf.prior.normal(0, 2)})
    assert list(fit.fixef()) == ["Intercept", "Days"]
