"""A formula and data to what an engine needs, remembered well enough to be repeated on new data.

The rows used are decided once, jointly over every part of the model: a row with a missing value in any variable of any
component, in a grouping factor, the weights or the offset is dropped. Transforms (``poly``, ``scale``, splines) learn
from the rows that remain, so dropping those rows beforehand gives the same model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.data import Table
from ranef.errors import DataError, FormulaError, did_you_mean
from ranef.formula.columns import ModelMatrix, model_matrix, without_intercept
from ranef.formula.contrasts import Contrast, contrast_from
from ranef.formula.couplings import Coupling, columns_of, coupling_of, has_columns, require_level, rows_of
from ranef.formula.evaluation import Coded, Evaluator, Memory
from ranef.formula.frames import FitFrame, NewFrame, Schema
from ranef.formula.grouping import Grouping, grouping_of
from ranef.formula.level_columns import LevelColumns
from ranef.formula.parser import Name, Node, Tree, parse
from ranef.formula.residual import ResidualFormula, ResidualPart, residual_part
from ranef.formula.response import KINDS, Response, response_of
from ranef.formula.smooths.basis import evaluate
from ranef.formula.smooths.smooth import Smooth, SmoothColumns, smooth_columns
from ranef.formula.terms import COORDINATES, SERIAL, Bar, Term, Terms, terms_of, variables_of

__all__ = ["Design", "FixedPart", "NewDesign", "RandomTerm", "Response", "SmoothTerm", "build_design"]

Array = NDArray[np.float64]

#: The code of a row for which a random-effects term was left out of a replay.
LEFT_OUT = -1
# Structures that say nothing within a level, so that one level leaves nothing to estimate.
_BETWEEN_LEVELS = frozenset({"us", "diag"})


@dataclass(frozen=True, eq=False)
class FixedPart:
    """The fixed effects of one component.

    Attributes
    ----------
    component : str
        ``"cond"``, ``"zi"``, ``"disp"`` or ``"shape"``.
    x : float64 array (n, p), by columns, or LevelColumns
        The latter where a factor has many levels; ``np.asarray(x)`` is the whole matrix.
    names : tuple of str
    offset : float64 array (n,) or None
        On the scale of the linear predictor; the sum of all offsets.
    term_columns : dict
        Text of a term (``"1"`` for the intercept) -> positions of its columns in ``x``.
    has_intercept : bool
    """

    component: str
    x: Array | LevelColumns
    names: tuple[str, ...]
    offset: Array | None
    term_columns: dict[str, list[int]]
    has_intercept: bool


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """A random-effects term with one grouping factor.

    Attributes
    ----------
    component : str
    group : str
        ``"g"`` or ``"batch:cask"``.
    structure : str
        The covariance of the effects of one level: ``"us"``, ``"diag"``, ``"ar1"``, ...
    options : dict
        Given beside the term: ``{"d": 2}``.
    columns : float64 array (n, p), by columns
        What the effects multiply; the coordinates for ``ou``, ``exp``, ``gau`` and ``mat``.
    names : tuple of str
    codes : uint32 array (n,)
        The level of each row.
    levels : tuple of str
    text : str
        As the user wrote it.
    factors : tuple of str
        The parts of the grouping factor: ``("batch", "cask")``.
    coupling : Coupling or None
        The places of a term whose effects are tied over time, space or kinship; `codes` are then places.
    smooth : str or None
        What its variance is called, where the term is the penalised part of a smooth: ``"s(x)"``, ``"t2(x, z).x"``.
    """

    component: str
    group: str
    structure: str
    options: dict[str, Any]
    columns: Array
    names: tuple[str, ...]
    codes: NDArray[np.uint32]
    levels: tuple[str, ...]
    text: str
    factors: tuple[str, ...]
    coupling: Coupling | None = None
    smooth: str | None = None

    @property
    def size(self) -> int:
        """Number of levels the engine sees: those of the group, or the places of a coupled term."""
        return len(self.levels) if self.coupling is None else self.coupling.size


@dataclass(frozen=True, eq=False)
class SmoothTerm:
    """One curve or surface of a component, and where its columns are.

    Attributes
    ----------
    component : str
    label : str
        ``"s(x)"``, ``"s(x):f[a]"``.
    smooth : Smooth
        The term of the formula.
    level : str or None
        Of the factor that the smooth is by.
    fixed : tuple of int
        Its columns in the fixed part of the component.
    random : tuple of int
        Its terms among all random-effects terms.
    """

    component: str
    label: str
    smooth: Smooth
    level: str | None
    fixed: tuple[int, ...]
    random: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class NewDesign:
    """The matrices of a design for new data.

    Attributes
    ----------
    n : int
    x : dict
        Component -> float64 array (n, p) or LevelColumns, the columns of the fit.
    offset : dict
        Component -> float64 array (n,) or None.
    columns : list of array (n, p_t)
        For each random-effects term.
    codes : list of int64 array (n,)
        For each term: a level of the fit, -2 for a level it has not seen, -1 where the term was left out.
    unknown : list of list of str
        For each term, the labels it has not seen.
    response : Response or None
    places : list
        For each coupled term, the group and coordinates of every row; None for the others.
    spreads : list of array (n,) or None
        Covariates of the variance functions; None for the fitted mean.
    """

    n: int
    x: dict[str, Array | LevelColumns]
    offset: dict[str, Array | None]
    columns: list[Array]
    codes: list[NDArray[np.int64]]
    unknown: list[list[str]]
    response: Response | None
    places: list[tuple[NDArray[np.int64], Array] | None]
    spreads: list[Array | None]


@dataclass(frozen=True, eq=False)
class _Recipe:
    """What a replay needs besides the matrices."""

    terms: dict[str, Terms]
    random: tuple[tuple[str, Bar, Grouping], ...]
    schema: dict[str, Schema]
    memory: Memory
    contrasts: dict[str, Contrast]
    response_kind: str
    weights: str | None
    offset: str | None
    offset_array: bool


@dataclass(frozen=True, eq=False)
class Design:
    """A model's matrices, with the names and the memory that belong to them.

    Attributes
    ----------
    response : Response
    fixed : dict
        Component -> FixedPart.
    random : tuple of RandomTerm
        Of all components, in the order written, the penalised parts of smooths last.
    smooths : tuple of SmoothTerm
    weights : float64 array (n,) or None
        None too when they became the trials of a proportion.
    weights_name : str or None
        The column they came from; None for an array.
    n, n_dropped : int
    dropped_because : dict
        Column -> number of its missing values, for the columns that cost rows.
    rows : int array (n,)
        Positions of the rows in the caller's frame.
    frame : data frame
        Those rows, as the caller's kind of frame.
    variables : tuple of str
        Every column used.
    factor_levels : dict
        Factor of the fixed effects or of a random slope (``"f"``, ``"factor(x)"``) -> its levels.
    contrasts : dict
        The same factors -> name of their coding.
    formula : str
    component_formulas : dict
    residual : ResidualPart or None
        Correlation and variance functions of the residuals.
    """

    response: Response
    fixed: dict[str, FixedPart]
    random: tuple[RandomTerm, ...]
    smooths: tuple[SmoothTerm, ...]
    weights: Array | None
    weights_name: str | None
    n: int
    n_dropped: int
    dropped_because: dict[str, int]
    rows: NDArray[np.intp]
    frame: Any
    variables: tuple[str, ...]
    factor_levels: dict[str, tuple[str, ...]]
    contrasts: dict[str, str]
    formula: str
    component_formulas: dict[str, str]
    recipe: _Recipe = field(repr=False)
    residual: ResidualPart | None = None

    def smooth_points(self, smooth: SmoothTerm) -> Array:
        """The values of a smooth's variables in the rows of the fit that its curve is about, (m, d)."""
        terms = self.recipe.terms[smooth.component]
        frame = NewFrame(Table(self.frame, "the data of the fit"), self.recipe.schema)
        evaluator = Evaluator(frame, self.recipe.memory, learn=False)
        values = [evaluator.numbers(node, terms.source, "the variable") for node in smooth.smooth.variables]
        points = np.column_stack(values)
        if smooth.level is None or smooth.smooth.by is None:
            return points
        value = evaluator.factor_of_term(smooth.smooth.by, terms.source)
        assert isinstance(value, Coded)
        return points[value.factor.codes == value.factor.levels.index(smooth.level)]

    def smooth_at(self, smooth: SmoothTerm, points: Array) -> tuple[Array, list[Array]]:
        """A smooth's columns at some values of its variables: without a penalty, and for each penalty."""
        straight, bending = evaluate(points, self.recipe.memory.transforms[smooth.smooth.text])
        if smooth.smooth.by is not None and smooth.level is None:
            straight = np.column_stack([np.ones(len(points)), straight])
        return straight, bending

    def replay(self, newdata: Any, *, response: bool = False, random: bool | Collection[int] = True) -> NewDesign:
        """Build the same columns for other data.

        Parameters
        ----------
        newdata : data frame
            Any eager frame; columns the replay does not need may be absent.
        response : bool
            Whether to evaluate the response too.
        random : bool or collection of int
            Whether the random-effects terms are wanted, or the positions of those that are.

        Returns
        -------
        NewDesign

        Raises
        ------
        DataError
            At an absent column, a missing or infinite value, a level of a fixed factor the fit has not seen. A new
            level of a grouping factor is not an error here: it is coded -2 and listed in ``unknown``.
        """
        recipe = self.recipe
        frame = NewFrame(Table(newdata, "newdata"), recipe.schema)
        wanted = set(range(len(self.random))) if random is True else set(random or ())
        needed: list[Node] = []
        for terms in recipe.terms.values():
            needed += [node for term in terms.fixed for node in term.factors] + list(terms.offsets)
            needed += _smooth_variables(terms)
        for place, (_, bar, grouping) in enumerate(recipe.random):
            if place in wanted:
                needed += [node for term in bar.terms for node in term.factors] + list(grouping.parts)
        if self.residual is not None:
            needed += [s.node for s in self.residual.formula.spreads if s.node is not None]
        main = recipe.terms["cond"].response
        if response and main is not None:
            needed.append(main)
        names = dict.fromkeys(name.name for node in needed for name in variables_of(node, self.variables))
        if recipe.offset is not None:
            names.setdefault(recipe.offset)
        if response and recipe.weights is not None and self.response.form == "proportion":
            names.setdefault(recipe.weights)
        if recipe.offset_array:
            raise DataError(
                "the model was fitted with an array as offset, which new rows do not have; "
                "fit it with a column, offset='name' or offset(name) in the formula"
            )
        for name in names:
            frame.require(name)
        evaluator = Evaluator(frame, recipe.memory, learn=False)
        x: dict[str, Array | LevelColumns] = {}
        offset: dict[str, Array | None] = {}
        smooth_blocks: list[Array] = []
        for component, terms in recipe.terms.items():
            matrix = model_matrix(terms.fixed, evaluator, terms.source, recipe.contrasts, by_level=True)
            if component == "cond" and recipe.response_kind == "ordinal":
                matrix = without_intercept(matrix)
            curves = [curve for smooth in terms.smooths for curve in smooth_columns(smooth, evaluator, terms.source)]
            x[component] = _with_curves(matrix, curves).values
            smooth_blocks += [part for curve in curves for part in curve.penalised]
            extra = None
            if component == "cond" and recipe.offset is not None:
                extra = _numbers_of_column(frame, recipe.offset, "the offset")
            offset[component] = _offset(terms, evaluator, extra)
        columns: list[Array] = []
        codes: list[NDArray[np.int64]] = []
        unknown: list[list[str]] = []
        groups: dict[str, tuple[NDArray[np.int64], list[str]]] = {}
        places: list[tuple[NDArray[np.int64], Array] | None] = [None] * len(recipe.random)
        for place, (component, bar, grouping) in enumerate(recipe.random):
            if place not in wanted:
                columns.append(np.zeros((len(frame), len(self.random[place].names)), order="F"))
                codes.append(np.full(len(frame), LEFT_OUT, dtype=np.int64))
                unknown.append([])
                continue
            source = recipe.terms[component].source
            if grouping.name not in groups:
                groups[grouping.name] = grouping.recode(evaluator)
            unknown.append(groups[grouping.name][1])
            coupling = self.random[place].coupling
            if coupling is None:
                columns.append(_random_columns(bar, evaluator, source, recipe.contrasts).array)
                codes.append(groups[grouping.name][0])
                continue
            own = _random_columns(bar, evaluator, source, recipe.contrasts) if has_columns(bar) else None
            there = rows_of(bar, evaluator, grouping, groups[grouping.name][0], source, coupling)
            code, weight = coupling.placed(*there)
            columns.append(np.asfortranarray(columns_of(own, coupling, weight)[0]))
            places[place] = there
            codes.append(code)
        for block in smooth_blocks:
            columns.append(block)
            codes.append(np.zeros(len(frame), dtype=np.int64))
            unknown.append([])
            places.append(None)
        answer = None
        if response and main is not None:
            trials = None
            if self.response.form == "proportion" and recipe.weights is not None:
                trials = _numbers_of_column(frame, recipe.weights, "the weights")
            answer = response_of(main, evaluator, recipe.terms["cond"].source, recipe.response_kind, trials)
        spreads = [] if self.residual is None else self.residual.replay_spreads(evaluator)
        return NewDesign(len(frame), x, offset, columns, codes, unknown, answer, places, spreads)


