"""Effects: the prediction along some variables, the others at typical values or averaged over.

What ggeffects' ``predict_response`` gives, with the standard errors of all parameters that the prediction depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef import links
from ranef.conditioning import kept_terms
from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.estimates import MarginalEstimates
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.margins import PREDICTORS, Block, blocks, functions_of_block, stacked
from ranef.inference.marginal_means.slopes import notes_of, values_at
from ranef.inference.marginal_means.testing import USUAL, Testing
from ranef.inference.marginal_means.variables import Variables, without_offset_array
from ranef.inference.wald import quantile
from ranef.newdata import UNKNOWN_LEVEL, engine_rows
from ranef.prediction.effect_terms import EffectTerm, effect_terms, told
from ranef.prediction.predictions import confidence_interval, prediction_interval, require_kind

KINDS = ("response", "link", "conditional", "zprob", "zlink", "dispersion", "probability")
# Scales on which intervals of means under a link are formed, when the mean is no function of one predictor.
_SCALES = {
    "log": "log",
    "inverse": "log",
    "inverse_squared": "log",
    "sqrt": "log",
    "logit": "logit",
    "probit": "logit",
    "cloglog": "logit",
    "loglog": "logit",
    "cauchit": "logit",
}


@dataclass(frozen=True, eq=False)
class EffectsTable:
    """Predictions along the terms.

    Attributes
    ----------
    terms : list of EffectTerm
    columns : dict
        The terms' values, (category,) estimate, std_error, conf_low, conf_high.
    variables : Variables
    kind : str
    estimates : MarginalEstimates or None
        The same estimates on their own scale, for contrasts; None where random effects are kept.
    notes : tuple of str
    """

    terms: list[EffectTerm]
    columns: dict[str, list[Any]]
    variables: Variables
    kind: str
    estimates: MarginalEstimates | None
    notes: tuple[str, ...]


def effects(
    record: FittedModel,
    terms: Any,
    by: Any = None,
    margin: str = "reference",
    kind: str = "response",
    interval: str = "confidence",
    ranef: Any = False,
    bias_correction: bool = False,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    testing: Testing = USUAL,
    level: float = 0.95,
    seed: int | None = 0,
) -> EffectsTable:
    """Predictions at values of some variables; see `ranef.session.Fit.effects`."""
    if kind not in KINDS:
        raise ModelError(f"kind={kind!r}: give one of {', '.join(map(repr, KINDS))}.")
    require_kind(record, kind)
    if interval not in ("confidence", "prediction"):
        raise ModelError(f"interval={interval!r}: give 'confidence' or 'prediction'.")
    variables = Variables(record)
    found = effect_terms(terms, by, variables)
    names = [term.name for term in found]
    values = {name: v[:1] for name, v in values_at(variables, at, "effects").items()}
    values |= {term.name: term.values for term in found}
    keep, unmet = kept_for(record, variables, names, ranef)
    if keep is None and not unmet and interval == "confidence":
        return _averaged(record, variables, found, values, margin, kind, bias_correction, weights, testing, level)
    if margin != "reference":
        raise ModelError(
            f"margin={margin!r} goes with random effects that are zero (ranef=False) or averaged over "
            "(bias_correction=True), and with interval='confidence'; otherwise take margin='reference'."
        )
    if bias_correction:
        raise ModelError("bias_correction=True averages over the random effects; it goes with ranef=False.")
    block = blocks(record, variables, "reference", names, values)[0]
    return _of_rows(record, variables, found, block, kind, interval, keep, unmet, testing, level, seed)


def kept_for(
    record: FittedModel, variables: Variables, names: Sequence[str], ranef: Any
) -> tuple[list[bool] | None, bool]:
    """Which terms are at their conditional modes, None for none but smooths; whether groups are not met before.

    A term of the effects that is a grouping factor keeps its random effects, which it is about.
    """
    terms = record.terms()
    unmet = isinstance(ranef, str) and ranef == "new"
    keep = [False] * len(terms) if unmet else kept_terms(terms, ranef)
    for place, group in enumerate(variables.groups):
        # A factor of the fixed effects too is about those.
        fixed = {name for c in variables.fixed for name in variables.fixed[c]}
        if group and set(group) <= set(names) and not set(group) & fixed:
            keep[place] = True
    kept = any(k and term.smooth is None for k, term in zip(keep, terms, strict=True))
    keep = [k or term.smooth is not None for k, term in zip(keep, terms, strict=True)]
    return (keep if kept else None), unmet


# -- random effects zero or averaged over: estimates with gradients ---------------------------------------------------


def _averaged(
    record: FittedModel,
    variables: Variables,
    terms: list[EffectTerm],
    values: Mapping[str, np.ndarray],
    margin: str,
    kind: str,
    bias_correction: bool,
    weights: str,
    testing: Testing,
    level: float,
) -> EffectsTable:
    names = [term.name for term in terms]
    grid = "response" if kind == "response" and not record.model.family.ordinal else "cond"
    found = blocks(record, variables, margin, names, values, weights, "zi" if kind in ("zprob", "zlink") else grid)
    labels = {name: np.concatenate([block.labels[name] for block in found]) for name in names}
    notes = list(notes_of(record, kind, margin, bias_correction))
    if margin == "reference":
        others = adjusted_for(variables, found[0])
        notes = [others] if others else []
        notes += ["Averaged over the distribution of the random effects"] if bias_correction else []
    if kind == "probability":
        return _of_categories(record, variables, terms, found, labels, bias_correction, testing, level, notes)
    functions = stacked([functions_of_block(record, block, kind, testing, bias_correction) for block in found])
    link = None
    if kind not in PREDICTORS:
        through = None
        if margin != "average" and not bias_correction:
            through = _through_one_predictor(record, found, kind, testing, functions)
        if through is not None:
            functions, link = through
        else:
            functions, link = _for_intervals(record, functions, kind)
    estimates = MarginalEstimates(
        functions,
        labels,
        variables,
        tuple(names[1:]),
        link,
        "link" if kind in PREDICTORS else "response",
        "estimate",
        notes=tuple(notes),
    )
    return EffectsTable(terms, _columns(estimates, level), variables, kind, _natural(estimates), tuple(notes))


def _columns(estimates: MarginalEstimates, level: float) -> dict[str, list[Any]]:
    table = estimates.table(level)
    shown = [*estimates.columns, estimates.shown_as, "std_error", "conf_low", "conf_high"]
    return {("estimate" if name == estimates.shown_as else name): table[name] for name in shown}


def _natural(estimates: MarginalEstimates) -> MarginalEstimates:
    """The estimates on the scale that is shown, whose contrasts are differences."""
    return estimates.regridded() if estimates.link not in (None, "identity") else estimates


def _through_one_predictor(
    record: FittedModel, found: Sequence[Block], kind: str, testing: Testing, functions: LinearFunctions
) -> tuple[LinearFunctions, str] | None:
    """The linear predictor and its link, where the mean is a function of it alone; None where it is not.

    Marginal means are then averaged on the scale of the link, as emmeans does.
    """
    through = {"response": ("link", record.link), "conditional": ("link", record.link)}
    if record.model.zero_inflated:
        zi = next((p.link for p in record.model.family.parameters if p.component == "zi"), "logit")
        through["zprob"] = ("zlink", zi)
    if kind not in through:
        return None
    predictor, link = through[kind]
    single = [
        Block(block.labels, {n: v[:1] for n, v in block.frame.items()}, np.ones((1, 1)), False) for block in found
    ]
    eta = functions_of_block(record, single[0], predictor, testing)
    mean = functions_of_block(record, single[0], kind, testing)
    if not np.allclose(links.inverse(link, eta.estimate), mean.estimate, rtol=1e-8, atol=1e-12):
        return None
    return stacked([functions_of_block(record, block, predictor, testing) for block in found]), link


def _for_intervals(record: FittedModel, functions: LinearFunctions, kind: str) -> tuple[LinearFunctions, str | None]:
    """Means on a scale on which their intervals stay where means can be."""
    m = functions.estimate
    scale = {"zprob": "logit", "dispersion": "log"}.get(kind, _SCALES.get(record.link))
    if record.model.family.support == "closed_unit":
        scale = "logit"
    if scale == "log" and (m > 0.0).all():
        return functions.combined(np.diag(1.0 / m), np.log(m)), "log"
    if scale == "logit" and ((m > 0.0) & (m < 1.0)).all():
        return functions.combined(np.diag(1.0 / (m * (1.0 - m))), np.log(m) - np.log1p(-m)), "logit"
    return functions, None


def _of_categories(
    record: FittedModel,
    variables: Variables,
    terms: list[EffectTerm],
    found: Sequence[Block],
    labels: Mapping[str, np.ndarray],
    bias_correction: bool,
    testing: Testing,
    level: float,
    notes: list[str],
) -> EffectsTable:
    """Probabilities of the categories of an ordinal response, a row for each value and category."""
    categories = list(record.design.response.levels or ())
    parts = []
    for k in range(1, len(categories) + 1):
        whole = [functions_of_block(record, block, f"category {k}", testing, bias_correction) for block in found]
        parts.append(stacked(whole))
    n = len(parts[0])
    functions = stacked(parts)
    order = np.arange(n * len(categories)).reshape(len(categories), n).T.ravel()
    functions, link = _for_intervals(record, functions.rows(order), "zprob")
    category = np.empty(n * len(categories), object)
    category[:] = categories * n
    columns = {name: np.repeat(labels[name], len(categories)) for name in labels}
    names = list(columns)
    estimates = MarginalEstimates(
        functions,
        {**columns, "category": category},
        variables,
        (*names[1:], "category"),
        link,
        "response",
        "estimate",
        notes=(*notes, "Probabilities of the categories"),
    )
    return EffectsTable(
        terms, _columns(estimates, level), variables, "probability", _natural(estimates), estimates.notes
    )


# -- random effects kept, or new responses: rows of their own ---------------------------------------------------------


def _of_rows(
    record: FittedModel,
    variables: Variables,
    terms: list[EffectTerm],
    block: Block,
    kind: str,
    interval: str,
    keep: list[bool] | None,
    unmet: bool,
    testing: Testing,
    level: float,
    seed: int | None,
) -> EffectsTable:
    if interval == "prediction" and kind != "response":
        raise ModelError(f"interval='prediction' is for a new response; it goes with kind='response', not {kind!r}.")
    if kind == "probability":
        raise ModelError("kind='probability' goes with random effects zero: take ranef=False.")
    smooth = [term.smooth is not None for term in record.terms()]
    wanted = [True] * len(smooth) if unmet else (keep or smooth)
    rows = effect_rows(record, block.frame, wanted)
    if unmet:
        # A level that the fit has not met: effect zero, its variance in the standard error.
        rows["codes"] = [
            code if s or (keep is not None and k) else np.full(len(code), UNKNOWN_LEVEL, np.int64)
            for code, s, k in zip(rows["codes"], smooth, keep or smooth, strict=True)
        ]
    estimate, std_error = (np.asarray(v, float) for v in record.engine.predict(rows, kind, True))
    df = np.full(len(estimate), np.inf)
    if keep is None and not unmet:
        df = functions_of_block(record, block, "link", testing).df
    elif testing.number is not None:
        df[:] = testing.number
    z = quantile(level, df)
    if interval == "prediction":
        if record.family == "gaussian" and record.link == "identity":
            sigma = np.asarray(record.engine.predict(rows, "dispersion", False)[0], float)
            half = z * np.sqrt(std_error**2 + sigma**2)
            low, high = estimate - half, estimate + half
        else:
            low, high = prediction_interval(record, rows, estimate, std_error, level, seed, None)
    else:
        low, high = confidence_interval(record, rows, kind, estimate, std_error, float(z[0]))
    columns = {
        **{name: variables[name].shown(values) for name, values in block.labels.items()},
        "estimate": estimate.tolist(),
        "std_error": std_error.tolist(),
        "conf_low": low.tolist(),
        "conf_high": high.tolist(),
    }
    notes = [adjusted_for(variables, block)]
    if keep is not None:
        groups = dict.fromkeys(t.group for t, k in zip(record.terms(), keep, strict=True) if k and t.smooth is None)
        notes.append(f"Random effects of {', '.join(groups)} at their conditional modes")
    if unmet:
        notes.append("For groups not met before: their variance is in the standard errors")
    if interval == "prediction":
        notes.append("Intervals are for a new response")
    return EffectsTable(terms, columns, variables, kind, None, tuple(note for note in notes if note))


def effect_rows(record: FittedModel, frame: Mapping[str, np.ndarray], keep: Sequence[bool]) -> dict[str, Any]:
    """Rows of a frame as the engine takes them; an offset that was an array is at its mean."""
    replayed, extra = without_offset_array(record)
    rows = engine_rows(replayed, frame, keep, "population")
    if extra is not None:
        place = record.model.predictor("cond")
        given = rows["offset"][place]
        rows["offset"][place] = np.full(len(rows["x"][0]), extra.mean()) if given is None else given + extra.mean()
    return rows


def adjusted_for(variables: Variables, block: Block) -> str:
    """The values at which the other variables of the fixed effects and offsets stand, in words."""
    others = [name for name in variables.adjusted() if name not in block.labels]
    said = [f"{name} = {told(variables[name].shown(block.frame[name][:1]))[0]}" for name in others]
    return f"At {', '.join(said)}" if said else ""
