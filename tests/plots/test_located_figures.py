"""Series and maps of random effects draw the conditional modes at their times and places."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import ranef as rf
from models import data, sleepstudy
from ranef.errors import DataError, ModelError
from ranef.inference.located_effects import _drawn_from_neighbours


def walks(levels=3, times=30, seed=4):
    rng = np.random.default_rng(seed)
    t, g = np.tile(np.arange(times) * 1.0, levels), np.repeat([f"s{k:02d}" for k in range(levels)], times)
    y = np.concatenate([np.cumsum(rng.normal(size=times)) for _ in range(levels)]) + 0.4 * rng.normal(size=len(t))
    return pd.DataFrame({"y": y, "t": t, "g": g})


def fields(n=60, seed=5):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.0, 10.0, (2, n)).round(2)
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    z = np.linalg.cholesky(np.exp(-distance / 2.0)) @ rng.normal(size=n) + 0.3 * rng.normal(size=n)
    return pd.DataFrame({"x": x, "y": y, "z": z, "year": rng.choice(["2019", "2020"], n)})


def districts(structure="car"):
    touching = rf.adjacency(data("scotlip_neighbours"))
    formula = f"cases ~ I(agriculture / 10) + offset(log(expected)) + {structure}(1 | district, touching)"
    return rf.glmm(formula, data("scotlip"), family="poisson", matrices={"touching": touching})


def test_a_series_for_each_level():
    fit = rf.lmm("y ~ 1 + ou(t | g)", walks())
    frame, modes = fit.plot.series_data(), fit.ranef()
    assert frame["time"].tolist() == list(np.tile(np.arange(30.0), 3))
    np.testing.assert_allclose(frame["estimate"], modes["estimate"])
    figure = fit.plot.series()
    assert [axis.get_title() for axis in figure.axes] == ["g: s00", "g: s01", "g: s02"]
    assert figure.axes[0].get_xlabel() == "t"
    for axis, (_, own) in zip(figure.axes, frame.groupby("level"), strict=True):
        np.testing.assert_allclose(axis.lines[-1].get_ydata(), own["estimate"])
        band = axis.collections[0].get_paths()[0].vertices[:, 1]
        assert band.max() == pytest.approx(own["conf_high"].max())


def test_occasions_of_a_block_are_a_series_too():
    fit = rf.lmm("y ~ 1 + ar1(0 + factor(t) | g)", walks(6, 8))
    frame = fit.plot.series_data()
    assert frame["time"].tolist() == list(np.tile(np.arange(8.0), 6))
    np.testing.assert_allclose(frame["estimate"], fit.ranef()["estimate"])


def test_a_walk_starts_at_zero():
    fit = rf.lmm("y ~ 1 + rw1(0 + t | 1)", walks(1))
    frame = fit.plot.series_data()
    assert frame.iloc[0][["time", "estimate", "conf_low"]].tolist() == [0.0, 0.0, 0.0]
    assert len(frame) == 30
    assert fit.plot.series().axes[0].get_title() == "effects of occasions"


def test_many_levels_share_an_axis():
    fit = rf.lmm("y ~ 1 + ou(t | g)", walks(20))
    (axis,) = fit.plot.series().axes
    assert axis.get_title() == "g: 20 levels"
    mean = fit.plot.series_data().groupby("time")["estimate"].mean()
    np.testing.assert_allclose(axis.lines[-1].get_ydata(), mean)


def test_a_map_has_the_coordinates_of_the_data():
    frame = fields()
    fit = rf.lmm("z ~ 1 + exp(x + y | 1)", frame)
    shown = fit.plot.map_data()
    assert {tuple(p) for p in shown[["x", "y"]].to_numpy()} == {tuple(p) for p in frame[["x", "y"]].to_numpy()}
    np.testing.assert_allclose(shown["estimate"], fit.ranef()["estimate"])
    axis = fit.plot.map().axes[0]
    points = axis.collections[-1]
    np.testing.assert_allclose(points.get_offsets(), shown[["x", "y"]])
    np.testing.assert_allclose(points.get_array(), shown["estimate"])
    # The same distance from white on either side of zero.
    low, high = points.get_clim()
    assert low == -high
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x", "y")


def test_years_have_a_map_each():
    figure = rf.lmm("z ~ 1 + exp(x + y | year)", fields(90)).plot.map()
    assert [axis.get_title() for axis in figure.axes[:2]] == ["year: 2019", "year: 2020"]


def test_regions_lie_where_they_are_said_to_be():
    fit = districts()
    names = data("scotlip")["district"].tolist()
    places = {name: (k % 8, k // 8) for k, name in enumerate(names)}
    shown = fit.plot.map_data(positions=places).set_index("place")
    assert shown.loc[names[9], ["x", "y"]].tolist() == [1.0, 1.0]
    by_column = fit.plot.map_data(positions=("agriculture", "population")).set_index("place")
    own = data("scotlip").set_index("district")
    assert by_column.loc[names[3], "x"] == own.loc[names[3], "agriculture"]
    with pytest.raises(DataError, match="no position for"):
        fit.plot.map(positions={"Skye-Lochalsh": (0, 0)})
    with pytest.raises(DataError, match="is no column of the data"):
        fit.plot.map(positions=("agriculture", "longitude"))


def test_regions_without_positions_lie_near_their_neighbours():
    shown = districts().plot.map_data().set_index("place")
    xy = shown[["x", "y"]]
    pairs = data("scotlip_neighbours")
    near = [np.linalg.norm(xy.loc[a] - xy.loc[b]) for a, b in zip(pairs["district"], pairs["neighbour"], strict=True)]
    every = np.linalg.norm(xy.to_numpy()[:, None] - xy.to_numpy(), axis=-1)
    assert np.mean(near) < 0.4 * every[np.triu_indices(56, 1)].mean()


def test_what_has_no_times_or_places_is_refused():
    with pytest.raises(ModelError, match=r"plot.series\(\): no random effects of this fit"):
        sleepstudy().plot.series()
    with pytest.raises(ModelError, match=r"plot.map\(\): no random effects of this fit"):
        sleepstudy().plot.map()
    with pytest.raises(ModelError, match=r"plot.series\(\) and plot.map\(\) draw them"):
        districts().plot.ranef()
    with pytest.raises(ModelError, match="column='mean'"):
        districts().plot.map(column="mean")


def test_caterpillars_leave_times_out():
    frame = walks(10).assign(h=lambda d: d["g"].str[-1])
    figure = rf.lmm("y ~ 1 + ou(t | g) + (1 | h)", frame).plot.ranef()
    assert [axis.get_title() for axis in figure.axes] == ["h: Intercept"]


def test_regions_on_a_line_are_drawn_on_a_line():
    # The steps between them are distances in the plane, which classical scaling gives back.
    line = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    found = _drawn_from_neighbours(sparse.csr_array(np.diag(line.sum(axis=1)) - line))
    assert np.abs(np.diff(found[:, 0])) == pytest.approx(np.ones(4), abs=1e-7)
    assert found.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-7)
    assert np.abs(found[:, 1]).max() < 1e-7
    square = np.roll(np.eye(4), 1, axis=0) + np.roll(np.eye(4), -1, axis=0)
    found = _drawn_from_neighbours(sparse.csr_array(2 * np.eye(4) - square))
    assert np.linalg.norm(found[0] - found[1]) < np.linalg.norm(found[0] - found[2])
    assert found.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-12)
