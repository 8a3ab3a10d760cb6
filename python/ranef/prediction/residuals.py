"""Residuals, on the scale of the response (proportions for successes among trials, numbers of ordered categories).

response   y - mu
pearson    (y - mu) sqrt(w / V), V the variance of the row at dispersion one where the dispersion only scales it
           (gaussian, gamma and inverse_gaussian without zero inflation), else the full variance, zero inflation
           included; as lme4 and glmmTMB have it, but for the zero-inflated binomial, where an excess zero takes all
           trials of a row at once and glmmTMB divides its share of the variance by their number
deviance   sign(y - mu) sqrt(w d), d the unit deviance; for families that have one
working    (y - mu) / (d mu / d eta), the residual on the link scale that iteratively reweighted least squares uses
normalized (y - mu) over the standard deviation of the residual, multiplied by the inverse Cholesky factor of the
           correlation within its group: independent and standard normal under the model; with them pearson is what
           nlme has, the residual over its standard deviation
quantile   the standard normal quantile of F(y), F the distribution of the row's response; where y has a probability of
           its own, F is taken at random between P(Y < y) and P(Y <= y) (Dunn & Smyth 1996). Standard normal under the
           model for every family; weights that multiply the log-likelihood play no part
"""

from __future__ import annotations

import numpy as np

from ranef import _engine, links
from ranef.conditioning import Conditioning, kept_terms
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.newdata import engine_rows
from ranef.prediction.predictions import predict
from ranef.simulation import engine_seed

KINDS = ("response", "pearson", "deviance", "working", "quantile", "normalized")

# Seeds of the engine's places, of which two tell whether a response has any.
PLACING_SEEDS = (1, 2)

# Families whose variance is sigma^2 times a function of the mean.
SCALED = ("gaussian", "gamma", "inverse_gaussian")


def residuals(
    record: FittedModel, kind: str = "response", ranef: Conditioning = True, seed: int | None = None
) -> np.ndarray:
    """Residuals of the rows used, (nobs,); see the head of this module for the definitions."""
    if kind not in KINDS:
        raise ModelError(f"residuals(kind={kind!r}): give one of {', '.join(map(repr, KINDS))}.")
    if record.model.family.ordinal and kind in ("deviance", "working"):
        raise ModelError(f"residuals(kind={kind!r}): not defined for ordinal responses; use 'response' or 'pearson'.")
    if kind == "normalized" and record.family != "gaussian":
        raise ModelError(f"residuals(kind='normalized'): for linear mixed models; use 'quantile' for {record.family}.")
    keep = kept_terms(record.terms(), ranef)
    if kind == "quantile":
        return quantile_residuals(record, keep, seed)
    if seed is not None:
        raise ModelError(
            f"residuals(kind={kind!r}, seed={seed!r}): only quantile residuals are random; leave out seed."
        )
    observed = observed_response(record)
    mean = np.asarray(predict(record, ranef=ranef), float)
    if kind == "response":
        return observed - mean
    if kind == "normalized" or (kind == "pearson" and record.model.marginal):
        standardised = (observed - mean) * np.sqrt(prior_weights(record) / variance(record, keep))
        return standardised if kind == "pearson" else np.asarray(record.engine.whitened(standardised), float)
    if kind == "pearson":
        return (observed - mean) * np.sqrt(prior_weights(record) / unit_variance(record, keep))
    if kind == "deviance":
        return deviance_residuals(record, keep, observed - mean)
    if record.model.zero_inflated:
        raise ModelError("working residuals belong to a single linear predictor; this model also has zero inflation.")
    eta = np.asarray(predict(record, kind="link", ranef=ranef), float)
    return (observed - mean) / links.slope(record.link, eta)


def quantile_residuals(record: FittedModel, keep: list[bool], seed: int | None) -> np.ndarray:
    """Standard normal under the model, discrete responses spread at random over their probability."""
    record.model.family.require("cdf", "quantile residuals")
    found = np.asarray(record.engine.quantile_residuals(keep, engine_seed(seed)), float)
    if np.isnan(found).all():
        raise ModelError(f"quantile residuals need a distribution function, which {record.family} does not have.")
    return found


