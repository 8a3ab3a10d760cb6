"""The caterpillar plot draws what its frame says."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import ranef as rf
from models import penicillin, sleepstudy


def test_a_panel_a_term_with_a_mark_a_level():
    figure = sleepstudy().plot.ranef()
    assert isinstance(figure, Figure)
    assert [axis.get_title() for axis in figure.axes] == ["Subject: Intercept", "Subject: Days"]
    for axis, term in zip(figure.axes, ("Intercept", "Days"), strict=True):
        frame = sleepstudy().plot.ranef_data()
        own = frame[frame["term"] == term].sort_values("rank")
        drawn = np.concatenate([line.get_xdata() for line in axis.get_lines() if line.get_marker() == "o"])
        np.testing.assert_allclose(np.sort(drawn), own["estimate"])
        assert [label.get_text() for label in axis.get_yticklabels()] == own["level"].tolist()


def test_ranks_are_sorted_within_a_panel():
    frame = sleepstudy().plot.ranef_data()
    for _, own in frame.groupby("term"):
        assert own.sort_values("rank")["estimate"].is_monotonic_increasing
        assert sorted(own["rank"]) == list(range(1, 19))


def test_one_group_on_given_axes():
    figure = Figure()
    axis = figure.subplots()
    assert penicillin().plot.ranef(ax=axis, group="sample") is figure
    assert axis.get_title() == "sample: Intercept"
    with pytest.raises(rf.ModelError, match="draws 2 panels and was given 1 axes"):
        penicillin().plot.ranef(ax=Figure().subplots())
    with pytest.raises(rf.ModelError, match="there are: 'plate', 'sample'"):
        penicillin().plot.ranef(group="box")


def test_a_thousand_levels_have_no_labels():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(1000), 3)
    y = rng.normal(size=1000)[groups] + rng.normal(size=3000)
    fit = rf.lmm("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": groups.astype(str)}))
    figure = fit.plot.ranef()
    assert "1000 levels" in figure.axes[0].get_ylabel()
    assert figure.get_size_inches()[1] < 10


def test_a_notebook_gets_a_picture_and_no_window_opens():
    assert sleepstudy().plot.ranef()._repr_png_().startswith(b"\x89PNG")
    code = (
        "import sys, ranef as rf\n"
        "fit = rf.lmm('Reaction ~ Days + (1 | Subject)', rf.load_dataset('sleepstudy'))\n"
        "fit.plot.ranef().savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
