"""The figure of smooths, drawn from a known frame."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf

RNG = np.random.default_rng(5)
DATA = pd.DataFrame({"x": RNG.uniform(0, 10, 80), "z": RNG.normal(size=80), "f": RNG.choice(list("ab"), 80)})
DATA["y"] = np.sin(DATA.x) + RNG.normal(size=80) * 0.3


def test_a_panel_for_each_curve():
    fit = rf.lmm("y ~ f + s(x, by = f)", DATA)
    figure = fit.plot.smooth()
    assert len(figure.axes) == 2
    data = fit.plot.smooth_data("s(x):f[b]")
    line = next(line for line in figure.axes[1].lines if len(line.get_xdata()) == len(data))
    np.testing.assert_allclose(line.get_ydata(), data["estimate"])
    assert "edf" in figure.axes[1].get_title()
    # The rug shows this level's rows only.
    ticks = figure.axes[1].lines[-1].get_xdata()
    assert set(np.round(ticks, 9)) == set(np.round(DATA.x[DATA.f == "b"], 9))


def test_a_surface_is_contours():
    figure = rf.lmm("y ~ s(x, z, k = 12)", DATA).plot.smooth("s(x, z)")
    assert figure.axes[0].get_xlabel() == "x"
    assert figure.axes[0].get_ylabel() == "z"


def test_axes_given_are_drawn_on():
    fit = rf.lmm("y ~ f + s(x, by = f)", DATA)
    other = rf.lmm("y ~ s(x)", DATA).plot.smooth()
    with pytest.raises(rf.ModelError, match="draws 2 panels and was given 1"):
        fit.plot.smooth(ax=other.axes[0])
    assert fit.plot.smooth("s(x):f[a]", ax=other.axes[0]) is other
