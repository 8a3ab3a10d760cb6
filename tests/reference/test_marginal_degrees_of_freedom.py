"""Degrees of freedom of marginal means, contrasts, slopes and joint tests, against emmeans."""

import numpy as np
import pandas as pd
import pytest

from test_marginal_means import ANSWERS, HEADS, OURS, column, machines, oats

METHODS = ("satterthwaite", "kenward-roger")
# Variances agree to 1e-6 of themselves, and Satterthwaite's degrees of freedom move by a few times as much; lmerTest
# takes its derivatives numerically besides.
DF = {"satterthwaite": 5e-6, "kenward-roger": 1e-6}
AT = {"nitro": [0.2, 0.6]}
CASES = {
    "machines emmeans": lambda ddf: machines().emmeans("Machine", ddf=ddf),
    "machines pairs": lambda ddf: machines().emmeans("Machine", ddf=ddf).contrasts(),
    "oats emmeans": lambda ddf: oats().emmeans("~ Variety | nitro", at=AT, ddf=ddf),
    "oats pairs": lambda ddf: oats().emmeans("~ Variety | nitro", at=AT, ddf=ddf).contrasts(),
    "oats emtrends": lambda ddf: oats().slopes("nitro", by="Variety", ddf=ddf),
    "oats emtrends_pairs": lambda ddf: oats().slopes("nitro", by="Variety", ddf=ddf).contrasts(),
}


@pytest.mark.parametrize("ddf", METHODS)
@pytest.mark.parametrize("case", CASES)
def test_tables_are_those_of_emmeans(case, ddf):
    model, name = case.split()
    ours, theirs = CASES[case](ddf).table, ANSWERS[model][f"{name}_{ddf}"]
    scale = np.abs(column(theirs, HEADS)).max()
    np.testing.assert_allclose(column(ours, OURS), column(theirs, HEADS), atol=1e-9 * scale)
    np.testing.assert_allclose(ours["std_error"], theirs["SE"], rtol=1e-6)
    np.testing.assert_allclose(ours["df"], theirs["df"], rtol=DF[ddf])
    length = np.array(theirs["upper.CL"]) - theirs["lower.CL"]
    # R's qtukey is right to 1e-4 of the quantile or so.
    assert (np.abs(ours["conf_low"] - theirs["lower.CL"]) <= 2e-5 * length).all()
    assert (np.abs(ours["conf_high"] - theirs["upper.CL"]) <= 2e-5 * length).all()
    np.testing.assert_allclose(ours["p_value"], theirs["p.value"], rtol=2e-4)


@pytest.mark.parametrize("ddf", METHODS)
@pytest.mark.parametrize(("fit", "model"), [(machines, "machines"), (oats, "oats")])
def test_joint_tests_are_those_of_emmeans(fit, model, ddf):
    ours = fit().joint_tests(ddf=ddf)
    stored = ANSWERS[model][f"joint_tests_{ddf}"]
    theirs = pd.DataFrame({name: np.atleast_1d(values) for name, values in stored.items()})
    assert list(ours["term"]) == list(theirs["model term"])
    assert list(ours["df"]) == list(theirs["df1"])
    # emmeans rounds F to three decimals and its degrees of freedom to two.
    np.testing.assert_allclose(ours["statistic"], theirs["F.ratio"], atol=6e-4)
    np.testing.assert_allclose(ours["ddf"], theirs["df2"], atol=6e-3)
    np.testing.assert_allclose(ours["p_value"], theirs["p.value"], rtol=1e-4)


def test_all_pairs_of_the_machines():
    """A balanced design: ten degrees of freedom, and p-values of R's that were made with another optimiser."""
    table = machines().emmeans("Machine", ddf="kenward-roger").contrasts().table
    np.testing.assert_allclose(table["df"], 10.0, rtol=1e-9)
    np.testing.assert_allclose(table["p_value"], [0.0111404701538, 0.0002115827609, 0.0506706371194], rtol=2e-6)


def test_effects_have_the_same_intervals_as_means():
    means = oats().emmeans("Variety", at={"nitro": 0.2}, ddf="kenward-roger").table
    effects = oats().effects("Variety", at={"nitro": 0.2}, ddf="kenward-roger").table
    for name in ("conf_low", "conf_high"):
        np.testing.assert_allclose(effects[name], means[name], rtol=1e-10)


def test_the_default_of_lmm_is_satterthwaites():
    for ask in (lambda **o: machines().emmeans("Machine", **o), lambda **o: oats().slopes("nitro", **o)):
        pd.testing.assert_frame_equal(ask().table, ask(ddf="satterthwaite").table)
