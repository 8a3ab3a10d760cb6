"""All checks, in the order in which they are read: a check is a file of this folder and its line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ranef.checks.autocorrelation import in_space, in_time
from ranef.checks.collinearity import collinearity
from ranef.checks.dispersion import dispersion, zeros
from ranef.checks.distribution import outliers, uniformity
from ranef.checks.finding import Finding, graded
from ranef.checks.group_levels import number_of_levels, rows_per_level
from ranef.checks.identifiability import aliased, coefficient_sizes, scales, separation
from ranef.checks.influential_groups import influential_groups
from ranef.checks.laplace import laplace
from ranef.checks.left_out_groups import left_out_groups
from ranef.checks.optimum import curvature, edge, gradient, inner
from ranef.checks.random_effects import normality, outlying_levels
from ranef.checks.restarts import restarts
from ranef.checks.singularity import singularity
from ranef.checks.spread import along_fitted, between_groups
from ranef.checks.subject import Subject
from ranef.errors import ModelError


@dataclass(frozen=True)
class Check:
    """A line of the catalogue.

    Attributes
    ----------
    area : str
        The part of the table.
    look : function
        Of a subject, to findings: none where the check does not apply.
    """

    area: str
    look: Callable[[Subject], Iterable[Finding]]


CATALOGUE: tuple[Check, ...] = (
    Check("convergence", gradient),
    Check("convergence", curvature),
    Check("convergence", inner),
    Check("convergence", edge),
    Check("convergence", restarts),
    Check("identifiability", aliased),
    Check("identifiability", separation),
    Check("identifiability", coefficient_sizes),
    Check("identifiability", scales),
    Check("identifiability", collinearity),
    Check("identifiability", number_of_levels),
    Check("identifiability", rows_per_level),
    Check("identifiability", singularity),
    Check("approximation", laplace),
    Check("residuals", dispersion),
    Check("residuals", zeros),
    Check("residuals", uniformity),
    Check("residuals", outliers),
    Check("residuals", along_fitted),
    Check("residuals", between_groups),
    Check("residuals", left_out_groups),
    Check("residuals", in_time),
    Check("residuals", in_space),
    Check("random effects", normality),
    Check("random effects", outlying_levels),
    Check("influence", influential_groups),
)


def findings_of(subject: Subject) -> tuple[list[Finding], dict[str, str]]:
    """What all checks find, graded together, and which of them could not be made, with the reason."""
    found: list[Finding] = []
    refused: dict[str, str] = {}
    for check in CATALOGUE:
        try:
            found += [replace(finding, area=check.area) for finding in check.look(subject)]
        except ModelError as error:
            refused[check.look.__name__.replace("_", " ")] = str(error)
    return graded(found), refused
