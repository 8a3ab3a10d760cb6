"""The fit that marginaleffects gets: the base class it asks for, predictions at any coefficients, their covariance.

The package itself is no dependency; where it is installed (with the polars it needs) its own answers are tested too.
"""

import sys
import types
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

import ranef as rf
from models import cbpp, data, owls, sleepstudy
from ranef.interchange.predictor import predictor_of


@pytest.fixture
def stand_in(monkeypatch):
    """The two classes of marginaleffects that an adapter needs."""

    class ModelAbstract:
        def __init__(self, model, vault):
            self.model, self.vault = model, vault

    @dataclass
    class ModelVault:
        coef: object
        coefnames: object
        vcov: object
        package: str
        formula: object
        modeldata: object
        variable_names: list

    classes = types.ModuleType("marginaleffects.classes")
    classes.ModelAbstract, classes.ModelVault = ModelAbstract, ModelVault
    monkeypatch.setitem(sys.modules, "marginaleffects", types.ModuleType("marginaleffects"))
    monkeypatch.setitem(sys.modules, "marginaleffects.classes", classes)
    return classes


def standard_errors(adapter, newdata):
    """By the delta method, with differences as the package takes them."""
    at, steps = adapter.vault.coef, 1e-6 * np.maximum(np.abs(adapter.vault.coef), 1.0)

    def predicted(moved):
        return adapter.get_predict(moved, newdata)["estimate"].to_numpy()

    columns = [
        (predicted(at + h * e) - predicted(at - h * e)) / (2 * h) for h, e in zip(steps, np.eye(len(at)), strict=True)
    ]
    jacobian = np.column_stack(columns)
    return np.sqrt(np.einsum("ij,jk,ik->i", jacobian, adapter.get_vcov(), jacobian))


@pytest.mark.parametrize("kind", ["response", "link", "conditional", "zprob", "zlink"])
def test_predictions_and_their_standard_errors_are_those_of_predict(stand_in, kind):
    fit = owls()
    adapter = fit.to_marginaleffects(kind)
    assert isinstance(adapter, stand_in.ModelAbstract)
    new = adapter.vault.modeldata.head(12)
    expected = fit.predict(new.to_pandas(), kind, ranef=False, se=True)
    found = adapter.get_predict(adapter.vault.coef, adapter.get_exog(new))
    assert found.schema["rowid"] == pl.Int32
    np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=1e-12)
    # Central differences with steps of a millionth.
    np.testing.assert_allclose(standard_errors(adapter, new), expected["std_error"], rtol=1e-5)


def test_the_coefficients_of_all_components_are_named(stand_in):
    vault = owls().to_marginaleffects().vault
    assert list(vault.coefnames[:2]) == ["Intercept", "FoodTreatment[T.Satiated]"]
    assert list(vault.coefnames[-2:]) == ["disp: Intercept", "zi: Intercept"]
    assert vault.vcov.shape == (len(vault.coef), len(vault.coef))
    linear = sleepstudy().to_marginaleffects()
    assert list(linear.vault.coefnames) == ["Intercept", "Days"]
    np.testing.assert_allclose(linear.get_vcov(), sleepstudy().vcov())
    assert linear.get_vcov(False) is None
    np.testing.assert_array_equal(linear.get_vcov(np.eye(2)), np.eye(2))
    assert linear.get_df() == np.inf


def test_text_becomes_factors_with_the_levels_of_the_data(stand_in):
    vault = cbpp().to_marginaleffects().vault
    assert vault.modeldata.schema["period"] == pl.Enum([str(level) for level in data("cbpp")["period"].cat.categories])
    assert "herd" in vault.variable_names
    assert set(vault.variable_names) <= set(vault.modeldata.columns)
    assert vault.formula(vault.modeldata) == (None, vault.modeldata)


def test_random_effects_are_kept_where_asked(stand_in):
    fit = sleepstudy()
    adapter = fit.to_marginaleffects(ranef=True)
    found = adapter.get_predict(adapter.vault.coef, adapter.vault.modeldata)["estimate"]
    np.testing.assert_allclose(found, fit.predict(), rtol=1e-13)


@pytest.mark.parametrize("family", ["truncated_nbinom2", "poisson"])
def test_any_family_s_mean_follows_the_coefficients(family):
    owls = data("owls")
    frame = owls[owls["SiblingNegotiation"] > 0]
    fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", frame, family=family)
    predictor = predictor_of(fit, "response", False)
    moved = predictor.estimates + 0.1
    with_other = rf.glmm(
        "SiblingNegotiation ~ FoodTreatment + (1 | Nest)",
        frame,
        family=family,
        fixed=dict(zip(["Intercept", "FoodTreatment[T.Satiated]"], moved[:2], strict=True)),
    )
    if family == "poisson":
        np.testing.assert_allclose(
            predictor.predict(moved, frame.head(3)), with_other.predict(frame.head(3), ranef=False)
        )
    expected = fit.predict(frame.head(3), ranef=False)
    np.testing.assert_allclose(predictor.predict(predictor.estimates, frame.head(3)), expected, rtol=1e-12)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "marginaleffects", None)
    monkeypatch.setitem(sys.modules, "marginaleffects.classes", None)
    with pytest.raises(ImportError, match="pip install marginaleffects"):
        sleepstudy().to_marginaleffects()


def test_kinds_that_are_no_number_of_a_row(stand_in):
    with pytest.raises(rf.ModelError, match="kind='dispersion'"):
        owls().to_marginaleffects("dispersion")
    with pytest.raises(rf.ModelError, match="kind='mean'"):
        owls().to_marginaleffects("mean")


def test_with_the_package_itself():
    package = pytest.importorskip("marginaleffects", reason="marginaleffects is not installed", exc_type=ImportError)
    fit = owls()
    found = package.avg_predictions(fit.to_marginaleffects(), by="FoodTreatment")
    expected = fit.predictions(by="FoodTreatment") if hasattr(fit, "predictions") else None
    assert len(found) == 2
    if expected is not None:
        np.testing.assert_allclose(found["estimate"], expected.table["estimate"], rtol=1e-6)
