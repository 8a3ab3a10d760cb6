"""Under the model the tests of simulated residuals reject in 5 % of data sets, whatever the family."""

import pytest

from residual_tests_study import Case, rejections

TIMES = 1000


@pytest.mark.slow
@pytest.mark.parametrize("family", ["poisson", "nbinom2", "binomial"])
def test_level_with_the_parameters_that_made_the_data(family):
    names = ("uniformity", "dispersion", "quantiles", "x", "time", "space", "*zeros*", "groups", "zeros")
    # A two-sided p-value by rank is below 0.05 for the 5 outermost places at either end of 200: exactly 5 %.
    found = rejections(Case(family, "truth"), TIMES, 199, names)
    # The Monte Carlo standard error of 5 % is 0.7 %. Whole numbers of zeros reach 5 % from below, and Holm's and
    # Bonferroni's adjustments of tests that depend on each other do so too.
    conservative = {name: found.pop(name) for name in ("zeros", "groups")}
    assert all(0.035 <= share <= 0.065 for share in found.values()), found
    assert all(share <= 0.065 for share in conservative.values()), conservative


@pytest.mark.slow
@pytest.mark.parametrize("family", ["poisson", "nbinom2", "binomial"])
def test_level_of_fits_whose_predictors_are_drawn(family):
    found = rejections(Case(family, "posterior"), 400, 199, ("uniformity", "dispersion", "quantiles", "*zeros*"))
    # Three standard errors of 400 data sets about 5 %.
    assert all(0.017 <= share <= 0.083 for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("family", ["poisson", "nbinom2", "binomial"])
def test_random_effects_at_their_modes_are_on_the_safe_side(family):
    found = rejections(Case(family, "modes"), 200, 250, ("uniformity", "outliers", "zeros", "quantiles", "groups"))
    # Three standard errors of 200 data sets above 5 %.
    assert all(share <= 0.096 for share in found.values()), found
