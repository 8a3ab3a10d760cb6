"""Over which rows an effect is averaged: the data's own, a balanced grid, or one typical row.

"average"
    The rows of the fit, each with the variables in question set to the values in question.
"mean"
    The reference grid: all combinations of the factors' levels, numeric variables at their mean.
"reference"
    One row: factors at their first level, numeric variables at their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.marginal_means.linear_functions import LinearFunctions
from ranef.inference.marginal_means.reference_grid import predictor_of_rows, reference_grid
from ranef.inference.marginal_means.response_scale import means_of_rows
from ranef.inference.marginal_means.testing import Testing
from ranef.inference.marginal_means.variables import Variables, without_offset_array
from ranef.newdata import engine_rows

MARGINS = ("average", "mean", "reference")
# Kinds of prediction that are one linear predictor -> its component.
PREDICTORS = {"link": "cond", "zlink": "zi"}
# Other variables by whose values the data are split have at most this many.
_MOST_GROUPS = 1000


@dataclass(frozen=True, eq=False)
class Block:
    """Rows, and the averages of them that are wanted.

    Attributes
    ----------
    labels : dict of str to array (k,)
        What each average belongs to.
    frame : dict of str to array (n,)
        The rows' variables.
    weights : (k, n) array
        Rows that add up to one.
    observed : bool
        Whether the rows are those of the fit, so that they have its offset.
    """

    labels: dict[str, np.ndarray]
    frame: dict[str, np.ndarray]
    weights: np.ndarray
    observed: bool

    def with_column(self, name: str, values: np.ndarray) -> Block:
        """The same rows with other values of a variable."""
        return Block(self.labels, {**self.frame, name: values}, self.weights, self.observed)


def blocks(
    record: FittedModel,
    variables: Variables,
    margin: str,
    by: Sequence[str],
    values: Mapping[str, np.ndarray],
    weights: str = "equal",
    component: str = "cond",
) -> list[Block]:
    """Rows and weights for averages at all combinations of the variables in `by`.

    Parameters
    ----------
    record : FittedModel
    variables : Variables
    margin : str
        One of `MARGINS`.
    by : sequence of str
        The first varies slowest.
    values : mapping
        Values of variables, of those in `by` and of others; a variable in `by` without any has all of its levels, and
        with margin "average" those of the data, whose rows are split by them.
    weights : str
        Of the cells of the grid, for margin "mean".
    component : str
        Whose variables the grid has, for margin "mean": "cond", "response", ...
    """
    if margin not in MARGINS:
        raise ModelError(f"margin={margin!r}: give one of {', '.join(map(repr, MARGINS))}.")
    if margin == "mean":
        grid_by = [name for name in by if name in _grid_variables(variables)]
        at = {name: v for name, v in values.items() if name in _grid_variables(variables)}
        grid = reference_grid(record, component, {name: list(v) for name, v in at.items()})
        labels, matrix = grid.averages(grid_by, weights)
        beside = [name for name in by if name not in grid_by]
        if beside:
            raise ModelError(f"margin='mean': `{beside[0]}` is not in the grid of the fixed effects; use 'reference'.")
        return [Block(labels, _complete(variables, grid.frame(), values), matrix, False)]
    if margin == "reference":
        sides = [_values_of(variables, name, values) for name in by]
        chosen = list(product(*(range(len(side)) for side in sides)))
        places = np.array(chosen, int).reshape(len(chosen), len(by))
        frame = {name: sides[j][places[:, j]] for j, name in enumerate(by)}
        single = {name: v[:1] for name, v in values.items() if name not in frame}
        n = len(places)
        frame = _complete(variables, {**frame, **{name: np.repeat(v, n) for name, v in single.items()}}, values)
        return [Block({name: frame[name] for name in by}, frame, np.eye(n), False)]
    crossed = [name for name in by if name in values]
    split = [name for name in by if name not in values]
    own, matrix = _split(record, variables, split)
    kinds, kind = variables.alike([*crossed, *(name for name in values if name not in by)])
    if len(kinds) < record.nobs:
        matrix = np.stack([np.bincount(kind, row, minlength=len(kinds)) for row in matrix])
    observed = len(kinds) == record.nobs
    found = []
    for combination in product(*(range(len(values[name])) for name in crossed)):
        fixed = {name: values[name][k] for name, k in zip(crossed, combination, strict=True)}
        fixed |= {name: v[0] for name, v in values.items() if name not in by}
        k = len(matrix)
        labels = {name: variables[name].as_column([fixed[name]] * k) if name in fixed else own[name] for name in by}
        found.append(Block(labels, variables.data(kinds, fixed), matrix, observed))
    return found


def _grid_variables(variables: Variables) -> set[str]:
    return set(variables.adjusted())


def _values_of(variables: Variables, name: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
    if name in values:
        return np.asarray(values[name])
    variable = variables[name]
    if variable.is_factor:
        return variable.as_column(variable.levels or ())
    return np.array([variable.mean])


def _complete(
    variables: Variables, frame: dict[str, np.ndarray], values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Rows with all variables: those that are not given at their first level or mean."""
    n = len(next(iter(frame.values()))) if frame else 1
    full = dict(frame)
    for name, variable in variables.items():
        if name not in full:
            single = values[name][:1] if name in values else _values_of(variables, name, {})[:1]
            full[name] = variable.as_column(list(single) * n)
    return full


