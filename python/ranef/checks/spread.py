"""Whether residuals vary alike everywhere: along the fitted values, and from group to group."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import Finding
from ranef.checks.subject import Subject

# Ratio of the residuals' standard deviations.
LOOK_AT, PROBLEM_AT = math.log(1.25), math.log(1.6)
# Standard deviation of the log of groups' residual standard deviations, and the ratio of one group to the others.
BETWEEN_LOOK_AT, BETWEEN_PROBLEM_AT = 0.2, 0.4
ONE_GROUP = 3.0
# Rows a level must have to be compared.
FEW_ROWS = 4


def along_fitted(subject: Subject) -> Iterator[Finding]:
    """Koenker's (1981) form of Breusch and Pagan's test: squared residuals regressed on the linear predictor.

    Its size is the ratio of the residuals' standard deviations a standard deviation above and below the mean of the
    predictor. Reference: Koenker (1981), Journal of Econometrics 17, 107-112.
    """
    from scipy.special import chdtrc

    eta, square = subject.predictor, np.square(subject.residuals)
    spread = eta.std()
    if not spread > 1e-9 * (1.0 + np.abs(eta).max()):
        return
    z = (eta - eta.mean()) / spread
    centred = square - square.mean()
    slope = float(np.mean(z * centred))
    r_squared = slope**2 / max(float(np.mean(centred**2)), 1e-300)
    share = float(np.clip(slope / max(float(square.mean()), 1e-300), -0.95, 0.95))
    ratio = math.sqrt((1.0 + share) / (1.0 - share))
    yield Finding(
        "spread along fitted values",
        ratio,
        "ratio of residual sds at high and low fitted values",
        f"residuals at high fitted values vary {ratio:.2f} times as much as at low ones",
        _advice(subject, ratio > 1.0),
        p_value=float(chdtrc(1.0, len(eta) * r_squared)),
        size=abs(math.log(ratio)),
        look_at=LOOK_AT,
        problem_at=PROBLEM_AT,
    )


def _advice(subject: Subject, growing: bool) -> str:
    record = subject.record
    if record.model.linear:
        positive = bool(np.min(np.asarray(record.design.response.y, float)) > 0.0)
        log = "Take the log of the response, or let" if growing and positive else "Let"
        return f'{log} the residual variance follow the mean: `fit.update(dispersion="~ power(fitted)")`.'
    if record.family in ("nbinom1", "nbinom2"):
        other = "nbinom1" if record.family == "nbinom2" else "nbinom2"
        return f'The variance grows otherwise with the mean: try `fit.update(family="{other}")`.'
    if "disp" in record.model.components:
        return 'Let the dispersion follow a predictor: `fit.update(dispersion="~ x")`.'
    return "The variance grows otherwise with the mean than this family's: look at dispersion, and try another family."


def between_groups(subject: Subject) -> Iterator[Finding]:
    """Brown and Forsythe's (1974) test: absolute residuals, around the median of their level, compared between levels.

    Reference: Brown & Forsythe (1974), Journal of the American Statistical Association 69, 364-367.
    """
    for group in dict.fromkeys([*subject.factors, *subject.groups]):
        codes, levels = subject.codes_of(group)
        found = _brown_forsythe(subject.residuals, codes, len(levels))
        if found is None:
            continue
        p_value, between, ratio, worst = found
        record = subject.record
        if record.model.linear and len(levels) < 10 and "/" not in group and ":" not in group:
            advice = f'Give each level its own residual variance: `fit.update(dispersion="~ {group}")`.'
        else:
            advice = (
                f"Residuals of {levels[worst]} vary {ratio:.1f} times as much as is usual. Was it measured otherwise? "
            )
            advice += 'Let the dispersion follow what makes the levels differ: `fit.update(dispersion="~ x")`.'
        yield Finding(
            f"spread between levels of {group}",
            ratio,
            "residual sd of the most variable level over the typical one",
            f"{levels[worst]} has the largest residuals",
            advice,
            p_value=p_value,
            size=max(between, BETWEEN_PROBLEM_AT * math.log(max(ratio, 1.0)) / math.log(ONE_GROUP)),
            look_at=BETWEEN_LOOK_AT,
            problem_at=BETWEEN_PROBLEM_AT,
        )


def _brown_forsythe(r: np.ndarray, codes: np.ndarray, size: int) -> tuple[float, float, float, int] | None:
    """p-value, sd of log spreads between levels, ratio of the largest to the typical spread, and that level."""
    from scipy.special import fdtrc

    rows = np.bincount(codes, minlength=size)
    enough = np.flatnonzero(rows >= FEW_ROWS)
    if len(enough) < 2:
        return None
    place = np.full(size, len(enough))
    place[enough] = np.arange(len(enough))
    kept = rows[codes] >= FEW_ROWS
    level, values = place[codes[kept]], r[kept]
    counts = rows[enough]
    # The rows of each level together and in order, to find the middle of each.
    order = np.argsort(values)
    ordered = values[order[np.argsort(level[order], kind="stable")]]
    first = np.cumsum(counts) - counts
    medians = 0.5 * (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2])
    distances = np.abs(values - medians[level])
    means = np.bincount(level, weights=distances) / counts
    within = float(np.sum(np.square(distances - means[level])))
    overall = float(np.sum(counts * means) / counts.sum())
    df1, df2 = len(means) - 1.0, counts.sum() - len(means)
    if not within > 0.0 or not overall > 0.0:
        return None
    f = float(np.sum(counts * (means - overall) ** 2)) / df1 / (within / df2)
    logs = np.log(np.maximum(means, 1e-3 * overall))
    # The variance of log mean |d| of n normal deviates is about (pi / 2 - 1) / n.
    between = max(0.0, float(logs.var(ddof=1)) - (math.pi / 2.0 - 1.0) * float(np.mean(1.0 / counts)))
    worst = int(np.argmax(means))
    return float(fdtrc(df1, df2, f)), math.sqrt(between), float(means[worst] / np.median(means)), int(enough[worst])
