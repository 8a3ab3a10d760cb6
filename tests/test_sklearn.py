"""Mixed models as scikit-learn estimators: its rules, cross-validation by group, pipelines, searches."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone, is_regressor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ranef as rf
from models import data, grouped
from ranef.sklearn import MixedModel

SLEEP = "Reaction ~ Days + (Days | Subject)"


def test_it_fits_what_ranef_fits():
    sleep = data("sleepstudy")
    model = MixedModel(SLEEP).fit(sleep)
    fit = rf.lmm(SLEEP, sleep)
    assert model.fit_.loglik == fit.loglik
    # Rows given as new data are added up in another order.
    np.testing.assert_allclose(model.predict(sleep), fit.predict(), rtol=1e-14)
    assert model.score(sleep) == pytest.approx(r2_score(sleep["Reaction"], fit.predict()), rel=1e-14)
    assert list(model.feature_names_in_) == list(sleep.columns)
    assert model.n_features_in_ == len(sleep.columns)


def test_options_go_to_the_model():
    owls = data("owls")
    formula = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"
    model = MixedModel(formula, "nbinom2", zi="~ 1", offset=None, control=rf.Control(threads=1)).fit(owls)
    assert model.fit_.loglik == rf.glmm(formula, owls, family="nbinom2", zi="~ 1").loglik
    model = MixedModel(SLEEP, reml=False, correlation="ar1(Days | Subject)").set_params(
        formula="Reaction ~ Days + (1 | Subject)"
    )
    assert model.fit(data("sleepstudy")).fit_.method == "ml"


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_a_formula_without_a_response_takes_y(backend):
    sleep = data("sleepstudy", backend)
    y = sleep["Reaction"]
    model = MixedModel("~ Days + (Days | Subject)").fit(sleep, y)
    assert model.fit_.formula == "y ~ Days + (Days | Subject)"
    assert model.fit_.loglik == pytest.approx(rf.lmm(SLEEP, sleep).loglik, abs=1e-9)
    assert model.score(sleep, y) == pytest.approx(MixedModel(SLEEP).fit(sleep).score(sleep), rel=1e-12)


def test_y_takes_the_place_of_the_column():
    sleep = data("sleepstudy")
    other = np.asarray(sleep["Reaction"])[::-1]
    model = MixedModel(SLEEP).fit(sleep, other)
    np.testing.assert_array_equal(model.fit_.design.response.y, other)
    without = sleep.drop(columns="Reaction")
    assert MixedModel(SLEEP).fit(without, sleep["Reaction"].reset_index(drop=True)).fit_.loglik == pytest.approx(
        -871.8141, abs=1e-4
    )


def test_rows_of_y_go_by_their_place():
    sleep = data("sleepstudy").sample(frac=1.0, random_state=1)
    assert MixedModel(SLEEP).fit(sleep, sleep["Reaction"].reset_index(drop=True)).fit_.loglik == pytest.approx(
        -871.8141, abs=1e-4
    )


def test_the_order_of_categories_survives():
    wine = data("wine")
    model = MixedModel("~ temp + contact + (1 | judge)", "cumulative").fit(wine, wine["rating"])
    expected = rf.glmm("rating ~ temp + contact + (1 | judge)", wine, family="cumulative")
    assert model.fit_.loglik == pytest.approx(expected.loglik, abs=1e-10)
    assert 0 < model.score(wine, wine["rating"]) < 1


def test_cross_validation_by_group_predicts_groups_it_has_not_met():
    sleep = data("sleepstudy")
    model = MixedModel(SLEEP)
    scores = cross_val_score(model, sleep, sleep["Reaction"], groups=sleep["Subject"], cv=GroupKFold(6))
    by_hand = []
    for train, test in GroupKFold(6).split(sleep, groups=sleep["Subject"]):
        fit = rf.lmm(SLEEP, sleep.iloc[train])
        predicted = fit.predict(sleep.iloc[test], ranef=False)
        by_hand.append(r2_score(sleep["Reaction"].iloc[test], predicted))
    np.testing.assert_allclose(scores, by_hand, rtol=1e-12)
    # Within subjects the random effects are known, and predictions are better.
    within = cross_val_predict(model, sleep, sleep["Reaction"], cv=KFold(6, shuffle=True, random_state=1))
    assert r2_score(sleep["Reaction"], within) > max(0.6, np.mean(scores))


def test_new_groups_can_be_refused():
    sleep = data("sleepstudy")
    known = sleep["Subject"].astype(str).isin(["308", "309", "310", "330"])
    model = MixedModel("Reaction ~ Days + (1 | Subject)", new_levels="error").fit(sleep[known])
    with pytest.raises(rf.DataError, match="Subject"):
        model.predict(sleep)
    assert np.isfinite(model.set_params(new_levels="population").predict(sleep)).all()


def test_random_effects_can_be_left_out_of_predictions():
    sleep = data("sleepstudy")
    model = MixedModel(SLEEP, ranef=False).fit(sleep)
    np.testing.assert_allclose(model.predict(sleep), model.fit_.predict(ranef=False), rtol=1e-14)


def test_it_is_cloned_shown_and_pickled():
    model = MixedModel(SLEEP, priors={"fixed": rf.prior.normal(0, 10)}, family=rf.families.gaussian(), reml=False)
    copy = clone(model)
    assert copy is not model
    assert {k: repr(v) for k, v in copy.get_params().items()} == {k: repr(v) for k, v in model.get_params().items()}
    assert "MixedModel(" in repr(model)
    fitted = MixedModel(SLEEP).fit(data("sleepstudy"))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(data("sleepstudy")), fitted.predict(data("sleepstudy")))
    assert not hasattr(clone(fitted), "fit_")
    assert is_regressor(model)


def test_custom_families_are_cloned():
    family = rf.families.custom("laplacian", lambda y, mu: -np.sqrt(1 + (y - mu) ** 2), ["mu"], mean=lambda mu: mu)
    assert clone(MixedModel("y ~ x + (1 | g)", family)).family is family


def test_a_pipeline_of_frames():
    frame = grouped(5)
    scale = ColumnTransformer(
        [("scaled", StandardScaler(), ["x"])], remainder="passthrough", verbose_feature_names_out=False
    )
    pipeline = make_pipeline(scale.set_output(transform="pandas"), MixedModel("~ x + treated + (1 | g)"))
    pipeline.fit(frame.drop(columns="y"), frame["y"])
    fit = rf.lmm("y ~ x + treated + (1 | g)", frame.assign(x=(frame["x"] - frame["x"].mean()) / frame["x"].std(ddof=0)))
    assert pipeline[-1].fit_.loglik == pytest.approx(fit.loglik, abs=1e-9)
    assert pipeline.score(frame.drop(columns="y"), frame["y"]) == pytest.approx(
        r2_score(frame["y"], fit.predict()), rel=1e-9
    )


def test_a_search_over_formulas():
    sleep = data("sleepstudy")
    formulas = ["Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 | Subject)"]
    search = GridSearchCV(MixedModel(formulas[0]), {"formula": formulas}, cv=GroupKFold(3))
    search.fit(sleep, sleep["Reaction"], groups=sleep["Subject"])
    assert search.best_params_ == {"formula": formulas[1]}
    assert search.best_estimator_.fit_.formula == formulas[1]


def test_a_transformed_target():
    sleep = data("sleepstudy")
    model = TransformedTargetRegressor(MixedModel("~ Days + (1 | Subject)"), func=np.log, inverse_func=np.exp)
    model.fit(sleep, sleep["Reaction"])
    fit = rf.lmm("log(Reaction) ~ Days + (1 | Subject)", sleep)
    np.testing.assert_allclose(model.predict(sleep), np.exp(fit.predict()), rtol=1e-9)


def test_weights_of_rows():
    sleep = data("sleepstudy")
    weights = np.linspace(0.5, 2.0, len(sleep))
    model = MixedModel(SLEEP).fit(sleep, sample_weight=weights)
    assert model.fit_.loglik == rf.lmm(SLEEP, sleep, weights=weights).loglik
    expected = r2_score(sleep["Reaction"], model.predict(sleep), sample_weight=weights)
    assert model.score(sleep, sample_weight=weights) == pytest.approx(expected, rel=1e-14)


def test_proportions_are_scored_as_proportions():
    cbpp = data("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    model = MixedModel(formula, "binomial").fit(cbpp)
    assert model.score(cbpp) == pytest.approx(
        r2_score(cbpp["incidence"] / cbpp["size"], model.predict(cbpp)), rel=1e-12
    )


WRONG = {
    "array": (lambda: MixedModel(SLEEP).fit(np.zeros((3, 2)), np.zeros(3)), rf.DataError, "X is ndarray"),
    "no response": (lambda: MixedModel("~ Days + (1 | Subject)").fit(data("sleepstudy")), rf.DataError, "give it as y"),
    "made response": (
        lambda: MixedModel("log(Reaction) ~ Days + (1 | Subject)").fit(data("sleepstudy"), np.zeros(180)),
        rf.DataError,
        r"log\(Reaction\)",
    ),
    "length of y": (lambda: MixedModel(SLEEP).fit(data("sleepstudy"), np.zeros(3)), rf.DataError, "180 rows"),
    "two weights": (
        lambda: MixedModel(SLEEP, weights="Days").fit(data("sleepstudy"), sample_weight=np.ones(180)),
        rf.ModelError,
        "two sets of weights",
    ),
    "option of glmm": (lambda: MixedModel(SLEEP, zi="~ 1").fit(data("sleepstudy")), rf.ModelError, "zi= needs family="),
    "option of lmm": (
        lambda: MixedModel(SLEEP, "poisson", correlation="ar1(1 | Subject)").fit(data("sleepstudy")),
        rf.ModelError,
        "without family=",
    ),
    "not fitted": (lambda: MixedModel(SLEEP).predict(data("sleepstudy")), NotFittedError, "not fitted"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refusals(name):
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


def test_it_is_imported_when_asked_for():
    code = (
        "import sys, ranef as rf\n"
        "assert 'sklearn' not in sys.modules\n"
        "rf.sklearn.MixedModel\n"
        "assert 'sklearn' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_scikit_learn_it_says_what_to_install():
    code = "import sys; sys.modules['sklearn.base'] = None\nimport ranef as rf\nrf.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'ranef[sklearn]'" in done.stderr


def test_missing_rows_are_dropped_in_fitting_and_refused_in_predicting():
    sleep = data("sleepstudy").copy()
    sleep.loc[3, "Days"] = np.nan
    model = MixedModel(SLEEP).fit(sleep)
    assert model.fit_.n_dropped == 1
    with pytest.raises(rf.DataError, match="Days"):
        model.predict(sleep)
    assert isinstance(model.predict(pd.DataFrame({"Days": [1.0], "Subject": ["308"]})), np.ndarray)
