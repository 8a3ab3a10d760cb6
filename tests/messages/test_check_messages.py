"""What the checks say, as users see it."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import models
import ranef as rf


def poisson_owls():
    formula = "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)"
    return rf.glmm(formula, models.data("owls"), family="poisson")


def few_levels():
    rng = np.random.default_rng(1)
    g = np.repeat(list("abc"), 8)
    x = rng.normal(size=24)
    data = pd.DataFrame({"y": x + rng.normal(size=24), "x": x, "twice": 2.0 * x, "g": g})
    return rf.lmm("y ~ x + twice + (1 | g)", data)


FITS = {"sleepstudy": models.sleepstudy, "owls_poisson": poisson_owls, "few_levels": few_levels}


@pytest.mark.parametrize("name", FITS)
def test_the_table_reads_well(name, snapshot):
    snapshot(f"check_{name}", repr(FITS[name]().check(restarts=0)))


class Balance(HTMLParser):
    """Reads HTML in which every element that opens closes, and keeps its texts."""

    def __init__(self, page):
        super().__init__()
        self.opened, self.texts, self.codes = [], [], []
        self.feed(page)
        assert not self.opened

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.opened[-1] == "code":
            self.codes.append(data)


@pytest.mark.parametrize("name", FITS)
def test_a_notebook_says_what_the_text_says(name):
    found = FITS[name]().check(restarts=0)
    page = Balance(found._repr_html_())
    said, shown = " ".join(repr(found).split()), " ".join("".join(page.texts).split())
    assert repr(found).splitlines()[0] in shown
    for row in found.table.itertuples():
        assert row.check in page.texts
        assert page.texts.count(row.verdict) >= 1
        if row.verdict != "ok":
            assert f"{row.detail}. {row.advice}".replace("`", "") in shown
        assert {code for code in re.findall("`([^`]*)`", row.advice) if row.verdict != "ok"} <= set(page.codes)
    for check, reason in found.skipped.items():
        assert f"not checked: {check} ({reason})" in shown
        assert check in said


CALLS = {
    "groups": lambda fit: fit.check(groups="Subjekt"),
    "groups_type": lambda fit: fit.check(groups=3),
    "time": lambda fit: fit.check(time="Day"),
    "time_type": lambda fit: fit.check(time=["Days"]),
    "time_text": lambda fit: fit.check(time="label"),
    "space": lambda fit: fit.check(space="Days"),
    "restarts": lambda fit: fit.check(restarts=-1),
    "seed": lambda fit: fit.check(seed=1.5),
    "starts": lambda fit: fit.all_fit(starts=0),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_there_is_refused(name, snapshot):
    data = models.data("sleepstudy").assign(label="on day " + models.data("sleepstudy")["Days"].astype(str))
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", data)
    with pytest.raises((rf.DataError, rf.ModelError)) as raised:
        CALLS[name](fit)
    snapshot(f"check_{name}", str(raised.value))
