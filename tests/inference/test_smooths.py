"""Smooths of a fit: degrees of freedom against the trace, curves against predictions, invariances."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef.inference.smooths import variables_of_smooth

RNG = np.random.default_rng(4)
N = 150
DATA = pd.DataFrame({"x": RNG.uniform(0, 10, N), "z": RNG.uniform(-1, 1, N), "g": RNG.integers(0, 8, N)})
DATA["y"] = np.sin(DATA.x) + DATA.z**2 + RNG.normal(size=8)[DATA.g] * 0.4 + RNG.normal(size=N) * 0.4
DATA["count"] = RNG.poisson(np.exp(np.sin(DATA.x) + 0.5))
# Errors that change their sign from one x to the next: nothing that could bend a curve.
DATA["line"] = 1 + 0.5 * DATA.x + 0.2 * (-1.0) ** DATA.x.rank()
# Optimisers stop where the criterion is flat to second order.
OPTIMUM = 1e-6


def hat_trace(fit, weights):
    """tr F over each smooth from dense matrices: F = (C'WC + S)^-1 C'WC."""
    design = fit.design
    columns, penalty, place = [design.fixed["cond"].x], [np.zeros(design.fixed["cond"].x.shape[1])], {}
    first = columns[0].shape[1]
    for t, (term, sigma) in enumerate(zip(design.random, fit.engine.covariance, strict=True)):
        levels, width = len(term.levels), len(term.names)
        block = np.zeros((design.n, levels * width))
        for j in range(width):
            block[np.arange(design.n), term.codes.astype(int) * width + j] = term.columns[:, j]
        columns.append(block)
        penalty.append(np.full(levels * width, 1 / max(np.asarray(sigma)[0, 0], 1e-14)))
        place[t] = range(first, first + levels * width)
        first += levels * width
    c = np.column_stack(columns)
    weighted = (c.T * weights) @ c
    f = np.diag(np.linalg.solve(weighted + np.diag(np.concatenate(penalty)), weighted))
    return [sum(f[list(s.fixed)]) + sum(f[list(place[t])].sum() for t in s.random) for s in design.smooths]


@pytest.mark.parametrize("formula", ["y ~ s(x) + s(z, bs='cr') + (1 | g)", "y ~ t2(x, z)"])
@pytest.mark.parametrize("reml", [True, False])
def test_degrees_of_freedom_are_the_trace(formula, reml):
    fit = rf.lmm(formula, DATA, reml=reml)
    np.testing.assert_allclose(fit.smooths()["edf"], hat_trace(fit, np.full(N, fit.sigma**-2)), rtol=1e-6)


# By maximum likelihood the coefficients' curvature is that of Laplace's approximation, and its determinant bends too.
@pytest.mark.parametrize(("reml", "tolerance"), [(True, 1e-6), (False, 1e-4)])
def test_degrees_of_freedom_of_counts(reml, tolerance):
    fit = rf.glmm("count ~ s(x)", DATA, family="poisson", reml=reml)
    np.testing.assert_allclose(fit.smooths()["edf"], hat_trace(fit, fit.fitted()), rtol=tolerance)


def test_restricted_likelihood_is_the_default_of_smooths_only():
    assert rf.glmm("count ~ s(x)", DATA, family="poisson").method == "reml"
    assert rf.glmm("count ~ s(x)", DATA, family="poisson", reml=False).method == "ml"
    assert rf.glmm("count ~ x", DATA, family="poisson").method == "ml"


def test_curve_is_what_predictions_add():
    fit = rf.lmm("y ~ s(x) + s(z) + (1 | g)", DATA)
    curve = fit.plot.smooth_data("s(x)")
    assert set(curve["smooth"]) == {"s(x)"}
    at = pd.DataFrame({"x": curve["x"], "z": 0.3})
    predicted = fit.predict(at, ranef=False)
    np.testing.assert_allclose(np.diff(predicted), np.diff(curve["estimate"]), atol=1e-10)
    # Mean zero over the rows of the fit.
    alone = fit.predict(DATA, ranef=False) - fit.predict(DATA.assign(x=5.0), ranef=False)
    at_five = np.interp(5.0, curve["x"], curve["estimate"])
    assert (alone + at_five).mean() == pytest.approx(0, abs=1e-3)
    assert (curve["conf_low"] < curve["estimate"]).all()


def test_smooth_by_a_number_is_what_its_unit_adds():
    fit = rf.lmm("y ~ s(x, by = z)", DATA)
    curve = fit.plot.smooth_data()
    at = pd.DataFrame({"x": curve["x"], "z": 1.0})
    np.testing.assert_allclose(fit.predict(at) - fit.predict(at.assign(z=0.0)), curve["estimate"], atol=1e-10)


@pytest.mark.parametrize("formula", ["y ~ s(x)", "y ~ s(x, bs='cr')", "y ~ s(x, z)", "y ~ t2(x, z)"])
def test_place_and_unit_of_the_variables_do_not_matter(formula):
    one = rf.lmm(formula, DATA)
    two = rf.lmm(formula, DATA.assign(x=5000 - 40 * DATA.x, z=5000 - 40 * DATA.z))
    np.testing.assert_allclose(one.fitted(), two.fitted(), atol=OPTIMUM)
    np.testing.assert_allclose(one.smooths()["sd"], two.smooths()["sd"], rtol=1e-5)
    np.testing.assert_allclose(one.smooths()["edf"], two.smooths()["edf"], rtol=1e-5)


def test_without_variance_it_is_the_straight_line():
    fit = rf.lmm("line ~ s(x)", DATA)
    assert fit.smooths()["sd"][0] == 0
    assert fit.smooths()["edf"][0] == 1
    assert fit.converged
    assert not fit.singular
    assert "no bending in s(x)" in str(fit.summary())
    plain = rf.lmm("line ~ x", DATA)
    np.testing.assert_allclose(fit.fitted(), plain.fitted(), atol=1e-8)
    assert fit.fixef()["s(x)[1]"] == pytest.approx(plain.fixef()["x"])


def test_a_smooth_is_no_grouping_factor():
    fit = rf.lmm("y ~ s(x) + (1 | g)", DATA)
    assert fit.ngroups == {"g": 8}
    assert set(fit.ranef()["group"]) == {"g"}
    assert set(fit.coef()["group"]) == {"g"}
    assert fit.varcorr()["var1"].tolist()[:2] == ["Intercept", "s(x)"]
    # It stays in every answer, whatever is said about random effects.
    without = rf.lmm("y ~ s(x) + (1 | g)", DATA).predict(DATA, ranef=False)
    assert np.std(without) > 0.5
    kept = fit.simulate(400, seed=1, ranef="new").mean(axis=1)
    assert np.corrcoef(kept, without)[0, 1] > 0.95
    with pytest.raises(rf.ModelError, match=r"terms: 'g' or '\(1 \| g\)'"):
        fit.predict(ranef=["h"])


def test_intervals_and_updates_know_smooths():
    fit = rf.lmm("y ~ s(x) + (1 | g)", DATA)
    table = fit.confint(parm="sd__s(x)")
    assert table["conf_low"][0] < fit.smooths()["sd"][0] < table["conf_high"][0]
    assert fit.update(". ~ . - s(x)").design.smooths == ()
    assert fit.update(". ~ . + s(z)").smooths()["smooth"].tolist() == ["s(x)", "s(z)"]


def test_a_curve_whose_line_is_elsewhere_is_not_drawn():
    fit = rf.lmm("y ~ x + s(x)", DATA)
    assert fit.aliased == {"cond": ("s(x)[1]",)}
    np.testing.assert_allclose(fit.fitted(), rf.lmm("y ~ s(x)", DATA).fitted(), atol=OPTIMUM)
    with pytest.raises(rf.ModelError, match=r"straight part of s\(x\) is a combination of other columns"):
        fit.plot.smooth_data()


def test_new_rows_of_one_level():
    data = DATA.assign(f=np.where(DATA.g % 2, "odd", "even"), b=DATA.g > 3)
    for by in ("f", "b"):
        fit = rf.lmm(f"y ~ {by} + s(x, by = {by}, k = 5)", data)
        some = data[data.g == 5]
        np.testing.assert_allclose(fit.predict(some), fit.fitted()[data.g == 5], atol=1e-10)
    with pytest.raises(rf.DataError, match="neither"):
        rf.lmm("y ~ f + s(x, by = f)", data).predict(data.head(2).assign(f="neither"))


def test_what_is_not_there_is_told():
    fit = rf.lmm("y ~ s(x)", DATA)
    with pytest.raises(rf.ModelError, match=r"no smooth 's\(y\)'; did you mean `s\(x\)`"):
        fit.plot.smooth_data("s(y)")
    plain = rf.lmm("y ~ x", DATA)
    assert len(plain.smooths()) == 0
    with pytest.raises(rf.ModelError, match="the model has no smooth"):
        plain.plot.smooth_data()


def test_variables_are_called_as_they_are_written():
    frame = DATA.assign(**{"x y": np.exp(DATA["x"])})
    fit = rf.lmm("y ~ s(log(`x y`)) + s(`x y`) + s(z)", frame)
    assert [variables_of_smooth(smooth) for smooth in fit.design.smooths] == [["log(`x y`)"], ["x y"], ["z"]]
