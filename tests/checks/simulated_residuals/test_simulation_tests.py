"""Dispersion, zeros, outliers and any statistic: each equals its definition on fixed matrices."""

import numpy as np
import pytest
from scipy import stats

import ranef as rf
from models import cbpp, owls, sleepstudy
from ranef.checks.simulated_residuals.dispersion import dispersion
from ranef.checks.simulated_residuals.outliers import binomial_p, bootstrapped, exchanged, outliers
from ranef.checks.simulated_residuals.scaled_residuals import scaled_residuals
from ranef.checks.simulated_residuals.simulated_statistic import generic, zero_inflation

RNG = np.random.default_rng(8)
MEAN = np.exp(0.5 * RNG.normal(size=80))
Y = RNG.negative_binomial(1.5, 1.5 / (1.5 + MEAN)).astype(float)
S = RNG.poisson(MEAN[:, None], (80, 50)).astype(float)
FOUND = scaled_residuals(Y, S, MEAN, seed=2)


def rank(observed, simulated):
    greater = sum(s >= observed for s in simulated) / len(simulated)
    less = sum(s <= observed for s in simulated) / len(simulated)
    return {"greater": greater, "less": less, "two-sided": min(1, 2 * min(greater, less))}


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_dispersion_is_the_ratio_of_variances(alternative):
    # As defined: spreads in units of the variance of all simulated values.
    expected = np.std(S, ddof=1) ** 2
    observed = np.var(Y - MEAN, ddof=1) / expected
    simulated = [np.var(S[:, j] - MEAN, ddof=1) / expected for j in range(50)]
    found = dispersion(FOUND, alternative=alternative)
    assert found.statistic == found.effect == pytest.approx(observed / np.mean(simulated), rel=1e-12)
    assert found.p_value == rank(observed, simulated)[alternative]
    assert found.effect > 1.2


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_zeros_are_counted(alternative):
    counts = [(S[:, j] == 0).sum() for j in range(50)]
    found = zero_inflation(FOUND, alternative)
    assert found.statistic == pytest.approx((Y == 0).sum() / np.mean(counts), rel=1e-12)
    assert found.p_value == rank((Y == 0).sum(), counts)[alternative]


def test_any_statistic():
    found = generic(FOUND, np.max, "greater")
    highest = S.max(axis=0)
    assert found.test == "max"
    assert found.statistic == pytest.approx(Y.max() / highest.mean(), rel=1e-12)
    assert found.p_value == (highest >= Y.max()).mean()
    assert generic(FOUND, lambda y: 0.0).effect == 1.0


def test_no_simulation_reaching_the_data_is_told_by_what_one_is_worth():
    found = generic(FOUND, lambda y: float((y == Y).all()))
    assert found.p_value == 0.0
    assert found.step == 2 / 50
    assert "p < 0.04" in repr(found)


