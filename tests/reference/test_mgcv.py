"""Smooths against mgcv: the same bases and penalties, so the same fits.

`gam(method = "REML")` gives fitted values, effective degrees of freedom, standard deviations and predictions; `gamm`
(by nlme) the restricted likelihood. `mgcv/make.R` makes the answers.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf

HERE = Path(__file__).parent
CASES = {path.stem: json.loads(path.read_text()) for path in sorted((HERE / "mgcv").glob("*.json"))}
# t2: mgcv turns the straight functions of a margin by eigenvectors that its penalty leaves arbitrary, ranef does not.
SAME = [name for name in CASES if name != "t2"]

# Two optimisers that stop at gradients of 1e-6 or so; both criteria are flat to second order there.
FITTED = 1e-6
# nlme stops earlier than the others.
LIKELIHOOD = 1e-5


def with_scaled_coordinates(frame, unit):
    """The coordinates in the unit in which mgcv's basis over the plane is ranef's."""
    return frame.assign(u=frame.x / unit, v=frame.z / unit)


@pytest.fixture(scope="module")
def data():
    frame = pd.read_csv(HERE / "data" / "sim_curves.csv.gz")
    unit = max((frame.x - frame.x.mean()).abs().max(), (frame.z - frame.z.mean()).abs().max())
    return with_scaled_coordinates(frame, unit), unit


@pytest.fixture(scope="module")
def fits(data):
    frame, _ = data
    made = {}

    def fit(name):
        if name not in made:
            case = CASES[name]
            if case["family"] == "gaussian":
                made[name] = rf.lmm(case["formula"], frame)
            else:
                made[name] = rf.glmm(case["formula"], frame, family=case["family"])
        return made[name]

    return fit


@pytest.mark.parametrize("name", SAME)
def test_fitted_values_and_degrees_of_freedom(name, fits):
    fit, case = fits(name), CASES[name]
    np.testing.assert_allclose(fit.fitted(), case["fitted"], atol=FITTED)
    np.testing.assert_allclose(fit.smooths()["edf"], list(case["edf"].values()), atol=1e-5)


@pytest.mark.parametrize("name", SAME)
def test_standard_deviations(name, fits):
    fit, case = fits(name), CASES[name]
    # mgcv's smallest variance is not zero; a straight line has one of 1e-10 there and none here.
    np.testing.assert_allclose(fit.smooths()["sd"], case["sd"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fit.sigma**2, case["scale"], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in SAME if "reml_free_of_scale" in CASES[name]])
def test_restricted_likelihood(name, fits):
    fit = fits(name)
    x = fit.design.fixed["cond"].x
    free_of_scale = fit.loglik + np.linalg.slogdet(x.T @ x)[1] / 2
    assert free_of_scale == pytest.approx(CASES[name]["reml_free_of_scale"], abs=LIKELIHOOD)


@pytest.mark.parametrize("name", SAME)
def test_new_rows_and_extrapolation(name, fits, data):
    fit, case = fits(name), CASES[name]
    new = pd.DataFrame({key: values if key in "fg" else np.array(values, float) for key, values in case["new"].items()})
    found = fit.predict(with_scaled_coordinates(new, data[1]), kind="link", ranef=False, se=True)
    np.testing.assert_allclose(found["estimate"], case["new_link"], atol=1e-5)
    # mgcv's standard errors hold the variances at their estimates.
    given = np.array(case["new_se"])
    assert (found["std_error"] > given * (1 - 1e-5)).all()
    assert (found["std_error"] < given * 1.35).all()


def test_tensor_product_is_close(fits):
    # What the bending functions of one margin multiply in the other differs as said above; the surfaces then differ by
    # a tenth of their standard errors.
    fit, case = fits("t2"), CASES["t2"]
    difference = fit.fitted() - np.array(case["fitted"])
    assert np.sqrt((difference**2).mean()) < 0.02
    assert fit.smooths()["edf"][0] == pytest.approx(case["edf"]["t2(x,z)"], abs=0.2)