def build_design(
    formula: str,
    data: Any,
    *,
    response_kind: str = "numeric",
    components: Mapping[str, str | None] | None = None,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    covariances: Collection[str] | None = None,
    matrices: Mapping[str, Any] | None = None,
    residual: ResidualFormula | None = None,
) -> Design:
    """Turn formulas and data into the matrices of a mixed model.

    Parameters
    ----------
    formula : str
        The main formula, with a response.
    data : data frame
        Any eager frame that narwhals reads, or a mapping of columns.
    response_kind : {"numeric", "binomial", "ordinal"}
        What the family asks of its response; see :class:`ranef.formula.response.Response`.
    components : mapping, optional
        ``"zi"``, ``"disp"``, ``"shape"`` -> one-sided formula; None for a component without one.
    weights, offset : str or array_like (n,), optional
        A column, or a value for every row of ``data``. The offset belongs to the main formula.
    contrasts : mapping, optional
        Factor -> ``"treatment"``, ``"sum"``, ``"helmert"``, ``"poly"``, ``"sdif"`` or a matrix.
    missing : {"drop", "error"}
        What to do with rows that have a missing value in a variable used.
    covariances : collection of str, optional
        The covariance structures a formula may name.
    matrices : mapping, optional
        The known matrices that terms name: ``propto(0 + f | g, A)`` takes ``matrices["A"]``.
    residual : ResidualFormula, optional
        Correlation and variance functions of the residuals.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        When a formula cannot be read, with a caret under the place.
    DataError
        When the data do not fit the formula, naming column and row.

    Examples
    --------
    >>> import pandas as pd
    >>> data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "x": [0, 1, 2, 3], "g": list("aabb")})
    >>> design = build_design("y ~ x + (1 | g)", data)
    >>> design.fixed["cond"].names, design.random[0].levels
    (('Intercept', 'x'), ('a', 'b'))
    """
    if response_kind not in KINDS:
        raise ValueError(f"response_kind is one of {KINDS}, not {response_kind!r}")
    if missing not in ("drop", "error"):
        raise DataError(f'missing is "drop" or "error", not {missing!r}')
    table = Table(data)
    if len(table) == 0:
        raise DataError("the data have no rows")
    main = parse(formula)
    if main.left is None:
        raise FormulaError.at(formula, 0, 0, 'the formula has no response; write it on the left, as in "y ~ x"')
    for role, value in (("weights", weights), ("offset", offset)):
        if isinstance(value, str) and value not in table:
            raise DataError(f"{role}: there is no column `{value}` in the data; {did_you_mean(value, table.names)}")
    given = {component: text for component, text in (components or {}).items() if text is not None}
    terms = {"cond": terms_of(main, covariances, _dot(main, table, covariances, weights, offset))}
    for component, text in given.items():
        tree = parse(text)
        if tree.left is not None:
            raise FormulaError.at(
                text, tree.left.start, tree.left.end, f'the {component} formula has no response; it starts with "~"'
            )
        terms[component] = terms_of(tree, covariances)

    used = _used_columns(terms, table)
    for source, node in residual.nodes() if residual is not None else ():
        used += [name for name in _columns_of(node, source, table) if name not in used]
    arrays = {
        role: _values_for_rows(value, role, len(table))
        for role, value in (("weights", weights), ("offset", offset))
        if value is not None and not isinstance(value, str)
    }
    names = list(dict.fromkeys([*used, *(value for value in (weights, offset) if isinstance(value, str))]))
    rows, dropped = _complete_rows(table, names, missing)
    frame = FitFrame(table, rows)
    for name in names:
        frame.column(name)
    case_weights = _values(weights, arrays.get("weights"), frame, "the weights")
    if case_weights is not None:
        _check_weights(case_weights, weights, frame)
    case_offset = _values(offset, arrays.get("offset"), frame, "the offset")

    coding = _check_contrasts(contrasts, terms, frame)
    memory = Memory()
    evaluator = Evaluator(frame, memory, learn=True)
    answer = response_of(main.left, evaluator, formula, response_kind, case_weights)
    fixed: dict[str, FixedPart] = {}
    curves: dict[str, list[tuple[Smooth, SmoothColumns]]] = {}
    for component, part in terms.items():
        matrix = model_matrix(part.fixed, evaluator, part.source, coding, by_level=True)
        extra = case_offset if component == "cond" else None
        intercept = any(not term.factors for term in part.fixed)
        if component == "cond" and response_kind == "ordinal":
            if not intercept:
                raise FormulaError.at(
                    formula,
                    main.right.start,
                    main.right.end,
                    "the thresholds of an ordinal response stand for the intercept, which is coded for and then left "
                    "out; "
                    "do not take it out of the formula",
                )
            matrix, intercept = without_intercept(matrix), False
        curves[component] = [(s, curve) for s in part.smooths for curve in smooth_columns(s, evaluator, part.source)]
        matrix = _with_curves(matrix, [curve for _, curve in curves[component]])
        fixed[component] = FixedPart(
            component, matrix.values, matrix.names, _offset(part, evaluator, extra), matrix.term_columns, intercept
        )
    random, recipes = _random_terms(terms, evaluator, coding, dict(matrices or {}), fixed)
    smooth_terms, penalised = _smooth_terms(curves, fixed, len(random), len(frame))
    levels, codings = _factors(terms, evaluator, coding)
    kept = np.arange(len(table)) if rows is None else rows
    structured = residual is not None and not residual.empty
    return Design(
        response=answer,
        fixed=fixed,
        random=(*random, *penalised),
        smooths=smooth_terms,
        weights=None if answer.form == "proportion" else case_weights,
        weights_name=weights if isinstance(weights, str) else None,
        n=len(frame),
        n_dropped=len(table) - len(frame),
        dropped_because=dropped,
        rows=kept,
        frame=table.rows(rows),
        variables=tuple(names),
        factor_levels=levels,
        contrasts=codings,
        formula=formula,
        component_formulas=dict(given),
        recipe=_Recipe(
            terms,
            recipes,
            dict(frame.schema),
            memory,
            coding,
            response_kind,
            weights if isinstance(weights, str) else None,
            offset if isinstance(offset, str) else None,
            offset is not None and not isinstance(offset, str),
        ),
        residual=residual_part(residual, evaluator, rows) if residual is not None and structured else None,
    )


