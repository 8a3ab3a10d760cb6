"""What is said when power is asked for what there is not."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import assumed, data, sleepstudy

DESIGN = pd.DataFrame({"g": np.repeat(list("abcdef"), 4), "x": np.tile(np.arange(4.0), 6)})
VALUES = {"Intercept": 1, "x": 0.5, "sd(g)": 1, "sigma": 1}


def later(frame):
    return frame["Subject"].astype(str) > "340"


def of_formula(formula="y ~ x + (1 | g)", parameters=None, **arguments):
    return rf.power(
        formula, DESIGN, parameters=VALUES if parameters is None else parameters, test="x", n_sim=2, **arguments
    )


def of_fit(**arguments):
    return rf.power(sleepstudy(), **{"test": "Days", "n_sim": 2} | arguments)


CALLS = {
    "priors": lambda: rf.power(assumed(), test="Days"),
    "parameters_type": lambda: of_formula(parameters=[1.0]),
    "effect_component": lambda: of_fit(effect={"zi: Days": 1}),
    "within_each_row": lambda: rf.power(
        rf.glmm(
            "count ~ mined + (1 | site) + (1 | row)",
            data("salamanders").assign(row=lambda d: np.arange(len(d)).astype(str)),
            family="poisson",
        ),
        test="mined",
        within={"site": 20},
        n_sim=2,
    ),
    "along_nothing": lambda: of_fit(along={"Subject": []}),
    "no_model": lambda: rf.power(3),
    "no_data": lambda: rf.power("y ~ x", DESIGN),
    "data_of_a_fit": lambda: of_fit(data=data("sleepstudy"), family="poisson"),
    "no_test": lambda: of_fit(test=None),
    "test": lambda: of_fit(test="Dayz"),
    "test_component": lambda: of_fit(test="zi: Days"),
    "test_type": lambda: of_fit(test=3),
    "method": lambda: of_fit(method="score"),
    "n_sim": lambda: of_fit(n_sim=0),
    "alpha": lambda: of_fit(alpha=5),
    "effect": lambda: of_fit(effect={"Dayz": 3}),
    "effect_value": lambda: of_fit(effect={"Days": "large"}),
    "effect_type": lambda: of_fit(effect=3),
    "along": lambda: of_fit(along={"subject": 30}),
    "along_value": lambda: of_fit(along={"Subject": [10, 20.5]}),
    "lacking": lambda: of_formula(parameters={"Intercept": 1, "x": 0.5}),
    "unknown_parameter": lambda: of_formula(parameters=VALUES | {"sd(h)": 1}),
    "negative": lambda: of_formula(parameters=VALUES | {"sd(g)": -1}),
    "ordinal": lambda: of_formula(family="cumulative"),
    "argument": lambda: of_formula(priors={}),
    "structure": lambda: of_formula("y ~ x + ar1(0 + factor(x) | g)"),
    "tied": lambda: rf.power(rf.lmm("Reaction ~ Days + ou(Days | Subject)", data("sleepstudy")), test="Days"),
    "serial": lambda: rf.power(rf.lmm("Reaction ~ Days", data("sleepstudy"), dispersion="~ Days"), test="Days"),
    "too_few": lambda: rf.power(
        rf.lmm(
            "Reaction ~ half + (1 | Subject)",
            data("sleepstudy").assign(half=lambda d: d["Subject"].astype(str) > "340"),
        ),
        test="half",
        along={"Subject": 2},
        n_sim=2,
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name, snapshot):
    with pytest.raises((rf.ModelError, rf.FormulaError, rf.DataError)) as caught:
        CALLS[name]()
    snapshot(f"power_{name}", f"{type(caught.value).__name__}: {caught.value}")
