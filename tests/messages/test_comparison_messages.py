"""What is said of fits that cannot be compared, and how those that can are shown."""

import numpy as np
import pytest

import ranef as rf
from models import cbpp, data, owls_poisson, sleepstudy


def sleep(formula="Reaction ~ Days + (1 | Subject)", frame=None, **arguments):
    return rf.lmm(formula, data("sleepstudy") if frame is None else frame, **{"reml": False} | arguments)


def changed():
    frame = data("sleepstudy").copy()
    frame.loc[7, "Reaction"] = 300.0
    return frame


def shorter():
    frame = data("sleepstudy").copy()
    frame["Days"] = frame["Days"].astype(float)
    frame.loc[[2, 5], "Days"] = np.nan
    return frame


def count_and_density():
    frame = data("owls").assign(calls=lambda d: d["SiblingNegotiation"] + 1)
    formula = "calls ~ FoodTreatment + (1 | Nest)"
    return rf.glmm(formula, frame, family="poisson"), rf.glmm(formula, frame, family="gamma", link="log")


CALLS = {
    "one": lambda: rf.compare(sleep()),
    "no_fit": lambda: rf.compare(sleep(), "Reaction ~ 1"),
    "unknown_argument": lambda: rf.compare(sleep(), sleep(), bootstrap=True),
    "test": lambda: rf.compare(sleep(), sleep(), test="wald"),
    "n": lambda: rf.compare(sleep(), sleep(), test="bootstrap", n=0),
    "twice": lambda: rf.compare({"a": sleep()}, a=sleep()),
    "rows": lambda: rf.compare(sleep(), small=sleep(frame=shorter())),
    "values": lambda: rf.compare(a=sleep(), b=sleep(frame=changed())),
    "response": lambda: rf.compare(a=sleep(), b=sleep("log(Reaction) ~ Days + (1 | Subject)")),
    "other_response": lambda: rf.compare(a=sleep(), b=sleep("Days ~ Reaction + (1 | Subject)")),
    "measure": lambda: rf.compare(dict(zip("ab", count_and_density(), strict=True))),
    "weights": lambda: rf.compare(a=sleep(), b=sleep(weights=np.arange(1.0, 181.0))),
    "method": lambda: rf.compare(a=sleep(), b=sleep(reml=True)),
    "reml": lambda: rf.compare(a=sleep(reml=True), b=sleep("Reaction ~ 1 + (1 | Subject)", reml=True)),
    "priors": lambda: rf.compare(a=sleep(), b=sleep(priors={"Days": rf.prior.normal(0, 5)})),
    "plot": lambda: rf.compare(a=sleep(), b=sleepstudy(reml=False)).plot(),
}


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name, snapshot):
    with pytest.raises(rf.ModelError) as caught:
        CALLS[name]()
    snapshot(f"compare_{name}", f"ModelError: {caught.value}")


def test_printed(snapshot):
    small, large = sleep(), sleepstudy(reml=False)
    unrelated = rf.lmm("Reaction ~ 1 + (Days | Subject)", data("sleepstudy"), reml=False)
    texts = [
        rf.compare(small, unrelated, large),
        rf.compare(plain=small, slopes=large, test=None),
        rf.compare(mean=rf.glmm(cbpp().formula.replace("period", "1"), data("cbpp"), family="binomial"), period=cbpp()),
        rf.compare(
            poisson=owls_poisson(),
            inflated=rf.glmm(owls_poisson().formula, data("owls"), family="nbinom2", zi="~ 1"),
        ),
    ]
    snapshot("compare_printed", "\n\n".join(map(str, texts)))
    assert "<table>" in texts[0]._repr_html_()
