"""A model of every family and structure of the catalogues, on one small frame, for what is written of models."""

from functools import cache

import numpy as np
import pandas as pd

import ranef as rf
from ranef.covariances import catalogue as covariances
from ranef.families import catalogue as families
from ranef.fitting import model_from_arguments
from ranef.model import Model

LEVELS = ["s1", "s2", "s3", "s4"]
A = pd.DataFrame(0.3 + 0.7 * np.eye(4), index=LEVELS, columns=LEVELS)
W = pd.DataFrame(np.eye(4, k=1) + np.eye(4, k=-1), index=LEVELS, columns=LEVELS)
MATRICES = {"A": A, "W": W, "W2": 2.0 * W}

# Terms whose left side is not a factor of a few occasions.
TERMS = {
    "us": "(1 + x | g)",
    "diag": "(1 + x || g)",
    "rr": "rr(0 + species | g, d = 2)",
    "ou": "ou(time | g)",
    "exp": "exp(east + north | g)",
    "gau": "gau(east + north | 1)",
    "mat": "mat(east + north | 1)",
    "propto": "propto(0 + species | 1, A)",
    "equalto": "equalto(0 + species | 1, A)",
    "car": "car(1 | species, W)",
    "icar": "icar(0 + species | 1, W)",
    "rw1": "rw1(0 + time | 1)",
    "rw2": "time + rw2(0 + time | 1)",
}
# Models that none of the catalogues tells of.
OTHERS = {
    "several terms": {"formula": "y ~ x * sex + (1 | g) + (0 + x | g) + (1 | g:species)"},
    "long ar1": {"formula": "y ~ 1 + ar1(0 + time | g)"},
    "known matrix with slopes": {"formula": "y ~ 1 + propto(1 + x | species, A)"},
    "known matrix in groups": {"formula": "y ~ 1 + propto(0 + species | g, A)"},
    "map with weights": {"formula": "y ~ 1 + icar(0 + species | 1, W2)"},
    "wide unstructured": {"formula": "y ~ 1 + (1 + x + east + north + time | g)"},
    "weights": {"formula": "y ~ x + (1 | g)", "weights": "w"},
    "codings": {
        "formula": "log(w) ~ poly(x, 2) + I(x^2) + east / north + species + opinion + log(w + 1):sex + (1 | g)",
        "contrasts": {"species": "sum"},
    },
    "many levels": {"formula": "y ~ 0 + g + (1 | species)"},
    "smooth": {"formula": "y ~ s(x) + (1 | g)"},
    "smooths": {"formula": "y ~ sex + s(x, by = sex) + s(time, by = x) + t2(east, north, k = 4) + (1 | g)"},
    "correlated, two functions": {
        "formula": "y ~ x + (1 | g)",
        "correlation": "exp(east + north | g, nugget = True)",
        "dispersion": "~ sex + power(w) + exp(fitted)",
    },
    "assumptions": {
        "formula": "sqrt(w) ~ x + time + factor(order) + (1 + time | g) + (1 | species)",
        "reml": False,
        "priors": {"Intercept": rf.prior.normal(0, 1), "cor(g)": rf.prior.lkj(2)},
        "fixed": {"sigma": 2.0},
        "tied": [("x", "time"), ("sd(g, Intercept)", "sd(species)")],
    },
    "weights and a variance function": {
        "formula": "y ~ I(-x) + I(-x / (w + 1)):sex + (1 | g)",
        "dispersion": "~ power(w)",
        "weights": "w",
    },
    "names that are commands": {"formula": "`a_b` ~ `50%` + `x^2 & {y}` + (1 | `<g>|$#~\\\\`)"},
}


