"""Ways out of a fit before its end: a time limit, an interrupt, a fault inside the engine."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef import _engine


def spatial(n: int) -> pd.DataFrame:
    """Counts at n places: each evaluation of the likelihood factors a dense matrix of order n."""
    rng = np.random.default_rng(1)
    return pd.DataFrame({"y": rng.poisson(3.0, n), "px": rng.random(n), "py": rng.random(n), "all": np.ones(n, int)})


def crossed(levels: int) -> pd.DataFrame:
    """Counts with two crossed factors, whose rows are many and whose matrix is dense."""
    rng = np.random.default_rng(2)
    n = 8 * levels
    return pd.DataFrame({"y": rng.poisson(3.0, n), "a": rng.integers(0, levels, n), "b": rng.integers(0, levels, n)})


LONG = {
    "few rows": ("y ~ 1 + exp(px + py | all)", lambda: spatial(1400)),
    "many rows": ("y ~ 1 + (1 | a) + (1 | b)", lambda: crossed(2500)),
}


@pytest.mark.parametrize("which", LONG)
def test_a_time_limit_ends_in_a_marked_fit(which):
    formula, data = LONG[which]
    with pytest.warns(rf.ConvergenceWarning, match="time limit"):
        fit = rf.glmm(formula, data(), family="poisson", control=rf.Control(max_seconds=1e-3))
    assert not fit.converged
    assert fit.verdict["status"] == "time_limit"
    assert "max_seconds" in fit.verdict["advice"]
    assert np.isfinite(fit.loglik)
    # Nothing is known of the curvature, and nothing is made up.
    assert np.isnan(fit.tidy()["std_error"]).all()


def test_a_generous_time_limit_changes_nothing():
    data = rf.load_dataset("sleepstudy")
    formula = "Reaction ~ Days + (Days | Subject)"
    limited = rf.lmm(formula, data, control=rf.Control(max_seconds=60))
    assert limited.converged
    assert limited.loglik == rf.lmm(formula, data).loglik


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_time_limit_is_a_positive_number(value):
    with pytest.raises(rf.ModelError, match=r"Control\(max_seconds=.*give a positive number"):
        rf.Control(max_seconds=value)


@pytest.mark.parametrize("which", LONG)
def test_an_interrupt_ends_a_fit_within_a_second(which):
    formula, frame = LONG[which]
    data = frame()
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.7, interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            rf.glmm(formula, data, family="poisson")
        # A second on a machine of its own; this one may be shared with other tests.
        assert time.perf_counter() - sent[0] < 3.0
    finally:
        timer.cancel()
        timer.join()
    again = rf.lmm("Reaction ~ Days + (1 | Subject)", rf.load_dataset("sleepstudy"))
    assert again.converged


def test_a_fault_inside_asks_for_a_report():
    with pytest.raises(rf.EngineFault, match=r"(?s)outside\.rs:\d+: on purpose.*please report") as caught:
        _engine.fault("on purpose")
    assert isinstance(caught.value, RuntimeError)
    # The session goes on.
    assert rf.lmm("Reaction ~ Days + (1 | Subject)", rf.load_dataset("sleepstudy")).converged
