"""Predictions for the fit's rows or new ones, with standard errors and intervals.

Standard errors come from the joint covariance of all parameters and random effects (delta method), so they hold the
uncertainty of the conditional modes when these are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef import links
from ranef.conditioning import Conditioning, kept_terms
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.frames import IntoFrame
from ranef.inference.wald import quantile
from ranef.newdata import engine_rows, reaching, repeat_rows
from ranef.simulation import engine_seed

KINDS = ("response", "link", "conditional", "zprob", "zlink", "dispersion")
# Of ordinal models besides.
CATEGORY_KINDS = ("probability", "class")

# Draws behind a simulated prediction interval: the 2.5 % point is then the 50th smallest of them.
DRAWS = 2000
# Rows drawn in one call; keeps the repeated design matrices small.
ROWS_AT_ONCE = 200_000


def predict(
    record: FittedModel,
    newdata: IntoFrame | None = None,
    kind: str = "response",
    ranef: Conditioning = True,
    new_levels: str = "error",
    se: bool = False,
    interval: str | None = None,
    level: float = 0.95,
    seed: int | None = 0,
) -> np.ndarray | dict[str, np.ndarray]:
    """Predictions; with `se` or `interval`, columns estimate, std_error, conf_low, conf_high.

    See `ranef.session.Fit.predict` for the arguments.
    """
    require_kind(record, kind)
    if interval not in (None, "confidence", "prediction"):
        raise ModelError(f"interval={interval!r}: give 'confidence', 'prediction' or None.")
    if interval == "prediction" and kind != "response":
        raise ModelError(
            f"interval='prediction' is an interval for a new response; it goes with kind='response', not {kind!r}."
        )
    keep = kept_terms(record.terms(), ranef)
    record = reaching(record, newdata, keep)
    if kind in CATEGORY_KINDS:
        rows = engine_rows(record, newdata, keep, new_levels)
        return of_categories(record, rows, kind, se or interval is not None, level)
    # The engine's own dispersions hold precision weights; those of any rows asked for do not.
    if newdata is None and all(keep) and not se and interval is None and kind != "dispersion":
        return np.asarray(record.engine.fitted_values(kind), float)
    rows = engine_rows(record, newdata, keep, new_levels)
    wanted = se or interval is not None
    estimate, std_error = record.engine.predict(rows, kind, wanted)
    estimate = np.asarray(estimate, float)
    if not wanted or std_error is None:
        return estimate
    std_error = np.asarray(std_error, float)
    z = float(quantile(level))
    if interval == "prediction":
        trials = record.design.response.trials if newdata is None else None
        low, high = prediction_interval(record, rows, estimate, std_error, level, seed, trials)
    else:
        low, high = confidence_interval(record, rows, kind, estimate, std_error, z)
    return {"estimate": estimate, "std_error": std_error, "conf_low": low, "conf_high": high}


def require_kind(record: FittedModel, kind: str) -> None:
    """Refuse a kind that does not exist, or that asks for a component the model lacks."""
    ordinal = record.model.family.ordinal
    if kind in CATEGORY_KINDS and not ordinal:
        raise ModelError(f"kind={kind!r} is for ordinal families (cumulative); {record.family} has no categories.")
    known = KINDS + CATEGORY_KINDS if ordinal else KINDS
    if kind not in known:
        raise ModelError(f"kind={kind!r}: give one of {', '.join(map(repr, known))}.")
    if ordinal and kind in ("conditional", "dispersion"):
        raise ModelError(f"kind={kind!r}: {record.family} has neither zero inflation nor dispersion; use 'response'.")
    if kind in ("zprob", "zlink") and not record.model.zero_inflated:
        raise ModelError(f"kind={kind!r}: this model has no zero inflation; fit it with zi='~ 1' or another formula.")
    if kind in ("response", "conditional"):
        record.model.family.require("mean", "fitted values and predictions of the response")


def of_categories(
    record: FittedModel, rows: dict[str, Any], kind: str, wanted: bool, level: float
) -> np.ndarray | dict[str, np.ndarray]:
    """Probabilities of the categories, a column each; with `wanted`, a row each, with their uncertainty.

    Intervals are formed on the logit scale. For kind "class", the most probable category of each row.
    """
    labels = list(record.design.response.levels or ())
    found = [record.engine.predict(rows, f"category {k}", wanted) for k in range(1, len(labels) + 1)]
    p = np.stack([np.asarray(estimate, float) for estimate, _ in found], axis=1)
    if kind == "class":
        if wanted:
            raise ModelError("kind='class' is a label, without a standard error; use kind='probability'.")
        return record.design.response.categories_at(p.argmax(axis=1) + 1)
    if not wanted:
        return {label: np.ascontiguousarray(p[:, k]) for k, label in enumerate(labels)}
    se = np.stack([np.asarray(error, float) for _, error in found], axis=1)
    low, high = logit_interval(p, se, float(quantile(level)))
    n = len(p)
    return {
        "row": np.repeat(np.arange(n), len(labels)),
        "category": np.tile(np.array(labels, dtype=object), n),
        "estimate": p.ravel(),
        "std_error": se.ravel(),
        "conf_low": low.ravel(),
        "conf_high": high.ravel(),
    }


def logit_interval(p: np.ndarray, se: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a probability: expit(logit p -+ z se / (p (1 - p)))."""
    with np.errstate(divide="ignore", invalid="ignore"):
        centre, half = np.log(p) - np.log1p(-p), z * se / (p * (1.0 - p))
    return links.inverse("logit", centre - half), links.inverse("logit", centre + half)