def _dot(
    main: Tree, table: Table, covariances: Collection[str] | None, weights: Any, offset: Any
) -> tuple[str, ...] | None:
    """Return what the dot stands for: the columns that have no other role in the model."""
    if not any(name.name == "." and not name.quoted for name in variables_of(main.right)):
        return None
    without = terms_of(main, covariances, ())
    roles = [node for bar in without.bars for group in bar.groups for node in group] + list(without.offsets)
    roles += [node for smooth in without.smooths for node in smooth.variables]
    if main.left is not None:
        roles.append(main.left)
    taken = {name.name for node in roles for name in variables_of(node, table.names)}
    taken |= {value for value in (weights, offset) if isinstance(value, str)}
    return tuple(name for name in table.names if name not in taken)


def _used_columns(terms: Mapping[str, Terms], table: Table) -> list[str]:
    """Return the columns the formulas use, in order; point at a name that is none."""
    used: dict[str, None] = {}
    for part in terms.values():
        nodes: list[Node] = [] if part.response is None else [part.response]
        nodes += [node for term in part.fixed for node in term.factors] + list(part.offsets)
        for bar in part.bars:
            nodes += [node for term in bar.terms for node in term.factors]
            nodes += [node for group in bar.groups for node in group]
        nodes += _smooth_variables(part)
        for node in nodes:
            used.update(dict.fromkeys(_columns_of(node, part.source, table)))
    return list(used)


