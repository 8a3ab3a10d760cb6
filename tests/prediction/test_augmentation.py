"""The data with what the model makes of them."""

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, sleepstudy


def test_columns_beside_the_data():
    fit, sleep = sleepstudy(), data("sleepstudy")
    out = fit.augment()
    assert list(out.columns) == [*sleep.columns, "fitted", "residual", "leverage", "cooks_distance", "fixed"]
    np.testing.assert_allclose(out["fitted"] + out["residual"], sleep["Reaction"])
    np.testing.assert_allclose(out["fixed"], fit.predict(ranef=False))


def test_leverage_of_a_linear_mixed_model_is_the_diagonal_of_its_hat_matrix():
    fit = sleepstudy()
    x = np.column_stack([np.ones(180), data("sleepstudy")["Days"]])
    codes = fit.design.random[0].codes
    z = np.zeros((180, 36))
    for i, code in enumerate(codes):
        z[i, 2 * code : 2 * code + 2] = x[i]
    sigma = np.kron(np.eye(18), fit.engine.covariance[0])
    # y-hat = [X Z] (W'W + diag(0, sigma^2 Sigma^-1))^-1 W' y: Henderson's mixed-model equations.
    w = np.hstack([x, z])
    penalty = np.zeros((38, 38))
    penalty[2:, 2:] = fit.sigma**2 * np.linalg.inv(sigma)
    hat = np.einsum("ij,ji->i", w, np.linalg.solve(w.T @ w + penalty, w.T))
    np.testing.assert_allclose(fit.augment()["leverage"], hat, rtol=1e-5)


def test_cooks_distance_is_lme4s():
    out = sleepstudy().augment()
    expected = (out["residual"] / (1 - out["leverage"])) ** 2 * out["leverage"] / (2 * sleepstudy().sigma ** 2)
    np.testing.assert_allclose(out["cooks_distance"], expected, rtol=1e-8)


def test_row_labels_are_kept():
    sleep = data("sleepstudy").set_index(np.arange(180)[::-1])
    out = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep).augment()
    assert out.index.tolist() == sleep.index.tolist()
    assert out["fitted"].notna().all()
    np.testing.assert_allclose(out["fitted"] + out["residual"], sleep["Reaction"])


def test_a_column_that_is_taken_gets_a_dot():
    sleep = data("sleepstudy").assign(fitted=1.0)
    out = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep).augment()
    assert (out["fitted"] == 1.0).all()
    assert ".fitted" in out.columns


@pytest.mark.parametrize("model", [cbpp], ids=lambda m: m.__name__)
def test_leverage_lies_between_zero_and_one(model):
    leverage = model().augment()["leverage"]
    assert ((leverage > 0) & (leverage < 1)).all()
