"""What bootstrap, intervals and profile say when they are asked for what there is not."""

import sys

import pytest

import ranef as rf
from models import data, penicillin, sleepstudy
from ranef.errors import ModelError

CALLS = {
    "confint_method": lambda fit: fit.confint("likelihood"),
    "confint_parm": lambda fit: fit.confint(parm="Dayz"),
    "confint_level": lambda fit: fit.confint(level=95),
    "confint_kind": lambda fit: fit.confint("bootstrap", kind="bca", n=2),
    "bootstrap_n": lambda fit: fit.bootstrap(0),
    "bootstrap_statistic": lambda fit: fit.bootstrap(10, "aic"),
    "bootstrap_kind": lambda fit: fit.bootstrap(10, kind="residual"),
    "bootstrap_group": lambda fit: fit.bootstrap(10, kind="cases", group="subject"),
    "bootstrap_group_parametric": lambda fit: fit.bootstrap(10, group="Subject"),
    "bootstrap_crossed": lambda fit: penicillin().bootstrap(10, kind="cases"),
    "bootstrap_tied": lambda fit: tied().bootstrap(10, kind="cases"),
    "bootstrap_backend": lambda fit: fit.bootstrap(10, backend=4),
}


def tied():
    return rf.lmm("Reaction ~ Days + ou(Days | Subject)", data("sleepstudy"))


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments(name, snapshot):
    with pytest.raises(ModelError) as caught:
        CALLS[name](sleepstudy())
    snapshot(name, f"ModelError: {caught.value}")


def test_a_missing_package(snapshot, monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ModelError) as caught:
        sleepstudy().bootstrap(10, backend="joblib")
    snapshot("bootstrap_without_joblib", f"ModelError: {caught.value}")
