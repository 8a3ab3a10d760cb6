"""Places of responses among simulated ones: their definition, their distribution, what groups and rotation do."""

import numpy as np
import pytest
from scipy import stats

from ranef.checks.simulated_residuals.scaled_residuals import aggregated, places, rotated, scaled_residuals

RNG = np.random.default_rng(4)
MEAN = np.exp(RNG.normal(size=60))
COUNTS, DRAWS = RNG.poisson(MEAN).astype(float), RNG.poisson(MEAN[:, None], (60, 40)).astype(float)


def test_a_continuous_response_has_the_share_of_simulations_below_it():
    y, s = RNG.normal(size=30), RNG.normal(size=(30, 20))
    found = scaled_residuals(y, s, np.zeros(30))
    by_hand = [sum(float(value) < y[i] for value in s[i]) / 20 for i in range(30)]
    assert found.scaled.tolist() == by_hand
    assert not found.whole


def test_a_count_lies_between_the_shares_below_and_not_above_it():
    found = scaled_residuals(COUNTS, DRAWS, MEAN, seed=3)
    low = np.array([(row < y).mean() for y, row in zip(COUNTS, DRAWS, strict=True)])
    high = np.array([(row <= y).mean() for y, row in zip(COUNTS, DRAWS, strict=True)])
    assert ((found.scaled >= low) & (found.scaled <= high)).all()
    assert (found.scaled[low == high] == low[low == high]).all()
    # Between them at random: over many seeds uniform.
    row = int(np.argmax(high - low))
    many = np.array([scaled_residuals(COUNTS, DRAWS, MEAN, seed=k).scaled[row] for k in range(300)])
    assert stats.kstest((many - low[row]) / (high[row] - low[row]), "uniform").pvalue > 0.01


def test_the_seed_decides_and_rows_do_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    whole = scaled_residuals(COUNTS, DRAWS, MEAN, seed=3).scaled
    monkeypatch.setattr("ranef.checks.simulated_residuals.scaled_residuals.CELLS", 100)
    assert (scaled_residuals(COUNTS, DRAWS, MEAN, seed=3).scaled == whole).all()
    assert (scaled_residuals(COUNTS, DRAWS, MEAN, seed=4).scaled != whole).any()


def test_responses_outside_all_simulations_are_exactly_zero_and_one():
    y = np.array([-1.0, 3.0, 99.0])
    found = scaled_residuals(y, np.tile(np.arange(10.0), (3, 1)), np.full(3, 4.5))
    assert found.below.tolist() == [True, False, False]
    assert found.above.tolist() == [False, False, True]


def test_traditional_noise_is_uniform_within_a_half():
    found = scaled_residuals(COUNTS, DRAWS, MEAN, method="traditional", seed=3)
    low = np.array([(row <= y - 1).mean() for y, row in zip(COUNTS, DRAWS, strict=True)])
    high = np.array([(row < y + 1).mean() for y, row in zip(COUNTS, DRAWS, strict=True)])
    assert ((found.scaled >= low) & (found.scaled <= high)).all()
    # Of 40 simulations, places are multiples of 1/40.
    assert np.allclose(found.scaled * 40, np.round(found.scaled * 40))


@pytest.mark.parametrize("family", ["normal", "poisson", "binary", "zero-inflated"])
def test_residuals_are_uniform_under_the_model(family):
    draw = {
        "normal": lambda shape: RNG.normal(size=shape),
        "poisson": lambda shape: RNG.poisson(0.7, shape),
        "binary": lambda shape: RNG.binomial(1, 0.3, shape),
        "zero-inflated": lambda shape: RNG.poisson(3.0, shape) * (RNG.random(shape) < 0.6),
    }[family]
    p = []
    for seed in range(200):
        y, s = draw(100).astype(float), draw((100, 200)).astype(float)
        p.append(stats.kstest(scaled_residuals(y, s, np.zeros(100), seed=seed).scaled, "uniform").pvalue)
    # p-values are uniform themselves, nearly: places among 200 are multiples of 1/200 for the normal.
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_rotation_takes_out_the_correlation():
    n = 12
    factor = np.linalg.cholesky(0.3 * np.eye(n) + 0.7)
    y, s = factor @ RNG.normal(size=n), factor @ RNG.normal(size=(n, 4000))
    own, others = rotated(y, s, factor @ factor.T)
    assert own == pytest.approx(np.linalg.inv(factor) @ y)
    assert np.cov(others) == pytest.approx(np.eye(n), abs=0.1)  # standard error of a covariance: 1/sqrt(4000)
    _, estimated = rotated(y, s, "estimated")
    assert np.cov(estimated) == pytest.approx(np.eye(n), abs=1e-8)
    rng = np.random.default_rng((5, 1))
    assert (
        scaled_residuals(y, s, np.zeros(n), rotation="estimated", seed=5).scaled
        == places(*rotated(y, s, "estimated"), rng)
    ).all()


@pytest.mark.parametrize("by", ["sum", "mean", "max", lambda values: values.max(axis=0)])
def test_groups_are_put_together_before_they_are_placed(by):
    found = scaled_residuals(COUNTS, DRAWS, MEAN, seed=3)
    groups = [np.arange(k, 60, 6) for k in range(6)]
    whole = aggregated(found, groups, by)
    together = by if callable(by) else getattr(np, by)
    for k, rows in enumerate(groups):
        y = float(np.max(COUNTS[rows])) if callable(by) else together(COUNTS[rows])
        s = np.max(DRAWS[rows], axis=0) if callable(by) else together(DRAWS[rows], axis=0)
        assert whole.observed[k] == pytest.approx(y, rel=1e-14)
        assert whole.simulated[k] == pytest.approx(s, rel=1e-14)
        assert (s < y - 1e-9).mean() <= whole.scaled[k] + 1e-12
        assert whole.scaled[k] <= (s <= y + 1e-9).mean() + 1e-12
