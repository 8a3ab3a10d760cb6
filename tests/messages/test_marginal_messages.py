"""What marginal means and effects say when they are asked for what there is not."""

import pytest

import ranef as rf
from models import data, owls, sleepstudy
from ranef.errors import ModelError


def wine():
    return rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")


def means(fit):
    return fit.emmeans("~ FoodTreatment * SexParent")


CALLS = {
    "emmeans_name": lambda: owls().emmeans("FoodTreatmnt"),
    "emmeans_kind": lambda: owls().emmeans("FoodTreatment", kind="mean"),
    "emmeans_weights": lambda: owls().emmeans("FoodTreatment", weights="even"),
    "emmeans_component": lambda: owls().emmeans("FoodTreatment", component="shape"),
    "emmeans_level": lambda: owls().emmeans("FoodTreatment", at={"FoodTreatment": ["Fed"]}),
    "emmeans_at_name": lambda: owls().emmeans("FoodTreatment", at={"Brood": 1}),
    "emmeans_at": lambda: owls().emmeans("FoodTreatment", at=[1]),
    "emmeans_number": lambda: sleepstudy().emmeans("Days", at={"Days": ["three"]}),
    "emmeans_ddf": lambda: owls().emmeans("FoodTreatment", ddf=-3),
    "emmeans_ordinal": lambda: wine().emmeans("temp", kind="response"),
    "contrasts_method": lambda: means(owls()).contrasts("pairs"),
    "contrasts_adjust": lambda: means(owls()).contrasts(adjust="fisher"),
    "contrasts_coefficients": lambda: means(owls()).contrasts({"a": [1, -1]}),
    "contrasts_by": lambda: means(owls()).contrasts(by="Nest"),
    "contrasts_one": lambda: owls().emmeans("1").contrasts(),
    "contrasts_reference": lambda: owls().emmeans("FoodTreatment").contrasts("trt.vs.ctrl", reference="Fed"),
    "contrasts_everything_in_by": lambda: owls().emmeans("FoodTreatment").contrasts(by="FoodTreatment"),
    "contrasts_interaction": lambda: means(owls()).contrasts(interaction=["pairwise"]),
    "contrasts_label": lambda: owls().emmeans("FoodTreatment").contrasts("trt.vs.ctrl", reference=7),
    "test_side": lambda: owls().emmeans("FoodTreatment").test(side="up"),
    "test_delta": lambda: owls().emmeans("FoodTreatment").test(delta=-1),
    "slopes_factor": lambda: owls().slopes("FoodTreatment"),
    "slopes_margin": lambda: sleepstudy().slopes("Days", margin="data"),
    "slopes_kind": lambda: sleepstudy().slopes("Days", kind="zprob"),
    "comparisons_kind": lambda: owls().comparisons("FoodTreatment", kind="link", comparison="ratio"),
    "comparisons_contrast": lambda: owls().comparisons("FoodTreatment", "all"),
    "comparisons_number": lambda: owls().comparisons("BroodSize", "mad"),
    "comparisons_numbers": lambda: owls().comparisons("BroodSize", [1, 2, 3]),
    "comparisons_ratio": lambda: sleepstudy().comparisons("Days", (-90, -80), comparison="ratio"),
    "comparisons_by": lambda: owls().comparisons("FoodTreatment", by="FoodTreatment"),
    "comparisons_odds": lambda: owls().comparisons("FoodTreatment", comparison="odds_ratio"),
    "effects_name": lambda: owls().effects("Food"),
    "effects_brackets": lambda: sleepstudy().effects("Days [0 to 5]"),
    "effects_empty": lambda: sleepstudy().effects("Days []"),
    "effects_twice": lambda: sleepstudy().effects("Days", "Days [0]"),
    "effects_exp": lambda: sleepstudy().effects("Days [exp]"),
    "effects_interval": lambda: sleepstudy().effects("Days", interval="credible"),
    "effects_margin_ranef": lambda: sleepstudy().effects("Days", ranef=True, margin="average"),
    "effects_kind": lambda: owls().effects("FoodTreatment", kind="count"),
    "effects_bias": lambda: sleepstudy().effects("Days", ranef="new", bias_correction=True),
    "effects_contrasts": lambda: sleepstudy().effects("Days [0, 5]", ranef="new").contrasts(),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_questions(name, snapshot):
    with pytest.raises(ModelError) as caught:
        CALLS[name]()
    snapshot(name, f"ModelError: {caught.value}")
