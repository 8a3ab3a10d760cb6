"""Every check is in the catalogue, says where it belongs, and is explained."""

import inspect
from pathlib import Path

import pytest

from ranef.checks import catalogue
from ranef.checks.finding import VERDICTS
from worlds import Sites, linear, poisson

EXPLAINED = (Path(__file__).parents[2] / "docs" / "explanation" / "checks.md").read_text(encoding="utf-8")
AREAS = ("convergence", "identifiability", "approximation", "residuals", "random effects", "influence")


def test_areas_are_read_in_order():
    places = [AREAS.index(check.area) for check in catalogue.CATALOGUE]
    assert places == sorted(places)


@pytest.mark.parametrize("check", catalogue.CATALOGUE, ids=lambda check: check.look.__name__)
def test_every_check_says_what_it_is(check):
    assert inspect.getdoc(check.look)


@pytest.mark.parametrize("fitted", [linear, poisson])
def test_every_row_is_whole_and_explained(fitted):
    sites = Sites()
    data = sites.normal() if fitted is linear else sites.counts()
    fit = fitted(data.assign(day=range(sites.n), lot=data.index % 9))
    table = fit.check(time="day", space=["x", "w"], restarts=1).table
    assert table.columns[:5].tolist() == ["check", "statistic", "p_value", "verdict", "advice"]
    assert table["check"].is_unique
    assert set(table["verdict"]) <= set(VERDICTS)
    assert table["statistic"].notna().all()
    assert table["p_value"].dropna().between(0.0, 1.0).all()
    assert (table["measure"] != "").all()
    for name in table["check"]:
        # What the row is about (a group, a term) stands at the end of its name.
        begins = name.split(":")[0].split(" of ")[0].rsplit(" by ", 1)[0]
        word = begins.split(" in ")[0]
        assert word in EXPLAINED, name
