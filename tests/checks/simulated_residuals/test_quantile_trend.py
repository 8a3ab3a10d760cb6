"""Quantiles of residuals along a predictor: level under the model, bent where it is wrong."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog

from ranef.checks.simulated_residuals.quantile_trend import (
    quantile_curves,
    quantile_regression,
    quantile_trend,
    ranked,
    score_tests,
    spline_basis,
)


def check_loss(y, fitted, tau):
    return np.where(y > fitted, tau * (y - fitted), (1 - tau) * (fitted - y)).sum()


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.75])
def test_quantile_regression_solves_the_linear_programme(tau):
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(80), rng.normal(size=(80, 3))])
    y = rng.random(80)
    n, p = x.shape
    cost = np.concatenate([np.zeros(p), np.full(n, tau), np.full(n, 1 - tau)])
    equal = np.hstack([x, np.eye(n), -np.eye(n)])
    exact = linprog(cost, A_eq=equal, b_eq=y, bounds=[(None, None)] * p + [(0, None)] * (2 * n)).fun
    ours = check_loss(y, x @ quantile_regression(x, y, tau), tau)
    # The loss is smoothed within 1e-4 a row.
    assert exact - 1e-9 <= ours <= exact + 80 * 1e-4


def test_scores_are_what_the_head_of_the_module_says():
    rng = np.random.default_rng(2)
    r, x = rng.random(70), rng.normal(size=70)
    basis = spline_basis(ranked(x))
    assert basis.shape == (70, 4)
    assert np.allclose(basis.sum(axis=0), 0)
    for tau in (0.25, 0.5):
        level, bend = score_tests(r, basis, tau)
        psi = tau - (r <= tau)
        z = psi.sum() / np.sqrt(70 * tau * (1 - tau))
        assert level == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)
        # The same as the explained sum of squares of psi regressed on the basis.
        explained = ((basis @ np.linalg.lstsq(basis, psi, rcond=None)[0]) ** 2).sum()
        assert bend == pytest.approx(stats.chi2.sf(explained / (tau * (1 - tau)), 4), rel=1e-9)


def test_p_values_are_put_together_after_benjamini_and_hochberg():
    rng = np.random.default_rng(3)
    r, x = rng.random(90), rng.normal(size=90)
    basis = spline_basis(ranked(x))
    pairs = [stats.false_discovery_control(score_tests(r, basis, tau)).min() for tau in (0.25, 0.5, 0.75)]
    found = quantile_trend(r, x)
    assert [test.p_value for test in found.details] == pytest.approx(pairs, rel=1e-12)
    assert found.p_value == pytest.approx(stats.false_discovery_control(pairs).min(), rel=1e-12)
    curves = quantile_curves(r, x).curves
    assert found.effect == pytest.approx(np.abs(curves - [[0.25], [0.5], [0.75]]).max(), rel=1e-12)


@pytest.mark.parametrize("values", [2, 3, 4, 5, 1000])
def test_the_level_is_kept_whatever_the_predictor(values):
    rng = np.random.default_rng(values)
    x = rng.integers(0, values, 150).astype(float) if values < 1000 else rng.normal(size=150)
    basis = spline_basis(ranked(x))
    q, _ = np.linalg.qr(basis)
    r = rng.random((5000, 150))
    pairs = []
    for tau in (0.25, 0.5, 0.75):
        # `score_tests` for all of them at once.
        psi = (tau - (r <= tau)) / np.sqrt(tau * (1 - tau))
        level = 2 * stats.norm.sf(np.abs(psi.sum(axis=1)) / np.sqrt(150))
        bend = stats.chi2.sf(((psi @ q) ** 2).sum(axis=1), q.shape[1])
        assert score_tests(r[0], basis, tau) == pytest.approx((level[0], bend[0]), rel=1e-9)
        pairs.append(stats.false_discovery_control([level, bend], axis=0).min(axis=0))
    share = (stats.false_discovery_control(pairs, axis=0).min(axis=0) < 0.05).mean()
    # Monte Carlo error 0.003; the three quantiles depend on each other, which makes Simes' test a little conservative.
    assert 0.035 <= share <= 0.065, share


def test_a_bend_is_found_and_drawn():
    rng = np.random.default_rng(5)
    x = rng.normal(size=400)
    r = stats.norm.cdf(0.5 * (x**2 - 1) + rng.normal(size=400))
    found = quantile_trend(r, x, name="x")
    assert found.p_value < 1e-6
    assert found.effect > 0.2
    assert found.effect_text.endswith("along x")
    spread = quantile_trend(stats.norm.cdf((1 + ranked(x)) * rng.normal(size=400)), x)
    assert spread.p_value < 0.01
    assert spread.details[1].p_value > 0.01  # the median is level
