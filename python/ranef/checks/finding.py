"""What one check found, and how findings are graded together.

A check that tests something brings a p-value *and* the size of what it found, in units that mean the same whatever the
number of rows. A large size that chance explains is no finding, and neither is a tiny one that is "significant" because
there are many rows:

    problem   the p-value, adjusted for the number of tests in the table (Holm 1979), is below 0.01, and the size is
              beyond what spoils estimates or their standard errors;
    look      the p-value of this test alone is below 0.01 and the size is worth a look;
    ok        everything else.

Checks without a p-value (a flat direction, an aliased column) grade themselves.

Reference: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ranef.inference.multiplicity import holm

OK, LOOK, PROBLEM = "ok", "look", "problem"
VERDICTS = (OK, LOOK, PROBLEM)

# Level of the tests: with a dozen of them a right model is called bad about once in a hundred times, not every other.
LEVEL = 0.01


@dataclass(frozen=True)
class Finding:
    """One row of the table.

    Attributes
    ----------
    check : str
        What was looked at.
    statistic : float
        The figure.
    measure : str
        What the figure is.
    detail : str
        What was found, in words.
    advice : str
        What to do if the verdict is not ok; of an ok finding, what is worth knowing all the same.
    verdict : {"ok", "look", "problem"}
        Its own where nothing is tested; of a test, what `graded` says.
    p_value : float
        NaN without a test.
    size : float
        How large the departure is, not negative; NaN without a test.
    look_at, problem_at : float
        Sizes from which it is worth a look, or a problem.
    area : str
        Which part of the checks it belongs to; the catalogue fills it in.
    """

    check: str
    statistic: float
    measure: str
    detail: str
    advice: str = ""
    verdict: str = OK
    p_value: float = math.nan
    size: float = math.nan
    look_at: float = math.inf
    problem_at: float = math.inf
    area: str = ""

    @property
    def tested(self) -> bool:
        """Whether the verdict rests on a p-value and a size."""
        return math.isfinite(self.p_value) and not math.isnan(self.size)


def graded(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with their verdicts; tests are judged together."""
    tests = [j for j, finding in enumerate(findings) if finding.tested]
    adjusted = dict(zip(tests, holm([findings[j].p_value for j in tests]), strict=True))
    return [_judged(finding, adjusted[j]) if j in adjusted else finding for j, finding in enumerate(findings)]


def _judged(finding: Finding, adjusted: float) -> Finding:
    if finding.size >= finding.problem_at and adjusted < LEVEL:
        return replace(finding, verdict=PROBLEM)
    if finding.p_value >= LEVEL:
        return replace(finding, verdict=OK, advice="")
    if finding.size >= finding.look_at:
        return replace(finding, verdict=LOOK)
    small = (
        f"Not by chance (p = {finding.p_value:.1g}), but too small to matter: many rows show the smallest departure."
    )
    return replace(finding, verdict=OK, advice=small)