def _columns_of(node: Node, source: str, table: Table) -> list[str]:
    """Return the columns that a piece needs; point at a name that is none."""
    found = []
    for name in variables_of(node, table.names):
        if name.name == "." and not name.quoted:
            raise FormulaError.at(source, name.start, name.end, "the dot cannot stand inside a function")
        if name.name not in table:
            raise FormulaError.at(
                source,
                name.start,
                name.end,
                f"there is no column `{name.name}` in the data; {did_you_mean(name.name, table.names)}",
            )
        found.append(name.name)
    return found


def _complete_rows(table: Table, names: Iterable[str], missing: str) -> tuple[NDArray[np.intp] | None, dict[str, int]]:
    """Find the rows without a missing value; None when that is all of them."""
    complete: NDArray[np.bool_] | None = None
    dropped: dict[str, int] = {}
    for name in names:
        gone = table.column(name).missing
        count = int(gone.sum())
        if not count:
            continue
        if missing == "error":
            raise DataError(
                f"`{name}` has {count} missing value{'s' if count > 1 else ''}, the first in row "
                f'{int(np.flatnonzero(gone)[0])} (counting from 0); fill in, drop these rows, or use missing="drop"'
            )
        dropped[name] = count
        complete = ~gone if complete is None else complete & ~gone
    if complete is None:
        return None, {}
    if not complete.any():
        counts = ", ".join(f"`{name}` in {count}" for name, count in dropped.items())
        raise DataError(f"no row is left: all {len(table)} have a missing value ({counts}); check these columns")
    return np.flatnonzero(complete), dropped


