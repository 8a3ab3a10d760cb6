"""The test of uniform residuals is Kolmogorov and Smirnov's, with its exact p-value."""

import numpy as np
import pytest
from scipy import stats

from ranef.checks.simulated_residuals.uniformity import EXACT, two_sided, uniformity


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [3, 20, 99, 100, 500])
def test_agrees_with_scipy(n, alternative):
    rng = np.random.default_rng(n)
    for power in (0.7, 1.0, 1.5):
        r = rng.random(n) ** power
        found, scipys = uniformity(r, alternative), stats.kstest(r, "uniform", alternative=alternative, method="exact")
        assert found.statistic == pytest.approx(scipys.statistic, rel=1e-12)
        # Sums of some hundred terms of both signs.
        assert found.p_value == pytest.approx(scipys.pvalue, rel=1e-6)


@pytest.mark.parametrize("n", [5, 50, 400, EXACT])
def test_the_distribution_of_d_is_exact(n):
    for scaled in (0.3, 0.5, 0.8, 1.0, 1.3, 1.9, 2.1, 3.0):
        d = scaled / np.sqrt(n)
        assert two_sided(n, d) == pytest.approx(stats.kstwo.sf(d, n), rel=1e-6, abs=1e-13)


@pytest.mark.parametrize("n", [EXACT + 1, 10_000])
def test_the_limit_is_near_for_many_rows(n):
    for scaled in (0.5, 0.8, 1.0, 1.36, 1.63, 1.95):
        d = scaled / np.sqrt(n)
        # What the head of the module claims.
        assert two_sided(n, d) == pytest.approx(stats.kstwo.sf(d, n), rel=1e-3)


def test_the_effect_is_the_share_below_a_value_less_that_value():
    r = np.array([0.1, 0.2, 0.3, 0.9])
    found = uniformity(r)
    assert found.effect == pytest.approx(0.75 - 0.3)
    assert found.effect_text == "75% of residuals below 0.30, 30% expected"
    assert uniformity(1.0 - r).effect == pytest.approx(-0.45)