@cache
def frame() -> pd.DataFrame:
    """Rows of 12 groups: times, places, species, an ordered opinion, weights and responses of every kind."""
    rng = np.random.default_rng(1)
    n = 240
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "g": pd.Categorical([f"g{k % 12 + 1}" for k in range(n)]),
            "species": pd.Categorical(np.array(LEVELS)[np.arange(n) // 12 % 4]),
            "sex": pd.Categorical(np.where(rng.uniform(size=n) < 0.5, "male", "female")),
            "opinion": pd.Categorical(
                rng.choice(["low", "middle", "high"], n), ["low", "middle", "high"], ordered=True
            ),
            "time": np.repeat(np.arange(40), 6),
            "order": np.arange(n) // 12,
            "east": np.repeat(np.arange(20) % 5, 12) + 0.5,
            "north": np.repeat(np.arange(20) // 5, 12) + 0.25,
            "w": rng.uniform(0.5, 2.0, n),
            "count": rng.poisson(2.0, n),
            "positive count": 1 + rng.poisson(2.0, n),
            "share": rng.uniform(0.05, 0.95, n),
            "hits": rng.binomial(9, 0.4, n),
            "misses": 3,
            "trials": 12,
            "rating": pd.Categorical(rng.choice(list("1234"), n), list("1234"), ordered=True),
        }
    )
    return data.assign(
        **{"a_b": data["y"], "50%": data["x"], "x^2 & {y}": data["w"], "<g>|$#~\\": data["g"], "size": data["w"]}
    )


RESPONSES = {
    "real": "y",
    "trials": "cbind(hits, misses)",
    "counts": "count",
    "positive_counts": "`positive count`",
    "positive": "w",
    "nonnegative": "w",
    "unit": "share",
    "closed_unit": "share",
    "ordered": "rating",
}


def family_cases() -> dict[str, dict]:
    """Every family with all its parameters modelled, with each link, and with zero inflation; ordinal thresholds."""
    found: dict[str, dict] = {}
    for name, card in families().items():
        response = RESPONSES[card["support"]]
        plain = {"formula": f"{response} ~ x + (1 | g)", "family": name}
        found[name] = plain
        components = {p["component"] for p in card["parameters"]}
        modelled = {
            argument: "~ sex"
            for argument, component in (("dispersion", "disp"), ("shape", "shape"))
            if component in components
        }
        if modelled:
            found[f"{name}, modelled"] = plain | modelled
        if card["zero_inflation"]:
            found[f"{name}, zi"] = plain | {"zi": "~ x + (1 | g)"}
        for link in card["links"][1:]:
            found[f"{name}, {link}"] = plain | {"link": link}
    for thresholds in ("symmetric", "equidistant"):
        family = rf.families.cumulative(thresholds=thresholds)
        found[f"cumulative, {thresholds}"] = found["cumulative"] | {"family": family}
    weights = {"formula": "share ~ x + offset(log(w)) + (1 | g)", "family": "beta", "weights": "w", "offset": "time"}
    found["weights of the likelihood"] = weights
    found["no residual"] = {
        "formula": "y ~ 1 + homcs(0 + species | g)",
        "family": "gaussian",
        "dispersion": "~ 0",
    }
    counted = {"formula": "cbind(hits, trials - hits) ~ x + (1 | g)", "family": "binomial"}
    found["successes among trials"] = counted
    found["proportion"] = counted | {"formula": "hits / trials ~ x + (1 | g)", "weights": "trials"}
    found["two levels"] = counted | {"formula": "sex ~ x + (1 | g)"}
    gumbel = rf.families.custom("gumbel", lambda y, mu, sigma: -np.log(sigma) - (y - mu) / sigma, ["mu", "sigma"])
    found["custom"] = {"formula": "y ~ x + (1 | g)", "family": gumbel}
    found["fixed parameter"] = {"formula": "count ~ 1", "family": rf.families.nbinom2(phi=2)}
    return found


def structure_cases() -> dict[str, dict]:
    """Every covariance structure, correlation and variance function, and what else a linear mixed model may have."""
    found = {name: {"formula": f"y ~ 1 + {TERMS.get(name, f'{name}(0 + species | g)')}"} for name in covariances()}
    base = {"formula": "y ~ x + (1 | g)"}
    correlations = {
        "ar1": "ar1(order | g)",
        "arma": "arma(order | g, p = 2, q = 1)",
        "car1": "car1(order | g)",
        "cs": "cs(1 | g)",
        "us": "us(order | g)",
        "exp": "exp(order | g)",
        "gau": "gau(order | g, nugget = True)",
    }
    found |= {f"correlation {name}": base | {"correlation": text} for name, text in correlations.items()}
    functions = ("power(w)", "constpower(w)", "exp(fitted)")
    spreads = {text: base | {"dispersion": f"~ {text}"} for text in functions}
    found |= {f"variance function {name}": arguments for name, arguments in spreads.items()}
    return found | OTHERS


@cache
def unfitted(name: str) -> Model:
    """The model of a case."""
    linear = name in structure_cases()
    arguments = (structure_cases() if linear else family_cases())[name]
    return model_from_arguments(linear, {"matrices": MATRICES} | arguments, frame())
