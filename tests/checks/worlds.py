"""Data whose faults are known, drawn from a seed: what the checks must find, and what they must not."""

import numpy as np
import pandas as pd

import ranef as rf


class Sites:
    """Rows in sites, with a predictor and an effect of each site."""

    def __init__(self, seed=1, sites=20, rows=10, sd=0.8):
        self.rng = np.random.default_rng(seed)
        self.n, self.site = sites * rows, np.repeat(np.arange(sites), rows)
        x = self.rng.normal(size=self.n)
        self.effects = sd * self.rng.normal(size=sites)
        self.data = pd.DataFrame({"x": x, "w": self.rng.normal(size=self.n), "site": [f"s{j:03d}" for j in self.site]})
        self.log_mean = 1.0 + 0.5 * x + self.effects[self.site]

    def noise(self):
        return self.rng.normal(size=self.n)

    def normal(self, errors=None, effects=None):
        effects = self.effects if effects is None else effects
        errors = self.noise() if errors is None else errors
        return self.data.assign(y=1.0 + self.data["x"] + effects[self.site] + errors)

    def counts(self, effects=None):
        effects = self.effects if effects is None else effects
        mean = np.exp(1.0 + 0.5 * self.data["x"] + effects[self.site])
        return self.data.assign(y=self.rng.poisson(mean))


def linear(data, formula="y ~ x + (1 | site)", **arguments):
    return rf.lmm(formula, data, **arguments)


def poisson(data, formula="y ~ x + (1 | site)", **arguments):
    return rf.glmm(formula, data, **{"family": "poisson"} | arguments)


def row(found, name):
    """The row of the table whose check begins so."""
    table = found.table
    mine = table[table["check"].str.startswith(name)]
    assert len(mine) == 1, f"{name}: {len(mine)} rows of {table['check'].tolist()}"
    return mine.iloc[0]


def has(found, name):
    return bool(found.table["check"].str.startswith(name).any())


def verdict(found, name):
    return row(found, name)["verdict"]
