"""Durbin-Watson and Moran: their statistics as defined, their p-values by simulation and permutation."""

import numpy as np
import pytest

from ranef.checks.simulated_residuals.autocorrelation import durbin_watson, euclidean, moran, smaller

RNG = np.random.default_rng(6)


def test_durbin_watson_is_the_ratio_of_sums_in_the_order_of_time():
    r, time = RNG.random(40), RNG.permutation(40)
    e = (r - r.mean())[np.argsort(time)]
    d = sum((e[t] - e[t - 1]) ** 2 for t in range(1, 40)) / sum(e**2)
    found = durbin_watson(r, time)
    assert found.statistic == pytest.approx(d, rel=1e-12)
    assert found.effect == pytest.approx(1 - d / 2, abs=0.05)  # but for the ends


@pytest.mark.parametrize("n", [4, 15, 100, 300])
def test_the_distribution_of_durbin_and_watson(n):
    e = RNG.normal(size=(40_000, n))
    e -= e.mean(axis=1, keepdims=True)
    d = (np.diff(e, axis=1) ** 2).sum(axis=1) / (e**2).sum(axis=1)
    for quantile in (0.01, 0.1, 0.5, 0.9, 0.99):
        at = np.quantile(d, quantile)
        # Monte Carlo: four standard errors of a share.
        assert smaller(n, at) == pytest.approx(quantile, abs=4 * np.sqrt(quantile * (1 - quantile) / 40_000) + 1e-3)


def test_tabulated_bounds():
    # Savin & White (1977) have d_U of no regressor but the constant nowhere; with n = 15 the lower 5 % point is 1.21 by
    # von Neumann's ratio 15/14 d, whose 5 % point is 1.2914 (Hart 1942, Ann. Math. Stat. 13, 445-447).
    assert smaller(15, 1.2914 * 14 / 15) == pytest.approx(0.05, abs=0.0005)


def test_sides():
    r = np.linspace(0, 1, 30)
    up = durbin_watson(r, np.arange(30.0), "greater")
    assert up.p_value < 1e-8
    assert durbin_watson(r, np.arange(30.0), "less").p_value == pytest.approx(1 - up.p_value)
    assert up.effect > 0.8


def dense_moran(r, w):
    n, e = len(r), r - r.mean()
    return n / w.sum() * sum(w[i, j] * e[i] * e[j] for i in range(n) for j in range(n)) / (e**2).sum()


def test_moran_is_the_weighted_product_with_the_permutation_variance():
    x, y, r = RNG.random(25), RNG.random(25), RNG.random(25)
    distances = euclidean(x, y)
    w = 1 / np.where(distances > 0, distances, np.inf)
    w /= w.sum(axis=1, keepdims=True)
    found = moran(r, distances)
    assert found.statistic == pytest.approx(dense_moran(r, w), rel=1e-12)
    e = r - r.mean()
    shuffled = np.array([25 / w.sum() * (p @ w @ p) / (e @ e) for p in (RNG.permutation(e) for _ in range(20_000))])
    assert shuffled.mean() == pytest.approx(-1 / 24, abs=4 * shuffled.std() / np.sqrt(20_000))
    from scipy.stats import norm

    z = norm.isf(found.p_value / 2)
    # The standard deviation that the p-value implies; that of 20,000 permutations has an error of half a percent.
    assert abs(found.statistic + 1 / 24) / z == pytest.approx(shuffled.std(), rel=0.03)


def test_near_places_that_are_alike_are_found():
    x, y = RNG.random(120), RNG.random(120)
    r = np.clip(0.5 * x + 0.5 * RNG.random(120), 0, 1)
    assert moran(r, euclidean(x, y), "greater").p_value < 1e-4
    assert moran(RNG.random(120), euclidean(x, y)).p_value > 1e-3
