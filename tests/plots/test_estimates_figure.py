"""The figure of marginal means and contrasts draws the numbers of their table."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from models import cbpp, owls
from ranef.errors import ModelError


def drawn(axis):
    """Estimates by place, from the top."""
    points = [point for line in axis.get_lines() if line.get_marker() == "o" for point in line.get_xydata()]
    return [x for x, _ in sorted(points, key=lambda point: -point[1])]


def test_contrasts_stand_beside_their_names():
    pairs = cbpp().emmeans("period", kind="response").contrasts()
    axis = pairs.plot().axes[0]
    np.testing.assert_allclose(drawn(axis), pairs.table["odds_ratio"], rtol=1e-12)
    # Ticks go from the bottom to the top as they were set, from the top.
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names == list(pairs.table["contrast"])
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "odds ratio"
    assert any(line.get_linestyle() == ":" and line.get_xdata()[0] == 1.0 for line in axis.get_lines())


def test_means_have_no_line_of_reference():
    means = owls().emmeans("~ FoodTreatment | SexParent")
    own = Figure().subplots()
    assert means.plot(own) is own.figure
    assert not [line for line in own.get_lines() if line.get_linestyle() == ":"]
    assert own.get_yticklabels()[0].get_text() == "Deprived, Female"


def test_too_many_estimates():
    means = owls().emmeans("BroodSize", at={"BroodSize": range(1, 90)})
    with pytest.raises(ModelError, match="up to 80 estimates, and there are 89"):
        means.plot()