def placed_quantile_residuals(record: FittedModel, places: np.ndarray) -> np.ndarray:
    """Quantile residuals at the conditional modes, each response at a given place within its own probability.

    Parameters
    ----------
    record : FittedModel
    places : (nobs,) array
        Between 0 and 1; without meaning for responses that have no probability of their own.
    """
    keep, n = [True] * len(record.terms()), record.nobs
    first, second = (quantile_residuals(record, keep, seed) for seed in PLACING_SEEDS)
    placed = first != second
    if not placed.any():
        return first
    from scipy.special import ndtr, ndtri

    # The engine's own places are known from a response whose distribution is: take them out and put the others in.
    weights = prior_weights(record)
    with np.errstate(divide="ignore", invalid="ignore"):
        here = np.exp(np.asarray(record.engine.loglik_rows(), float) / weights)
    placed &= np.isfinite(here)
    own, here, given = engine_places(n, PLACING_SEEDS[0])[placed], here[placed], np.asarray(places, float)[placed]
    lower = np.maximum(ndtr(first[placed]) - own * here, 0.0) + given * here
    upper = np.maximum(ndtr(-first[placed]) - (1.0 - own) * here, 0.0) + (1.0 - given) * here
    found = first.copy()
    # In the tail that a residual lies in, it loses no digits.
    found[placed] = np.where(lower < upper, ndtri(np.minimum(lower, 0.5)), -ndtri(np.minimum(upper, 0.5)))
    return found


def engine_places(n: int, seed: int) -> np.ndarray:
    """Where the engine's quantile residuals of a seed place the responses of n rows, (n,).

    The same seed places every response alike: here those of Bernoulli trials, every other one a success, whose
    distribution has one step.
    """
    from scipy.special import expit, ndtr

    successes = np.arange(n) % 2.0
    family = {"name": "binomial", "link": "logit", "zero_inflated": False} | dict.fromkeys(
        ("categories", "thresholds", "custom")
    )
    trial = {
        "family": family,
        "y": successes,
        "predictors": [{"component": "cond", "x": np.ones((n, 1)), "offset": None}],
        "groups": [],
        "terms": [],
        "method": "ml",
        "quadrature": 1,
        "profiled": False,
    } | dict.fromkeys(("trials", "weights", "residual"))
    fitted = _engine.Model(trial).fit({})
    r, chance = np.asarray(fitted.quantile_residuals([], seed), float), float(expit(fitted.beta[0][0]))
    return np.asarray(np.where(successes == 0.0, ndtr(r) / (1.0 - chance), 1.0 - ndtr(-r) / chance))


def standardised_residuals(record: FittedModel) -> np.ndarray:
    """(y - mu) sqrt(w / Var(y)) at the conditional modes, dispersion included: about unit variance under the model."""
    spread = variance(record, [True] * len(record.terms()))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return residuals(record, "response") * np.sqrt(prior_weights(record) / spread)


def observed_response(record: FittedModel) -> np.ndarray:
    """The response, as a proportion where it is successes among trials."""
    response = record.design.response
    y = np.asarray(response.y, float)
    return y if response.trials is None else y / response.trials


def prior_weights(record: FittedModel) -> np.ndarray:
    """Weights of the rows, one where none were given; trials are not weights here."""
    weights = record.model.likelihood_weights
    return np.ones(record.nobs) if weights is None else np.asarray(weights, float)


def variance(record: FittedModel, keep: list[bool]) -> np.ndarray:
    """Var(y_i | eta_i) of each row with the kept terms, before weights."""
    record.model.family.require("variance", "residuals divided by their standard deviation")
    own = np.asarray(record.engine.variance(keep), float)
    if (own < 0.0).any():  # only a function of the caller's can give that
        row = int(np.flatnonzero(own < 0.0)[0])
        raise ModelError(f"variance of family {record.family} is {own[row]:g} in row {row}: a variance is not negative")
    # Precision weights are part of the engine's variance; the other weights are not.
    return own * prior_weights(record) if record.model.linear else own


def unit_variance(record: FittedModel, keep: list[bool]) -> np.ndarray:
    """`variance` with the dispersion taken out where it is a mere factor, which it is not with zero inflation."""
    total = variance(record, keep)
    if record.family not in SCALED or record.model.zero_inflated:
        return total
    sigma = record.engine.predict(engine_rows(record, None, keep), "dispersion", False)[0]
    return total / np.asarray(sigma, float) ** 2


def deviance_residuals(record: FittedModel, keep: list[bool], raw: np.ndarray) -> np.ndarray:
    """sign(y - mu) sqrt(w d)."""
    unit = np.asarray(record.engine.unit_deviance(keep), float)
    if np.isnan(unit).all():
        raise ModelError(f"deviance residuals are not defined for {record.model.family!r}; use kind='pearson'.")
    return np.sign(raw) * np.sqrt(prior_weights(record) * np.maximum(unit, 0.0))
