"""Shapiro and Wilk's test is that of scipy, which has Royston's own program."""

import numpy as np
import pytest

from ranef.checks.shapiro_wilk import shapiro_wilk, weights


@pytest.mark.parametrize("n", [4, 5, 6, 7, 11, 12, 20, 50, 500, 5000])
def test_it_is_scipys(n):
    from scipy.stats import shapiro

    rng = np.random.default_rng(n)
    for draw in (rng.normal, rng.exponential, rng.random):
        values = draw(size=n)
        expected = shapiro(values)
        # Royston's program sums in another order; the p-value amplifies what 1 - W loses.
        assert shapiro_wilk(values) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-6)


def test_weights_have_unit_length_and_opposite_ends():
    for n in (4, 5, 6, 30):
        a = weights(n)
        assert a @ a == pytest.approx(1.0, rel=1e-12)
        np.testing.assert_allclose(a, -a[::-1], atol=1e-12)


def test_normal_scores_are_perfectly_normal():
    assert shapiro_wilk(weights(5))[0] == pytest.approx(1.0, abs=1e-12)
