"""p-values and quantiles."""

import numpy as np
import pytest

import ranef as rf
from ranef.inference.wald import p_value, quantile


def test_against_printed_tables():
    # Any statistical table: z 1.96 -> 0.05, t_10 2.228 -> 0.05.
    assert p_value(1.959963984540054, np.inf) == pytest.approx(0.05, rel=1e-12)
    assert p_value(np.array([2.2281388519649385]), np.array([10.0])) == pytest.approx(0.05, rel=1e-9)
    assert quantile(0.95) == pytest.approx(1.959963984540054, rel=1e-12)
    assert quantile(0.95, 10.0) == pytest.approx(2.2281388519649385, rel=1e-9)


def test_small_probabilities_keep_their_digits():
    # 2 Phi(-20) = 5.507e-89 (Abramowitz & Stegun, 26.2.12 to leading order)
    assert p_value(20.0, np.inf) == pytest.approx(5.507248e-89, rel=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, True, "0.9"])
def test_a_level_is_between_zero_and_one(level):
    with pytest.raises(rf.ModelError, match="level="):
        quantile(level)
