"""Models of data that were drawn from such a model: what a fit says of itself agrees with what it is asked."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd

import ranef as rf
from hostile_values import Attempted, require
from ranef.saving.record import content_of, fields_of

RIGHT = ("x", "x + f", "x * f", "f", "1", "poly(x, 2)", "0 + f + x", "x + offset(w)", "log(w) + x", "ns(x, df = 3)")
RANDOM = (
    "(1 | g)",
    "(x | g)",
    "(x || g)",
    "(1 | g) + (1 | h)",
    "(1 | g:f)",
    "(0 + f | h)",
    "",
    "cs(f | g)",
    "s(x, k = 5)",
)
FAMILIES = (
    "lmm", "lmm", "lmm", "gaussian", "poisson", "nbinom2", "nbinom1", "binomial", "gamma", "beta", "student_t",
    "lognormal", "truncated_poisson", "tweedie", "betabinomial", "genpois", "inverse_gaussian", "cumulative",
)  # fmt: skip
# Log-likelihoods at one optimum, found from different starts: convergence is to a small part of a standard error, whose
# square is what the log-likelihood is off by.
SAME = 2e-5


def drawn(draw: random.Random, family: str) -> pd.DataFrame:
    """Data with a response that the family takes."""
    rng = np.random.default_rng(draw.getrandbits(32))
    n, groups = draw.choice((36, 60, 90)), draw.choice((5, 8, 12))
    x, g = rng.normal(size=n), rng.integers(0, groups, n)
    g[:groups] = np.arange(groups)
    size = draw.choice((0.1, 0.5, 1.0))
    eta = 0.3 + 0.4 * x + size * rng.normal(size=groups)[g]
    mean = np.exp(eta)
    made = {
        "poisson": lambda: rng.poisson(mean),
        "nbinom1": lambda: rng.poisson(rng.gamma(mean, 1.0)),
        "nbinom2": lambda: rng.poisson(rng.gamma(1.5, mean / 1.5)),
        "genpois": lambda: rng.poisson(rng.gamma(mean, 1.0)),
        "truncated_poisson": lambda: 1 + rng.poisson(mean),
        "tweedie": lambda: np.where(rng.random(n) < 0.2, 0.0, rng.gamma(2.0, mean)),
        "binomial": lambda: (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
        "betabinomial": lambda: rng.binomial(8, rng.beta(2, 2, n)),
        "gamma": lambda: rng.gamma(2.0, mean / 2.0),
        "inverse_gaussian": lambda: rng.wald(mean, 3.0),
        "lognormal": lambda: np.exp(eta + 0.5 * rng.normal(size=n)),
        "beta": lambda: np.clip(rng.beta(2 / (1 + np.exp(-eta)) + 0.2, 2.0), 1e-6, 1 - 1e-6),
        "student_t": lambda: eta + rng.standard_t(4, n),
        "cumulative": lambda: np.array(list("abc"))[np.digitize(eta + rng.logistic(size=n), [-0.5, 1.0])],
    }
    return pd.DataFrame(
        {
            "y": made.get(family, lambda: eta + rng.normal(size=n))(),
            "x": x * draw.choice((1.0, 1.0, 1e3, 1e-3)) + draw.choice((0.0, 0.0, 10.0)),
            "w": rng.uniform(0.5, 2.0, n),
            "f": rng.permutation(np.resize(list("uvw"), n)),
            "g": np.array([f"g{k}" for k in g]),
            "h": rng.integers(0, 6, n),
            "trials": np.full(n, 8),
        }
    )


def close(one: Any, other: Any, tolerance: float = 1e-9) -> bool:
    """Whether arrays are equal to rounding."""
    return bool(np.allclose(np.asarray(one, float), np.asarray(other, float), rtol=tolerance, atol=tolerance))


def of_sound_fit(draw: random.Random) -> Attempted:
    """A model and its data, which are sound, and questions that have one answer."""
    family = draw.choice(FAMILIES)
    data = drawn(draw, family)
    response = "cbind(y, trials - y)" if family == "betabinomial" else "y"
    if family == "cumulative":
        data["y"] = pd.Categorical(data["y"], categories=list("abc"), ordered=True)
    text = f"{response} ~ {draw.choice(RIGHT)}"
    term = draw.choice(RANDOM)
    text += f" + {term}" if term else ""
    given: dict[str, Any] = {}
    if family == "lmm":
        given["reml"] = draw.random() < 0.5
        if draw.random() < 0.2:
            given["weights"] = "w"
    else:
        given["family"] = family
        if family in ("poisson", "nbinom2") and draw.random() < 0.3:
            given["zi"] = "~ 1"
        if family in ("nbinom2", "gamma", "gaussian") and draw.random() < 0.2:
            given["dispersion"] = "~ x"
    fit = rf.lmm if family == "lmm" else rf.glmm
    order = np.random.default_rng(draw.getrandbits(32)).permutation(len(data))

    def run() -> Any:
        found = fit(text, data, **given)
        if not found.converged:
            return repr(found)
        spread = 1.0 + abs(found.loglik)
        require(
            np.isfinite([found.loglik, found.aic, found.bic, *found.fixef().values()]).all(), "not finite: estimates"
        )
        table = found.tidy("all")
        gone = table["std_error"].isna() & (table["effect"] == "fixed")
        require(
            not gone.any() or found.optimum.message, f"not finite: standard errors of {table['term'][gone].tolist()}"
        )
        if family != "cumulative":
            fitted = found.fitted()
            require(np.isfinite(fitted).all(), "not finite: fitted values")
            require(close(found.predict(data), fitted), "predict(data) is not fitted()")
            drawn_again = np.asarray(found.simulate(2, seed=3))
            require(drawn_again.shape == (len(data), 2), f"simulate: the shape is {drawn_again.shape}")
        reopened = rf.Fit(**fields_of(content_of(found), 10**9))
        require(reopened.loglik == found.loglik, f"saved: {reopened.loglik - found.loglik}")
        again = found.update(start=found)
        require(abs(again.loglik - found.loglik) <= SAME * spread, f"start=fit: {again.loglik - found.loglik}")
        # From the same start: a covariance at its edge may have two maxima, and rounding decides which a search finds.
        permuted = fit(text, data.iloc[order], start=found, **given)
        if permuted.converged:
            off = permuted.loglik - found.loglik
            require(abs(off) <= SAME * spread, f"permuted rows: {off}")
        return repr(found)

    return f"{fit.__name__}({text!r}, {len(data)} rows, **{given!r})", run
