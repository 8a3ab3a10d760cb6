"""The profile plot: a panel per parameter, its data as a frame, and a refusal when the axes do not fit."""

import pytest
from matplotlib.figure import Figure

from models import cbpp, sleepstudy
from ranef.errors import ModelError


def test_a_panel_for_every_parameter():
    figure = cbpp().plot.profile()
    assert len(figure.axes) == 5
    assert figure.axes[-1].get_title() == "sd__Intercept, herd"


def test_it_draws_on_axes_that_are_given():
    axis = Figure().subplots()
    assert sleepstudy().profile("Days").plot(axis) is axis.figure
    with pytest.raises(ModelError, match="draws 6 panels and was given 1 axes"):
        sleepstudy().plot.profile(axis)


def test_its_data_are_those_of_the_profile():
    assert cbpp().plot.profile_data("period[T.2]").equals(cbpp().profile("period[T.2]").data)