def _split(record: FittedModel, variables: Variables, names: Sequence[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The data's combinations of some variables, and the weights of the rows that have each."""
    if not names:
        return {}, np.full((1, record.nobs), 1.0 / record.nobs)
    codes, levels = [], []
    for name in names:
        variable = variables[name]
        own = variable.as_column(variable.levels) if variable.levels is not None else np.unique(variable.data)
        if len(own) > _MOST_GROUPS:
            raise ModelError(f"by: `{name}` has {len(own)} values in the data; give some, at={{{name!r}: [...]}}.")
        levels.append(own)
        codes.append(variable.codes_in(own))
    place = np.zeros(record.nobs, np.int64)
    for code, own in zip(codes, levels, strict=True):
        place = place * len(own) + code
    met = np.unique(place)
    if len(met) > _MOST_GROUPS:
        raise ModelError(f"by: the data have {len(met)} combinations of {', '.join(names)}; take fewer variables.")
    matrix = (place[None, :] == met[:, None]).astype(float)
    matrix /= matrix.sum(axis=1, keepdims=True)
    labels = {}
    rest = met.copy()
    for name, own in reversed(list(zip(names, levels, strict=True))):
        labels[name] = own[rest % len(own)]
        rest = rest // len(own)
    return labels, matrix


def functions_of_block(
    record: FittedModel,
    block: Block,
    kind: str,
    testing: Testing,
    bias_correction: bool = False,
    weights: np.ndarray | None = None,
) -> LinearFunctions:
    """Averages of a prediction over a block's rows, random effects zero or averaged over their distribution.

    Parameters
    ----------
    record : FittedModel
    block : Block
    kind : str
        Of prediction.
    testing : Testing
    bias_correction : bool
        Whether to average over the distribution of the random effects.
    weights : (k, n) array, optional
        Instead of the block's.
    """
    weights = block.weights if weights is None else weights
    replayed, extra = without_offset_array(record)
    rows = engine_rows(replayed, block.frame, [t.smooth is not None for t in record.terms()])
    if extra is not None:
        place = record.model.predictor("cond")
        given = rows["offset"][place]
        n = len(rows["x"][0])
        own = extra if block.observed else np.full(n, extra.mean())
        rows["offset"][place] = own if given is None else given + own
    if kind in PREDICTORS:
        return predictor_of_rows(record, rows, PREDICTORS[kind], testing).combined(weights)
    columns = None
    if bias_correction:
        columns = [np.asarray(c, float) for c in replayed.design.replay(block.frame).columns]
    return means_of_rows(record, rows, weights, kind, testing, columns)


def weighted_sum(parts: Sequence[LinearFunctions], factors: Sequence[float]) -> LinearFunctions:
    """Sum of estimates that belong to each other, times a number each."""
    first = parts[0]

    def total(blocks_of_parts: list[np.ndarray]) -> np.ndarray:
        return np.asarray(np.tensordot(np.asarray(factors, float), np.stack(blocks_of_parts), axes=1))

    return LinearFunctions(
        first.record,
        total([part.estimate for part in parts]),
        {c: total([part.fixed[c] for part in parts]) for c in first.fixed},
        {t: total([part.bent[t] for part in parts]) for t in first.bent},
        {t: total([part.spread[t] for part in parts]) for t in first.spread},
        first.testing,
    )


def stacked(parts: Sequence[LinearFunctions]) -> LinearFunctions:
    """Estimates one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return LinearFunctions(
        first.record,
        np.concatenate([part.estimate for part in parts]),
        {c: np.vstack([part.fixed[c] for part in parts]) for c in first.fixed},
        {t: np.vstack([part.bent[t] for part in parts]) for t in first.bent},
        {t: np.vstack([part.spread[t] for part in parts]) for t in first.spread},
        first.testing,
    )
