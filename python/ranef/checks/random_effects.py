"""Whether the effects of groups are normal, and whether one of them stands apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import Finding
from ranef.checks.shapiro_wilk import shapiro_wilk
from ranef.checks.singularity import NO_VARIANCE, where
from ranef.checks.subject import Subject
from ranef.formula.design import RandomTerm

# Levels below which neither can be seen.
FEWEST = 8
# Share of the effects' variance that the data must show of a level for its mode to be told from zero.
INFORMATIVE = 0.1
# Distance of a level from the others in standard deviations.
APART_LOOK_AT, APART_PROBLEM_AT = 3.0, 5.0
# 1 - W of Shapiro and Wilk's statistic.
SHAPE_LOOK_AT = 0.02
# Levels that the test takes at the most.
MOST_TESTED = 5000
# Chance that Shapiro and Wilk's test at 1 % sees exponential effects, by the number of levels (4,000 simulations each).
POWER = {8: 0.16, 10: 0.23, 15: 0.42, 20: 0.62, 30: 0.88, 50: 0.99}


def normality(subject: Subject) -> Iterator[Finding]:
    """Shapiro and Wilk's test of each column's standardised modes."""
    for term, name, z, _ in standardised_modes(subject):
        # Royston's p-value is for up to 5,000 values: of more levels so many are taken, whatever their names.
        chosen = np.random.default_rng(subject.seed).permutation(len(z))[:MOST_TESTED]
        w, p_value = shapiro_wilk(z if len(z) <= MOST_TESTED else np.sort(z)[chosen])
        power = float(np.interp(len(z), list(POWER), list(POWER.values())))
        yield Finding(
            f"normal effects: {where(term)} {name}",
            w,
            "Shapiro-Wilk W",
            f"with {len(z)} levels the test sees strongly skewed (exponential) effects {power:.0%} of the time",
            "Fixed effects bear it (McCulloch & Neuhaus 2011); predictions for new levels do not. Is a predictor of "
            f"the levels of {term.group} missing, or are there two kinds of them? See `fit.plot.ranef()`.",
            p_value=p_value,
            size=1.0 - w,
            look_at=SHAPE_LOOK_AT,
        )


def outlying_levels(subject: Subject) -> Iterator[Finding]:
    """Grubbs's (1950) test of the level farthest from the others.

    The distance is in standard deviations of the other levels. Reference: Grubbs (1950), Annals of Mathematical
    Statistics 21, 27-58.
    """
    from scipy.special import stdtr

    for term, name, z, levels in standardised_modes(subject):
        j = len(z)
        u = (z - z.mean()) / z.std(ddof=1)
        worst = int(np.argmax(np.abs(u)))
        g = float(np.abs(u[worst]))
        inside = max((j - 1.0) ** 2 - j * g * g, 1e-12)
        t = np.sqrt(j * (j - 2.0) * g * g / inside)
        p_value = float(min(1.0, 2.0 * j * stdtr(j - 2.0, -t)))
        rest = np.delete(z, worst)
        distance = float(abs(z[worst] - rest.mean()) / rest.std(ddof=1))
        yield Finding(
            f"outlying levels: {where(term)} {name}",
            distance,
            "distance of the farthest level in standard deviations of the others",
            f"{levels[worst]} is {distance:.1f} standard deviations from the other levels",
            f"Look at level {levels[worst]} of {term.group}: what is different there? See what the fit is without it: "
            f'`fit.influence("{term.group}")`.',
            p_value=p_value,
            size=distance,
            look_at=APART_LOOK_AT,
            problem_at=APART_PROBLEM_AT,
        )


def standardised_modes(subject: Subject) -> Iterator[tuple[RandomTerm, str, np.ndarray, list[str]]]:
    """For each column of each term, b over its standard deviation, sqrt(Sigma - Var(b | y)), and the levels.

    Levels about which the data say little are left out: their modes are close to zero whatever their effects are.
    """
    record = subject.record
    covariances = subject.modes_cov
    for t, term in subject.grouped:
        if len(term.levels) < FEWEST:
            continue
        modes = np.asarray(record.engine.modes[t], float)
        sigma, given = np.asarray(record.engine.covariance[t], float), np.asarray(covariances[t], float)
        if sigma.shape[0] != modes.shape[1]:
            continue
        for k, name in enumerate(term.names):
            if not sigma[k, k] > NO_VARIANCE**2 * (record.sigma**2 if record.model.linear else 1.0):
                continue
            shown = sigma[k, k] - given[:, k, k]
            told = np.flatnonzero(shown > INFORMATIVE * sigma[k, k])
            if len(told) < FEWEST:
                continue
            z = modes[told, k] / np.sqrt(shown[told])
            if z.std() > 0.0:
                yield term, name, z, [term.levels[j] for j in told]
