"""What a model loses with a term: likelihood-ratio, information criterion and F of models with one term less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.terms import Term
from ranef.formula.update import update_formula
from ranef.inference.anova import table
from ranef.inference.contrasts import denominator
from ranef.inference.likelihood_ratio import boundary_tail, upper_tail

# Fits this model with something changed: the arguments of `Fit.update`.
Refit = Callable[..., FittedModel]

NONE = "<none>"


def marginal_terms(record: FittedModel) -> list[str]:
    """The terms of the mean's fixed effects that stand in no other term, in their order."""
    terms = record.design.recipe.terms["cond"].fixed
    return [t.text for t in terms if t.factors and not any(t.key < other.key for other in terms)]


def drop1(
    record: FittedModel, refit: Refit, test: str | None = "chisq", ddf: str | None = None
) -> tuple[dict[str, list[Any]], str]:
    """Columns of the table of models with one term less, and a heading."""
    if test not in ("chisq", "F", None):
        raise ModelError(f"test={test!r}: give 'chisq', 'F' or None.")
    terms = marginal_terms(record)
    if not terms:
        raise ModelError("the model has no fixed effects besides the intercept, so there is nothing to drop.")
    if test == "F":
        tests = denominator(record, "cond", ddf)
        if tests.method == "asymptotic":
            raise ModelError(f"test='F' needs denominator degrees of freedom ({tests.reason}); use test='chisq'.")
        place = {int(j): k for k, j in enumerate(record.kept["cond"])}
        columns = record.design.fixed["cond"].term_columns
        each = np.eye(len(place))
        found = [tests.joint_test(each[[place[j] for j in columns[term] if j in place]]) for term in terms]
        return table(terms, found, tests, record), f"Single term deletions: {tests.text}"
    if ddf is not None:
        raise ModelError("ddf= goes with test='F'; a likelihood-ratio test has no denominator degrees of freedom.")
    changes = {"reml": False} if record.method == "reml" else {}
    full = refit(**changes) if changes else record
    smaller = [refit(f". ~ . - {term}", **changes) for term in terms]
    result: dict[str, list[Any]] = {
        "term": [NONE, *terms],
        "df": [None, *(full.npar - fit.npar for fit in smaller)],
        "aic": [full.aic, *(fit.aic for fit in smaller)],
    }
    result["df"][0] = float("nan")
    if test == "chisq":
        statistics, p_values = [float("nan")], [float("nan")]
        for fit in smaller:
            statistic = 2.0 * (full.loglik - fit.loglik)
            statistics.append(statistic)
            p_values.append(upper_tail(statistic, full.npar - fit.npar))
        result |= {"statistic": statistics, "p_value": p_values}
    how = "fits by maximum likelihood" if changes else f"fits by {record.model.method_in_words}"
    return result, f"Single term deletions: likelihood-ratio tests, {how}"


def ranova(record: FittedModel, refit: Refit) -> tuple[dict[str, list[Any]], str]:
    """Columns of the table of models with one random-effects term less, and a heading."""
    smaller = reductions(record)
    if not smaller:
        raise ModelError("the model has no random effects of the mean, so there is nothing to test.")
    fits = [refit(formula) for _, formula, _ in smaller]
    nan = float("nan")
    columns: dict[str, list[Any]] = {
        "term": [NONE, *(label for label, _, _ in smaller)],
        "npar": [record.npar, *(fit.npar for fit in fits)],
        "loglik": [record.loglik, *(fit.loglik for fit in fits)],
        "aic": [record.aic, *(fit.aic for fit in fits)],
        "statistic": [nan],
        "df": [nan],
        "p_value": [nan],
        "p_boundary": [nan],
    }
    for fit in fits:
        df = record.npar - fit.npar
        # A search may end a rounding error below the smaller model.
        statistic = max(2.0 * (record.loglik - fit.loglik), 0.0)
        columns["statistic"].append(statistic)
        columns["df"].append(float(df))
        columns["p_value"].append(upper_tail(statistic, df))
        columns["p_boundary"].append(boundary_tail(statistic, df))
    return columns, f"Tests of random terms: likelihood ratios of fits by {record.model.method_in_words}"


def reductions(record: FittedModel) -> list[tuple[str, str, Term | None]]:
    """Label and formula of every model with less random effects, and the term that is left out of one.

    ``(x | g)`` becomes ``(1 | g)``, and so do the others: one term less, as long as there is another.
    """
    design = record.design
    bars = [(k, bar, grouping) for k, (c, bar, grouping) in enumerate(design.recipe.random) if c == "cond"]
    texts = {k: whole(design.random[k], bar, grouping.name) for k, bar, grouping in bars}
    found: list[tuple[str, str, Term | None]] = []
    for k, bar, grouping in bars:
        term = design.random[k]
        others = [texts[j] for j, _, _ in bars if j != k]
        slopes = [t for t in bar.terms if t.factors] if term.structure in ("us", "diag") and not term.coupling else []
        if len(bar.terms) < 2 or not slopes:
            found.append((texts[k], formula_with(record, others), None))
            continue
        for slope in slopes:
            left = [t for t in bar.terms if t is not slope]
            smaller = written(term.structure, left, grouping.name)
            found.append((f"{slope.text} in {texts[k]}", formula_with(record, [*others, smaller]), slope))
    return found


def whole(term: Any, bar: Any, group: str) -> str:
    """A random-effects term with one grouping factor, as a formula has it."""
    if term.coupling is not None or term.structure not in ("us", "diag"):
        return str(bar.text)
    return written(term.structure, list(bar.terms), group)


def written(structure: str, terms: list[Term], group: str) -> str:
    """``(1 + x | g)``; of independent effects ``(1 + x || g)``."""
    words = [t.text for t in terms if t.factors]
    intercept = any(not t.factors for t in terms)
    left = " + ".join(["1" if intercept else "0", *words]) if words else "1"
    bar = "||" if structure == "diag" and len(terms) > 1 else "|"
    return f"({left} {bar} {group})"


def formula_with(record: FittedModel, bars: list[str]) -> str:
    """The model's formula with these random-effects terms of the mean and no others."""
    terms = record.design.recipe.terms["cond"]
    removed = " ".join(f"- {bar.text}" for bar in terms.bars)
    added = " ".join(f"+ {text}" for text in bars)
    return update_formula(record.formula, f". ~ . {removed} {added}")
