"""A check of many rows: the same answers by less work, and in seconds."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef.checks import draws, subject
from worlds import Sites, linear, poisson, row


def test_few_draws_of_many_rows_say_what_many_draws_of_few_rows_do(monkeypatch):
    fit = poisson(Sites(sites=50, rows=40).counts())
    many = {name: row(fit.check(), name) for name in ("dispersion", "zeros")}
    monkeypatch.setattr(draws, "NUMBERS", 4 * fit.nobs)
    few = {name: row(fit.check(), name) for name in ("dispersion", "zeros")}
    assert few["dispersion"]["statistic"] == many["dispersion"]["statistic"]
    # The mean of four draws has half the standard deviation of one: p-values move, by a normal deviate of less than 1.
    assert few["zeros"]["statistic"] == pytest.approx(many["zeros"]["statistic"], rel=0.05)
    for name, found in few.items():
        assert found["verdict"] == many[name]["verdict"] == "ok"
        assert found["p_value"] > 0.01


def test_few_draws_find_what_is_wrong(monkeypatch):
    sites = Sites(sites=50, rows=40)
    mean = np.exp(sites.log_mean)
    data = sites.data.assign(y=sites.rng.negative_binomial(1.0, 1.0 / (1.0 + mean)))
    monkeypatch.setattr(draws, "NUMBERS", 2 * len(data))
    found = poisson(data).check()
    assert row(found, "dispersion")["verdict"] == row(found, "zeros")["verdict"] == "problem"


def test_leverages_that_cannot_matter_are_left_out(monkeypatch):
    sites = Sites(sites=10, rows=600)
    fit = linear(sites.normal())
    with_them = fit.check().table
    monkeypatch.setattr(subject, "MANY_ROWS", 5000)
    without = fit.check().table
    assert without["verdict"].tolist() == with_them["verdict"].tolist()
    np.testing.assert_allclose(without["statistic"], with_them["statistic"], rtol=0.01, atol=0.002)


def test_a_check_of_a_linear_mixed_model_imports_no_statistics_package():
    code = (
        "import sys, ranef as rf; rf.lmm('Reaction ~ Days + (1 | Subject)', rf.load_dataset('sleepstudy')).check();"
        "print([name for name in sys.modules if name == 'scipy.stats'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.slow
def test_a_million_rows_take_seconds():
    rng = np.random.default_rng(1)
    n = 1_000_000
    g, h, x = rng.integers(0, n // 100, n), rng.integers(0, 1000, n), rng.normal(size=n)
    y = 0.5 * x + rng.normal(size=n // 100)[g] + rng.normal(size=1000)[h] + rng.normal(size=n)
    fit = rf.lmm("y ~ x + (1 | g) + (1 | h)", pd.DataFrame({"y": y, "x": x, "g": g, "h": h}))
    start = time.process_time()
    assert fit.check().verdict == "ok"
    # Processor time: 2.4 seconds where it was 6.
    assert time.process_time() - start < 5.0
