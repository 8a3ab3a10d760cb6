"""Random effects without variance, and the simpler formula that drops them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ranef.checks.finding import LOOK, PROBLEM, Finding
from ranef.checks.subject import Subject
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.formula.terms import Bar
from ranef.formula.update import update_formula

# A standard deviation below this share of the term's largest (of one, on the scale of the link or of the residual
# standard deviation, where all are small) is zero: lme4's tolerance.
NO_VARIANCE = 1e-4
# Loss per unit of variance added where there is none, below which zero is not the maximum.
RISING = -1e-4


@dataclass(frozen=True)
class Simplification:
    """What a singular term can become.

    Attributes
    ----------
    why : str
        What has no variance.
    terms : tuple of str
        What takes the place of the term as it was written; none where it is dropped.
    code : str
        The call that fits it.
    exact : bool
        Whether the likelihood stays what it is.
    """

    why: str
    terms: tuple[str, ...]
    code: str
    exact: bool = True


def singularity(subject: Subject) -> Iterator[Finding]:
    """The rank of every term's covariance."""
    record = subject.record
    sizes = record.verdict.get("terms") or []
    for (t, term), size in zip(enumerate(record.terms()), sizes, strict=False):
        if term.smooth is not None:
            continue
        values = np.asarray(size["singular_values"], float)
        ratio = float(values[-1] / values[0]) if len(values) > 1 and values[0] > 0 else float(values[-1])
        measure = "smallest over largest singular value" if len(values) > 1 else "standard deviation, scaled"
        name = f"covariance of {where(term)}"
        if size["rank"] >= size["size"]:
            yield Finding(name, ratio, measure, "all directions have variance")
            continue
        kkt = size["kkt"]
        if kkt is not None and kkt < RISING:
            advice = "Start elsewhere: `fit.update(start={...})`, or see `fit.all_fit()`."
            yield Finding(
                name,
                float(kkt),
                "slope at zero variance",
                "the likelihood still increases with variance",
                advice,
                PROBLEM,
            )
            continue
        simpler = simplification(record, t)
        advice = "An ordinary result: the data do not support this much. "
        said = "The same likelihood" if simpler.exact else "Nearly the same fit"
        advice += (
            f"{said}, simpler: `{simpler.code}`." if simpler.code else "A smaller d, or fewer columns, fits as well."
        )
        yield Finding(name, ratio, measure, simpler.why, advice, LOOK)


def where(term: RandomTerm) -> str:
    """A term as it was written, with its component where that is not the mean."""
    nested = f", {term.group}" if "/" in term.text else ""
    return f"{term.text}{nested}" if term.component == "cond" else f"{term.component}: {term.text}{nested}"


def simplification(record: FittedModel, t: int) -> Simplification:
    """The smallest change of a singular term that drops what has no variance."""
    term = record.terms()[t]
    bar = _bar_of(record, term)
    gone = without_variance(record, t)
    structure = "us" if term.structure not in ("us", "diag") else term.structure
    bases = list(dict.fromkeys(map(base, term.names)))
    if len(gone) == len(term.names):
        return Simplification(f"no variance between levels of {term.group}", (), _code(record, term, bar, ()))
    dropped = [b for b in bases if all(name in gone for name in term.names if base(name) == b)]
    left = [b for b in bases if b not in dropped]
    if dropped and term.structure in ("us", "diag"):
        what = " and ".join("intercept" if b == "1" else b for b in dropped)
        new = (written(left, structure, term.group),)
        return Simplification(
            f"no variance of {what} between levels of {term.group}", new, _code(record, term, bar, new)
        )
    if term.structure == "us" and len(bases) > 1:
        new = (written(bases, "diag", term.group),)
        why = f"the effects of a level of {term.group} are tied: a correlation of one"
        return Simplification(why, new, _code(record, term, bar, new), exact=False)
    why = f"the {term.structure} covariance of {term.group} has no full rank"
    return Simplification(why, (), "" if term.structure == "rr" else _code(record, term, bar, ()))


def without_variance(record: FittedModel, t: int) -> list[str]:
    """Columns of a term whose effects have no variance."""
    term = record.terms()[t]
    factor = np.asarray(record.engine.factor[t], float)
    if record.model.linear:
        factor = factor / record.sigma
    rms = np.sqrt(np.mean(np.square(np.asarray(term.columns, float)), axis=0))
    if len(rms) != len(factor):
        rms = np.ones(len(factor))
    sds = np.linalg.norm(factor, axis=1) * np.where(rms > 0.0, rms, 1.0)
    limit = NO_VARIANCE * max(float(sds.max()), 1.0 if sds.max() < NO_VARIANCE else 0.0)
    return [name for name, sd in zip(term.names, sds, strict=False) if sd <= limit]


def base(name: str) -> str:
    """The term of the formula that a column belongs to: ``f`` for ``f[T.b]``, ``1`` for the intercept."""
    return "1" if name == "Intercept" else re.sub(r"\[[^\[\]]*\]", "", name)


def written(bases: Sequence[str], structure: str, group: str) -> str:
    """A random-effects term as a formula has it."""
    slopes = [b for b in bases if b != "1"]
    left = " + ".join((["1"] if "1" in bases else ["0"]) + slopes)
    return f"({left} {'||' if structure == 'diag' and len(bases) > 1 else '|'} {group})"


def _bar_of(record: FittedModel, term: RandomTerm) -> Bar | None:
    for component, bar, _ in record.design.recipe.random:
        if component == term.component and bar.text == term.text:
            return bar
    return None


def _code(record: FittedModel, term: RandomTerm, bar: Bar | None, new: tuple[str, ...]) -> str:
    """The call that fits the model with one term changed, formulas written out."""
    if bar is None:
        return ""
    siblings = [other for other in record.terms() if other.text == term.text and other.component == term.component]
    lhs = [part.text for part in bar.terms]
    structure = bar.structure if bar.structure in ("us", "diag") else "us"
    others = [written(lhs, structure, other.group) for other in siblings if other.group != term.group]
    parts = [*others, *new]
    change = f"- {bar.text}" + "".join(f" + {part}" for part in parts)
    arguments = record.model.arguments
    if term.component == "cond":
        return f'fit.update("{update_formula(record.formula, f". ~ . {change}")}")'
    argument = {"zi": "zi", "disp": "dispersion", "shape": "shape"}.get(term.component)
    written_there = arguments.get(argument) if argument else None
    if not isinstance(written_there, str):
        return ""
    return f'fit.update({argument}="{update_formula(written_there, f"~ . {change}")}")'