def _values_for_rows(value: Any, role: str, n: int) -> Array:
    """Read weights or an offset given as an array: one finite number a row of the data."""
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{role} must be a column's name or {n} numbers, not {type(value).__name__}") from error
    if values.ndim == 0:
        raise DataError(f"{role} must be a column's name or {n} numbers, not {value!r}")
    if values.shape != (n,):
        found = len(values) if values.ndim == 1 else f"the shape {values.shape}"
        raise DataError(f"{role} must have one value for each of the {n} rows; the array has {found}")
    wrong = ~np.isfinite(values)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{role} is {values[place]} in row {place} (counting from 0); every row needs a number")
    return values


def _numbers_of_column(frame: FitFrame | NewFrame, name: str, role: str) -> Array:
    column = frame.column(name)
    if column.numbers is None:
        raise DataError(f"{role} must be numbers, and `{name}` has the levels {', '.join(column.factor.levels[:4])}")
    return column.numbers


def _values(value: Any, array: Array | None, frame: FitFrame, role: str) -> Array | None:
    if array is not None:
        return array if frame.rows is None else array[frame.rows]
    return None if value is None else _numbers_of_column(frame, value, role)


def _check_weights(values: Array, weights: Any, frame: FitFrame) -> None:
    name = f"`{weights}`" if isinstance(weights, str) else "weights"
    negative = values < 0
    if negative.any():
        place = int(np.flatnonzero(negative)[0])
        row = place if frame.rows is None else int(frame.rows[place])
        raise DataError(f"{name} is {values[place]:g} in row {row} (counting from 0); weights are 0 or more")
    if not values.any():
        raise DataError(f"{name}: all weights are 0, so no row counts")


