"""Correlated and heteroscedastic residuals: simulate, fit, recover."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf

GROUPS, ROWS = 150, 8


def drawn(correlation: np.ndarray, seed: int, sd: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    t = np.tile(np.arange(1, ROWS + 1), GROUPS)
    frame = pd.DataFrame({"g": np.repeat(np.arange(GROUPS), ROWS), "t": t, "x": rng.normal(size=GROUPS * ROWS)})
    frame["kind"] = np.where(frame["g"] % 2 == 0, "a", "b")
    e = rng.normal(size=(GROUPS, ROWS)) @ np.linalg.cholesky(correlation).T
    scale = np.where(frame["kind"] == "b", 1.5, 1.0) * sd[frame["t"] - 1]
    frame["y"] = 2.0 + 0.5 * frame["x"] + 0.8 * np.repeat(rng.normal(size=GROUPS), ROWS) + scale * e.ravel()
    return frame


LAG = np.abs(np.subtract.outer(np.arange(ROWS), np.arange(ROWS)))
ARMA = np.where(LAG == 0, 1.0, 0.8 ** (LAG - 1.0) * (1 + 0.8 * -0.3) * (0.8 - 0.3) / (1 + 2 * 0.8 * -0.3 + 0.09))
STRUCTURES = {
    "ar1(t | g)": (0.6**LAG, {"phi__ar1": 0.6}),
    "arma(t | g, p=1, q=1)": (ARMA, {"phi__arma": 0.8, "theta__arma": -0.3}),
    "car1(t | g)": (0.5**LAG, {"phi__car1": 0.5}),
    "gau(t | g, nugget=True)": (
        np.where(LAG == 0, 1.0, 0.7 * np.exp(-((LAG / 1.5) ** 2))),
        {"range__gau": 1.5, "nugget__gau": 0.3},
    ),
}


@pytest.mark.parametrize("text", STRUCTURES)
def test_estimates_are_near_the_truth(text):
    correlation, truth = STRUCTURES[text]
    sd = np.arange(1, ROWS + 1) ** 0.3
    frame = drawn(correlation, 5, sd)
    fit = rf.lmm("y ~ x + (1 | g)", frame, correlation=text, dispersion="~ kind + power(t)")
    assert fit.converged
    table = fit.tidy("random").set_index("term")
    expected = truth | {"sd__Intercept": 0.8, "power__t": 0.3, "sd__Observation": 1.0}
    for term, value in expected.items():
        estimate, error = table.loc[term, ["estimate", "std_error"]]
        # Up to six parameters of four models: a normal one is beyond 3.5 once in two thousand.
        assert abs(estimate - value) < 3.5 * error, f"{term}: {estimate} +- {error}, drawn with {value}"
        assert error < 0.5 * abs(value) + 0.1
    assert fit.fixef("disp")["kind[T.b]"] == pytest.approx(np.log(1.5), abs=3.5 * np.sqrt(fit.vcov("disp")[1, 1]))
