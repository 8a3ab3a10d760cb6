"""What is said of priors, held values, equalities and starts that make no sense."""

import numpy as np
import pytest

import ranef as rf
from models import data

NORMAL, GAMMA = rf.prior.normal(0, 1), rf.prior.gamma(1, 2.5)
ARGUMENTS = {
    "prior_unknown": {"priors": {"Dayz": NORMAL}},
    "prior_unknown_group": {"priors": {"sd(Subjects)": GAMMA}},
    "prior_no_prior": {"priors": {"Days": 3}},
    "prior_not_a_dict": {"priors": NORMAL},
    "prior_normal_of_sd": {"priors": {"sd(Subject)": NORMAL}},
    "prior_gamma_of_fixed": {"priors": {"fixed": GAMMA}},
    "prior_normal_of_cor": {"priors": {"cor(Subject)": NORMAL}},
    "prior_lkj_of_sd": {"priors": {"sd": rf.prior.lkj(2)}},
    "prior_twice": {"priors": {"sigma": GAMMA, "sd(Residual)": GAMMA}},
    "prior_of_held": {"priors": {"Days": NORMAL}, "fixed": {"Days": 3}},
    "fixed_several": {"fixed": {"sd(Subject)": 3}},
    "fixed_not_alone": {"fixed": {"sd(Subject, Days)": 3}},
    "fixed_negative": {"fixed": {"sd(Subject, Intercept)": -3}},
    "fixed_no_number": {"fixed": {"Days": "much"}},
    "fixed_sigma_zero": {"fixed": {"sigma": 0}},
    "fixed_cor": {"fixed": {"cor(Subject)": 1.5}},
    "tied_one": {"tied": [("Days",)]},
    "tied_text": {"tied": ("Days", "Intercept")},
    "tied_kinds": {"tied": [("Days", "sd(Subject, Intercept)")]},
    "tied_contradiction": {"fixed": {"Days": 3, "Intercept": 4}, "tied": [("Days", "Intercept")]},
    "start_cor": {"start": {"cor(Subject)": 0.2}},
    "fixed_again": {"fixed": {"Days": 3, "fixed": 3}},
    "fixed_cor_shape": {"fixed": {"cor(Subject)": np.eye(3)}},
    "tied_cor": {"tied": [("cor(Subject)", "Days")]},
    "start_sigma": {"start": {"sigma": -1}},
    "start_sd": {"start": {"sd(Subject, Days)": -1}},
    "start_unknown": {"start": {"sd(Subjct)": 0.2}},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_wrong_assumptions(name, snapshot):
    with pytest.raises(rf.ModelError) as caught:
        rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"), reml=False, **ARGUMENTS[name])
    snapshot(f"assumed_{name}", f"ModelError: {caught.value}")


def test_tied_structures(snapshot):
    with pytest.raises(rf.ModelError) as caught:
        rf.glmm(
            "count ~ 1 + cs(mined | spp) + (1 | site)",
            data("salamanders"),
            family="poisson",
            tied=[("sd(site)", "sd(spp, Intercept)")],
        )
    snapshot("assumed_tied_structures", f"ModelError: {caught.value}")


def test_inside_fixed_effects(snapshot):
    with pytest.raises(rf.ModelError) as caught:
        rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"), priors={"Days": NORMAL})
    snapshot("assumed_reml", f"ModelError: {caught.value}")


def test_models_that_take_none(snapshot):
    calls = [
        lambda: rf.lmm(
            "Reaction ~ Days", data("sleepstudy"), correlation="ar1(1 | Subject)", reml=False, fixed={"Days": 10}
        ),
        lambda: rf.glmm(
            "count ~ mined + (1 | site)",
            data("salamanders"),
            family="poisson",
            quadrature=0,
            fixed={"mined[T.no]": 2},
        ),
    ]
    said = []
    for call in calls:
        with pytest.raises(rf.ModelError) as caught:
            call()
        said.append(f"ModelError: {caught.value}")
    snapshot("assumed_without", "\n\n".join(said))
