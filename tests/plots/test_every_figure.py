"""What every figure keeps: it takes axes, has its frame, cuts nothing off, and draws no point for each of many rows."""

import inspect

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import models
import ranef as rf
from figures import cut_off, largest_line
from ranef.plots.canvas import LONGEST, PALETTE, shortened
from ranef.session.plots import Plots
from test_pictures import FIGURES, long_names, many_rows

NAMES = [name for name in dir(Plots) if not name.startswith("_") and not name.endswith("_data")]


@pytest.mark.parametrize("name", NAMES)
def test_figures_take_axes_and_have_a_frame(name):
    drawn = inspect.signature(getattr(Plots, name)).parameters
    assert "ax" in drawn
    assert drawn["ax"].default is None
    assert callable(getattr(Plots, f"{name}_data"))


@pytest.mark.parametrize("backend", ["polars", "pyarrow"])
def test_frames_are_of_the_kind_of_the_data(backend):
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy", backend=backend))
    for frame in (
        fit.plot.residuals_data(),
        fit.plot.residuals_data(layer="trend"),
        fit.plot.residuals_data("Subject", layer="levels"),
        fit.plot.qq_data("ranef"),
        fit.plot.responses_data(),
        fit.plot.coefficients_data(),
        fit.plot.diagnostics_data(),
        fit.plot.effects_data("Days", layer="lines", lines="Subject"),
        fit.plot.effects_data("Days", layer="residuals"),
        fit.simulate_residuals(n=20, seed=1).plot_data(),
    ):
        assert type(frame).__module__.startswith(backend)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off(name):
    assert cut_off(FIGURES[name]()) == []


def hard(levels, rows=12, words="the northern part of the upper valley, plot number"):
    rng = np.random.default_rng(6)
    g = np.repeat(np.arange(levels), rows)
    x = rng.normal(size=len(g))
    y = 1000.0 + 50.0 * x + rng.normal(size=levels)[g] * 30.0 + rng.normal(size=len(g)) * 20.0
    frame = pd.DataFrame({"a_response_with_a_long_name": y, "x": x, "place": [f"{words} {k:03d}" for k in g]})
    return rf.lmm("a_response_with_a_long_name ~ x + (x | place)", frame)


@pytest.mark.parametrize("levels", [2, 40, 200])
def test_nothing_is_cut_off_of_long_names_and_many_levels(levels):
    fit = hard(levels)
    for draw in (
        lambda: fit.plot.ranef(),
        lambda: fit.plot.residuals("place"),
        lambda: fit.plot.effects("place"),
        lambda: fit.plot.effects("x", "place"),
        lambda: fit.plot.effects("x", lines="place", data=True),
        lambda: fit.plot.diagnostics(),
        lambda: fit.influence("place", method="one-step").plot(),
        lambda: fit.simulate_residuals(n=50, seed=1).plot_against("place"),
    ):
        figure = draw()
        assert cut_off(figure) == []
        # No page is larger than a poster.
        assert max(figure.get_size_inches()) < 16.0


def test_many_rows_are_binned():
    fit = many_rows()
    simulated = fit.simulate_residuals(n=20, seed=1)
    for draw in (
        lambda: fit.plot.residuals(),
        lambda: fit.plot.residuals("x"),
        lambda: fit.plot.residuals("f"),
        lambda: fit.plot.residuals("g"),
        lambda: fit.plot.qq(),
        lambda: fit.plot.diagnostics(),
        lambda: fit.plot.effects("x", data=True),
        lambda: fit.plot.effects("x", "f", data=True),
        lambda: fit.plot.effects("f", data=True),
        lambda: fit.plot.effects("x", residuals=True),
        lambda: fit.check().plot(),
        lambda: simulated.plot_against("x"),
        lambda: simulated.plot_against("f"),
        lambda: simulated.plot_against("g"),
        lambda: simulated.hist(),
    ):
        # 20,000 rows; hexagons, bars and quantiles are a few thousand at the most.
        assert largest_line(draw()) <= 3_000


def test_many_influential_rows_are_thinned():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"y": rng.normal(size=20_000), "x": rng.normal(size=20_000), "g": np.arange(20_000) % 50})
    figure = rf.lmm("y ~ x + (1 | g)", frame).influence(method="one-step").plot()
    assert largest_line(figure) < 7_000


def test_long_names_keep_both_ends():
    (name,) = shortened(["a herd in the far north, number 14, of old"])
    assert len(name) == LONGEST
    assert name.startswith("a herd in")
    assert name.endswith("14, of old")
    assert shortened(["short"]) == ["short"]
    assert len(set(shortened(long_names().ranef()["level"]))) == 15


def test_colours_are_told_apart_without_red_and_green_receptors():
    """Machado, Oliveira & Fernandes (2009), IEEE TVCG 15, 1291-1298: deuteranopia and protanopia at full severity."""
    deuteranopia = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    protanopia = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in PALETTE[:6]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for matrix in (deuteranopia, protanopia):
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        xyz = seen @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
        f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
        lab = np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])
        distance = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1e3 * np.eye(len(lab))
        # A difference of 10 in CIELAB is seen at a glance.
        assert distance.min() > 10.0


def test_a_figure_with_axes_of_the_caller_leaves_the_others_alone():
    own = Figure()
    left, right = own.subplots(1, 2)
    right.plot([0, 1], [0, 1])
    models.sleepstudy().plot.effects("Days", ax=left)
    models.sleepstudy().plot.residuals(ax=left)
    assert len(right.lines) == 1
    assert own.axes == [left, right]
