"""No estimate, no verdict and hardly a figure of a check depends on how the data are written down.

Where rows stand, what levels are called, in which units predictors and responses are measured, and whether equal rows
were put together.
"""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from worlds import Sites, linear, row

FAMILIES = ("gaussian", "poisson", "nbinom2", "zero-inflated", "binomial", "binary", "ordinal")
# Estimates of the same model: both searches end within 1e-7 standard errors of the maximum.
ESTIMATES = 1e-6
# Figures of the checks, which amplify what estimates and effects of levels differ by: the distance to the optimum and
# other figures that are zero but for rounding apart.
FIGURES = {"rtol": 1e-4, "atol": 1e-5}


def world(family, faulty, seed=4, sites=20, rows=10):
    """Rows in sites; a fault is a grouping that the model does not know, and an outlying site."""
    rng = np.random.default_rng(seed)
    site, n = np.repeat(np.arange(sites), rows), sites * rows
    batch, x = rng.integers(0, 8, n), rng.normal(size=n)
    effects = 0.7 * rng.normal(size=sites)
    if faulty:
        effects[3] = 3.0
    eta = 0.5 + 0.5 * x + effects[site] + (0.7 * rng.normal(size=8)[batch] if faulty else 0.0)
    mean, chance = np.exp(eta), 1.0 / (1.0 + np.exp(-eta))
    y = {
        "gaussian": lambda: eta + rng.normal(size=n),
        "poisson": lambda: rng.poisson(mean),
        "nbinom2": lambda: rng.negative_binomial(2.0, 2.0 / (2.0 + mean)),
        "zero-inflated": lambda: rng.poisson(mean) * (rng.random(n) > 0.25),
        "binomial": lambda: rng.binomial(6, chance),
        "binary": lambda: rng.binomial(1, chance),
        "ordinal": lambda: np.digitize(eta + rng.logistic(size=n), [-1.0, 0.5, 2.0]),
    }[family]()
    names = {"site": [f"s{j:02d}" for j in site], "batch": [f"b{j}" for j in batch]}
    places = {"day": rng.permutation(n) % 60, "u": rng.random(n), "v": rng.random(n)}
    return pd.DataFrame({"y": y, "x": x, **names, **places})


def fitted(family, data, **arguments):
    formula, zi = "y ~ x + (1 | site)", None
    if family == "gaussian" and not arguments:
        return rf.lmm(formula, data)
    if family == "ordinal":
        data = data.assign(y=pd.Categorical(data["y"].map("abcd".__getitem__), ordered=True))
        family = "cumulative"
    if family == "binomial":
        data, formula = data.assign(missed=6 - data["y"]), "cbind(y, missed) ~ x + (1 | site)"
    if family == "zero-inflated":
        family, zi = "poisson", "~ 1"
    return rf.glmm(formula, data, family={"binary": "binomial"}.get(family, family), zi=zi, **arguments)


def table(fit, **asked):
    return fit.check(**asked).table.set_index("check")


ASKED = {"groups": "batch", "time": "day", "space": ["u", "v"], "restarts": 1}


def renamed(values, seed):
    names = sorted(set(values))
    return values.map(dict(zip(names, np.random.default_rng(seed).permutation(names), strict=True)))


WRITTEN = {
    "a predictor in millions": lambda data: data.assign(x=1e-6 * data["x"]),
    "a predictor in millionths": lambda data: data.assign(x=1e6 * data["x"]),
    "a predictor from elsewhere": lambda data: data.assign(x=100.0 + data["x"]),
    "levels by other names": lambda data: data.assign(site=renamed(data["site"], 1), batch=renamed(data["batch"], 2)),
    "rows in another order": lambda data: data.sample(frac=1.0, random_state=1),
}


def same_estimates(first, second, factor):
    if first.method == "ml":  # a restricted likelihood has units
        assert second.loglik == pytest.approx(first.loglik, abs=1e-7)
    slopes = [fit.fixef()["x"] for fit in (first, second)]
    assert factor * slopes[1] == pytest.approx(slopes[0], rel=ESTIMATES)
    np.testing.assert_allclose(second.engine.covariance[0], first.engine.covariance[0], rtol=ESTIMATES)


def same_verdicts(first, second):
    assert first.index.tolist() == second.index.tolist()
    assert second["verdict"].tolist() == first["verdict"].tolist()


