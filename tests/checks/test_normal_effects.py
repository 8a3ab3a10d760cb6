"""Shapiro and Wilk's test of random effects with more levels than its p-value is made for."""

import warnings

import numpy as np
import pandas as pd

import ranef as rf


def test_thousands_of_levels_are_tested_without_a_warning():
    rng = np.random.default_rng(3)
    levels = 6000
    g = np.repeat(np.arange(levels), 3)
    skewed = rng.exponential(2.0, levels)
    fit = rf.lmm("y ~ 1 + (1 | g)", pd.DataFrame({"y": skewed[g] + rng.normal(size=3 * levels), "g": g}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = fit.check().table
    row = table[table["check"].str.startswith("normal effects")].iloc[0]
    assert row["verdict"] == "look"
    assert row["statistic"] < 0.95