@pytest.mark.parametrize("margin", ["both", "lower", "upper"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_outliers_by_the_binomial_test(alternative, margin):
    low, high = FOUND.scaled < 1 / 51, FOUND.scaled > 1 - 1 / 51
    count = int({"both": low | high, "lower": low, "upper": high}[margin].sum())
    rate = (2 if margin == "both" else 1) / 51
    found = outliers(FOUND, "binomial", alternative, margin)
    assert found.statistic == count
    assert found.effect == pytest.approx(count / (80 * rate), rel=1e-12)
    assert found.p_value == pytest.approx(stats.binomtest(count, 80, rate, alternative).pvalue, rel=1e-9)


@pytest.mark.parametrize(("count", "rows"), [(0, 10), (3, 10), (10, 10), (0, 5000), (17, 5000), (40, 5000)])
def test_binomial_p_values_are_scipys(count, rows):
    for side in ("two-sided", "greater", "less"):
        # Log-gamma functions of some thousand lose four digits.
        assert binomial_p(count, rows, 0.004, side) == pytest.approx(
            stats.binomtest(count, rows, 0.004, side).pvalue, rel=1e-9
        )


def test_outliers_by_bootstrap():
    counts = bootstrapped(FOUND)
    assert len(counts) == 50  # no more than there are simulations
    rng = np.random.default_rng((2, 2))
    for b in range(5):
        others = S[:, rng.choice([j for j in range(50) if j != b], 50)]
        places = [((others[i] < S[i, b]).mean(), (others[i] <= S[i, b]).mean()) for i in range(80)]
        # Residuals of exactly 0 or 1: no simulation at or beyond the value.
        assert counts[b] == sum(high == 0.0 or low == 1.0 for low, high in places)
    observed = int((FOUND.scaled == 0).sum() + (FOUND.scaled == 1).sum())
    found = outliers(FOUND)
    assert found.statistic == observed
    assert found.p_value == rank(observed, counts)["two-sided"]


@pytest.mark.parametrize("margin", ["both", "lower", "upper"])
def test_outliers_by_exchange_of_data_and_simulations(margin):
    def outside(j):
        others = np.column_stack([Y, np.delete(S, j, axis=1)])
        low, high = S[:, j] < others.min(axis=1), S[:, j] > others.max(axis=1)
        return {"both": low | high, "lower": low, "upper": high}[margin].sum()

    counts = [outside(j) for j in range(50)]
    assert exchanged(FOUND, margin).tolist() == counts
    low, high = FOUND.below, FOUND.above
    observed = {"both": low | high, "lower": low, "upper": high}[margin].sum()
    found = outliers(FOUND, "exchanged", "greater", margin)
    assert found.statistic == observed
    half = 0.5 * np.mean(np.equal(counts, observed))
    assert found.p_value == pytest.approx(np.mean(np.greater(counts, observed)) + half)


def test_ties_may_count_half():
    zeros = (S == 0).sum(axis=0)
    observed = int(np.median(zeros))
    found = scaled_residuals(np.where(np.arange(80) < observed, 0.0, Y + 1.0), S, MEAN, seed=2)
    half = zero_inflation(found, "greater", ties=0.5).p_value
    assert half == pytest.approx(np.mean(zeros > observed) + 0.5 * np.mean(zeros == observed))
    assert half < zero_inflation(found, "greater").p_value
    assert generic(found, lambda y: (y == 0).sum(), "greater", ties=0.5).p_value == half


def test_whole_numbers_of_few_rows_are_bootstrapped_and_others_are_not():
    real = scaled_residuals(Y + 0.1, S + 0.2 * RNG.random(S.shape), MEAN)
    assert "80 rows outside the simulations" in outliers(real).effect_text
    assert "80 rows outside all simulations" in outliers(FOUND).effect_text


def test_pearsons_statistic_has_a_chi_square_distribution():
    fit = owls()
    found = fit.simulate_residuals(n=20, seed=1).test_dispersion(kind="pearson")
    total = (fit.residuals("pearson") ** 2).sum()
    assert found.statistic == pytest.approx(total / fit.df_residual, rel=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(total, fit.df_residual), rel=1e-9)
    assert found.alternative == "greater"


def test_refits_are_compared_with_the_fit():
    fit = cbpp()
    found = fit.simulate_residuals(n=30, seed=3, refit=True)
    trials = fit.design.response.trials
    rows, sums = [], []
    for j in range(30):
        again = fit.refit(found.simulated[:, j])
        rows.append(again.residuals("response") * trials)
        sums.append((again.residuals("pearson") ** 2).sum())
    own = fit.residuals("response") * trials
    low = np.mean([row < own for row in rows], axis=0)
    assert found.scaled == pytest.approx(low, abs=1e-12)  # residuals of refits are never exactly those of the fit
    total = (fit.residuals("pearson") ** 2).sum()
    test = found.test_dispersion(kind="refit")
    # Refits stop within the optimiser's tolerance.
    assert test.statistic == pytest.approx(total / np.mean(sums), rel=1e-5)
    assert test.p_value == rank(total, sums)["two-sided"]
    assert isinstance(found, rf.SimulatedResiduals)


def test_the_ratio_expected_of_a_linear_fit_is_the_share_of_rows_left_to_the_residuals():
    fit = sleepstudy()
    leverage = fit.augment()["leverage"].sum()
    text = fit.simulate_residuals(n=2000, seed=1).test_dispersion().effect_text
    # Rows have one variance, known to 3 % in 2000 simulations; two digits are told.
    assert float(text.split(", ")[1].split()[0]) == pytest.approx(1 - leverage / 180, abs=0.006)
    assert "expected" not in owls().simulate_residuals(n=20, seed=1).test_dispersion().effect_text
    assert "expected" not in fit.simulate_residuals(n=20, seed=1, ranef="new").test_dispersion().effect_text
