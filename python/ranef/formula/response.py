"""The left side of a formula: what kind of numbers it holds, and what they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.errors import DataError, FormulaError
from ranef.formula.evaluation import Coded, Evaluator
from ranef.formula.parser import Binary, Call, Node, Paren

__all__ = ["KINDS", "Response", "response_of"]

Array = NDArray[np.float64]

#: What a family can ask of its response.
KINDS = ("numeric", "binomial", "ordinal")
_WHOLE = 1e-6  # a count computed as proportion times trials is whole to this relative accuracy

_BINOMIAL = (
    "a binomial response is 0 and 1, a factor with two levels, a proportion with the trials as weights, "
    "or cbind(successes, failures)"
)


@dataclass(frozen=True, eq=False)
class Response:
    """The response, in the units the family expects.

    Attributes
    ----------
    name : str
        As typed.
    y : float64 array (n,)
        The values; successes for a binomial response; the position of the level, from 0, for a factor; the number of
        the category, from 1, for an ordinal response.
    trials : float64 array (n,) or None
        The number of trials, None when each row is one.
    levels : tuple of str or None
        Of a factor: the first is failure, the second success. Of an ordinal response: the categories in their order.
    form : str
        ``"numeric"``, ``"factor"``, ``"bool"``, ``"cbind"`` or ``"proportion"``.
    """

    name: str
    y: Array
    trials: Array | None
    levels: tuple[str, ...] | None
    form: str

    def categories_at(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The categories of an ordinal response with these numbers (from 1): labels, or numbers where it was one."""
        levels = self.levels or ()
        labels = np.array([float(level) for level in levels] if self.form == "numeric" else levels)
        return labels[np.asarray(numbers).astype(np.intp) - 1]

    def numbers_of(self, categories: Any) -> Array:
        """The numbers of categories of an ordinal response; what `categories_at` undoes."""
        values = np.asarray(categories)
        if values.ndim != 1:
            raise DataError(f"response has {values.ndim} dimensions; give one category per row")
        if self.form == "numeric" and values.dtype.kind in "iuf":
            words = [f"{value:g}" for value in values.tolist()]
        else:
            words = [str(value) for value in values.tolist()]
        places = {_word(level, self.form): k + 1.0 for k, level in enumerate(self.levels or ())}
        strange = next((k for k, word in enumerate(words) if word not in places), None)
        if strange is not None:
            raise DataError(
                f"response: value {strange} is {words[strange]}, which is no category of the fit; they are "
                f"{', '.join(self.levels or ())}"
            )
        found = np.array([places[word] for word in words])
        if absent := [level for k, level in enumerate(self.levels or ()) if not (found == k + 1.0).any()]:
            raise DataError(
                f"response: category {absent[0]} does not occur, so the thresholds around it cannot be told apart; "
                "fit the model anew with the categories there are"
            )
        return found


def _word(level: str, form: str) -> str:
    return f"{float(level):g}" if form == "numeric" else level


