"""The one-row frame of plain values."""

import math

from models import owls, sleepstudy


def test_glance_is_the_plain_values():
    row = owls().glance()
    assert len(row) == 1
    for name in ("family", "nobs", "npar", "loglik", "aic", "bic", "sigma", "converged"):
        assert row[name][0] == getattr(owls(), name)


def test_what_is_not_defined_is_nan():
    row = sleepstudy().glance()
    assert math.isnan(row["deviance"][0])
    assert row["reml_criterion"][0] == sleepstudy().reml_criterion
