"""The page of a check draws what it says: known points, known panels, at any size."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import models
from ranef.plots.canvas import new_axes
from ranef.plots.qq import draw_qq, qq_columns
from ranef.plots.responses import binned, rootogram


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_the_page_has_a_panel_for_everything_looked_at():
    figure = models.sleepstudy().check().plot()
    assert isinstance(figure, Figure)
    assert [title.split(":")[0] for title in titles(figure)] == [
        "residuals",
        "residuals along fitted values",
        "responses and draws of the model",
        "Subject",
        "Subject",
        "influence",
    ]


def test_titles_carry_the_verdicts():
    formula = "SiblingNegotiation ~ FoodTreatment + offset(log(BroodSize)) + (1 | Nest)"
    found = models.owls().update(formula, family="poisson", zi=None).check()
    assert any(title == "responses and draws of the model: problem" for title in titles(found.plot()))


def test_a_model_without_random_effects_has_its_page_too():
    assert len(models.sleepstudy().update("Reaction ~ Days").check().plot().axes) == 3


def test_points_of_a_qq_plot_are_sorted_values_against_normal_quantiles():
    _, (axis,) = new_axes(1, 1, 3.0, 3.0)
    draw_qq(axis, qq_columns(np.array([2.0, -1.0, 0.5])), "")
    points = axis.lines[-1].get_xydata()
    assert points[:, 1].tolist() == [-1.0, 0.5, 2.0]
    # Normal quantiles of 1/6, 1/2 and 5/6, from tables.
    assert points[:, 0] == pytest.approx([-0.9674216, 0.0, 0.9674216], abs=1e-6)


def test_bars_of_a_rootogram_hang_from_the_expected_frequencies():
    _, (axis,) = new_axes(1, 1, 3.0, 3.0)
    observed = np.array([0.0] * 9 + [1.0] * 16)
    draws = np.tile(np.array([[0.0]] * 16 + [[1.0]] * 9), (1, 3))
    rootogram(axis, binned(observed, draws, True))
    bars = axis.patches[:2]
    assert [bar.get_height() for bar in bars] == pytest.approx([3.0, 4.0])
    assert [bar.get_y() for bar in bars] == pytest.approx([4.0 - 3.0, 3.0 - 4.0])


def test_many_points_are_thinned():
    _, (axis,) = new_axes(1, 1, 3.0, 3.0)
    draw_qq(axis, qq_columns(np.random.default_rng(1).normal(size=100_000)), "")
    points = axis.lines[-1].get_xydata()
    assert len(points) < 2_000
    # The tails are all there.
    assert points[0, 0] == pytest.approx(-4.42, abs=0.01)
