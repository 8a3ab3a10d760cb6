"""What the checks say, as users see it."""

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
