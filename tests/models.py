"""Every named model once, fitted when first asked for and shared by all tests of a process."""

from functools import cache

import numpy as np
import pandas as pd

import ranef as rf


@cache
def data(name: str, backend: str = "pandas"):
    """An example data set, read once."""
    return rf.load_dataset(name, backend=backend)


@cache
def sleepstudy(reml: bool = True):
    """Correlated intercept and slope, balanced: the textbook linear mixed model."""
    return rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"), reml=reml)


@cache
def sleepstudy_uncorrelated():
    """Two terms on one grouping factor."""
    return rf.lmm("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", data("sleepstudy"))


@cache
def dyestuff2():
    """A variance whose estimate is zero: singular."""
    return rf.lmm("Yield ~ 1 + (1 | Batch)", data("dyestuff2"), reml=False)


@cache
def penicillin():
    """Two crossed grouping factors."""
    return rf.lmm("diameter ~ 1 + (1 | plate) + (1 | sample)", data("penicillin"))


@cache
def pastes():
    """Nested grouping factors."""
    return rf.lmm("strength ~ 1 + (1 | batch/cask)", data("pastes"))


@cache
def cbpp():
    """Binomial counts."""
    return rf.glmm("cbind(incidence, size - incidence) ~ period + (1 | herd)", data("cbpp"), family="binomial")


@cache
def owls():
    """Zero-inflated negative binomial with an offset."""
    return rf.glmm(
        "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)",
        data("owls"),
        family="nbinom2",
        zi="~ 1",
    )


@cache
def owls_poisson():
    """Poisson with one random intercept."""
    return rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", data("owls"), family="poisson")


@cache
def salamanders():
    """Negative binomial whose dispersion has a formula."""
    return rf.glmm("count ~ spp + mined + (1 | site)", data("salamanders"), family="nbinom2", dispersion="~ DOY")


@cache
def sleepstudy_glmm():
    """The textbook model by the general engine, maximum likelihood."""
    return rf.glmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"), family="gaussian")


@cache
def assumed():
    """Priors, a held coefficient and a held standard deviation."""
    return rf.glmm(
        "count ~ mined + cover + (1 | site) + (1 | spp)",
        data("salamanders"),
        family="poisson",
        priors={"fixed": rf.prior.normal(0, 1), "sd(site)": rf.prior.gamma(1, 2.5)},
        fixed={"cover": 0.1, "sd(spp)": 0.6},
    )


def grouped(seed: int, groups: int = 14, visits: int = 3, replicates: int = 2, missing: float = 0.15) -> pd.DataFrame:
    """A small unbalanced study: subjects with visits and measurements at each, some of them missing; two treatments."""
    rng = np.random.default_rng(seed)
    g, t, _ = (a.ravel() for a in np.meshgrid(range(groups), range(visits), range(replicates), indexing="ij"))
    kept = rng.uniform(size=g.size) > missing
    g, t = g[kept], t[kept]
    x = rng.normal(size=g.size)
    at_visit = rng.normal(size=(groups, visits))[g, t]
    y = 1.0 + 0.3 * x + rng.normal(size=groups)[g] + 0.4 * rng.normal(size=groups)[g] * t
    return pd.DataFrame(
        {
            "y": y + 0.6 * at_visit + rng.normal(size=g.size),
            "x": x,
            "time": t.astype(float),
            "visit": pd.Categorical([f"v{k}" for k in t]),
            "treated": pd.Categorical(np.where(g % 2, "yes", "no")),
            "g": pd.Categorical([f"s{k:02d}" for k in g]),
            "site": pd.Categorical([f"c{k % 5}" for k in range(g.size)]),
        }
    )