def response_of(node: Node, evaluator: Evaluator, source: str, kind: str, weights: Array | None) -> Response:
    """Evaluate the left side of a formula.

    Parameters
    ----------
    node : Node
    evaluator : Evaluator
    source : str
        The formula, for errors.
    kind : {"numeric", "binomial", "ordinal"}
        What the family asks for.
    weights : array (n,) or None
        Taken as the trials when the response is a proportion, which ``form`` tells.

    Returns
    -------
    Response

    Raises
    ------
    DataError
        When the values are not of that kind, naming the first row.
    """
    name = source[node.start : node.end]
    if isinstance(node, Call) and node.function == "cbind":
        return _counts(node, evaluator, source, kind, name)
    if kind == "numeric":
        value = evaluator.factor_of_term(node, source)
        if isinstance(value, Coded) and not value.factor.boolean:
            levels = value.factor.levels
            shown = ", ".join(levels[:6]) + (", ..." if len(levels) > 6 else "")
            fitting = "binomial, for two levels" if len(levels) == 2 else "cumulative, for ordered levels"
            raise DataError(
                f"the response `{name}` must be numbers for this family; it has the levels {shown}. "
                f"A family that takes them: {fitting}."
            )
        form = "bool" if isinstance(value, Coded) and value.factor.boolean else "numeric"
        return Response(name, evaluator.numbers(node, source, "the response"), None, None, form)
    if kind == "ordinal":
        return _ordinal(node, evaluator, source, name)
    value = evaluator.factor_of_term(node, source)
    if isinstance(value, Coded):
        factor = value.factor
        if len(factor.levels) != 2:
            shown = ", ".join(factor.levels[:6]) + (", ..." if len(factor.levels) > 6 else "")
            raise DataError(
                f"`{name}` has {len(factor.levels)} level{'' if len(factor.levels) == 1 else 's'} ({shown}); "
                f"{_BINOMIAL}"
            )
        form = "bool" if factor.boolean else "factor"
        return Response(name, factor.codes.astype(np.float64), None, factor.levels, form)
    y = evaluator.numbers(node, source, "the response")
    outside = (y < 0) | (y > 1)
    if outside.any():
        raise DataError(f"`{name}` is {y[outside][0]:g} in row {_row(evaluator, outside)}; {_BINOMIAL}")
    between = (y != 0) & (y != 1)
    ratio = _ratio(node)
    if weights is None or not (between.any() or ratio is not None):
        if between.any():
            advice = "give them as weights"
            if ratio is not None:
                numerator, denominator = ratio.left.text, ratio.right.text
                advice = f"give weights='{denominator}' or write cbind({numerator}, {denominator} - {numerator})"
            raise DataError(
                f"`{name}` is {y[between][0]:g} in row {_row(evaluator, between)}: a proportion of how "
                f"many trials? To say so, {advice}"
            )
        return Response(name, y, None, None, "numeric")
    trials = np.round(weights)
    fraction = np.abs(weights - trials) > _WHOLE * np.maximum(1.0, weights)
    if fraction.any():
        raise DataError(
            f"the weights of a binomial proportion are its trials, and that of row {_row(evaluator, fraction)} is "
            f"{weights[fraction][0]:g}, not a whole number"
        )
    successes = np.round(y * weights)
    fraction = np.abs(y * weights - successes) > _WHOLE * np.maximum(1.0, successes)
    if fraction.any():
        raise DataError(
            f"`{name}` times its weight is {(y * weights)[fraction][0]:g} in row {_row(evaluator, fraction)}, not a "
            "whole number of successes; weights must be the number of trials behind each proportion"
        )
    return Response(name, successes, trials, None, "proportion")


def _row(evaluator: Evaluator, wrong: NDArray[np.bool_]) -> str:
    """The first row at fault, in the caller's frame."""
    place = int(np.flatnonzero(wrong)[0])
    rows = evaluator.frame.rows
    return f"{place if rows is None else int(rows[place])} (counting from 0)"


def _ratio(node: Node) -> Binary | None:
    while isinstance(node, Paren) or (isinstance(node, Call) and node.function == "I" and len(node.args) == 1):
        node = node.inner if isinstance(node, Paren) else node.args[0]
    return node if isinstance(node, Binary) and node.operator == "/" else None


def _counts(node: Call, evaluator: Evaluator, source: str, kind: str, name: str) -> Response:
    if kind != "binomial":
        raise FormulaError.at(
            source, node.start, node.end, "cbind(successes, failures) is a response for binomial families only"
        )
    if len(node.args) != 2 or node.keywords:
        raise FormulaError.at(source, node.start, node.end, "cbind() takes two columns: cbind(successes, failures)")
    counts = [evaluator.numbers(part, source, f"in `{name}`,") for part in node.args]
    for part, count in zip(node.args, counts, strict=True):
        negative = count < 0
        if negative.any():
            raise DataError(
                f"`{part.text}` is {count[negative][0]:g} in row {_row(evaluator, negative)}; counts are 0 or more"
            )
        fraction = np.abs(count - np.round(count)) > _WHOLE * np.maximum(1.0, count)
        if fraction.any():
            raise DataError(
                f"`{part.text}` is {count[fraction][0]:g} in row {_row(evaluator, fraction)}; counts are whole numbers"
            )
    successes, failures = np.round(counts[0]), np.round(counts[1])
    return Response(name, successes, successes + failures, None, "cbind")


def _ordinal(node: Node, evaluator: Evaluator, source: str, name: str) -> Response:
    form = "factor"
    if not isinstance(evaluator.factor_of_term(node, source), Coded):
        form = "numeric"
        values = evaluator.numbers(node, source, "the response")
        fraction = values != np.round(values)
        if fraction.any():
            raise DataError(
                f"`{name}` is {values[fraction][0]:g} in row {_row(evaluator, fraction)}; an ordinal response is an "
                "ordered factor, text (whose order is the alphabet's), or whole numbers"
            )
    factor = evaluator.grouping_factor(node, source).take(None)
    if len(factor.levels) < 2:
        raise DataError(
            f"`{name}` has {len(factor.levels)} level{'' if len(factor.levels) else 's'}; an ordinal response needs at "
            "least 2 categories that occur"
        )
    return Response(name, factor.codes.astype(np.float64) + 1.0, None, factor.levels, form)