def _check_contrasts(
    contrasts: Mapping[str, Any] | None, terms: Mapping[str, Terms], frame: FitFrame
) -> dict[str, Contrast]:
    """Read the contrasts asked for; each must name a factor of the model."""
    if contrasts is None:
        return {}
    if not isinstance(contrasts, Mapping):
        raise DataError(f'contrasts are a mapping such as {{"f": "sum"}}, not {type(contrasts).__name__}')
    parts = list(terms.values())
    nodes = [node for part in parts for term in part.fixed for node in term.factors]
    nodes += [node for part in parts for bar in part.bars for term in bar.terms for node in term.factors]
    known = dict.fromkeys(node.name if isinstance(node, Name) else node.text for node in nodes)
    coding = {}
    for name, value in contrasts.items():
        if name not in known:
            raise DataError(f"contrasts: `{name}` is no factor of the formula; {did_you_mean(str(name), known)}")
        if name in frame and frame.column(name).category is None:
            raise DataError(f"contrasts: `{name}` is numeric; write factor({name}) in the formula and name that")
        coding[name] = contrast_from(value, name)
    return coding


def _offset(terms: Terms, evaluator: Evaluator, extra: Array | None) -> Array | None:
    total = extra
    for node in terms.offsets:
        values = evaluator.numbers(node, terms.source, "the offset")
        total = values if total is None else total + values
    return total


