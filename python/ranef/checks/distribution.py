"""The distribution of the residuals as a whole, and single rows far outside it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ranef.checks.finding import Finding
from ranef.checks.subject import Subject

# Largest distance between the residuals' distribution and the one expected.
LOOK_AT, PROBLEM_AT = 0.05, 0.1
# Residual that one row in a thousand exceeds, and the share of such rows at which they are no accident of a few.
FAR, MANY_FAR = 3.29, 0.02
# Skewness and excess kurtosis from which on they have a name.
SKEWED, HEAVY = 0.5, 1.0
# Families with a free location and scale: estimating both brings the residuals close to normal.
FREE_SCALE = ("gaussian", "lognormal")


def uniformity(subject: Subject) -> Iterator[Finding]:
    """Kolmogorov and Smirnov's distance of the residuals from the standard normal distribution.

    For normal responses the p-value is Lilliefors' (Dallal & Wilkinson 1986, The American Statistician 40, 294-296),
    which counts that location and scale are estimated.
    """
    from scipy.special import kolmogorov, ndtr

    r = np.sort(subject.residuals)
    n = len(r)
    free = subject.record.family in FREE_SCALE
    if free:
        r = (r - r.mean()) / r.std(ddof=1)
    place = ndtr(r)
    distance = float(max(np.max(np.arange(1, n + 1) / n - place), np.max(place - np.arange(n) / n)))
    if free:
        p_value = lilliefors(distance, n)
    else:
        # Stephens (1970), Journal of the Royal Statistical Society B 32, 115-122: the asymptotic law in small samples.
        p_value = float(kolmogorov((math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance))
    yield Finding(
        "distribution of residuals",
        distance,
        "Kolmogorov-Smirnov distance",
        shape(subject.residuals),
        _advice(subject),
        p_value=p_value,
        size=distance,
        look_at=LOOK_AT,
        problem_at=PROBLEM_AT,
    )


def standardised(r: np.ndarray) -> np.ndarray:
    """Less their mean, over their standard deviation."""
    return np.asarray((r - r.mean()) / max(float(r.std()), 1e-300))


def skewness(r: np.ndarray) -> float:
    """The mean cube of standardised residuals."""
    return float(np.mean(standardised(r) ** 3))


def shape(r: np.ndarray) -> str:
    """In words, how residuals depart from a normal distribution."""
    skew, excess = skewness(r), float(np.mean(standardised(r) ** 4) - 3.0)
    side = f" (skewed to the {'right' if skew > 0 else 'left'})" if abs(skew) > SKEWED else ""
    tails = f" ({'long' if excess > 0 else 'short'} tails)" if abs(excess) > HEAVY else ""
    return f"skewness {skew:.2f}{side}, excess kurtosis {excess:.2f}{tails}"


def _advice(subject: Subject) -> str:
    record = subject.record
    if record.family == "gaussian":
        positive = bool(np.min(np.asarray(record.design.response.y, float)) > 0.0)
        if positive and skewness(subject.residuals) > SKEWED:
            return (
                "Estimates and their tests bear it with many rows; prediction intervals do not. The response is "
                'positive and skewed: take its log, or `rf.glmm(..., family="gamma", link="log")`.'
            )
        return (
            "Estimates and their tests bear it with many rows; prediction intervals do not. With long tails try "
            '`rf.glmm(..., family="student_t")`; look at `fit.check().plot()`.'
        )
    return (
        "The family does not describe the responses; look at dispersion and zeros first, then at `fit.check().plot()`."
    )


def lilliefors(distance: float, n: int) -> float:
    """p-value of the largest distance where mean and standard deviation are estimated; good below 0.1."""
    d = distance
    if n > 100:
        d, n = distance * (n / 100.0) ** 0.49, 100
    log_p = -7.01256 * d * d * (n + 2.78019) + 2.99587 * d * math.sqrt(n + 2.78019) - 0.122119
    log_p += 0.974598 / math.sqrt(n) + 1.67997 / n
    return float(min(1.0, math.exp(min(log_p, 0.0))))


def outliers(subject: Subject) -> Iterator[Finding]:
    """The largest residual, its p-value multiplied by the number of rows."""
    from scipy.special import ndtr

    n = len(subject.residuals)
    r = np.abs(subject.residuals)
    if subject.record.family in FREE_SCALE:
        r = r / np.sqrt(np.mean(np.square(r)))
        # Of many, those far below the limit stay there.
        large = r >= (min(0.9 * FAR, float(r.max())) if n > 1000 else 0.0)
        r[large] = np.abs(externally_studentised(r[large], n))
    p_value = float(min(1.0, 2.0 * n * ndtr(-r.max())))
    far = np.flatnonzero(r > FAR)
    order = far[np.argsort(-r[far], kind="stable")][:5]
    rows = ", ".join(str(int(subject.record.design.rows[i])) for i in order)
    more = f" and {len(far) - len(order)} more" if len(far) > len(order) else ""
    yield Finding(
        "outliers",
        float(r.max()),
        "largest residual in standard deviations",
        f"rows (counting from 0) beyond {FAR:g}: {rows}{more}" if len(far) else f"no row beyond {FAR:g}",
        f"Look at rows {rows}{more}: a slip of the pen, or another kind of unit? `fit.influence()` says whether they "
        "matter; long tails as a whole want another family.",
        p_value=p_value,
        # One row is worth a look, however many there are; many of them are a wrong family.
        size=max(len(far) / n, 1e-3),
        look_at=1e-3,
        problem_at=max(MANY_FAR, 1.5 / n),
    )


def externally_studentised(z: np.ndarray, n: int) -> np.ndarray:
    """Some of n standardised residuals over a standard deviation without the row itself, as normal deviates."""
    from scipy.special import ndtri, stdtr

    inside = np.maximum(n - np.square(z), 1e-12)
    t = z * np.sqrt((n - 1.0) / inside)
    with np.errstate(divide="ignore"):
        return np.where(t > 0, -1.0, 1.0) * ndtri(stdtr(n - 1.0, -np.abs(t)))
