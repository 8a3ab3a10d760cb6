"""What a search did besides searching is told; searches side by side end as one after the other."""

import numpy as np
import pytest

import models
import ranef as rf
from calibration_models import drawn
from stress_problems import problem
from stress_study import fitted
from worlds import row


def test_scaled_columns_are_told_where_units_are_odd():
    data = models.data("sleepstudy").assign(days=lambda d: d["Days"] * 1e-6, order=np.arange(180.0))
    fit = rf.lmm("Reaction ~ days + order + (1 | Subject)", data)
    # The standard deviations are sqrt(99 / 12) * 1e-6 and sqrt((180^2 - 1) / 12).
    told = "columns scaled for the search: order varies 1.8e+07 times as much as days"
    assert fit.optimum.remedies[0] == told
    assert told in row(fit.check(), "convergence")["detail"]
    assert not any("scaled" in remedy for remedy in models.sleepstudy().optimum.remedies)


@pytest.mark.parametrize(
    ("kind", "number", "told"),
    [
        (
            "binary_groups_of_one_kind",
            15,
            "searched again from effects three times as wide: the log-likelihood rose by",
        ),
        ("skewed_residuals", 14, "searched again from another shape of the distribution: the log-likelihood rose by"),
        ("zero_inflation_without_zeros", 3, "searched again from within the space"),
        ("normal_few_groups", 3, "polished by a Newton step: from"),
    ],
)
def test_restarts_and_polish_are_told_with_what_they_were_worth(kind, number, told):
    assert any(remedy.startswith(told) for remedy in fitted(problem(kind, number)).optimum.remedies)


@pytest.mark.parametrize(
    ("kind", "number", "status"),
    [
        # The powers 1.28 and 1.002 of the variance have log-likelihoods that differ by 0.04.
        ("tweedie_extremes", 7, "several_maxima"),
        # Four shares strictly between 0 and 1, which a precision without end fits without error.
        ("shares_near_bounds", 6, "unbounded"),
        # Residuals 3e-6 of the response: of 1e-11 of a sum of squares five digits are left.
        ("normal_small_residuals", 9, "imprecise"),
    ],
)
def test_what_cannot_be_known_to_be_the_maximum_is_not_called_one(kind, number, status):
    fit = fitted(problem(kind, number))
    assert (fit.verdict["status"], fit.converged) == (status, False)


def test_searches_side_by_side_end_as_one_after_the_other():
    columns = []
    for threads in (1, 4):
        fit = rf.lmm(
            "Reaction ~ Days + (Days | Subject)", models.data("sleepstudy"), control=rf.Control(threads=threads)
        )
        columns.append(fit.all_fit(starts=3).drop(columns="seconds"))
    assert columns[0]["optimizer"].tolist() == ["trust region"] * 4 + ["L-BFGS-B", "Nelder-Mead"] * 3
    assert columns[0].equals(columns[1])


def test_factors_of_reduced_rank_are_perturbed_too():
    fit = fitted(problem("normal_over_time", 4))
    assert fit.all_fit()["note"].iloc[0].startswith("all 3 searches agree")


def test_effects_that_overdispersion_had_taken_up_are_found():
    frame = drawn("nbinom2", 5, 90)
    fit = rf.glmm("y ~ x + z + (1 | g)", frame, family="nbinom2")
    # The first search ends without effects at a maximum of -50.686047; glmmTMB 1.1.5 finds -50.52352565.
    assert fit.loglik == pytest.approx(-50.523526, abs=1e-5)
    told = [remedy for remedy in fit.optimum.remedies if "with effects where the first search ended without" in remedy]
    assert ["0.16" in remedy for remedy in told] == [True]
    assert fit.tidy("random")["estimate"][0] > 0.9
