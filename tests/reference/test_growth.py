"""Covariance structures against nlme's generalised least squares, which fits the same models of the children's growth.

`growth/growth.json` holds R's calls and answers. nlme stops at a relative change of its likelihood near 1e-10, which
leaves parameters right to about 1e-5; the residual of `dispersion="~ 0"` has a variance of 1.5e-8 of its own.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ranef as rf
from reference_cases import r_name

STORED = json.loads((Path(__file__).parent / "growth" / "growth.json").read_text())
LOGLIK = 1e-5
ESTIMATE = 2e-4


@cache
def fitted(structure: str, reml: bool) -> rf.Fit:
    growth = rf.load_dataset(STORED["data"])
    growth["visit"] = growth["age"].astype(int).astype(str).str.zfill(2).astype("category")
    formula = f"distance ~ age * Sex + {structure}(0 + visit | Subject)"
    return rf.glmm(formula, growth, family="gaussian", dispersion="~ 0", reml=reml)


@pytest.mark.parametrize("case", STORED["models"], ids=lambda case: f"{case['structure']}-{case['reml']}")
def test_the_fit_is_that_of_generalised_least_squares(case):
    fit = fitted(case["structure"], case["reml"])
    assert fit.converged
    assert fit.loglik == pytest.approx(case["logLik"], abs=LOGLIK)
    found = {r_name(name): value for name, value in fit.fixef().items()}
    for name, value in case["fixef"].items():
        assert found[r_name(name)] == pytest.approx(value, rel=ESTIMATE, abs=ESTIMATE)
    table = fit.varcorr()
    np.testing.assert_allclose(table[table["var2"].isna()]["sdcor"], case["sd"], rtol=ESTIMATE)
    if case["rho"] is not None:
        assert fit.tidy("random")["estimate"].iloc[-1] == pytest.approx(case["rho"], abs=ESTIMATE)
