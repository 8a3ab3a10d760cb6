"""A verdict does not depend on units, names of levels or the order of rows."""

import numpy as np
import pytest

from worlds import Sites, linear, poisson


def verdicts(fit):
    table = fit.check(groups="batch").table
    return dict(zip(table["check"], table["verdict"], strict=True))


def good(seed=1):
    sites = Sites(seed)
    return sites.normal().assign(batch=sites.rng.integers(0, 6, sites.n).astype(str))


def bad():
    sites = Sites(2)
    batch = sites.rng.integers(0, 10, sites.n)
    data = sites.normal(np.where(sites.site == 3, 5.0, 1.0) * sites.noise()).assign(batch=batch.astype(str))
    data["y"] += 1.5 * np.linspace(-1.0, 1.0, 10)[batch]
    return data


@pytest.mark.parametrize("data", [good(), bad()], ids=["good", "bad"])
class TestLinear:
    def test_units_of_a_predictor(self, data):
        assert verdicts(linear(data.assign(x=1e6 * data["x"]))) == verdicts(linear(data))

    def test_units_of_the_response(self, data):
        assert verdicts(linear(data.assign(y=1e-4 * data["y"]))) == verdicts(linear(data))

    def test_names_of_levels(self, data):
        names = {old: f"z{hash_of(old)}" for old in data["site"].unique()}
        assert verdicts(linear(data.assign(site=data["site"].map(names)))) == verdicts(linear(data))

    def test_order_of_rows(self, data):
        assert verdicts(linear(data.sample(frac=1.0, random_state=1))) == verdicts(linear(data))


def hash_of(name):
    """An order of levels that has nothing to do with the names."""
    return (int(name[1:]) * 37) % 101


def test_counts():
    sites = Sites(3)
    data = sites.counts().assign(batch=sites.rng.integers(0, 6, sites.n).astype(str))
    expected = verdicts(poisson(data))
    assert verdicts(poisson(data.assign(x=1e6 * data["x"]))) == expected
    # Randomised residuals are drawn anew for every order of the rows; what is clear stays so.
    assert verdicts(poisson(data.sample(frac=1.0, random_state=1))) == expected


def test_the_same_seed_gives_the_same_table():
    fit = poisson(Sites(3).counts())
    first, second = fit.check(seed=5).table, fit.check(seed=5).table
    assert first.equals(second)
