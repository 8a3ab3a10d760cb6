"""The text of ``correlation=`` and the variance functions of ``dispersion=``, and what they say of the rows.

``ar1(time | g)`` is read as a random-effects term is: on the left where a row stands within its group (``1``: the order
of the rows), on the right the group (``1``: all rows are one). A variance function is a term ``power(x)`` of the
dispersion's formula, whose other terms are log-linear; ``fitted`` stands for the fitted mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.data import label
from ranef.errors import DataError, FormulaError, did_you_mean
from ranef.formula.evaluation import Evaluator
from ranef.formula.functions import VARIANCE
from ranef.formula.grouping import grouping_of
from ranef.formula.parser import Binary, Call, Name, Node, Number, Paren, parse
from ranef.formula.terms import signed_items

__all__ = ["CorrelationPart", "ResidualFormula", "ResidualPart", "SpreadPart", "residual_formula", "residual_part"]

Array = NDArray[np.float64]

#: The word for the fitted mean.
FITTED = "fitted"

_OPTIONS = {"arma": ("p", "q"), "exp": ("nugget",), "gau": ("nugget",)}
# A matrix of more occasions has more than a thousand correlations.
_MOST_OCCASIONS = 50
_MOST_ORDER = 10


@dataclass(frozen=True, slots=True, eq=False)
class _Correlation:
    """``structure(left | group, options)`` taken apart."""

    text: str
    source: str
    node: Call
    structure: str
    places: str
    left: tuple[Node, ...]
    group: tuple[Node, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Spread:
    """A variance function; without a node it takes the fitted mean."""

    text: str
    function: str
    node: Node | None


@dataclass(frozen=True, slots=True, eq=False)
class ResidualFormula:
    """What a model says of its residuals beyond the log-linear dispersion.

    Attributes
    ----------
    dispersion : str or None
        The formula of the dispersion without its variance functions.
    source : str
        That formula as it was written.
    """

    dispersion: str | None
    source: str
    correlation: _Correlation | None = None
    spreads: tuple[_Spread, ...] = ()
    nonzero: Collection[str] = field(default=())

    @property
    def empty(self) -> bool:
        """Whether residuals are independent and have no variance function."""
        return self.correlation is None and not self.spreads

    def nodes(self) -> list[tuple[str, Node]]:
        """Every piece that is evaluated, with the text it stands in."""
        found: list[tuple[str, Node]] = [(self.source, s.node) for s in self.spreads if s.node is not None]
        if self.correlation is not None:
            found += [(self.correlation.source, node) for node in (*self.correlation.left, *self.correlation.group)]
        return found


@dataclass(frozen=True, eq=False)
class CorrelationPart:
    """The correlation of the residuals on the rows of a fit.

    Attributes
    ----------
    structure, text, group : str
        The name in the catalogue, the term as written, the grouping factor (``"1"`` for all rows).
    codes : uint32 array (n,)
    levels : tuple of str
    places : float64 array (n, w)
        Times, positions of occasions, or coordinates.
    occasions : tuple of str
        Labels of the occasions of an unstructured matrix, else empty.
    orders : tuple of int
    nugget : bool
    largest : int
        Rows of the largest group.
    distance : float
        A distance between two rows of a group that is typical.
    """

    structure: str
    text: str
    group: str
    codes: NDArray[np.uint32]
    levels: tuple[str, ...]
    places: Array
    occasions: tuple[str, ...]
    orders: tuple[int, int]
    nugget: bool
    largest: int
    distance: float


@dataclass(frozen=True, eq=False)
class SpreadPart:
    """A variance function on the rows of a fit; `covariate` is None where it takes the fitted mean."""

    function: str
    text: str
    of: str
    covariate: Array | None


@dataclass(frozen=True, eq=False)
class ResidualPart:
    """Correlation and variance functions of the residuals."""

    correlation: CorrelationPart | None
    spreads: tuple[SpreadPart, ...]
    formula: ResidualFormula = field(repr=False)

    def replay_spreads(self, evaluator: Evaluator) -> list[Array | None]:
        """The covariates of the variance functions on other rows."""
        source = self.formula.source
        return [None if s.node is None else evaluator.numbers(s.node, source, s.text) for s in self.formula.spreads]


def residual_formula(
    correlation: str | None,
    dispersion: str | None,
    correlations: Mapping[str, Mapping[str, Any]],
    functions: Mapping[str, Mapping[str, Any]],
) -> ResidualFormula:
    """Read ``correlation=`` and the variance functions of ``dispersion=``.

    Parameters
    ----------
    correlation, dispersion : str or None
    correlations, functions : mapping
        The catalogues: name -> card.

    Raises
    ------
    FormulaError
        With a caret under what cannot be read.
    """
    read = None if correlation is None else _read_correlation(correlation, correlations)
    rest, spreads = _split(dispersion, functions)
    nonzero = tuple(name for name, card in functions.items() if card["needs_nonzero"])
    return ResidualFormula(rest, dispersion or "", read, spreads, nonzero)


def _read_correlation(text: Any, known: Mapping[str, Mapping[str, Any]]) -> _Correlation:
    example = '"ar1(time | id)"'
    if not isinstance(text, str):
        raise FormulaError(f"correlation is text such as {example}, not {type(text).__name__}")
    source = text if text.lstrip().startswith("~") else f"~ {text}"
    node = parse(source).right
    structured = isinstance(node, Call) and node.args and isinstance(node.args[0], Binary)
    if not structured or node.args[0].operator != "|":  # type: ignore[attr-defined]
        names = ", ".join(known)
        raise FormulaError.at(
            source,
            node.start,
            node.end,
            f"a correlation of the residuals is a structure around time and group, as in {example}; "
            f"structures: {names}",
        )
    assert isinstance(node, Call)
    bar = node.args[0]
    assert isinstance(bar, Binary)
    if node.function not in known:
        hint = did_you_mean(node.function, known)
        end = node.start + len(node.function)
        raise FormulaError.at(source, node.start, end, f"`{node.function}` is no correlation structure; {hint}")
    places = known[node.function]["places"]
    left = _left(bar.left, source, node.function, places)
    return _Correlation(
        text.strip(), source, node, node.function, places, left, _parts(bar.right, source), _options(node, source)
    )


def _left(node: Node, source: str, structure: str, places: str) -> tuple[Node, ...]:
    items = [item for sign, item in signed_items(node) if sign > 0]
    nodes = tuple(item for item in items if not isinstance(item, Number))
    if places == "none" and nodes:
        raise FormulaError.at(
            source, node.start, node.end, f"{structure}() takes no time: {structure}(1 | {_group_text(source)})"
        )
    if places in ("number", "coordinates") and not nodes:
        what = "a column of times" if places == "number" else "one or more columns of coordinates"
        raise FormulaError.at(source, node.start, node.end, f"{structure}() needs {what} on the left of the bar")
    if places != "coordinates" and len(nodes) > 1:
        raise FormulaError.at(source, node.start, node.end, f"{structure}() takes one column on the left of the bar")
    return nodes


def _group_text(source: str) -> str:
    return source.rsplit("|", 1)[1].split(")")[0].split(",")[0].strip()


def _parts(node: Node, source: str) -> tuple[Node, ...]:
    """The factors whose combinations are the groups; none for ``1``."""
    if isinstance(node, Number) and node.value == 1.0:
        return ()
    if isinstance(node, Paren):
        return _parts(node.inner, source)
    if isinstance(node, Binary) and node.operator in (":", "/"):
        return _parts(node.left, source) + _parts(node.right, source)
    if isinstance(node, Name | Call):
        return (node,)
    raise FormulaError.at(source, node.start, node.end, "a group is a column, g, or a combination of columns, g:h")


def _options(node: Call, source: str) -> dict[str, Any]:
    allowed = _OPTIONS.get(node.function, ())
    if len(node.args) > 1:
        extra = node.args[1]
        raise FormulaError.at(source, extra.start, extra.end, f"options have names, as in {node.function}(..., p=1)")
    found: dict[str, Any] = {}
    for key, value in node.keywords:
        if key not in allowed:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes no options"
            raise FormulaError.at(
                source, value.start, value.end, f"{node.function}() has no option `{key}`; it {takes}"
            )
        if key == "nugget":
            if not (isinstance(value, Name) and value.name in ("True", "TRUE", "False", "FALSE")):
                raise FormulaError.at(source, value.start, value.end, "nugget is True or False")
            found[key] = value.name in ("True", "TRUE")
        else:
            whole = isinstance(value, Number) and value.value == int(value.value) and 0 <= value.value <= _MOST_ORDER
            if not whole:
                raise FormulaError.at(
                    source, value.start, value.end, f"{key} is a whole number from 0 to {_MOST_ORDER}"
                )
            found[key] = int(value.value)  # type: ignore[attr-defined]
    if node.function == "arma" and found.get("p", 1) + found.get("q", 1) == 0:
        raise FormulaError.at(
            source, node.start, node.end, "arma() of orders p=0, q=0 has no correlation; leave it out"
        )
    return found


def _split(dispersion: str | None, functions: Mapping[str, Any]) -> tuple[str | None, tuple[_Spread, ...]]:
    """Take the variance functions out of a dispersion formula."""
    if dispersion is None:
        return None, ()
    tree = parse(dispersion)
    rest = ""
    spreads: list[_Spread] = []
    for sign, item in signed_items(tree.right):
        if isinstance(item, Call) and item.function in functions and _is_spread(item):
            if sign < 0:
                raise FormulaError.at(dispersion, item.start, item.end, "a variance function cannot be taken out")
            if len(item.args) != 1 or item.keywords:
                raise FormulaError.at(
                    dispersion, item.start, item.end, f"{item.function}() takes one covariate, or {FITTED}"
                )
            if any(item.text == other.text for other in spreads):
                raise FormulaError.at(dispersion, item.start, item.end, f"{item.text} stands in the formula twice")
            spreads.append(_Spread(item.text, item.function, None if _is_fitted(item.args[0]) else item.args[0]))
        elif tree.left is None:
            rest += f" {'+' if sign > 0 else '-'} {item.text}" if rest or sign < 0 else f" {item.text}"
    if not spreads:
        return dispersion, ()
    return f"~{rest or ' 1'}", tuple(spreads)


def _is_spread(item: Call) -> bool:
    # exp() of a column is a column; of the fitted mean it can only be a variance function.
    return item.function in VARIANCE or (len(item.args) == 1 and _is_fitted(item.args[0]))


def _is_fitted(node: Node) -> bool:
    return isinstance(node, Name) and node.name == FITTED and not node.quoted


def residual_part(formula: ResidualFormula, evaluator: Evaluator, rows: NDArray[np.intp] | None) -> ResidualPart:
    """Evaluate correlation and variance functions on the rows of a fit.

    Raises
    ------
    DataError
        When times repeat within a group, are not whole numbers where they must be, or a covariate is zero.
    """
    spreads = []
    for spread in formula.spreads:
        covariate = None
        if spread.node is not None:
            covariate = evaluator.numbers(spread.node, formula.source, f"the covariate of {spread.text}")
            zero = np.flatnonzero(covariate == 0.0)
            if spread.function in formula.nonzero and len(zero):
                raise DataError(
                    f"{spread.text}: `{spread.node.text}` is 0 in row {_row(zero[0], rows)} (counting from 0), where a "
                    f"power has no logarithm; shift the covariate, {spread.function}(I({spread.node.text} + 1)), or "
                    f"write `{spread.node.text}` alone for an exponential"
                )
        of = FITTED if spread.node is None else spread.node.text
        spreads.append(SpreadPart(spread.function, spread.text, of, covariate))
    correlation = None if formula.correlation is None else _correlation_part(formula.correlation, evaluator, rows)
    return ResidualPart(correlation, tuple(spreads), formula)


def _row(place: Any, rows: NDArray[np.intp] | None) -> int:
    return int(place) if rows is None else int(rows[place])


def _correlation_part(read: _Correlation, evaluator: Evaluator, rows: NDArray[np.intp] | None) -> CorrelationPart:
    n = len(evaluator.frame)
    if read.group:
        grouping = grouping_of(read.group, evaluator, read.source)
        codes, levels, group = grouping.codes, grouping.levels, grouping.name
    else:
        codes, levels, group = np.zeros(n, np.uint32), ("all rows",), "1"
    counts = np.bincount(codes, minlength=len(levels))
    if counts.max() < 2:
        raise DataError(
            f"correlation {read.text}: every group of `{group}` has one row, so there are no pairs to correlate. "
            "Choose a coarser group, or leave the correlation out."
        )
    places, occasions = _places(read, evaluator, codes, rows)
    if places.shape[1]:
        _require_distinct(read, group, codes, levels, places, occasions, rows)
    if read.structure == "us":
        _require_pairs(read, codes, places, occasions)
    options = read.options
    return CorrelationPart(
        structure=read.structure,
        text=read.text,
        group=group,
        codes=codes,
        levels=levels,
        places=np.asfortranarray(places),
        occasions=occasions,
        orders=(options.get("p", 1), options.get("q", 1)),
        nugget=options.get("nugget", False),
        largest=int(counts.max()),
        distance=_typical_distance(codes, counts, places),
    )


def _places(
    read: _Correlation, evaluator: Evaluator, codes: NDArray[np.uint32], rows: NDArray[np.intp] | None
) -> tuple[Array, tuple[str, ...]]:
    """Where each row stands within its group, and the labels of occasions."""
    n = len(codes)
    if read.places == "none":
        return np.empty((n, 0)), ()
    if not read.left:
        order = _order_within(codes)
        count = int(order.max()) + 1
        occasions = tuple(str(k + 1) for k in range(count)) if read.places == "occasion" else ()
        _require_few(read, occasions)
        return order[:, None].astype(float), occasions
    if read.places == "occasion":
        factor = evaluator.grouping_factor(read.left[0], read.source)
        _require_few(read, factor.levels)
        return np.asarray(factor.codes, float)[:, None], factor.levels
    columns = [evaluator.numbers(node, read.source, f"the place in {read.text}") for node in read.left]
    places = np.column_stack(columns)
    if read.places == "integer":
        broken = np.flatnonzero(np.abs(places[:, 0] - np.round(places[:, 0])) > 1e-8)
        if len(broken):
            time = read.left[0].text
            raise DataError(
                f"correlation {read.text}: `{time}` is {places[broken[0], 0]:g} in row {_row(broken[0], rows)} "
                f"(counting from 0), and {read.structure}() counts occasions. Use car1({time} | ...) for "
                f"continuous time, or {read.structure}(1 | ...) for the order of the rows."
            )
        places = np.round(places)
    return places, ()


def _order_within(codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The position of each row among those of its group."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    position = np.arange(len(codes)) - np.repeat(starts, np.diff(np.r_[starts, len(codes)]))
    found = np.empty(len(codes), np.int64)
    found[order] = position
    return found


def _require_few(read: _Correlation, occasions: tuple[str, ...]) -> None:
    if len(occasions) > _MOST_OCCASIONS:
        count = len(occasions)
        raise DataError(
            f"correlation {read.text}: {count} occasions have {count * (count - 1) // 2} correlations; us() takes "
            f"up to {_MOST_OCCASIONS} occasions. Use car1() or exp() for continuous time."
        )


def _require_distinct(
    read: _Correlation,
    group: str,
    codes: NDArray[np.uint32],
    levels: tuple[str, ...],
    places: Array,
    occasions: tuple[str, ...],
    rows: NDArray[np.intp] | None,
) -> None:
    """Refuse two rows of a group at one place; a nugget tells them apart."""
    if read.options.get("nugget"):
        return
    key = np.column_stack([codes.astype(float), places])
    order = np.lexsort(key.T[::-1])
    same = np.flatnonzero((key[order][1:] == key[order][:-1]).all(axis=1))
    if not len(same):
        return
    one, two = sorted((int(order[same[0]]), int(order[same[0] + 1])))
    what = " and ".join(f"`{node.text}`" for node in read.left)
    at = places[one]
    where = repr(occasions[int(at[0])]) if occasions else ", ".join(label(value) for value in at)
    more = "add nugget=True, which tells them apart" if read.places == "coordinates" else "drop or average one of them"
    raise DataError(
        f"correlation {read.text}: rows {_row(one, rows)} and {_row(two, rows)} (counting from 0) of `{group}` "
        f"{levels[codes[one]]!r} both have {what} {where}, so they would be perfectly correlated; {more}, or name a "
        "finer group."
    )


def _require_pairs(read: _Correlation, codes: NDArray[np.uint32], places: Array, occasions: tuple[str, ...]) -> None:
    """Refuse an unstructured matrix with a pair of occasions that no group has both of."""
    seen = np.zeros((int(codes.max()) + 1, len(occasions)), bool)
    seen[codes, places[:, 0].astype(int)] = True
    together = seen.T.astype(float) @ seen.astype(float)
    never = np.argwhere(together == 0.0)
    if len(never):
        i, j = never[0]
        pair = f"{occasions[i]!r} and {occasions[j]!r}" if i != j else repr(occasions[i])
        raise DataError(
            f"correlation {read.text}: no group has both occasions {pair}, so their correlation cannot be estimated. "
            "Use a structure over time, ar1(), car1() or exp()."
        )


def _typical_distance(codes: NDArray[np.uint32], counts: NDArray[np.int64], places: Array) -> float:
    """Root mean square distance between two rows of a group; 1 where there is none."""
    pairs = float((counts * (counts - 1.0)).sum())
    total = 0.0
    for values in places.T:
        sums = np.bincount(codes, values, len(counts))
        squares = np.bincount(codes, values**2, len(counts))
        # The mean square difference of m values is 2 (sum x^2 - (sum x)^2 / m) / (m - 1).
        total += float((2.0 * (counts * squares - sums**2)).sum())
    distance = np.sqrt(max(total, 0.0) / pairs) if pairs else 0.0
    return float(distance) if distance > 0.0 else 1.0
