"""Whether the fixed effects hang on one group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import LOOK, OK, PROBLEM, Finding
from ranef.checks.subject import Subject
from ranef.errors import DataError, ModelError
from ranef.inference.influence import Deletion, influence

# Cook's distance: the estimates move to the edge of their 50 % region near 1.
LOOK_AT, PROBLEM_AT = 1.0, 4.0
# Rows, levels, and in linear models rows times rows a level, beyond which leaving out groups must be asked for.
MOST_ROWS, MOST_LEVELS, MOST_PAIRS = 50_000, 2_000, 300_000


def influential_groups(subject: Subject) -> Iterator[Finding]:
    """The largest Cook's distance of the levels of each grouping factor, by one step."""
    for group in subject.factors:
        found = without_each(subject, group)
        if found is None:
            continue
        distance = found.cooks_distance
        if not np.isfinite(distance).any():
            continue
        worst = int(np.nanargmax(distance))
        largest, level = float(distance[worst]), str(found.sets.names[worst])
        dfbetas = found.dfbetas[worst]
        moved = ""
        if np.isfinite(dfbetas).any():
            k = int(np.nanargmax(np.abs(dfbetas)))
            moved = f"; without it {found.coefficients[k].name} moves by {abs(dfbetas[k]):.2g} standard errors"
        state = PROBLEM if largest >= PROBLEM_AT else LOOK if largest >= LOOK_AT else OK
        yield Finding(
            f"influential levels of {group}",
            largest,
            "largest Cook's distance",
            f"{level} has the largest{moved}",
            f'The fixed effects hang on {level}. Report the fit with and without it: `fit.influence("{group}")`.'
            if state != OK
            else "",
            state,
        )


def without_each(subject: Subject, group: str) -> Deletion | None:
    """The fit without each level of a grouping factor; None where that takes long or cannot be."""
    record, levels = subject.record, len(subject.factors[group].levels)
    pairs = record.nobs**2 / max(levels, 1) if record.model.linear else 0.0
    if record.nobs > MOST_ROWS or pairs > MOST_PAIRS or not 2 < levels <= min(MOST_LEVELS, record.nobs / 2):
        return None
    try:
        return influence(record, group, "one-step", None, False)
    except (ModelError, DataError):
        return None
