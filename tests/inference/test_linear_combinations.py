"""Linear combinations of fixed effects: the joint test is the quadratic form, and knows which rows depend on others."""

import numpy as np
import pytest

import ranef as rf
from ranef.inference.contrasts import denominator


@pytest.fixture(scope="module")
def fit():
    return rf.lmm("strength ~ cask + (1 | batch)", rf.load_dataset("pastes"))


def test_joint_test_is_the_quadratic_form(fit):
    tests = denominator(fit, ddf="asymptotic")
    rows = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    beta, vcov = rows @ list(fit.fixef().values()), rows @ fit.vcov() @ rows.T
    found = tests.joint_test(rows)
    assert found.df == 2
    assert np.isinf(found.ddf)
    assert found.statistic == pytest.approx(beta @ np.linalg.solve(vcov, beta), rel=1e-10)
    # Rows that depend on the others add nothing, in any units.
    assert tests.joint_test(np.vstack([1e3 * rows, rows.sum(axis=0)])).statistic == pytest.approx(
        found.statistic, rel=1e-8
    )


def test_residual_degrees_of_freedom_make_an_f_test(fit):
    one = np.array([[0.0, 1.0, 0.0]])
    found = denominator(fit, ddf="residual").joint_test(one)
    table = fit.tidy(ddf="residual")
    assert found.ddf == fit.nobs - 3
    assert found.statistic == pytest.approx(table["statistic"][1] ** 2, rel=1e-12)
    assert found.p_value == pytest.approx(table["p_value"][1], rel=1e-10)
