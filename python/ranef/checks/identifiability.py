"""Fixed effects that the data do not determine: aliased, separated, far out; and predictors of very different scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import LOOK, OK, PROBLEM, Finding
from ranef.checks.subject import Subject
from ranef.fitting import SCALES_APART, spreads
from ranef.formula.level_columns import column_ranges

# Change of a log or logit over the range of a predictor beyond which it is no plausible effect: glmmTMB's diagnose.
LARGE = 10.0
BOUNDED = ("log", "logit", "probit", "cloglog", "loglog", "cauchit")
# Logit of the probability of an excess zero: below it there are none.
NO_EXCESS = -7.0


def aliased(subject: Subject) -> Iterator[Finding]:
    """Columns that are linear combinations of others."""
    found = subject.record.aliased
    names = [name if c == "cond" else f"{c}: {name}" for c, dropped in found.items() for name in dropped]
    said = ", ".join(names)
    yield Finding(
        "aliased columns",
        float(len(names)),
        "columns left out",
        f"left out: {said}" if names else "every column adds something",
        f"{said} cannot be told from the other predictors and has no estimate: combinations of levels without data, or "
        "the same information twice. Leave one of them out of the formula."
        if names
        else "",
        LOOK if names else OK,
    )


def separation(subject: Subject) -> Iterator[Finding]:
    """Coefficients without a finite estimate."""
    record = subject.record
    names = list(record.verdict["separated"])
    if (
        not names
        and record.model.family.support not in ("trials", "ordered", "counts")
        and not record.model.zero_inflated
    ):
        return
    said = ", ".join(names)
    yield Finding(
        "separation",
        float(len(names)),
        "coefficients that run to infinity",
        f"no finite estimate: {said}" if names else "every coefficient has a finite estimate",
        f"The predictors tell the responses apart without error along {said}, so its estimate, standard error and Wald "
        "test mean nothing. Combine levels, or give the coefficients a weak prior: "
        '`fit.update(priors={"fixed": rf.prior.normal(0, 2.5)})`.'
        if names
        else "",
        PROBLEM if names else OK,
    )


def coefficient_sizes(subject: Subject) -> Iterator[Finding]:
    """Effects on a log or logit scale that no data can show."""
    record = subject.record
    separated = {name.split(": ", 1)[-1] for name in record.verdict["separated"]}
    worst, named = 0.0, []
    links = {p.component: p.link for p in record.model.family.parameters} | {"cond": record.link, "zi": "logit"}
    looked = False
    for component in record.model.components:
        if links.get(component) not in BOUNDED or component not in record.model.written_components:
            continue
        looked = True
        ranges = column_ranges(record.design.fixed[component].x)[record.kept[component]]
        change = np.abs(record.estimates(component)) * ranges
        for name, size in zip(record.names(component), change.tolist(), strict=True):
            if name in separated:
                continue
            worst = max(worst, size)
            if size > LARGE:
                named.append(name if component == "cond" else f"{component}: {name}")
    if looked:
        said = ", ".join(named)
        yield Finding(
            "size of coefficients",
            worst,
            "largest change of a log or logit over the range of a predictor",
            f"beyond {LARGE:g}: {said}" if named else f"none beyond {LARGE:g}",
            f"{said}: an effect of e^{LARGE:g} or more from one end of the predictor to the other. Look at the data "
            "there: a level with all zeros, or an outlying value of the predictor?"
            if named
            else "",
            LOOK if named else OK,
        )
    if record.model.zero_inflated:
        logit = np.asarray(record.engine.linear_predictor, float)[:, record.model.predictor("zi")]
        none = bool(logit.max() < NO_EXCESS)
        yield Finding(
            "use of zero inflation",
            float(1.0 / (1.0 + np.exp(-logit.max()))),
            "largest probability of an excess zero",
            "no row has excess zeros" if none else "some rows have excess zeros",
            "The zero-inflation part explains nothing: `fit.update(zi=None)`." if none else "",
            LOOK if none else OK,
        )


def scales(subject: Subject) -> Iterator[Finding]:
    """Predictors of very different scale."""
    spread = spreads(subject.record)
    if len(spread) < 1:
        return
    low, high = min(spread, key=spread.__getitem__), max(spread, key=spread.__getitem__)
    ratio = spread[high] / spread[low]
    apart = ratio > SCALES_APART
    yield Finding(
        "scale of predictors",
        ratio,
        "largest over smallest standard deviation",
        f"{high} varies {ratio:.1e} times as much as {low}" if apart else "of similar size",
        f"Nothing is lost, since the search works on scaled columns. For coefficients that can be read, change units: "
        f"divide {high} by a round number."
        if apart
        else "",
    )
