"""What is said when a figure is asked for what there is not."""

import pytest
from matplotlib.figure import Figure

import ranef as rf
from models import data, owls, penicillin, sleepstudy


def districts():
    touching = rf.adjacency(data("scotlip_neighbours"))
    formula = "cases ~ I(agriculture / 10) + offset(log(expected)) + car(1 | district, touching)"
    return rf.glmm(formula, data("scotlip"), family="poisson", matrices={"touching": touching})


def one():
    return Figure().subplots()


CALLS = {
    "ranef_axes": lambda: penicillin().plot.ranef(ax=one()),
    "ranef_group": lambda: penicillin().plot.ranef(group="box"),
    "ranef_of_places": lambda: districts().plot.ranef(),
    "effects_axes": lambda: owls().plot.effects("FoodTreatment", ["SexParent", "BroodSize [4, 5]"], ax=one()),
    "effects_data_and_residuals": lambda: sleepstudy().plot.effects("Days", data=True, residuals=True),
    "effects_lines": lambda: owls().plot.effects("FoodTreatment", lines="nest"),
    "effects_layer": lambda: sleepstudy().plot.effects_data("Days", layer="points"),
    "effects_layer_of_lines": lambda: sleepstudy().plot.effects_data("Days", layer="lines"),
    "residuals_against": lambda: sleepstudy().plot.residuals("Dayz"),
    "residuals_layer": lambda: sleepstudy().plot.residuals_data(layer="line"),
    "residuals_levels_of_a_number": lambda: sleepstudy().plot.residuals_data("Days", layer="levels"),
    "residuals_kind_of_new": lambda: sleepstudy().plot.residuals(kind="deviance", ranef="new"),
    "qq_of": lambda: sleepstudy().plot.qq("random"),
    "qq_of_no_effects": lambda: sleepstudy().update("Reaction ~ Days").plot.qq("ranef"),
    "diagnostics_axes": lambda: sleepstudy().plot.diagnostics(ax=one()),
    "coefficients_of_nothing": lambda: rf.plot_coefficients([3]),
    "coefficients_intercept": lambda: sleepstudy().update("Reaction ~ 1 + (1 | Subject)").plot.coefficients(),
    "density_draws": lambda: sleepstudy().plot.density(draws=data("sleepstudy")),
    "series_of_none": lambda: sleepstudy().plot.series(),
    "map_of_none": lambda: sleepstudy().plot.map(),
    "map_column": lambda: districts().plot.map(column="mean"),
    "map_positions": lambda: districts().plot.map(positions={"Skye-Lochalsh": (0, 0)}),
    "map_position_columns": lambda: districts().plot.map(positions=("agriculture", "longitude")),
    "map_positions_of_one": lambda: districts().plot.map(positions="agriculture"),
}


@pytest.mark.parametrize("name", CALLS)
def test_message(name, snapshot):
    with pytest.raises((rf.ModelError, rf.DataError)) as caught:
        CALLS[name]()
    snapshot(f"figure_{name}", str(caught.value))
