"""The figure of effects draws the numbers of its frame: colours for the second variable, panels for the third."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure

import ranef as rf
from models import data, owls
from ranef.errors import ModelError


def by_time():
    formula = "SiblingNegotiation ~ FoodTreatment * SexParent + ArrivalTime + (1 | Nest)"
    return rf.glmm(formula, data("owls"), family="poisson")


def test_points_of_factors_are_the_estimates():
    fit = owls()
    figure = fit.plot.effects("FoodTreatment", by="SexParent")
    table = fit.plot.effects_data("FoodTreatment", by="SexParent")
    axis = figure.axes[0]
    drawn = [line.get_ydata() for line in axis.get_lines()]
    for sex, values in zip(("Female", "Male"), drawn, strict=True):
        np.testing.assert_allclose(values, table[table["SexParent"] == sex]["estimate"], rtol=1e-12)
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["Deprived", "Satiated"]
    assert axis.get_xlabel() == "FoodTreatment"
    assert axis.get_ylabel() == "SiblingNegotiation"
    colours = {line.get_color() for line in axis.get_lines()}
    assert len(colours) == 2
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "SexParent"


def test_lines_have_bands_and_panels():
    fit = by_time()
    effects = fit.effects("ArrivalTime [22, 24, 26, 28]", ["FoodTreatment", "SexParent"])
    figure = effects.plot()
    assert [axis.get_title() for axis in figure.axes] == ["SexParent = Female", "SexParent = Male"]
    table = effects.table
    first = table[(table["FoodTreatment"] == "Deprived") & (table["SexParent"] == "Female")]
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [22, 24, 26, 28])
    np.testing.assert_allclose(line.get_ydata(), first["estimate"], rtol=1e-12)
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(first["conf_low"].min(), rel=1e-12)
    assert band.max() == pytest.approx(first["conf_high"].max(), rel=1e-12)
    figure.savefig(io.BytesIO(), format="png")


def test_data_and_axes_of_the_callers_own():
    fit = owls()
    own = Figure().subplots()
    assert fit.plot.effects("FoodTreatment", ax=own, data=True) is own.figure
    assert max(len(line.get_xdata()) for line in own.get_lines()) == fit.nobs
    with pytest.raises(ModelError, match="draws 2 panels and was given 1 axes"):
        by_time().plot.effects("ArrivalTime", ["FoodTreatment", "SexParent"], ax=own)
    with pytest.raises(ModelError, match="draws responses"):
        fit.plot.effects("FoodTreatment", data=True, kind="zprob")


def test_categories_have_colours():
    fit = rf.glmm("rating ~ temp + contact + (1 | judge)", data("wine"), family="cumulative")
    figure = fit.effects("temp", "contact", kind="probability").plot()
    assert len(figure.axes) == 2
    assert len(figure.axes[0].get_lines()) == 5
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list("12345")
