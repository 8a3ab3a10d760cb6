"""The reference grid: every combination of the factors' levels, with numeric variables at their mean.

Its rows are the linear predictor at those values, random effects zero; marginal means are averages of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.response_scale import KINDS_OF_COMPONENT, means_of_rows
from ranef.inference.marginal_means.testing import USUAL, Testing
from ranef.inference.marginal_means.variables import Variables, without_offset_array
from ranef.newdata import engine_rows

WEIGHTS = ("equal", "proportional", "outer", "cells", "flat")
# Numbers with no more distinct values than this are averaged over like the levels of a factor, as in emmeans.
_FEW = 2
# Cells times coefficients; beyond it nobody waits for the grid.
_MOST_NUMBERS = 50_000_000


@dataclass(frozen=True, eq=False)
class ReferenceGrid:
    """Combinations of values of a component's variables.

    Attributes
    ----------
    record : FittedModel
    component : str
        A component of the model, whose linear predictor the grid holds; or "response" or "cmean", for the mean response
        with and without zero inflation.
    variables : Variables
    values : dict of str to array
        The values of every variable, in the order of the formula.
    testing : Testing
    """

    record: FittedModel
    component: str
    variables: Variables
    values: Mapping[str, np.ndarray]
    testing: Testing = USUAL

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each variable."""
        return tuple(len(values) for values in self.values.values())

    @cached_property
    def cells(self) -> np.ndarray:
        """For every cell and variable, the place of its value, (cells, variables)."""
        places = [np.arange(size) for size in self.shape]
        return np.array(list(product(*places)), int).reshape(int(np.prod(self.shape)), len(places))

    def frame(self) -> dict[str, np.ndarray]:
        """The cells as columns."""
        if not self.values:
            # A model without variables still has a mean: one row, of any column.
            name, variable = next(iter(self.variables.items()), ("row", None))
            return {name: np.zeros(1) if variable is None else variable.data[:1]}
        return {name: values[self.cells[:, j]] for j, (name, values) in enumerate(self.values.items())}

    @cached_property
    def functions(self) -> LinearFunctions:
        """The linear predictor (or mean response) of every cell."""
        record, extra = without_offset_array(self.record)
        keep = [term.smooth is not None for term in record.terms()]
        rows = engine_rows(record, self.frame(), keep)
        if extra is not None:
            place = record.model.predictor("cond")
            given = rows["offset"][place]
            n = len(rows["x"][0])
            rows["offset"][place] = np.full(n, extra.mean()) if given is None else given + extra.mean()
        if self.component in KINDS_OF_COMPONENT:
            each = np.eye(len(rows["x"][0]))
            return means_of_rows(record, rows, each, KINDS_OF_COMPONENT[self.component], self.testing)
        return predictor_of_rows(record, rows, self.component, self.testing)

    @cached_property
    def counts(self) -> np.ndarray:
        """How much data every cell has: its rows, or the sum of their weights or trials."""
        design = self.record.design
        weight = np.ones(self.record.nobs)
        if design.response.trials is not None:
            weight = np.asarray(design.response.trials, float)
        elif design.weights is not None:
            weight = np.asarray(design.weights, float)
        place = np.zeros(self.record.nobs, np.int64)
        met = np.ones(self.record.nobs, bool)
        for name, values in self.values.items():
            # A number at its mean stands for all of its values.
            codes = self.variables[name].codes_in(values) if len(values) > 1 else np.zeros(len(place), np.int64)
            met &= codes >= 0
            place = place * len(values) + codes
        return np.bincount(place[met], weight[met], minlength=len(self.cells))

    @cached_property
    def nested(self) -> dict[str, list[str]]:
        """Factors whose levels each occur within one level of others, without a main effect: factor -> the others."""
        terms = self.record.design.recipe.terms
        if self.component not in terms:
            return {}
        own = [[node.text for node in term.factors] for term in terms[self.component].fixed]
        found: dict[str, list[str]] = {}
        for name in self.values:
            if not self.variables[name].is_factor or [name] in own:
                continue
            partners = {text for texts in own if name in texts for text in texts} - {name}
            outer = []
            for other in partners & set(self.values):
                pairs = set(zip(self.variables[name].data, self.variables[other].data, strict=True))
                inner = len(self.variables[name].levels or ())
                if self.variables[other].is_factor and len(pairs) == inner > len(self.variables[other].levels or ()):
                    outer.append(other)
            if outer:
                found[name] = sorted(outer, key=list(self.values).index)
        return found

    def averages(self, over: Sequence[str], weights: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Weights of the cells for the mean at every combination of some variables.

        Parameters
        ----------
        over : sequence of str
            The variables of the means, the slowest first.
        weights : str
            One of `WEIGHTS`.

        Returns
        -------
        columns : dict
            The variables' values for every mean.
        weights : (means, cells) array
            Rows that add up to one.
        """
        if weights not in WEIGHTS:
            raise ModelError(f"weights={weights!r}: give one of {', '.join(map(repr, WEIGHTS))}.")
        names = list(self.values)
        own = [names.index(name) for name in over]
        others = [j for j in range(len(names)) if j not in own]
        sizes = [self.shape[j] for j in own]
        combination = np.zeros(len(self.cells), int)
        for j in own:
            combination = combination * self.shape[j] + self.cells[:, j]
        cell_weight = self._cell_weights(others, weights)
        matrix = np.zeros((int(np.prod(sizes)) if sizes else 1, len(self.cells)))
        matrix[combination, np.arange(len(self.cells))] = cell_weight
        total = matrix.sum(axis=1)
        present = total > 0.0
        if self.nested:
            # A level within another is met only there; other combinations do not exist.
            matrix, total = matrix[present], total[present]
        else:
            present = np.ones(len(total), bool)
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = matrix / total[:, None]
        places = np.array(list(product(*(range(size) for size in sizes))), int).reshape(len(present), len(own))[present]
        columns = {name: self.values[name][places[:, k]] for k, name in enumerate(over)}
        return columns, matrix

    def _cell_weights(self, others: list[int], weights: str) -> np.ndarray:
        counts = self.counts
        exists = np.ones(len(self.cells))
        if self.nested:
            for inner, outer in self.nested.items():
                places = [list(self.values).index(name) for name in (inner, *outer)]
                exists *= self._margin(places, counts) > 0.0
        if weights == "equal":
            return exists
        if weights == "cells":
            return counts
        if weights == "flat":
            return (counts > 0.0).astype(float)
        if weights == "proportional":
            return exists * self._margin(others, counts)
        found = exists.copy()
        for j in others:
            found *= self._margin([j], counts)
        return found

    def _margin(self, places: Sequence[int], counts: np.ndarray) -> np.ndarray:
        """For every cell, the data of all cells that agree with it in some variables."""
        key = np.zeros(len(self.cells), int)
        for j in places:
            key = key * self.shape[j] + self.cells[:, j]
        return np.bincount(key, counts)[key]


def predictor_of_rows(record: FittedModel, rows: dict[str, Any], component: str, testing: Testing) -> LinearFunctions:
    """The linear predictor of a component in some rows, random effects zero."""
    place = record.model.predictor(component)
    x = np.asarray(record.design.fixed[component].x, float)
    x = np.asarray(rows["x"][place], float) if component != "threshold" else np.tile(x[:1], (len(rows["x"][0]), 1))
    estimate = x[:, record.kept[component]] @ record.estimates(component)
    if rows["offset"][place] is not None:
        estimate = estimate + rows["offset"][place]
    bent = {}
    for t, term in enumerate(record.terms()):
        if term.smooth is not None and term.component == component:
            bent[t] = np.asarray(rows["columns"][t], float)
            estimate = estimate + bent[t] @ np.asarray(record.engine.modes[t], float)[0]
    return LinearFunctions(record, estimate, {component: x}, bent, testing=testing)


def reference_grid(
    record: FittedModel,
    component: str = "cond",
    at: Mapping[str, Any] | None = None,
    testing: Testing = USUAL,
    spread: float = 0.0,
) -> ReferenceGrid:
    """The grid of a component's variables.

    Parameters
    ----------
    record : FittedModel
    component : str
    at : mapping, optional
        Values of some variables: numbers instead of the mean, levels instead of all.
    testing : Testing
    spread : float
        Numeric variables take their mean minus and plus this, instead of their mean, where it is not zero.
    """
    if component in KINDS_OF_COMPONENT:
        wanted = ["cond", *(["zi"] if component == "response" and record.model.zero_inflated else [])]
    else:
        record.require_component(component)
        wanted = [component]
    variables = Variables(record)
    fixed = dict.fromkeys(name for c in wanted for name in variables.fixed.get(c, ()))
    # Variables of other components and of offsets are needed to build the rows, and stand at their mean.
    needed = [*fixed, *(n for c in variables.fixed for n in variables.fixed[c]), *variables.offset]
    at = {} if at is None else at
    if not isinstance(at, Mapping):
        raise ModelError(f"at={at!r}: give a dict of values by variable, at={{'x': [1, 2]}}.")
    variables.require(list(at), "at", list(dict.fromkeys(needed)))
    values = {}
    for name in dict.fromkeys(needed):
        variable = variables[name]
        if name in at:
            values[name] = variable.values(at[name], "at")
        elif variable.is_factor:
            levels = variable.as_column(variable.levels or ())
            values[name] = levels if name in fixed else levels[:1]
        else:
            mean = variable.mean
            few = np.unique(variable.data)
            if name in fixed and spread:
                values[name] = np.array([mean - spread, mean + spread])
            elif name in fixed and name not in variables.offset and len(few) <= _FEW:
                values[name] = few
            else:
                values[name] = np.array([mean])
    numbers = float(np.prod([float(len(v)) for v in values.values()]))
    if numbers * max(record.design.fixed[c].x.shape[1] for c in wanted if c in record.design.fixed) > _MOST_NUMBERS:
        long = max(values, key=lambda name: len(values[name]))
        raise ModelError(
            f"the reference grid has {numbers:.0f} cells; `{long}` alone has {len(values[long])} values. Choose some: "
            f"at={{{long!r}: [...]}}."
        )
    return ReferenceGrid(record, component, variables, values, testing)
