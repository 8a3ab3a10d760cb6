"""What is said where explained variance is not defined."""

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, owls, sleepstudy

PLAIN = "Reaction ~ Days + (1 | Subject)"


def proportions(family, **arguments):
    frame = data("cbpp").assign(share=lambda d: (d["incidence"] + 0.5) / (d["size"] + 1))
    return rf.glmm("share ~ period + (1 | herd)", frame, family=family, **arguments)


def walk():
    frame = data("sleepstudy").assign(day=lambda d: d["Days"].astype(int))
    return rf.lmm("Reaction ~ factor(Subject) + rw1(0 + day | Subject)", frame)


CALLS = {
    "inverse": lambda: rf.glmm("score ~ Machine + (1 | Worker)", data("machines"), family="gamma").r2(),
    "cauchit": lambda: rf.glmm(cbpp().formula, data("cbpp"), family="binomial", link="cauchit").r2(),
    "ordbeta": lambda: proportions("ordbeta").r2(),
    "inflated": lambda: rf.glmm(cbpp().formula, data("cbpp"), family="binomial", zi="~ 1").r2(),
    "walk": lambda: walk().variance_decomposition(),
    "groups": lambda: rf.lmm("Reaction ~ Days", data("sleepstudy")).icc(),
    "approximation": lambda: sleepstudy().r2("delta"),
    "approximation_of_counts": lambda: cbpp().r2("lognormal"),
    "interval": lambda: sleepstudy().r2(interval="wald"),
    "caic_method": lambda: sleepstudy().caic("hat"),
    "caic_exact": lambda: owls().caic("exact"),
    "caic_refits": lambda: owls().caic("refits"),
    "caic_prior": lambda: rf.lmm(PLAIN, data("sleepstudy"), reml=False, priors={"Days": rf.prior.normal(0, 5)}).caic(),
    "caic_serial": lambda: rf.lmm("Reaction ~ Days", data("sleepstudy"), correlation="ar1(Days | Subject)").caic(),
    "level": lambda: sleepstudy().r2(interval="bootstrap", level=95),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::ranef.ConvergenceWarning")
def test_refusals(name, snapshot):
    with np.errstate(all="ignore"), pytest.raises(rf.ModelError) as caught:
        CALLS[name]()
    snapshot(f"explained_variance_{name}", f"ModelError: {caught.value}")
