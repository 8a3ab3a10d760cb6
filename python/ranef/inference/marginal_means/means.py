"""Estimated marginal means: averages of the reference grid over some of its variables.

Reference: Searle, Speed & Milliken (1980), Population marginal means in the linear model, American Statistician 34.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.parser import Call
from ranef.inference.marginal_means.estimates import MarginalEstimates
from ranef.inference.marginal_means.reference_grid import ReferenceGrid, reference_grid
from ranef.inference.marginal_means.response_scale import KINDS_OF_COMPONENT
from ranef.inference.marginal_means.specification import specification
from ranef.inference.marginal_means.testing import USUAL, Testing

KINDS = ("link", "response")


def marginal_means(
    record: FittedModel,
    specs: Any,
    by: Any = None,
    at: Mapping[str, Any] | None = None,
    kind: str = "link",
    weights: str = "equal",
    component: str = "cond",
    testing: Testing = USUAL,
) -> MarginalEstimates:
    """Means at the combinations of `specs`, grouped by `by`; see `ranef.session.Fit.emmeans`."""
    if kind not in KINDS:
        raise ModelError(f"kind={kind!r}: give 'link' or 'response'.")
    link = link_of(record, component)
    if kind == "response" and record.model.family.ordinal and component == "cond":
        raise ModelError(
            "emmeans(kind='response'): an ordinal response has a probability for each category; use "
            "effects(..., kind='probability'), or kind='link' for the latent scale."
        )
    wanted, grouped = specification(specs, by)
    grid = reference_grid(record, component, at, testing)
    grid.variables.require([*wanted, *grouped], "emmeans", list(grid.values))
    # The last variable of the groups varies slowest, the first of the means fastest, as in R's tables.
    columns, matrix = grid.averages([*reversed(grouped), *reversed(wanted)], weights)
    return MarginalEstimates(
        grid.functions.combined(matrix),
        {name: columns[name] for name in [*wanted, *grouped]},
        grid.variables,
        tuple(grouped),
        link,
        kind if link is not None else "response",
        "emmean" if link is not None else "response",
        notes=notes_of(grid, [*wanted, *grouped], weights),
    )


def link_of(record: FittedModel, component: str) -> str | None:
    """Link of a component; None for a mean response, which has no other scale."""
    if component in KINDS_OF_COMPONENT:
        if record.model.family.ordinal:
            raise ModelError("emmeans(component='response') needs a mean; use effects(..., kind='probability').")
        record.model.family.require("mean", "marginal means of the response")
        return None
    record.require_component(component)
    if component == "cond":
        return record.link if record.link != "identity" else transform_of_response(record) or "identity"
    return next((p.link for p in record.model.family.parameters if p.component == component), "logit")


def transform_of_response(record: FittedModel) -> str | None:
    """The link that a response written as ``log(y)`` or ``sqrt(y)`` amounts to; None for another response."""
    node = record.design.recipe.terms["cond"].response
    if isinstance(node, Call) and node.function in ("log", "sqrt") and len(node.args) == 1 and not node.keywords:
        return node.function
    return None


def notes_of(grid: ReferenceGrid, shown: list[str], weights: str) -> tuple[str, ...]:
    """What a reader must know of how the means were averaged."""
    notes = []
    if grid.record.model.family.ordinal and grid.component == "cond":
        notes.append("On the latent scale, without the thresholds")
    # Components of the model alone count: what fills the others' columns does not change the estimates.
    own = dict.fromkeys(name for c in grid.variables.fixed for name in grid.variables.fixed[c])
    if grid.component in grid.variables.fixed:
        own = dict.fromkeys(grid.variables.fixed[grid.component])
    over = [name for name, values in grid.values.items() if len(values) > 1 and name not in shown and name in own]
    if over:
        notes.append(f"Averaged over {', '.join(over)}" + ("" if weights == "equal" else f" (weights: {weights})"))
    at = [
        f"{name} = {float(values[0]):.4g}"
        for name, values in grid.values.items()
        if len(values) == 1
        and name not in shown
        and values.dtype != object
        and (name in own or (grid.component == "cond" and name in grid.variables.offset))
    ]
    if at:
        notes.append(f"At {', '.join(at)}")
    if grid.nested:
        notes.append("Nested: " + ", ".join(f"{inner} in {'*'.join(outer)}" for inner, outer in grid.nested.items()))
    if not grid.functions.estimable.all():
        notes.append("NaN: not estimable, for the data lack the combination")
    return tuple(notes)


def joint_tests(
    record: FittedModel,
    by: Any = None,
    at: Mapping[str, Any] | None = None,
    component: str = "cond",
    testing: Testing = USUAL,
) -> dict[str, list[Any]]:
    """Columns term, (by variables,) df, ddf, statistic, p_value: each term of the model tested on the reference grid.

    Interaction contrasts of consecutive levels of the term's variables, averaged over all others, numeric variables one
    below and above their mean.
    """
    _, grouped = specification([], by)
    grid = reference_grid(record, component, at, testing, spread=1.0)
    grid.variables.require(grouped, "joint_tests", list(grid.values))
    varying = [name for name, values in grid.values.items() if len(values) > 1]
    sets = []
    for texts in _terms(record, component, grid):
        names = [name for name in grid.values if name in texts and name not in grouped]
        if names and names not in sets and all(name in varying for name in names):
            sets.append(names)
    columns: dict[str, list[Any]] = {name: [] for name in ("term", *grouped, "df", "ddf", "statistic", "p_value")}
    for names in sets:
        order = [*reversed(grouped), *reversed(names)]
        labels, matrix = grid.averages(order, "equal")
        means = MarginalEstimates(
            grid.functions.combined(matrix),
            {name: labels[name] for name in [*names, *grouped]},
            grid.variables,
            tuple(grouped),
        )
        contrasts = means.contrasts("consec", interaction=True)
        for places in contrasts.families():
            known = places[contrasts.functions.estimable[places]]
            columns["term"].append(":".join(names))
            for name in grouped:
                columns[name].append(contrasts.shown(name)[places[0]])
            values: list[Any] = [0, np.nan, np.nan, np.nan]
            if len(known):
                test = contrasts.functions.rows(known).joint_test()
                values = [test.df, test.ddf, test.statistic, test.p_value]
            for name, value in zip(("df", "ddf", "statistic", "p_value"), values, strict=True):
                columns[name].append(value)
    return columns


def _terms(record: FittedModel, component: str, grid: ReferenceGrid) -> list[set[str]]:
    """The variables of every term of a component, main effects first."""
    recipe = record.design.recipe
    found: list[set[str]] = []
    components = [component] if component in recipe.terms else ["cond"]
    for c in components:
        for term in recipe.terms[c].fixed:
            found.append(set(grid.variables.names_in(term.factors)))
    return [names for names in sorted(found, key=len) if names]
