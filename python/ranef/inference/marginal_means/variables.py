"""The variables of a model as its data have them, and data with some of them set to other values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ranef.data import Factor, Table, label
from ranef.errors import ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.formula.frames import NewFrame
from ranef.formula.parser import Call, Node
from ranef.formula.terms import variables_of

# Calls that make a factor of numbers.
_FACTORS = frozenset({"factor", "as.factor", "ordered", "as.ordered", "C", "relevel"})


@dataclass(frozen=True, eq=False)
class Variable:
    """A variable of the model.

    Attributes
    ----------
    name : str
    data : array (n,)
        Its values in the rows of the fit: numbers, or labels of levels as objects.
    levels : tuple or None
        Of a factor, in their order: labels, or the numbers that a formula makes a factor of; None for a number.
    whole : bool
        Whether its numbers are whole.
    """

    name: str
    data: np.ndarray
    levels: tuple[Any, ...] | None
    whole: bool = False

    @property
    def is_factor(self) -> bool:
        """Whether it has levels."""
        return self.levels is not None

    @property
    def mean(self) -> float:
        """Mean of its numbers; exactly zero where that is rounding, as of a centred column."""
        mean = float(self.data.mean())
        return 0.0 if abs(mean) < 1e-13 * float(np.abs(self.data).max(initial=0.0)) else mean

    def values(self, given: Any, where: str) -> np.ndarray:
        """Values that a caller gave, checked: known levels of a factor, numbers otherwise."""
        alone = isinstance(given, str | int | float | bool | np.generic) or not isinstance(given, Iterable)
        found = [given] if alone else list(given)
        if not found:
            raise ModelError(f"{where}: give at least one value of `{self.name}`.")
        if self.levels is None:
            try:
                numbers = np.array([float(value) for value in found])
            except (TypeError, ValueError) as error:
                raise ModelError(f"{where}: `{self.name}` is numeric, and {found[0]!r} is no number.") from error
            if not np.isfinite(numbers).all():
                raise ModelError(f"{where}: `{self.name}` must be finite, not {found!r}.")
            return numbers
        by_label = {label(level): level for level in self.levels}
        for value in found:
            if label(value) not in by_label:
                raise ModelError(
                    f"{where}: `{self.name}` has no level {label(value)!r}; {did_you_mean(label(value), by_label)}"
                )
        return self.as_column([by_label[label(value)] for value in found])

    def as_column(self, values: Sequence[Any]) -> np.ndarray:
        """Values as a column of a frame: numbers, or labels as objects."""
        if self.levels is None or not isinstance(self.levels[0], str):
            return np.array(values, float)
        column = np.empty(len(values), object)
        column[:] = list(values)
        return column

    def shown(self, values: np.ndarray) -> list[Any]:
        """Values for a table: labels, whole numbers where the data have them, numbers."""
        if values.dtype == object:
            return list(values)
        if self.whole and (values == np.round(values)).all():
            return [int(value) for value in values]
        return [float(value) for value in values]

    def codes_in(self, values: np.ndarray) -> np.ndarray:
        """For every row of the data, the place of its value among `values`, -1 where it is none of them; (n,)."""
        place = {value: k for k, value in enumerate(values.tolist())}
        return np.array([place.get(value, -1) for value in self.data.tolist()], np.int64)


class Variables(Mapping[str, Variable]):
    """All variables that predictions of a fit need, the response left out.

    Parameters
    ----------
    record : FittedModel
    """

    def __init__(self, record: FittedModel) -> None:
        self.record = record
        recipe = record.design.recipe
        frame = NewFrame(Table(record.design.frame, "the data of the fit"), recipe.schema)
        self.fixed: dict[str, list[str]] = {}
        self.smooth: dict[str, list[str]] = {}
        self.offset: list[str] = [recipe.offset] if recipe.offset is not None else []
        self.random: list[list[str]] = []
        factors: dict[str, set[bool]] = {}
        nodes: list[Node] = []
        for component, terms in recipe.terms.items():
            own = [node for term in terms.fixed for node in term.factors]
            bent = [node for smooth in terms.smooths for node in smooth.variables]
            bent += [smooth.by for smooth in terms.smooths if smooth.by is not None]
            for node in own + bent:
                made = isinstance(node, Call) and node.function in _FACTORS
                for name in self.names_in([node]):
                    factors.setdefault(name, set()).add(made)
            self.fixed[component] = self.names_in(own + bent)
            self.smooth[component] = self.names_in(bent)
            self.offset += self.names_in(terms.offsets)
            nodes += own + bent + list(terms.offsets)
        self.multiplied = self.names_in([n for _, bar, _ in recipe.random for term in bar.terms for n in term.factors])
        for _, bar, grouping in recipe.random:
            self.random.append(self.names_in([n for term in bar.terms for n in term.factors] + list(grouping.parts)))
        self.groups = [self.names_in(list(grouping.parts)) for _, _, grouping in recipe.random]
        names = list(dict.fromkeys(self.names_in(nodes) + self.offset + [n for part in self.random for n in part]))
        if record.design.residual is not None:
            spread = [s.node for s in record.design.residual.formula.spreads if s.node is not None]
            names = list(dict.fromkeys(names + self.names_in(spread)))
        grouping_only = {n for part in self.groups for n in part} - set(self.names_in(nodes))
        self._found = {
            name: _variable(frame, name, name in grouping_only or True in factors.get(name, ())) for name in names
        }

    def names_in(self, nodes: Sequence[Node]) -> list[str]:
        """The columns that pieces of a formula are about."""
        known = self.record.design.variables
        return list(dict.fromkeys(name.name for node in nodes for name in variables_of(node, known)))

    def __getitem__(self, name: str) -> Variable:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def adjusted(self) -> list[str]:
        """Variables of fixed effects and offsets, which other answers adjust for."""
        return list(dict.fromkeys([n for c in self.fixed for n in self.fixed[c]] + self.offset))

    def require(self, names: Collection[str], where: str, among: Collection[str] | None = None) -> None:
        """Refuse names that are no variables of the model (or not among those that a question can be about)."""
        known = list(self if among is None else among)
        for name in names:
            if name not in known:
                raise ModelError(f"{where}: `{name}` is no variable of the model; {did_you_mean(name, known)}")

    def data(self, rows: np.ndarray, changed: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Some rows of the fit, with some variables set to one value each."""
        columns = {}
        for name, variable in self.items():
            if name in changed:
                columns[name] = variable.as_column([changed[name]] * len(rows))
            else:
                columns[name] = variable.data[rows]
        return columns

    def alike(self, but: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
        """Rows whose means are the same because they agree in all variables that count, those in `but` aside.

        Returns
        -------
        first : int array (distinct,)
            A row of each kind.
        kind : int array (n,)
        """
        n = self.record.nobs
        if self.record.design.recipe.offset_array or self.record.design.residual is not None:
            return np.arange(n), np.arange(n)
        key = np.zeros(n, np.int64)
        for name in dict.fromkeys([*self.adjusted(), *self.multiplied]):
            if name in but:
                continue
            codes, distinct = pd.factorize(self[name].data)
            key = key * len(distinct) + codes
            # Numbered anew, so that the products stay small.
            key = np.unique(key, return_inverse=True)[1].reshape(n)
        _, first, kind = np.unique(key, return_index=True, return_inverse=True)
        return first, kind.reshape(n)


def _variable(frame: NewFrame, name: str, as_factor: bool) -> Variable:
    column = frame.column(name)
    if column.category is not None:
        factor = column.category
        codes = np.asarray(factor.codes, np.int64)
        return Variable(name, _labels(factor)[codes], factor.levels)
    assert column.numbers is not None
    values = column.numbers
    whole = bool((values == np.round(values)).all())
    return Variable(name, values, tuple(np.unique(values).tolist()) if as_factor else None, whole)


def _labels(factor: Factor) -> np.ndarray:
    labels = np.empty(len(factor.levels), object)
    labels[:] = factor.levels
    return labels


def without_offset_array(record: FittedModel) -> tuple[FittedModel, np.ndarray | None]:
    """A record that replays on new rows although its offset was an array, and that array, (n,).

    New rows have no value of such an offset; whoever asks says which one they take.
    """
    design = record.design
    if not design.recipe.offset_array:
        return record, None
    plain = replace(design, recipe=replace(design.recipe, offset_array=False))
    written = plain.replay(design.frame, random=False).offset["cond"]
    total = design.fixed["cond"].offset
    assert total is not None
    extra = total if written is None else total - written
    return replace(record, model=replace(record.model, design=plain)), extra
