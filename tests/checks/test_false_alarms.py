"""A model that is right is not called bad because two dozen things were looked at."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef.checks.finding import Finding, graded
from ranef.inference.multiplicity import holm
from worlds import Sites, linear, poisson


def right_normal(seed):
    sites = Sites(seed, sites=12, rows=6)
    block = sites.rng.integers(0, 8, sites.n).astype(str)
    return linear(sites.normal().assign(block=block, day=np.arange(sites.n)))


def right_counts(seed):
    sites = Sites(seed, sites=20, rows=8, sd=0.7)
    return poisson(sites.counts())


def right_successes(seed):
    sites = Sites(seed, sites=20, rows=6)
    mean = 1.0 / (1.0 + np.exp(-0.5 * sites.data["x"] - sites.effects[sites.site]))
    k = sites.rng.binomial(8, mean)
    return rf.glmm("cbind(k, m) ~ x + (1 | site)", sites.data.assign(k=k, m=8 - k), family="binomial")


def called_bad(fitted, seeds, **asked):
    return [seed for seed in seeds if fitted(seed).check(**asked).verdict == "problem"]


def test_a_right_normal_model_is_hardly_ever_called_bad():
    # At a rate of 1 %, the most that is meant, three or more of 20 come up once in a thousand times.
    assert len(called_bad(right_normal, range(20), time="day")) <= 1


def test_a_right_poisson_model_is_hardly_ever_called_bad():
    assert len(called_bad(right_counts, range(10))) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("fitted", [right_normal, right_counts, right_successes])
def test_at_most_six_of_a_hundred_right_models_are_called_bad(fitted):
    assert len(called_bad(fitted, range(100, 200))) <= 6


@pytest.mark.slow
def test_without_random_effects_either():
    def fitted(seed):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=80)
        return rf.lmm(
            "y ~ x", pd.DataFrame({"x": x, "y": x + rng.normal(size=80), "f": rng.choice(list("abcdef"), 80)})
        )

    assert len(called_bad(fitted, range(100))) <= 6


def test_adjusted_p_values_are_holms():
    # Holm (1979): the k-th smallest is multiplied by how many are not smaller, and none falls below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)
    assert holm([]).tolist() == []


def a_test(p_value, size):
    return Finding("it", 1.0, "", "", "Do this.", p_value=p_value, size=size, look_at=0.1, problem_at=0.5)


@pytest.mark.parametrize(
    ("p_value", "size", "expected"),
    [
        (1e-6, 0.6, "problem"),
        (1e-6, 0.2, "look"),
        (1e-6, 0.05, "ok"),
        (0.2, 0.9, "ok"),
        # Alone it would be a problem; as one of four tests it is worth a look.
        (0.004, 0.9, "look"),
    ],
)
def test_a_verdict_weighs_size_and_chance(p_value, size, expected):
    others = [a_test(0.5, 0.0)] * 3
    assert graded([a_test(p_value, size), *others])[0].verdict == expected


def test_an_ok_finding_gives_no_advice_but_that_it_is_small():
    assert graded([a_test(0.5, 0.9)])[0].advice == ""
    assert "too small to matter" in graded([a_test(1e-6, 0.05)])[0].advice
