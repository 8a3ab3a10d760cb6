"""Residuals by the levels of a factor: Kolmogorov-Smirnov with Holm's adjustment, and Levene's test."""

import numpy as np
import pytest
from scipy import stats

from ranef.checks.simulated_residuals.residual_groups import groups, known_spread, levene
from ranef.checks.simulated_residuals.residual_test import smallest_adjusted
from ranef.inference.multiplicity import holm

RNG = np.random.default_rng(9)
R = RNG.random(90)
ROWS = [np.arange(0, 20), np.arange(20, 50), np.arange(50, 90)]


def test_holm_and_benjamini_hochberg():
    # Worked by hand: 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.04, made monotone.
    assert holm(np.array([0.04, 0.01, 0.03, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    p = RNG.random(7)
    assert smallest_adjusted(p) == pytest.approx(stats.false_discovery_control(p).min(), rel=1e-12)


def test_levene_is_brown_and_forsythes():
    scipys = stats.levene(*(R[rows] for rows in ROWS), center="median")
    found = levene(R, ROWS)
    assert found.statistic == pytest.approx(scipys.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(scipys.pvalue, rel=1e-9)


def test_levels_and_spread_together():
    found = groups(R, ["a", "b", "c"], ROWS, "site")
    within = holm(np.array([stats.kstest(R[rows], "uniform").pvalue for rows in ROWS]))
    assert [test.p_value for test in found.details[:3]] == pytest.approx(within, rel=1e-6)
    assert [test.test for test in found.details] == ["site a", "site b", "site c", "equal spread"]
    assert found.p_value == pytest.approx(min(1, 2 * min(*within, found.details[3].p_value)), rel=1e-6)


def test_levels_of_one_row_have_no_spread():
    found = groups(R, ["a", "b"], [np.array([0]), np.array([1])], "row")
    assert np.isnan(found.details[-1].p_value)
    assert 0 <= found.p_value <= 1


def test_the_spread_of_uniform_residuals_is_known():
    means = [np.abs(R[rows] - 0.5).mean() for rows in ROWS]
    overall = np.abs(R - 0.5).mean()
    # The distance of a uniform value from the middle is uniform on (0, 1/2): variance 1/48.
    statistic = sum(len(rows) * (mean - overall) ** 2 for rows, mean in zip(ROWS, means, strict=True)) * 48
    found = known_spread(R, ROWS)
    assert found.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-9)
    assert groups(R, ["a", "b", "c"], ROWS, "site", known=True).details[-1] == found


def test_levene_hardly_rejects_uniform_residuals_and_the_known_spread_does_at_its_level():
    rng = np.random.default_rng(4)
    rows = np.arange(300).reshape(20, 15)
    found = np.array([[test(r, rows).p_value for test in (levene, known_spread)] for r in rng.random((1000, 300))])
    share = (found < 0.05).mean(axis=0)
    assert share[0] < 0.02
    # Standard error 0.7 %.
    assert 0.03 < share[1] < 0.07
