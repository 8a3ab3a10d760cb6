"""Ordinal models through the public interface: what they accept, what they answer, what they refuse."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import ranef as rf

FORMULA = "rating ~ temp + contact + (1 | judge)"


@cache
def wine():
    return rf.load_dataset("wine")


@cache
def fit(link="logit", thresholds="flexible"):
    return rf.glmm(FORMULA, wine(), family=rf.families.cumulative(link=link, thresholds=thresholds))


@pytest.mark.parametrize("link", rf.families.cumulative().links)
def test_every_link_fits(link):
    model = fit(link)
    assert model.converged
    assert model.loglik > fit("cauchit").loglik - 1e-9
    assert np.all(np.diff(list(model.fixef("threshold").values())) > 0)


def test_loglog_is_cloglog_of_the_reversed_categories():
    # F_loglog(x) = 1 - F_cloglog(-x): reversing the categories turns all signs.
    reversed_wine = wine().assign(rating=6 - wine()["rating"].astype(int))
    mirrored = rf.glmm(FORMULA, reversed_wine, family="cumulative", link="loglog")
    assert mirrored.loglik == pytest.approx(fit("cloglog").loglik, abs=1e-8)
    for term, value in fit("cloglog").fixef().items():
        assert mirrored.fixef()[term] == pytest.approx(-value, abs=1e-4)


def test_two_categories_are_a_binomial_model():
    data = wine().assign(high=np.where(wine()["rating"].astype(int) > 3, "yes", "no"))
    ordinal = rf.glmm("high ~ temp + contact + (1 | judge)", data, family="cumulative")
    binomial = rf.glmm("high ~ temp + contact + (1 | judge)", data, family="binomial")
    assert ordinal.loglik == pytest.approx(binomial.loglik, abs=1e-8)
    assert ordinal.fixef("threshold")["no|yes"] == pytest.approx(-binomial.fixef()["Intercept"], abs=1e-5)
    assert ordinal.fixef()["temp[T.warm]"] == pytest.approx(binomial.fixef()["temp[T.warm]"], abs=1e-5)


def test_structured_thresholds_are_nested():
    flexible, symmetric, equidistant = (fit(thresholds=t) for t in ("flexible", "symmetric", "equidistant"))
    assert list(symmetric.fixef("threshold")) == ["central.1", "central.2", "spacing.1"]
    assert list(equidistant.fixef("threshold")) == ["threshold.1", "spacing"]
    assert [f.npar for f in (flexible, symmetric, equidistant)] == [7, 6, 5]
    assert flexible.loglik > symmetric.loglik > equidistant.loglik
    # The probabilities agree with the thresholds that the coefficients say.
    first, spacing = equidistant.fixef("threshold").values()
    warm = pd.DataFrame({"temp": ["cold"], "contact": ["no"], "judge": ["1"]})
    p = equidistant.predict(warm, kind="probability", ranef=False)
    theta = first + spacing * np.arange(4)
    np.testing.assert_allclose(np.cumsum(p.to_numpy()[0])[:4], 1 / (1 + np.exp(-theta)), rtol=1e-12)


@pytest.mark.parametrize(
    "rating",
    [
        lambda r: r.astype(int),
        lambda r: r.astype(int) * 10,
        lambda r: r.astype(float),
        lambda r: pd.Categorical(r.astype(str), ordered=False),
        lambda r: r.astype(str),
    ],
    ids=["integers", "tens", "floats", "unordered", "text"],
)
def test_the_response_may_be_written_in_any_way(rating):
    same = rf.glmm(FORMULA, wine().assign(rating=rating(wine()["rating"])), family="cumulative")
    assert same.loglik == pytest.approx(fit().loglik, abs=1e-9)


def test_a_categorical_keeps_its_declared_order():
    words = ["mild", "low", "high"]
    data = wine().assign(rating=pd.Categorical(np.resize(words, len(wine())), categories=words))
    assert list(rf.glmm("rating ~ temp", data, family="cumulative").fixef("threshold")) == ["mild|low", "low|high"]
    text = data.assign(rating=data["rating"].astype(str))
    assert list(rf.glmm("rating ~ temp", text, family="cumulative").fixef("threshold")) == ["high|low", "low|mild"]


def test_predictions_of_categories_are_consistent():
    model = fit()
    p = model.predict(kind="probability")
    assert list(p.columns) == ["1", "2", "3", "4", "5"]
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(model.fitted(), p.to_numpy() @ np.arange(1, 6), rtol=1e-12)
    assert list(model.predict(kind="class")) == list(p.idxmax(axis=1))
    long = model.predict(kind="probability", se=True)
    np.testing.assert_allclose(long["estimate"], p.to_numpy().ravel())
    assert list(long["category"][:5]) == ["1", "2", "3", "4", "5"]
    assert (long["conf_low"] < long["estimate"]).all()
    assert (long["estimate"] < long["conf_high"]).all()
    assert long["conf_low"].min() > 0
    assert long["conf_high"].max() < 1
    mean = model.predict(interval="confidence")
    assert (mean["conf_low"] > 1).all()
    assert (mean["conf_high"] < 5).all()


def test_standard_errors_of_probabilities_are_those_of_the_delta_method():
    # P(Y <= 1) of the reference row at the population level is F(theta_1): its variance comes from vcov alone.
    model = fit()
    new = pd.DataFrame({"temp": ["cold"], "contact": ["no"]})
    found = model.predict(new, kind="probability", se=True, ranef=False)
    theta = model.fixef("threshold")["1|2"]
    p = 1 / (1 + np.exp(-theta))
    assert found["estimate"][0] == pytest.approx(p, rel=1e-12)
    assert found["std_error"][0] == pytest.approx(p * (1 - p) * np.sqrt(model.vcov("threshold")[0, 0]), rel=1e-6)


def test_simulated_responses_are_categories_and_can_be_fitted():
    model = fit()
    draws = model.simulate(400, seed=3)
    assert draws.shape == (72, 400)
    assert set(np.unique(draws)) <= {"1", "2", "3", "4", "5"}
    # 400 draws of 72 rows: the share of each category, a binomial with groups, to five standard errors.
    shares = np.array([(model.simulate(400, seed=4, ranef=True) == label).mean() for label in "12345"])
    expected = model.predict(kind="probability").to_numpy().mean(axis=0)
    assert np.all(abs(shares - expected) < 5 * np.sqrt(expected * (1 - expected) / (400 * 72)))
    again = model.refit(wine()["rating"].astype(str))
    assert again.loglik == pytest.approx(model.loglik, abs=1e-8)
    number = rf.glmm(FORMULA, wine().assign(rating=wine()["rating"].astype(int) * 10), family="cumulative")
    assert set(np.unique(number.simulate(20, seed=1))) <= {10.0, 20.0, 30.0, 40.0, 50.0}
    assert number.refit(wine()["rating"].astype(int) * 10).loglik == pytest.approx(model.loglik, abs=1e-8)


def test_tables_know_the_component():
    model = fit()
    tidy = model.tidy()
    assert list(tidy["component"]) == ["cond"] * 2 + ["threshold"] * 4
    np.testing.assert_allclose(tidy["std_error"][2:], np.sqrt(np.diag(model.vcov("threshold"))))
    intervals = model.confint()
    assert list(intervals["term"]) == [*model.fixef(), *model.fixef("threshold"), "sd__Intercept"]
    assert "Threshold coefficients:" in str(model.summary())
    assert "1|2" in str(model.summary())
    assert model.sigma == 1.0
    assert {"fitted", "residual", "leverage"} <= set(model.augment().columns)
    np.testing.assert_allclose(model.residuals(), wine()["rating"].astype(int) - model.fitted())


def test_profile_intervals_of_a_threshold():
    found = fit().confint("profile", parm=["1|2", "contact[T.yes]"])
    wald = fit().confint(parm=["1|2", "contact[T.yes]"])
    # The likelihood is nearly quadratic here: the ends agree to a fraction of their width.
    width = (wald["conf_high"] - wald["conf_low"]).to_numpy()
    assert np.all(abs(found["conf_low"] - wald["conf_low"]) < 0.15 * width)
    assert np.all(abs(found["conf_high"] - wald["conf_high"]) < 0.15 * width)


def test_a_bootstrap_has_thresholds():
    found = fit().bootstrap(20, seed=1)
    assert {"threshold__1|2", "threshold__4|5", "contact[T.yes]"} <= set(found.columns)


def test_an_update_keeps_the_family():
    smaller = fit(thresholds="equidistant").update(". ~ . - contact")
    assert list(smaller.fixef("threshold")) == ["threshold.1", "spacing"]
    assert smaller.npar == 4


def test_without_effects_the_thresholds_are_the_cumulative_proportions():
    plain = rf.glmm("rating ~ 1", wine(), family="cumulative")
    below = np.cumsum(wine()["rating"].value_counts(normalize=True, sort=False).sort_index())[:4]
    np.testing.assert_allclose(list(plain.fixef("threshold").values()), np.log(below / (1 - below)), atol=1e-6)


def test_what_cannot_be_is_refused():
    data = wine()
    with pytest.raises(rf.FormulaError, match="thresholds of an ordinal response stand for the intercept"):
        rf.glmm("rating ~ 0 + temp", data, family="cumulative")
    with pytest.raises(rf.DataError, match=r"is 0.5 in row 0 .*whole numbers"):
        rf.glmm("y ~ temp", data.assign(y=np.r_[0.5, np.resize([1, 2], 71)]), family="cumulative")
    with pytest.raises(rf.DataError, match="at least 2 categories"):
        rf.glmm("y ~ temp", data.assign(y="a"), family="cumulative")
    with pytest.raises(rf.ModelError, match=r"thresholds='fixed'.*'flexible', 'symmetric', 'equidistant'"):
        rf.families.cumulative(thresholds="fixed")
    with pytest.raises(rf.ModelError, match="zero-inflated"):
        rf.glmm(FORMULA, data, family="cumulative", zi="~ 1")
    with pytest.raises(rf.ModelError, match="no dispersion parameter"):
        rf.glmm(FORMULA, data, family="cumulative", dispersion="~ temp")
    with pytest.raises(rf.ModelError, match="neither zero inflation nor dispersion"):
        fit().predict(kind="conditional")
    with pytest.raises(rf.ModelError, match="not defined for ordinal"):
        fit().residuals("deviance")
    with pytest.raises(rf.DataError, match="is 9, which is no category"):
        fit().refit(["9"] * 72)
    with pytest.raises(rf.DataError, match="category 5 does not occur"):
        fit().refit(np.resize(["1", "2", "3", "4"], 72))
    with pytest.raises(rf.ModelError, match="ordinal families"):
        rf.glmm("response ~ temp", data, family="gaussian").predict(kind="probability")
