"""What is said when residuals are asked for what there is not."""

import numpy as np
import pytest

import ranef as rf
from models import data, owls, sleepstudy

RNG = np.random.default_rng(1)
Y, S = RNG.normal(size=20), RNG.normal(size=(20, 10))


def residuals():
    return owls().simulate_residuals(n=20, seed=1)


def given(**arguments):
    return rf.scaled_residuals(**{"observed": Y, "simulated": S, "seed": 1} | arguments)


CALLS = {
    "n": lambda: owls().simulate_residuals(n=1),
    "memory": lambda: owls().simulate_residuals(n=10_000_000),
    "seed": lambda: owls().simulate_residuals(n=20, seed=-1),
    "ranef": lambda: owls().simulate_residuals(n=20, ranef="Nests"),
    "method": lambda: owls().simulate_residuals(n=20, method="PIT"),
    "group_by": lambda: owls().simulate_residuals(n=20, group_by="Nests"),
    "rotation": lambda: owls().simulate_residuals(n=20, rotation="estimate"),
    "rotation_few": lambda: owls().simulate_residuals(n=20, rotation="estimated"),
    "rotation_shape": lambda: given(rotation=np.eye(3)),
    "rotation_definite": lambda: given(rotation=np.zeros((20, 20))),
    "alternative": lambda: residuals().test_uniformity("larger"),
    "dispersion_kind": lambda: residuals().test_dispersion(kind="pearsons"),
    "dispersion_pearson_side": lambda: residuals().test_dispersion("less", kind="pearson"),
    "dispersion_pearson_fit": lambda: given().test_dispersion(kind="pearson"),
    "dispersion_refit": lambda: residuals().test_dispersion(kind="refit"),
    "dispersion_constant": lambda: given(simulated=np.zeros((20, 10)), fitted=np.zeros(20)).test_dispersion(),
    "outliers_kind": lambda: residuals().test_outliers("exact"),
    "outliers_margin": lambda: residuals().test_outliers(margin="left"),
    "outliers_rotated": lambda: given(rotation=np.eye(20)).test_outliers("bootstrap"),
    "statistic": lambda: residuals().test_generic("mean"),
    "statistic_value": lambda: residuals().test_generic(lambda y: y[:2]),
    "quantiles": lambda: residuals().test_quantiles(quantiles=[25, 50]),
    "predictor": lambda: residuals().test_quantiles("BroodSizes"),
    "predictor_factor": lambda: residuals().test_quantiles("FoodTreatment"),
    "predictor_constant": lambda: residuals().test_quantiles(np.ones(599)),
    "predictor_length": lambda: residuals().test_quantiles([1, 2, 3]),
    "predictor_no_data": lambda: given().test_quantiles("x"),
    "predictor_number": lambda: residuals().test_quantiles(3),
    "predictor_missing": lambda: given().test_quantiles([np.nan, *range(19)]),
    "time": lambda: residuals().test_temporal("Nest"),
    "time_few": lambda: given().test_temporal([1, 2] * 10),
    "space": lambda: residuals().test_spatial("BroodSize"),
    "space_both": lambda: given().test_spatial(Y, Y, distances=np.eye(20)),
    "space_shape": lambda: given().test_spatial(distances=np.eye(3)),
    "space_zero": lambda: given().test_spatial(distances=np.zeros((20, 20))),
    "groups_one": lambda: given().test_groups(["a"] * 20),
    "aggregate_by": lambda: residuals().aggregated("Nest", by="total"),
    "aggregate_function": lambda: residuals().aggregated("Nest", by=lambda values: values.ravel()),
    "aggregate_differs": lambda: residuals().aggregated("Nest").test_groups("FoodTreatment"),
    "plot_axes": lambda: residuals().plot(object()),
    "observed": lambda: given(observed=["a"] * 20),
    "observed_shape": lambda: given(observed=S),
    "simulated_turned": lambda: given(simulated=S.T),
    "simulated_one": lambda: given(simulated=S[:, :1]),
    "simulated_missing": lambda: given(simulated=np.where(S > 1, np.nan, S)),
    "fitted_length": lambda: given(fitted=[1.0]),
    "data_length": lambda: given(data=data("sleepstudy")),
    "quantile_function": lambda: residuals().residuals(np.mean),
    "refit_pearson_aggregated": lambda: residuals().aggregated("Nest").test_dispersion(kind="pearson"),
}


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name, snapshot):
    with pytest.raises((rf.ModelError, rf.DataError)) as caught:
        CALLS[name]()
    snapshot(f"simulated_residual_{name}", f"{type(caught.value).__name__}: {caught.value}")


def test_the_tests_as_printed(snapshot):
    snapshot("simulated_residual_tests", repr(sleepstudy().simulate_residuals(n=250, seed=1)))