def _random_columns(bar: Bar, evaluator: Evaluator, source: str, contrasts: Mapping[str, Contrast]) -> ModelMatrix:
    """Build what the effects of a term multiply."""
    if bar.structure in COORDINATES:
        nodes = [term.factors[0] for term in bar.terms]
        columns = [evaluator.numbers(node, source, "the coordinate") for node in nodes]
        names = tuple(node.name if isinstance(node, Name) else node.text for node in nodes)
        return ModelMatrix(np.asfortranarray(np.column_stack(columns)), names, {})
    if bar.structure in SERIAL and len(bar.terms[0].factors) == 1:
        occasions = evaluator.occasions(bar.terms[0].factors[0], source, bar.structure)
        if occasions is not None:
            factor, name = occasions
            values = np.empty((len(evaluator.frame), len(factor.levels)), order="F")
            for k in range(len(factor.levels)):
                values[:, k] = factor.codes == k
            return ModelMatrix(values, tuple(f"{name}[{level}]" for level in factor.levels), {})
    return model_matrix(bar.terms, evaluator, source, contrasts)


def _random_terms(
    terms: Mapping[str, Terms],
    evaluator: Evaluator,
    contrasts: Mapping[str, Contrast],
    matrices: dict[str, Any],
    fixed: Mapping[str, FixedPart],
) -> tuple[tuple[RandomTerm, ...], tuple[tuple[str, Bar, Grouping], ...]]:
    random: list[RandomTerm] = []
    recipes: list[tuple[str, Bar, Grouping]] = []
    groupings: dict[str, Grouping] = {}
    varying: dict[tuple[str, frozenset[str], str], str] = {}
    for component, part in terms.items():
        for bar in part.bars:
            matrix: ModelMatrix | None = None
            for parts in bar.groups:
                factors = tuple(node.name if isinstance(node, Name) else node.text for node in parts)
                group = ":".join(factors) or "1"
                if group not in groupings:
                    groupings[group] = grouping_of(parts, evaluator, part.source)
                grouping = groupings[group]
                coupling = coupling_of(bar, evaluator, grouping, part.source, matrices)
                if coupling is not None:
                    own = _random_columns(bar, evaluator, part.source, contrasts) if has_columns(bar) else None
                    there = rows_of(bar, evaluator, grouping, grouping.codes.astype(np.int64), part.source, coupling)
                    code, weight = coupling.placed(*there)
                    values, names = columns_of(own, coupling, weight)
                    own_level = any(
                        other.structure in ("us", "diag") and [node.text for node in parts] in _group_texts(other)
                        for other in part.bars
                    )
                    x = np.asarray(fixed[component].x, np.float64)
                    require_level(coupling, bar.text, x, *there, besides=own_level)
                    random.append(
                        RandomTerm(
                            component,
                            group,
                            bar.structure,
                            {key: value for key, value in bar.options.items() if key != "matrix"},
                            values,
                            names,
                            code.astype(np.uint32),
                            grouping.levels,
                            bar.text,
                            factors,
                            coupling,
                        )
                    )
                    recipes.append((component, bar, grouping))
                    continue
                if matrix is None:
                    matrix = _random_columns(bar, evaluator, part.source, contrasts)
                if len(grouping.levels) < 2 and bar.structure in _BETWEEN_LEVELS:
                    raise DataError(
                        f"`{group}` has {len(grouping.levels)} level; a random effect needs at least 2. "
                        f"Drop `{bar.text}` or check the column."
                    )
                if bar.structure in _BETWEEN_LEVELS:
                    for name in matrix.names:
                        key = (component, frozenset(factors), name)
                        if key in varying:
                            raise FormulaError.at(
                                part.source,
                                bar.start,
                                bar.end,
                                f"`{name}` varies over `{group}` in two terms, here and in {varying[key]}; drop one",
                            )
                        varying[key] = bar.text
                random.append(
                    RandomTerm(
                        component,
                        group,
                        bar.structure,
                        dict(bar.options),
                        matrix.array,
                        matrix.names,
                        grouping.codes,
                        grouping.levels,
                        bar.text,
                        factors,
                    )
                )
                recipes.append((component, bar, grouping))
    return tuple(random), tuple(recipes)


