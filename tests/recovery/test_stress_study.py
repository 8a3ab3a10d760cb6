"""Whether verdicts are right where fits go wrong: a part of benchmarks/stress_study.py, with its scoring.

The ordinary run takes a data set of forty kinds; `-m slow` takes the study's own five hundred.
"""

import pytest

from stress_problems import EACH, KINDS, problem
from stress_study import OURS, judged

#: Kinds whose searches from elsewhere take long, for what they add to the ordinary run.
LONG = {
    "counts_huge",
    "counts_of_other_families",
    "counts_truncated",
    "grouseticks_resampled",
    "owls_resampled",
    "shares_near_bounds",
    "student_extremes",
    "toenail_resampled",
    "tweedie_extremes",
    "normal_small_residuals",
}
FEW = sorted(set(KINDS) - LONG)


def test_the_catalogue_has_five_hundred_problems_that_repeat_themselves():
    assert len(KINDS) * EACH == 500
    assert len(FEW) == 40
    name = "counts_random_slopes"
    assert problem(name, 1).frame.equals(problem(name, 1).frame)
    assert not problem(name, 1).frame.equals(problem(name, 2).frame)


@pytest.mark.parametrize("name", FEW)
def test_the_verdict_is_right(name):
    record = judged(name, 4, [])
    answer = record.answers[OURS]
    assert record.right(OURS), (answer.said, record.best - answer.loglik, record.found_by, record.unbounded)


@pytest.mark.slow
def test_of_five_hundred_verdicts_none_promises_too_much():
    records = [judged(name, number, []) for name in KINDS for number in range(EACH)]
    optimal = [record for record in records if record.optimal(OURS)]
    others = [record for record in records if not record.optimal(OURS)]
    assert [record.name for record in others if record.answers[OURS].converged] == []
    assert sum(record.answers[OURS].converged for record in optimal) >= 0.99 * len(optimal)
