"""A smooth term of a formula, ``s(x)`` or ``t2(x, z)``, to columns: read, learned once, repeated on new data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.data import label as level_label
from ranef.errors import DataError, FormulaError, did_you_mean
from ranef.formula.evaluation import Coded, Evaluator
from ranef.formula.evaluation import Value as TermValue
from ranef.formula.parser import Call, Name, Node, Number, Sequence, Text, Unary
from ranef.formula.smooths.basis import BASES, Basis, evaluate, learn

__all__ = ["Smooth", "SmoothColumns", "smooth_columns", "smooth_of"]

Array = NDArray[np.float64]

_OPTIONS = ("k", "bs", "by", "knots")
# The number of functions when none is asked for: by the number of variables for s(), per variable for t2().
_DEFAULT_SIZE = {1: 10, 2: 30}
_DEFAULT_MARGIN = 5
_SMALLEST = {"tp": 3, "cr": 3, "cc": 4}


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """A smooth term as written.

    Attributes
    ----------
    text : str
        In its one spelling, options included.
    label : str
        Without options: ``"s(x)"``.
    start, end : int
        Its span in the formula.
    variables : tuple of Node
    by : Node or None
    basis : Basis
    default_size : bool
        Whether the number of functions was left to us.
    """

    text: str
    label: str
    start: int
    end: int
    variables: tuple[Node, ...]
    by: Node | None
    basis: Basis
    default_size: bool


@dataclass(frozen=True, slots=True, eq=False)
class SmoothColumns:
    """The columns of one curve: of a smooth, or of one level of the factor it is by.

    Attributes
    ----------
    label : str
        ``"s(x)"``, ``"s(x):f[a]"``, ``"s(x):z"``.
    level : str or None
        Of the factor it is by.
    fixed : float64 array (n, q)
        Without a penalty.
    penalised : list of float64 array (n, r)
        One for each variance.
    parts : list of str
        What the variances are called: the label, and for a tensor product the variables that bend.
    """

    label: str
    level: str | None
    fixed: Array
    penalised: list[Array]
    parts: list[str]

    @property
    def fixed_names(self) -> tuple[str, ...]:
        """Names of the columns without a penalty: ``s(x)[1]``."""
        return tuple(f"{self.label}[{j + 1}]" for j in range(self.fixed.shape[1]))


def smooth_of(call: Call, source: str) -> Smooth:
    """Read a smooth term.

    Raises
    ------
    FormulaError
        With a caret under the part that is not understood.
    """

    def fail(node: Node, message: str) -> FormulaError:
        return FormulaError.at(source, node.start, node.end, message)

    name = call.function
    if not call.args:
        raise fail(call, f"{name}() needs a column, as in {'s(x)' if name == 's' else 't2(x, z)'}")
    for node in call.args:
        if isinstance(node, Text | Number | Sequence):
            raise fail(node, f"{name}() takes columns, and its options by name: {name}(x, k = 10)")
    options: dict[str, Node] = {}
    for key, node in call.keywords:
        if key not in _OPTIONS:
            raise fail(node, f"{name}() has no option `{key}`; {did_you_mean(key, _OPTIONS)}")
        if key in options:
            raise fail(node, f"`{key}` is given twice")
        options[key] = node
    d = len(call.args)
    if name == "t2" and d != 2:
        raise fail(call, f"t2() is a surface over two columns, not {d}; for one, write s(x)")
    if name == "s" and d > 2:
        raise fail(call, f"s() takes one column or two, not {d}; add smooths, as in s(x) + s(y, z)")
    if len({node.text for node in call.args}) < d:
        raise fail(call, f"the columns of {name}() must differ")
    margins = d if name == "t2" else 1
    kinds = _kinds(options.get("bs"), margins, name, d, fail)
    sizes = _sizes(options.get("k"), margins, fail) or (
        (_DEFAULT_MARGIN,) * margins if name == "t2" else (_DEFAULT_SIZE[d],)
    )
    for kind, size in zip(kinds, sizes, strict=True):
        least = 4 if kind == "tp" and d == 2 and margins == 1 else _SMALLEST[kind]
        if size < least:
            raise fail(options.get("k", call), f"a {BASES[kind]} needs k = {least} or more, not {size}")
    knots = None
    if "knots" in options:
        if margins > 1 or kinds[0] == "tp":
            raise fail(options["knots"], 'knots are for cubic splines of one column: s(x, bs = "cc", knots = c(0, 24))')
        values = _constants(options["knots"], fail)
        knots = np.array([float(v) for v in values if isinstance(v, int | float)])
        if len(knots) != len(values) or len(knots) not in (2, sizes[0]) or (np.diff(knots) <= 0).any():
            raise fail(options["knots"], f"knots are 2 numbers (the outer ones) or k = {sizes[0]}, increasing")
    by = options.get("by")
    if isinstance(by, Text | Number | Sequence):
        raise fail(by, "`by` names a column, without quotes")
    text = ", ".join(node.text for node in call.args)
    return Smooth(
        call.text,
        f"{name}({text})",
        call.start,
        call.end,
        call.args,
        None if isinstance(by, Name) and by.name in ("NA", "NULL", "None") else by,
        Basis(name == "t2", kinds, sizes, knots),
        "k" not in options,
    )


def _kinds(node: Node | None, margins: int, name: str, d: int, fail: Any) -> tuple[str, ...]:
    default = "cr" if name == "t2" else "tp"
    given = (default,) if node is None else tuple(_constants(node, fail))
    if len(given) == 1:
        given *= margins
    for kind in given:
        if kind == "re":
            raise fail(node, "a random effect has its own notation: (1 | g)")
        if kind not in BASES:
            raise fail(node, f"there is no basis {kind!r}; {did_you_mean(str(kind), BASES)}")
        if name == "s" and d == 2 and kind != "tp":
            raise fail(
                node, f"a {BASES[kind]} has one column; use bs = 'tp', or t2() for a surface made of two of them"
            )
    if len(given) != margins:
        raise fail(node, f"bs names one basis, or one for each of the {margins} columns")
    return given


def _sizes(node: Node | None, margins: int, fail: Any) -> tuple[int, ...] | None:
    if node is None:
        return None
    given = _constants(node, fail)
    sizes = tuple(int(k) for k in given if isinstance(k, int | float) and k == int(k))
    if len(sizes) != len(given) or len(sizes) not in (1, margins):
        raise fail(
            node,
            "k is the number of functions of the basis, a whole number"
            + (" (or one for each column)" if margins > 1 else ""),
        )
    return sizes * margins if len(sizes) == 1 else sizes


def _constants(node: Node, fail: Any) -> list[Any]:
    """Numbers and texts, alone or in a list."""
    if isinstance(node, Number | Text):
        return [node.value]
    if isinstance(node, Unary) and node.operator == "-" and isinstance(node.operand, Number):
        return [-node.operand.value]
    items = node.items if isinstance(node, Sequence) else ()
    if isinstance(node, Call) and node.function == "c" and not node.keywords:
        items = node.args
    if not items:
        raise fail(node, "a number, a text in quotes, or a list of these is needed here")
    return [value for item in items for value in _constants(item, fail)]


def smooth_columns(smooth: Smooth, evaluator: Evaluator, source: str) -> list[SmoothColumns]:
    """The columns of a smooth term, one entry for each curve.

    Raises
    ------
    DataError
        When a variable is no number or has too few distinct values.
    """
    points = np.column_stack([_variable(smooth, node, evaluator, source) for node in smooth.variables])
    known = evaluator.memory.transforms
    if evaluator.learn and smooth.text not in known:
        _require_distinct(smooth, points, evaluator)
        names = tuple(node.name if isinstance(node, Name) else node.text for node in smooth.variables)
        known[smooth.text], straight, bending = learn(smooth.basis, points, names)
    else:
        straight, bending = evaluate(points, known[smooth.text])
    state = known[smooth.text]
    parts = [f".{part}" if part else "" for part in state["labels"]]
    if smooth.by is None:
        return [SmoothColumns(smooth.label, None, straight, bending, [smooth.label + part for part in parts])]
    value: TermValue = evaluator.factor_of_term(smooth.by, source)
    by_name = smooth.by.name if isinstance(smooth.by, Name) else smooth.by.text
    if not isinstance(value, Coded):
        numbers = evaluator.numbers(smooth.by, source, "the column that a smooth is by,")[:, None]
        label = f"{smooth.label}:{by_name}"
        # Nothing else in the model is the constant here, so it belongs to the curve.
        fixed = numbers * np.column_stack([np.ones(len(points)), straight])
        return [SmoothColumns(label, None, fixed, [numbers * part for part in bending], [label + p for p in parts])]
    found = []
    for code, level in enumerate(value.factor.levels):
        if value.factor.ordered and code == 0:
            continue  # the differences from the first level, whose own curve is another term, s(x)
        here = (value.factor.codes == code)[:, None]
        label = f"{smooth.label}:{by_name}[{level_label(level)}]"
        found.append(
            SmoothColumns(
                label, level, here * straight, [here * part for part in bending], [label + part for part in parts]
            )
        )
    return found


def _variable(smooth: Smooth, node: Node, evaluator: Evaluator, source: str) -> Array:
    value = evaluator.factor_of_term(node, source)
    if isinstance(value, Coded):
        raise FormulaError.at(
            source,
            node.start,
            node.end,
            f"`{node.text}` is a factor, and {smooth.label} needs numbers; a curve for each level is "
            f"s(x, by = {node.text}), a random effect (1 | {node.text})",
        )
    return evaluator.numbers(node, source, f"the variable of {smooth.label},")


def _require_distinct(smooth: Smooth, points: Array, evaluator: Evaluator) -> None:
    names = [node.text for node in smooth.variables]
    columns: list[tuple[str, Array]] = (
        [(name, points[:, [j]]) for j, name in enumerate(names)]
        if smooth.basis.tensor
        else [(" and ".join(names), points)]
    )
    for (name, values), kind, size in zip(columns, smooth.basis.kinds, smooth.basis.sizes, strict=True):
        distinct = len(np.unique(values, axis=0))
        if distinct < size:
            least = 4 if values.shape[1] == 2 else _SMALLEST[kind]
            how = "k = {size} asks" if not smooth.default_size else "the default of k = {size} asks"
            advice = f"give k = {distinct} or less" if distinct >= least else "use it as a column or a factor instead"
            raise DataError(
                f"{smooth.label}: {how.format(size=size)} for {size} distinct values of {name}, and there are "
                f"{distinct}; {advice}"
            )
    for name, values in columns:
        if values.shape[1] == 2 and np.linalg.matrix_rank(values - values.mean(axis=0), tol=None) < 2:
            raise DataError(f"{smooth.label}: the points ({name}) lie on a line, so there is no surface over them")
