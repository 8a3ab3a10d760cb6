"""A tree and data to values, by walking the tree: nothing is ever handed to Python's own interpreter.

A value is a vector of numbers or truth values, a factor with its contrast, a basis of several columns, or a constant.
What the functions learn from the data of the fit (means, knots, levels) is kept in a :class:`Memory`, so that new data
gives the same columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ranef.data import Column, Factor, label
from ranef.errors import DataError, FormulaError, did_you_mean
from ranef.formula.contrasts import Contrast, contrast_from
from ranef.formula.functions import CONSTANTS, ELEMENTWISE, VARIANCE
from ranef.formula.parser import DEEPEST, Binary, Call, Name, Node, Number, Paren, Sequence, Text, Unary
from ranef.formula.transforms import ARGUMENTS, STATEFUL, Basis

__all__ = ["Coded", "Evaluator", "Frame", "Memory", "Value"]

Array = NDArray[np.float64]

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "%%": np.mod,
}
_COMPARISON: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class Coded:
    """A factor with the contrast asked for by the formula (None: the default of its kind)."""

    factor: Factor
    contrast: Contrast | None = None


#: What a factor of a term can be.
Value = Array | Basis | Coded


@dataclass(slots=True)
class Memory:
    """What the functions of a formula have learned.

    Attributes
    ----------
    transforms : dict
        Text of a call -> its state, plain numbers.
    levels : dict
        Text of a computed factor -> its levels.
    """

    transforms: dict[str, dict[str, Any]] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Frame(Protocol):
    """Where columns come from: the rows of the fit, or new data read as the fit read its own."""

    what: str
    rows: NDArray[np.intp] | None
    names: tuple[str, ...]

    def __len__(self) -> int: ...

    def __contains__(self, name: object) -> bool: ...

    def column(self, name: str) -> Column:
        """Read one column as what it is."""
        ...

    def group(self, name: str) -> Factor:
        """Read one column as a grouping factor."""
        ...


class Evaluator:
    """Values of the pieces of formulas over one set of rows.

    Parameters
    ----------
    frame : Frame
    memory : Memory
        Filled when ``learn``, obeyed otherwise.
    learn : bool
    """

    def __init__(self, frame: Frame, memory: Memory, learn: bool) -> None:
        self.frame = frame
        self.memory = memory
        self.learn = learn
        self.source = ""
        self._values: dict[str, Value] = {}

    def factor_of_term(self, node: Node, source: str) -> Value:
        """Evaluate one factor of a term: numbers (n,), a basis, or a factor.

        Raises
        ------
        DataError
            When the result is not finite somewhere, or a factor has a level the fit has not seen.
        FormulaError
            When the piece asks for something that cannot be computed.
        """
        found = self._values.get(node.text)
        if found is None:
            self.source = source
            found = self._values[node.text] = self._finished(self.value(node), node)
        return found

    def numbers(self, node: Node, source: str, role: str) -> Array:
        """Evaluate to one finite number a row, as a response or an offset needs."""
        value = self.factor_of_term(node, source)
        if isinstance(value, Coded) and value.factor.boolean:
            return value.factor.codes.astype(np.float64)
        if isinstance(value, Coded):
            raise DataError(
                f"{role} `{node.text}` must be numbers; it has the levels "
                f"{', '.join(value.factor.levels[:4])}{', ...' if len(value.factor.levels) > 4 else ''}"
            )
        if isinstance(value, Basis):
            raise self.fail(node, f"{role} must be one column, and `{node.text}` is {value.values.shape[1]}")
        return value

    def grouping_factor(self, node: Node, source: str) -> Factor:
        """Evaluate to a factor, whatever the kind of the values."""
        self.source = source
        return self.frame.group(node.name) if isinstance(node, Name) else self._factor(node)

    def occasions(self, node: Node, source: str, structure: str) -> tuple[Factor, str] | None:
        """Read a numeric column of times as a factor of equally spaced occasions; None when it is a factor already.

        Raises
        ------
        DataError
            When the times are not equally spaced, so that neighbours would not be equally close.
        """
        value = self.factor_of_term(node, source)
        if not isinstance(node, Name) or isinstance(value, Coded | Basis):
            return None
        times = np.unique(value)
        steps = np.diff(times)
        if self.learn and len(steps) and np.ptp(steps) > 1e-8 * np.max(steps):
            shown = ", ".join(label(time) for time in times[:5]) + (", ..." if len(times) > 5 else "")
            raise DataError(
                f"`{node.name}` is not equally spaced ({shown}), as {structure}() needs; use ou({node.name} | ...) for "
                f"continuous time, or {structure}(0 + factor({node.name}) | ...) to count the occasions only"
            )
        factor = self.frame.group(node.name)
        call = replace(node, text=f"{structure}({node.text})")  # its levels are remembered under a name of their own
        return self._remembered(call, factor, node.name), node.name

    def fail(self, node: Node, message: str) -> FormulaError:
        """Return the error that points at a piece of the formula."""
        return FormulaError.at(self.source, node.start, node.end, message)

    def _finished(self, value: Any, node: Node) -> Value:
        """Spread constants over the rows, make truth values a factor, refuse what is not finite."""
        n = len(self.frame)
        if isinstance(value, Coded):
            return value
        if isinstance(value, Basis):
            self._check_finite(value.values.sum(axis=1), node)
            return value
        if isinstance(value, str | list) or value is None:
            raise self.fail(node, f"`{node.text}` is no column")
        array = np.asarray(value)
        if array.ndim == 0:
            array = np.full(n, array)
        if array.dtype == bool:
            return Coded(Factor.of(array))
        array = np.asarray(array, dtype=np.float64)
        if not isinstance(node, Name):
            self._check_finite(array, node)
        return array

    def _check_finite(self, values: Array, node: Node) -> None:
        wrong = ~np.isfinite(values)
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            row = place if self.frame.rows is None else int(self.frame.rows[place])
            raise DataError(
                f"`{node.text}` is {values[place]} in row {row} of {self.frame.what} (counting from 0), and in "
                f"{int(wrong.sum())} row{'s' if wrong.sum() > 1 else ''} in all; drop these rows or change the term"
            )

    def value(self, node: Node) -> Any:
        """Evaluate any piece."""
        if node.depth > DEEPEST:
            raise self.fail(node, f"the formula is nested more than {DEEPEST} deep")
        if isinstance(node, Name):
            return self._name(node)
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Text):
            return node.value
        if isinstance(node, Paren):
            return self.value(node.inner)
        if isinstance(node, Sequence):
            return [self._constant(item) for item in node.items]
        if isinstance(node, Unary):
            if node.operator == "!":
                return ~self._truth(node.operand)
            operand = self._number(node.operand)
            return -operand if node.operator == "-" else operand
        if isinstance(node, Binary):
            return self._binary(node)
        assert isinstance(node, Call)
        return self._call(node)

    def _name(self, node: Name) -> Any:
        if not node.quoted and node.name in CONSTANTS and node.name not in self.frame:
            return CONSTANTS[node.name]
        if node.name == "." and not node.quoted:
            raise self.fail(node, "the dot cannot stand inside a function")
        column = self.frame.column(node.name)
        return column.numbers if column.category is None else Coded(column.category)

    def _constant(self, node: Node) -> Any:
        value = self.value(node)
        if isinstance(value, np.ndarray | Coded | Basis):
            raise self.fail(node, f"a constant is needed here, and `{node.text}` has a value a row")
        return value

    def _number(self, node: Node) -> Any:
        """A number, or one a row."""
        value = self.value(node)
        if isinstance(value, Coded):
            if value.factor.boolean:
                return value.factor.codes.astype(np.float64)
            raise DataError(
                f"`{node.text}` is not numeric (its levels are {', '.join(value.factor.levels[:4])}"
                f"{', ...' if len(value.factor.levels) > 4 else ''}), so nothing can be computed from it"
            )
        if isinstance(value, Basis):
            raise self.fail(node, f"`{node.text}` is several columns; nothing can be computed from it")
        if isinstance(value, str | list) or value is None:
            raise self.fail(node, f"a number is needed here, not {node.text}")
        return np.asarray(value, dtype=np.float64) if isinstance(value, np.ndarray) else float(value)

    def _truth(self, node: Node) -> NDArray[np.bool_]:
        value = self.value(node)
        if isinstance(value, np.ndarray) and value.dtype == bool:
            return value
        return np.asarray(self._number(node)) != 0

    def _binary(self, node: Binary) -> Any:
        operator = node.operator
        with np.errstate(all="ignore"):
            if operator in _ARITHMETIC:
                return _ARITHMETIC[operator](self._number(node.left), self._number(node.right))
            if operator in _COMPARISON:
                return self._compare(node)
            if operator == "&":
                return self._truth(node.left) & self._truth(node.right)
            if operator in ("|", "||"):
                return self._truth(node.left) | self._truth(node.right)
            if operator == "%in%":
                return self._member(node)
        raise self.fail(node, f"`{operator}` builds interactions; it has no meaning inside a function")

    def _compare(self, node: Binary) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(right, Coded) and not isinstance(left, Coded):
            mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(node.operator, node.operator)
            return self._compare_level(node, right.factor, node.right, left, mirrored)
        if isinstance(left, Coded) and isinstance(right, Coded):
            if node.operator not in ("==", "!="):
                raise self.fail(node, "two factors can only be compared by == and !=")
            codes, _ = right.factor.recode(left.factor.levels)
            return _COMPARISON[node.operator](left.factor.codes, codes)
        if isinstance(left, Coded):
            return self._compare_level(node, left.factor, node.left, right, node.operator)
        return _COMPARISON[node.operator](self._number(node.left), self._number(node.right))

    def _compare_level(self, node: Binary, factor: Factor, column: Node, value: Any, operator: str) -> Any:
        if factor.boolean and not isinstance(value, str):
            return _COMPARISON[operator](factor.codes.astype(np.float64), value)
        if not isinstance(value, str | float | bool):
            raise self.fail(node, f"`{column.text}` is a factor: compare it with one of its levels, in quotes")
        if operator not in ("==", "!=") and not factor.ordered:
            raise self.fail(node, f"the levels of `{column.text}` have no order; compare by == or !=")
        return _COMPARISON[operator](factor.codes, self._level(node, factor, column, value))

    def _level(self, node: Node, factor: Factor, column: Node, value: Any) -> int:
        word = label(value)
        if word not in factor.levels:
            raise self.fail(node, f"{word!r} is no level of `{column.text}`; {did_you_mean(word, factor.levels)}")
        return factor.levels.index(word)

    def _member(self, node: Binary) -> Any:
        among = self.value(node.right)
        if not isinstance(among, list):
            among = [self._constant(node.right)]
        value = self.value(node.left)
        if isinstance(value, Coded):
            codes = [self._level(node, value.factor, node.left, item) for item in among]
            return np.isin(value.factor.codes, codes)
        if not all(isinstance(item, float | bool) for item in among):
            raise self.fail(node.right, f"`{node.left.text}` is numeric: list numbers")
        return np.isin(self._number(node.left), np.array(among, dtype=float))

    def _call(self, node: Call) -> Any:
        name = node.function
        if name in ELEMENTWISE:
            return self._elementwise(node)
        if name in STATEFUL:
            return self._stateful(node)
        if name == "I":
            self._argument_count(node, 1, 1)
            return self.value(node.args[0])
        if name == "c":
            if node.keywords:
                raise self.fail(node, "c() lists plain values")
            return [self._constant(item) for item in node.args]
        if name == "C":
            return self._contrasted(node)
        if name in ("factor", "as.factor", "ordered", "as.ordered"):
            return self._as_factor(node)
        if name == "relevel":
            return self._relevel(node)
        if name == "dummy":
            self._argument_count(node, 2, 2)
            factor = self._factor(node.args[0])
            level = self._level(node.args[1], factor, node.args[0], self._constant(node.args[1]))
            return (factor.codes == level).astype(np.float64)
        if name in ("as.numeric", "as.integer"):
            self._argument_count(node, 1, 1)
            numbers = self._number(node.args[0])
            return np.trunc(numbers) if name == "as.integer" else numbers
        if name == "offset":
            raise self.fail(node, "offset() can only be added, on its own, to the fixed effects")
        if name == "cbind":
            raise self.fail(node, "cbind() stands on the left of ~, as in cbind(successes, failures) ~ x")
        if name in VARIANCE:
            raise self.fail(node, f"{name}() is a variance function: it stands in dispersion= of rf.lmm only")
        if name == "interaction":
            raise self.fail(node, "write the interaction as a:b")
        raise self.fail(node, f"`{name}` says how a factor is coded: C(f, {name})")

    def _argument_count(self, node: Call, least: int, most: int) -> None:
        if node.keywords:
            raise self.fail(node, f"{node.function}() takes no argument called `{node.keywords[0][0]}`")
        if not least <= len(node.args) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self.fail(node, f"{node.function}() takes {wanted} argument{'' if most == 1 else 's'}")

    def _elementwise(self, node: Call) -> Any:
        function = ELEMENTWISE[node.function]
        nodes = list(node.args)
        if node.function in ("log", "round", "np.round") and len(nodes) == 1 and len(node.keywords) == 1:
            key, value = node.keywords[0]
            if key == ("base" if node.function == "log" else "digits"):
                nodes.append(value)
                node = replace(node, args=tuple(nodes), keywords=())
        self._argument_count(node, function.least, function.most)
        values = [self._number(item) for item in nodes]
        if node.function in ("ifelse", "np.where"):
            values[0] = np.asarray(values[0]) != 0
        with np.errstate(all="ignore"):
            try:
                return function.apply(*values)
            except (TypeError, ValueError, ArithmeticError) as error:
                raise self.fail(node, f"{node.function}() cannot be computed: {error}") from error

    def _stateful(self, node: Call) -> Any:
        if not node.args:
            raise self.fail(node, f"{node.function}() needs a column")
        x = np.asarray(self._number(node.args[0]), dtype=np.float64)
        if x.ndim == 0:
            x = np.full(len(self.frame), x)
        wrong = ~np.isfinite(x)
        if wrong.any():
            self._check_finite(x, node.args[0])
        rest = [self._constant(item) for item in node.args[1:]]
        options = {ARGUMENTS.get(key, key): self._constant(value) for key, value in node.keywords}
        if "state" in options:
            raise self.fail(node, f"{node.function}() takes no argument called `state`")
        state = self.memory.transforms.setdefault(node.text, {}) if self.learn else self.memory.transforms[node.text]
        try:
            with np.errstate(all="ignore"):
                return STATEFUL[node.function](x, *rest, state=state, **options)
        except TypeError as error:
            strange = [key for key in options if f"'{key}'" in str(error)]
            reason = f"takes no argument called `{strange[0]}`" if strange else "cannot take these arguments"
            raise self.fail(node, f"{node.function}() {reason}") from error
        except (ValueError, ArithmeticError, LookupError, np.linalg.LinAlgError) as error:
            raise self.fail(node, f"{node.function}(): {error}") from error

    def _factor(self, node: Node) -> Factor:
        """Evaluate to a factor; numbers become one."""
        value = self.value(node)
        if isinstance(value, Coded):
            return value.factor
        if isinstance(node, Name):
            return self.frame.group(node.name)
        if isinstance(value, np.ndarray):
            return Factor.of(value)
        raise self.fail(node, f"`{node.text}` is no column")

    def _remembered(self, node: Node, factor: Factor, known: str) -> Factor:
        """Fix the levels of a computed factor, or recode to the levels that were fixed."""
        if self.learn:
            self.memory.levels[node.text] = factor.levels
            return factor
        levels = self.memory.levels[node.text]
        codes, unknown = factor.recode(levels)
        if unknown:
            raise DataError(
                f"`{known}` has the level '{unknown[0]}', which the model has not seen; it knows {', '.join(levels)}"
            )
        return replace(factor, codes=codes, levels=levels)

    def _as_factor(self, node: Call) -> Coded:
        if len(node.args) != 1:
            raise self.fail(node, f"{node.function}() takes one column")
        factor = self._factor(node.args[0])
        ordered = node.function in ("ordered", "as.ordered") or factor.ordered
        for key, item in node.keywords:
            value = self._constant(item)
            if key == "levels" and isinstance(value, list) and value:
                levels = tuple(label(word) for word in value)
                codes, others = factor.recode(levels)
                if others:
                    raise self.fail(item, f"`{node.args[0].text}` also has the level '{others[0]}'; list them all")
                factor = replace(factor, codes=codes, levels=levels, boolean=False).take(None)
            elif key == "ordered" and isinstance(value, bool):
                ordered = value
            else:
                raise self.fail(item, f"{node.function}() takes levels=c(...) and ordered=TRUE")
        factor = replace(factor, ordered=ordered)
        return Coded(self._remembered(node, factor, node.args[0].text))

    def _relevel(self, node: Call) -> Coded:
        given = [*node.args[1:], *(value for key, value in node.keywords if key == "ref")]
        if len(node.args) not in (1, 2) or len(given) != 1 or len(node.keywords) > 1:
            raise self.fail(node, 'relevel() takes a factor and its new first level: relevel(f, ref = "b")')
        factor = self._factor(node.args[0])
        base = factor.levels[self._level(given[0], factor, node.args[0], self._constant(given[0]))]
        levels = (base, *(level for level in factor.levels if level != base))
        moved = replace(factor, codes=factor.recode(levels)[0], levels=levels, boolean=False, ordered=False)
        return Coded(self._remembered(node, moved, node.args[0].text))

    def _contrasted(self, node: Call) -> Coded:
        """Read C(f), C(f, contr.sum), C(f, contr.treatment(base = "b")), C(f, Treatment("b")), C(f, "sum")."""
        if not node.args or len(node.args) > 2:
            raise self.fail(node, "C() takes a factor and its coding, as in C(f, contr.sum)")
        factor = self._factor(node.args[0])
        options = dict(node.keywords)
        if "levels" in options:
            levels = tuple(label(word) for word in _listed(self._constant(options.pop("levels"))))
            codes, others = factor.recode(levels)
            if others or not levels:
                raise self.fail(node, f"levels= must list every level of `{node.args[0].text}`")
            factor = replace(factor, codes=codes, levels=levels, boolean=False).take(None)
        factor = self._remembered(node, factor, node.args[0].text)
        if factor.boolean and len(node.args) + len(options) > 1:
            factor = replace(factor, boolean=False)
        coding = node.args[1] if len(node.args) == 2 else options.pop("contr", None)
        if coding is None:
            if options:
                raise self.fail(node, f"C() takes no argument called `{next(iter(options))}`")
            return Coded(factor)
        return Coded(factor, self._coding(node, coding, options, factor))

    def _coding(self, node: Call, coding: Node, options: dict[str, Node], factor: Factor) -> Contrast:
        name = node.args[0].text
        given: list[Node] = []
        if isinstance(coding, Call):
            word, given, options = coding.function, list(coding.args), {**options, **dict(coding.keywords)}
        elif isinstance(coding, Name):
            word = coding.name
        elif isinstance(coding, Text):
            word = coding.value
        else:
            raise self.fail(coding, "a coding is named, as in C(f, contr.sum)")
        last = word.removeprefix("contr.") == "SAS"
        contrast = Contrast("treatment", base=factor.levels[-1]) if last else contrast_from(word, name)
        values = {key: self._constant(value) for key, value in options.items()}
        for key in ("reference", "ref"):
            if key in values:
                values["base"] = values.pop(key)
        wanted = {"treatment": "base", "poly": "scores"}.get(contrast.coding)
        if given and wanted is not None:
            values[wanted] = self._constant(given[0])
        if len(given) > (wanted is not None) or set(values) - {wanted}:
            raise self.fail(coding, f"{word} does not take these arguments")
        if "base" in values:
            base = values["base"]
            if isinstance(base, float) and label(base) not in factor.levels:  # R counts the levels from 1
                if not base.is_integer() or not 1 <= base <= len(factor.levels):
                    raise self.fail(coding, f"`{name}` has {len(factor.levels)} levels; base counts them from 1")
                base = factor.levels[int(base) - 1]
            return Contrast("treatment", base=factor.levels[self._level(coding, factor, node.args[0], base)])
        if "scores" in values:
            scores = _listed(values["scores"])
            if not all(isinstance(score, float) for score in scores):
                raise self.fail(coding, "scores are numbers, one a level")
            return Contrast("poly", scores=tuple(scores))
        return contrast


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
