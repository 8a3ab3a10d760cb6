"""Whether a grouping factor has the levels, and the rows within them, that its variance needs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import LOOK, OK, Finding
from ranef.checks.singularity import written
from ranef.checks.subject import Subject
from ranef.formula.update import update_formula

# Levels from which a variance is estimated at all: lme4's and the GLMM FAQ's rule of thumb.
FEW = 5
# Share of levels with one row at which effects of levels and of rows are one.
ALONE = 0.5


def number_of_levels(subject: Subject) -> Iterator[Finding]:
    """Levels of each grouping factor."""
    record = subject.record
    for group, term in subject.factors.items():
        count = len(term.levels)
        advice = ""
        if count < FEW:
            advice = f"A variance from {count} levels is little more than a guess. "
            if term.component == "cond" and len(term.factors) == 1 and "/" not in term.text:
                change = update_formula(record.formula, f". ~ . - {term.text} + {_factor(subject, group)}")
                advice += f'Take {group} as a fixed effect: `fit.update("{change}")`.'
            else:
                advice += f"Take {group} as a fixed effect."
        yield Finding(
            f"levels of {group}",
            float(count),
            "levels",
            "few levels" if count < FEW else "enough levels",
            advice,
            LOOK if count < FEW else OK,
        )


def rows_per_level(subject: Subject) -> Iterator[Finding]:
    """Levels with one row, whose effect cannot be told from the row's own error."""
    for group, term in subject.factors.items():
        rows = np.bincount(np.asarray(term.codes, int), minlength=len(term.levels))
        trials = subject.record.design.response.trials
        # Successes among trials are as many rows put together as there were trials.
        seen = rows if trials is None else np.bincount(np.asarray(term.codes, int), trials, len(term.levels))
        share = float(np.mean(seen == 1))
        every = bool(np.all(rows == 1))
        if every and (subject.discrete or subject.binary):
            detail = "one row in each level: an effect of the observation"
            state, advice = OK, ""
            if subject.binary:
                state = LOOK
                advice = f"With one 0 or 1 a level the variance of {group} is not determined: "
                advice += f"leave {written(['1'], 'us', group)} out."
        elif share > ALONE:
            detail = f"{share:.0%} of the levels were seen once"
            state = LOOK
            advice = f"Most levels of {group} were seen once: its variance rests on the few that were seen again."
        else:
            detail, advice, state = f"median {np.median(rows):g} rows a level", "", OK
        yield Finding(
            f"rows per level of {group}", float(np.median(rows)), "median rows a level", detail, advice, state
        )


def _factor(subject: Subject, group: str) -> str:
    """A grouping factor as a term of the fixed effects: numbers must be made a factor there."""
    if group in subject.frame.columns and subject.frame[group].dtype.is_numeric():
        return f"factor({group})"
    return group
