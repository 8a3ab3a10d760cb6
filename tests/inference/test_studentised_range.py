"""The studentised range and the largest of correlated t: against tables, each other, and closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from ranef.inference.marginal_means.multivariate_t import LargestOfT
from ranef.inference.marginal_means.scaled_chi import scaled_chi
from ranef.inference.marginal_means.studentised_range import studentised_range_cdf, studentised_range_quantile

# scipy.stats.studentized_range (1.15) at its tolerance of 1e-11; it takes seconds a value, so they are stored.
KNOWN = [
    (3.5, 3, 10.0, 0.9228966891615896),
    (2.0, 10, 3.0, 0.1328784694894464),
    (5.0, 20, 1.0, 0.4598472850698524),
    (3.0, 4, np.inf, 0.8537285189523403),
    (10.0, 50, 2.5, 0.8590049821911766),
]
# Harter's table (1960, Annals of Mathematical Statistics 31), four decimals.
TABLE = [
    (0.95, 2, 5, 3.635),
    (0.95, 3, 10, 3.877),
    (0.95, 10, 20, 5.008),
    (0.99, 5, 15, 5.556),
    (0.95, 4, np.inf, 3.633),
]


@pytest.mark.parametrize(("q", "k", "df", "p"), KNOWN)
def test_probabilities_are_right_to_nine_digits(q, k, df, p):
    # The quadrature's own error is below 1e-11; scipy's is 1e-10 or so.
    assert studentised_range_cdf(q, k, df) == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize(("p", "k", "df", "q"), TABLE)
def test_quantiles_are_those_of_the_tables(p, k, df, q):
    assert studentised_range_quantile(p, k, df) == pytest.approx(q, abs=6e-4)


def test_quantile_and_probability_are_inverse():
    for k, df in ((2, 1.0), (5, 3.3), (30, 120.0), (4, np.inf)):
        for p in (0.5, 0.95, 0.999):
            assert studentised_range_cdf(studentised_range_quantile(p, k, df), k, df) == pytest.approx(p, abs=1e-11)


def test_two_means_are_a_t_test():
    from scipy.special import stdtr

    for df in (1.0, 2.0, 7.5, 50.0, 1e6):
        for t in (0.3, 2.0, 6.0):
            expected = 1.0 - 2.0 * stdtr(df, -t)
            assert studentised_range_cdf(t * np.sqrt(2.0), 2, df) == pytest.approx(expected, abs=1e-11)


def test_the_scaled_chi_has_its_moments():
    for df in (1.0, 2.3, 30.0, 4e4, 1e9):
        s, w = scaled_chi(df)
        assert w.sum() == pytest.approx(1.0, abs=1e-14)
        assert (w * s**2).sum() == pytest.approx(1.0, rel=1e-12)
        assert (w * s**4).sum() == pytest.approx(1.0 + 2.0 / df, rel=1e-12)


def tukey_correlation(k):
    rows = [np.eye(k)[i] - np.eye(k)[j] for i in range(k) for j in range(i + 1, k)]
    rows = np.array(rows) / np.sqrt(2.0)
    return rows @ rows.T


# Exact in the plane, a spiral in space, a sequence of directions in more dimensions: errors of the last were measured.
@pytest.mark.parametrize(("k", "df", "error"), [(3, 10.0, 1e-9), (4, np.inf, 1e-5), (6, 20.0, 2e-4), (8, 5.0, 3e-4)])
def test_all_pairs_by_the_multivariate_t_are_tukeys(k, df, error):
    law = LargestOfT(tukey_correlation(k))
    assert law.factor is None
    q = studentised_range_quantile(0.95, k, df)
    assert law.quantile(0.95, df) == pytest.approx(q / np.sqrt(2.0), rel=error)
    assert law.upper_tail(3.0, df) == pytest.approx(
        1.0 - studentised_range_cdf(3.0 * np.sqrt(2.0), k, df), rel=5 * error
    )


def test_a_common_factor_and_directions_agree():
    b = np.array([0.3, -0.6, 0.8])
    correlation = np.outer(b, b)
    np.fill_diagonal(correlation, 1.0)
    for two_sided in (True, False):
        law = LargestOfT(correlation, two_sided)
        np.testing.assert_allclose(np.outer(law.factor, law.factor)[0, 1:], correlation[0, 1:], rtol=1e-12)
        for t in (-0.5, 1.5, 2.5) if not two_sided else (1.5, 2.5):
            assert law.upper_tail(t, 12.0) == pytest.approx(law._over_directions(t, 12.0), rel=1e-5)


def test_dunnetts_table():
    # Dunnett (1955), table 1 and 2: joint 95 %, equal correlations of one half.
    correlation = np.full((4, 4), 0.5)
    np.fill_diagonal(correlation, 1.0)
    assert LargestOfT(correlation, two_sided=False).quantile(0.95, 20.0) == pytest.approx(2.30, abs=6e-3)
    assert LargestOfT(correlation).quantile(0.95, 20.0) == pytest.approx(2.65, abs=6e-3)


def test_independent_statistics_multiply():
    law = LargestOfT(np.eye(3))
    assert law.upper_tail(2.0, np.inf) == pytest.approx(1.0 - (1.0 - 2.0 * ndtr(-2.0)) ** 3, rel=1e-10)
    assert LargestOfT(np.eye(1)).upper_tail(2.0, np.inf) == pytest.approx(2.0 * ndtr(-2.0), rel=1e-10)


def test_two_correlated_statistics_by_direct_integration():
    rho, t = -0.7, 1.7
    density = lambda z: np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)  # noqa: E731
    own = np.sqrt(1.0 - rho**2)
    inside, _ = quad(lambda z: density(z) * (ndtr((t - rho * z) / own) - ndtr((-t - rho * z) / own)), -t, t)
    law = LargestOfT(np.array([[1.0, rho], [rho, 1.0]]))
    assert law.upper_tail(t, np.inf) == pytest.approx(1.0 - inside, abs=1e-9)


def test_perfectly_correlated_statistics_are_one():
    one = np.ones((2, 2))
    assert LargestOfT(one).upper_tail(1.5, np.inf) == pytest.approx(2.0 * ndtr(-1.5), rel=1e-9)