def _smooth_variables(terms: Terms) -> list[Node]:
    found: list[Node] = []
    for smooth in terms.smooths:
        found += [*smooth.variables, *(() if smooth.by is None else (smooth.by,))]
    return found


def _with_curves(matrix: ModelMatrix, curves: list[SmoothColumns]) -> ModelMatrix:
    """The columns of the terms, then those of the curves that have no penalty."""
    blocks, names, term_columns = [matrix.values], list(matrix.names), dict(matrix.term_columns)
    for curve in curves:
        if curve.fixed.shape[1]:
            term_columns[curve.label] = list(range(len(names), len(names) + curve.fixed.shape[1]))
            blocks.append(curve.fixed)
            names += curve.fixed_names
    if len(blocks) == 1:
        return matrix
    if isinstance(matrix.values, LevelColumns):
        return ModelMatrix(matrix.values.beside(np.column_stack(blocks[1:])), tuple(names), term_columns)
    return ModelMatrix(np.asfortranarray(np.column_stack(blocks)), tuple(names), term_columns)


def _smooth_terms(
    curves: Mapping[str, list[tuple[Smooth, SmoothColumns]]], fixed: Mapping[str, FixedPart], first: int, n: int
) -> tuple[tuple[SmoothTerm, ...], tuple[RandomTerm, ...]]:
    """The penalised parts of curves: independent effects of one level that every row has."""
    smooths: list[SmoothTerm] = []
    random: list[RandomTerm] = []
    codes = np.zeros(n, dtype=np.uint32)
    for component, found in curves.items():
        for smooth, curve in found:
            start = first + len(random)
            for block, part in zip(curve.penalised, curve.parts, strict=True):
                names = tuple(f"{part}.{j + 1}" for j in range(block.shape[1]))
                random.append(
                    RandomTerm(
                        component,
                        curve.label,
                        "homdiag",
                        {},
                        block,
                        names,
                        codes,
                        (curve.label,),
                        smooth.text,
                        (curve.label,),
                        smooth=part,
                    )
                )
            columns = tuple(fixed[component].term_columns.get(curve.label, ()))
            places = tuple(range(start, first + len(random)))
            smooths.append(SmoothTerm(component, curve.label, smooth, curve.level, columns, places))
    return tuple(smooths), tuple(random)


def _group_texts(bar: Bar) -> list[list[str]]:
    return [[part.text for part in parts] for parts in bar.groups]


def _factors(
    terms: Mapping[str, Terms], evaluator: Evaluator, contrasts: Mapping[str, Contrast]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """List the factors of the fixed effects and random slopes, with levels and coding."""
    levels: dict[str, tuple[str, ...]] = {}
    codings: dict[str, str] = {}
    for part in terms.values():
        slopes: list[Term] = [term for bar in part.bars if bar.structure not in COORDINATES for term in bar.terms]
        for term in [*part.fixed, *slopes]:
            for node in term.factors:
                value = evaluator.factor_of_term(node, part.source)
                if isinstance(value, Coded):
                    name = node.name if isinstance(node, Name) else node.text
                    default = Contrast("poly" if value.factor.ordered else "treatment")
                    levels[name] = value.factor.levels
                    codings[name] = (value.contrast or contrasts.get(name) or default).coding
    return levels, codings
