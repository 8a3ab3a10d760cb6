"""Whether counts and successes vary as much as the family says, and whether there are too many zeros."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ranef.checks.draws import drawn_at_modes, expected_anew
from ranef.checks.finding import Finding
from ranef.checks.subject import Subject
from ranef.prediction.residuals import observed_response

# Ratio of observed to expected variance; its square root is what standard errors are wrong by.
LOOK_AT, PROBLEM_AT = math.log(1.2), math.log(1.5)
# Ratio of observed to expected zeros, either way; performance's tolerance is 0.05.
ZEROS_LOOK_AT, ZEROS_PROBLEM_AT = 0.1, 0.25
# Zeros that would be expected, below which their ratio says nothing.
FEW_ZEROS = 5.0

WIDER = {
    "poisson": 'fit.update(family="nbinom2")',
    "bell": 'fit.update(family="nbinom2")',
    "binomial": 'fit.update(family="betabinomial")',
    "truncated_poisson": 'fit.update(family="truncated_nbinom2")',
    "nbinom1": 'fit.update(family="nbinom2")',
    "nbinom2": 'fit.update(family="nbinom1")',
}


def dispersion(subject: Subject) -> Iterator[Finding]:
    """Pearson's statistic over its degrees of freedom, sum (y - mu)^2 / Var(y) over sum (1 - leverage).

    The p-value is that of the same ratio among responses drawn at the conditional modes.
    """
    if not subject.discrete:
        return
    record = subject.record
    ratio = float(np.square(subject.pearson).sum() / np.sum(1.0 - subject.leverage))
    response = record.design.response
    trials = np.ones(record.nobs) if response.trials is None else np.asarray(response.trials, float)
    # The residual is linear in the response: (y* - mu) / sd from the observed ones.
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.asarray(record.engine.fitted_values("response"), float)
        sd = np.where(subject.pearson != 0.0, (observed_response(record) - mean) / subject.pearson, np.nan)
    known = np.isfinite(sd) & (sd > 0.0)

    def squares(draws: np.ndarray) -> np.ndarray:
        standardised = (draws[known] / trials[known, None] - mean[known, None]) / sd[known, None]
        return np.square(standardised) / known.sum()

    if not known.any() or not ratio > 0.0:
        return
    found = drawn_at_modes(subject, squares, ratio)
    over = ratio > 1.0
    if over:
        advice = "The responses vary more than the family allows, and standard errors are too small: "
        advice += f"try `{WIDER[record.family]}`" if record.family in WIDER else "try another family"
        advice += ", or a predictor or grouping factor that is missing."
    else:
        advice = "The responses vary less than the family allows, and standard errors are too large: "
        wanted = record.family in ("poisson", "nbinom1", "nbinom2")
        advice += 'try `fit.update(family="compois")`.' if wanted else "do the rows depend on each other?"
    yield Finding(
        "dispersion",
        ratio,
        "observed over expected variance",
        f"the responses vary {ratio:.3g} times as much as expected",
        advice,
        p_value=found.p_value,
        size=abs(math.log(ratio)),
        look_at=LOOK_AT,
        problem_at=PROBLEM_AT,
    )


def zeros(subject: Subject) -> Iterator[Finding]:
    """Zeros observed and expected.

    Expected are those of responses drawn with new random effects, since conditional modes are less spread than effects
    and make too few zeros; how much their number varies is told by draws at the modes, since the observed zeros are of
    these very groups.
    """
    from scipy.special import ndtr

    if not subject.counts:
        return
    record = subject.record
    observed = float(np.sum(np.asarray(record.design.response.y, float) == 0.0))
    anew = expected_anew(subject, _is_zero)
    expected = max(anew, 1.0)
    spread = max(drawn_at_modes(subject, _is_zero, observed).spread, 0.5)
    ratio = observed / expected
    if ratio > 1.0:
        advice = "More zeros than the model makes. "
        if record.family == "poisson":
            advice += 'First let counts vary more, `fit.update(family="nbinom2")`, and check again; then excess zeros, '
            advice += '`fit.update(zi="~ 1")`.'
        elif record.model.zero_inflated:
            advice += 'Let a predictor act on the probability of an excess zero: `zi="~ x"`.'
        else:
            advice += 'Try `fit.update(zi="~ 1")`.'
    else:
        advice = "Fewer zeros than the model makes. "
        advice += (
            "Is the zero inflation needed? `fit.update(zi=None)`."
            if record.model.zero_inflated
            else ("Were zeros not recorded? Then a truncated family is right, else a less dispersed one.")
        )
    few = max(observed, anew) < FEW_ZEROS
    yield Finding(
        "zeros",
        ratio,
        "observed over expected zeros",
        f"{observed:.0f} zeros, {anew:.1f} expected",
        advice,
        p_value=float(2.0 * ndtr(-abs(observed - anew) / spread)),
        size=0.0 if few else abs(ratio - 1.0),
        look_at=ZEROS_LOOK_AT,
        problem_at=ZEROS_PROBLEM_AT,
    )


def _is_zero(responses: np.ndarray) -> np.ndarray:
    return np.asarray(responses == 0.0, float)
