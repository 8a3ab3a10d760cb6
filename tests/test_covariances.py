"""Covariance structures read from the engine's catalogue."""

import ranef as rf
from ranef.covariances import catalogue


def test_list_covariances_has_a_row_a_structure():
    frame = rf.list_covariances(backend="polars")
    assert frame["name"].to_list() == list(catalogue())
    assert {"us", "diag"} <= set(frame["name"])