def confidence_interval(
    record: FittedModel, rows: dict[str, Any], kind: str, estimate: np.ndarray, std_error: np.ndarray, z: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wald interval for the quantity itself.

    Formed on the scale of the linear predictor and transformed wherever the quantity is a function of one predictor
    alone (so probabilities stay between 0 and 1 and means positive); on its own scale otherwise, which is the response
    of zero-inflated and truncated models.
    """
    if kind == "dispersion":
        with np.errstate(divide="ignore", invalid="ignore"):
            half = z * std_error / estimate
        return estimate * np.exp(-half), estimate * np.exp(half)
    if record.model.family.ordinal and kind == "response":
        # The expected category number, brought from [1, J] to [0, 1].
        span = len(record.design.response.levels or ()) - 1.0
        low, high = logit_interval((estimate - 1.0) / span, std_error / span, z)
        return 1.0 + span * low, 1.0 + span * high
    if record.model.family.support == "closed_unit" and kind == "response":
        return logit_interval(estimate, std_error, z)
    through = {
        "conditional": ("link", record.link),
        "response": ("link", record.link),
        "zprob": ("zlink", zi_link(record)),
    }
    if kind in through:
        predictor, link = through[kind]
        eta, eta_se = record.engine.predict(rows, predictor, True)
        eta, eta_se = np.asarray(eta, float), np.asarray(eta_se, float)
        if np.allclose(links.inverse(link, eta), estimate, rtol=1e-8, atol=1e-12):
            ends = np.stack([links.inverse(link, eta - z * eta_se), links.inverse(link, eta + z * eta_se)])
            return ends.min(axis=0), ends.max(axis=0)
    return estimate - z * std_error, estimate + z * std_error


def zi_link(record: FittedModel) -> str:
    """Link of the zero-inflation probability."""
    return next((p.link for p in record.model.family.parameters if p.component == "zi"), "logit")


def prediction_interval(
    record: FittedModel,
    rows: dict[str, Any],
    estimate: np.ndarray,
    std_error: np.ndarray,
    level: float,
    seed: int | None,
    trials: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Interval for a new response of each row: the spread of the family added to that of the estimate.

    Gaussian: estimate -+ z sqrt(se^2 + sigma^2). Other families: quantiles of responses drawn at linear predictors
    that are themselves drawn from their normal approximation. Successes are proportions of `trials`, of one trial each
    without them.
    """
    if record.family == "gaussian" and record.link == "identity":
        sigma, _ = record.engine.predict(rows, "dispersion", False)
        half = float(quantile(level)) * np.sqrt(std_error**2 + np.asarray(sigma, float) ** 2)
        return estimate - half, estimate + half
    _, eta_se = record.engine.predict(rows, "link", True)
    eta_se = np.asarray(eta_se, float)
    first = engine_seed(seed)
    noise = np.random.default_rng(first)
    n = len(estimate)
    draws = np.empty((DRAWS, n))
    at_once = max(1, min(DRAWS, ROWS_AT_ONCE // max(n, 1)))
    cond = record.model.predictor("cond")
    kept = ["fixed"] * len(record.terms())
    for start in range(0, DRAWS, at_once):
        times = min(at_once, DRAWS - start)
        block = repeat_rows(rows, times)
        shift = noise.standard_normal(n * times) * np.tile(eta_se, times)
        given = block["offset"][cond]
        block["offset"][cond] = shift if given is None else given + shift
        block["trials"] = None if trials is None else np.tile(trials, times)
        drawn = record.engine.simulate(1, (first + start) % 2**63, kept, block)
        draws[start : start + times] = np.asarray(drawn, float).reshape(times, n)
    if trials is not None:
        draws /= trials
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    return low, high
