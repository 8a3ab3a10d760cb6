"""Which effects a report draws when nobody says."""

from __future__ import annotations

from ranef.fitting import FittedModel
from ranef.inference.marginal_means.variables import Variables
from ranef.reports.article.methods import fixed_terms

# Figures of effects, variables in one figure, and levels along an axis or by colour.
MOST_FIGURES, MOST_VARIABLES = 6, 3
MOST_LEVELS, MOST_COLOURS = 30, 8
# With more columns of fixed effects than this a figure of each is no use.
MOST_COLUMNS = 200


def effects_worth_drawing(record: FittedModel) -> list[list[str]]:
    """The variables of each term of the mean that stands in no other, numbers first: they go along the axis.

    Of the zero inflation too, which moves the mean of the response.
    """
    if sum(len(kept) for c, kept in record.kept.items() if c in ("cond", "zi")) > MOST_COLUMNS:
        return []
    variables = Variables(record)
    sets: list[list[str]] = []
    for component in ("cond", "zi"):
        sets += [variables.names_in(term.factors) for term in fixed_terms(record, component)]
    for smooth in record.design.smooths:
        if smooth.component in ("cond", "zi"):
            nodes = [*smooth.smooth.variables, *([smooth.smooth.by] if smooth.smooth.by is not None else [])]
            sets.append(variables.names_in(nodes))
    found: list[list[str]] = []
    for names in sets:
        if not 1 <= len(names) <= MOST_VARIABLES or any(set(names) < set(other) for other in sets):
            continue
        names = sorted(names, key=lambda name: variables[name].is_factor)
        first, *others = (variables[name] for name in names)
        if first.levels is not None and len(first.levels) > MOST_LEVELS:
            continue
        if any(v.levels is not None and len(v.levels) > MOST_COLOURS for v in others):
            names = [names[0]]
        if set(names) not in [set(other) for other in found]:
            found.append(names)
    return found[:MOST_FIGURES]