@pytest.mark.parametrize("faulty", [False, True], ids=["good", "faulty"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_check_does_not_depend_on_how_data_are_written_down(family, faulty):
    data = world(family, faulty)
    fit = fitted(family, data)
    expected = table(fit, **ASKED)
    for name, write in WRITTEN.items():
        other = write(data)
        again = fitted(family, other)
        same_estimates(fit, again, np.ptp(other["x"]) / np.ptp(data["x"]))
        found = table(again, **ASKED)
        same_verdicts(expected, found)
        for column in ("statistic", "p_value"):
            np.testing.assert_allclose(found[column], expected[column], **FIGURES, err_msg=f"{name}: {column}")


def rounded(family, faulty):
    """Data of which many rows are equal."""
    data = world(family, faulty, rows=20)
    y = (2.0 * data["y"]).round() / 2.0 if family == "gaussian" else data["y"]
    batch = data["batch"].where(data["batch"] < "b3", "b3")
    return data.assign(y=y, x=data["x"].round(), batch=batch)[["y", "x", "site", "batch"]]


@pytest.mark.parametrize("faulty", [False, True], ids=["good", "faulty"])
@pytest.mark.parametrize("family", ["gaussian", "poisson", "nbinom2", "zero-inflated", "ordinal"])
def test_equal_rows_may_be_put_together_with_weights(family, faulty):
    data = rounded(family, faulty)
    merged = data.groupby(list(data.columns), as_index=False, sort=False).size().rename(columns={"size": "times"})
    assert len(merged) < 0.9 * len(data)
    apart, together = fitted(family, data, weights=None), fitted(family, merged, weights="times")
    same_estimates(apart, together, 1.0)
    expected, found = table(apart, groups="batch"), table(together, groups="batch")
    same_verdicts(expected, found)
    np.testing.assert_allclose(found["statistic"], expected["statistic"], **FIGURES)


@pytest.mark.parametrize("faulty", [False, True], ids=["good", "faulty"])
def test_binary_rows_may_be_put_together_as_successes_among_trials(faulty):
    data = rounded("binary", faulty)
    merged = data.groupby(["x", "site", "batch"], as_index=False).agg(yes=("y", "sum"), n=("y", "size"))
    formula = "~ x + (1 | site)"
    apart = rf.glmm(f"y {formula}", data, family="binomial")
    together = rf.glmm(f"yes / n {formula}", merged, family="binomial", weights="n")
    assert together.fixef()["x"] == pytest.approx(apart.fixef()["x"], rel=ESTIMATES)
    np.testing.assert_allclose(together.engine.covariance[0], apart.engine.covariance[0], rtol=ESTIMATES)
    expected, found = (table(fit, groups="batch") for fit in (apart, together))
    same_verdicts(expected, found)
    np.testing.assert_allclose(found["statistic"], expected["statistic"], **FIGURES)


def test_a_level_that_was_seen_once_in_many_trials_was_not_seen_once():
    data = Sites(1).data
    once = data.drop_duplicates("site").assign(k=3, m=4)
    again = data.groupby("site").nth(1).head(4).assign(k=2, m=5)
    fit = rf.glmm("cbind(k, m) ~ 1 + (1 | site)", pd.concat([once, again]), family="binomial")
    assert row(fit.check(), "rows per level")["verdict"] == "ok"


@pytest.mark.parametrize("faulty", [False, True], ids=["good", "faulty"])
def test_units_of_the_response(faulty):
    data = world("gaussian", faulty)
    for unit in (1e-4, 1e6):
        same_verdicts(table(linear(data), **ASKED), table(linear(data.assign(y=unit * data["y"])), **ASKED))


def test_thousands_of_levels_are_tested_whatever_their_names():
    rng = np.random.default_rng(2)
    site = np.repeat(np.arange(6000), 2)
    y = 3.0 * rng.exponential(size=6000)[site] + rng.normal(size=12_000)
    data = pd.DataFrame({"y": y, "site": [f"s{j:04d}" for j in site]})
    fits = [linear(d, "y ~ 1 + (1 | site)") for d in (data, data.assign(site=renamed(data["site"], 1)))]
    first, second = (row(fit.check(restarts=0), "normal effects") for fit in fits)
    assert first["verdict"] == second["verdict"] == "look"
    assert second["statistic"] == pytest.approx(first["statistic"], rel=1e-6)


def test_the_same_seed_gives_the_same_table():
    fit = fitted("poisson", world("poisson", False))
    first, second = fit.check(seed=5).table, fit.check(seed=5).table
    assert first.equals(second)
