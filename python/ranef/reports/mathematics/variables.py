"""What stands in a formula, as mathematics of row i: variables, transforms, the columns of factors.

A column of an indicator is an Iverson bracket, ``[sex_i = male]``; of another coding, the factor with the column's name
as an index. Text that is no arithmetic stays text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ranef.errors import FormulaError
from ranef.formula.design import Design
from ranef.formula.parser import Binary, Call, Name, Paren, Text, Unary, parse
from ranef.formula.parser import Node as Piece
from ranef.formula.parser import Number as Literal
from ranef.reports.mathematics.expressions import (
    Fenced,
    Indexed,
    Letter,
    Node,
    Number,
    Operator,
    Ratio,
    Root,
    Row,
    Sign,
    Word,
    applied,
    indexed,
    listed,
    power,
    row,
)

# What makes an expression need brackets beside a coefficient or another factor.
SUMMED = (Sign("+"), Sign("-"), Sign("minus"))
_ARITHMETIC = {"+": "+", "-": "-", "*": "times", "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def variable(name: str) -> Node:
    """A variable's value in row i."""
    return indexed(Word(name), Letter("i"))


def level_of(group: str) -> Node:
    """The level of a factor that row i has: ``Subject[i]``."""
    return row(Word(group), Fenced(Letter("i"), "[]"))


def expression(piece: Piece) -> Node:
    """A piece of a formula in row i."""
    if isinstance(piece, Name):
        return variable(piece.name)
    if isinstance(piece, Literal):
        return Number(f"{piece.value:g}")
    if isinstance(piece, Text):
        return Word(piece.value)
    if isinstance(piece, Paren):
        return Fenced(expression(piece.inner))
    if isinstance(piece, Unary) and piece.operator == "-":
        return row(Sign("minus"), expression(piece.operand))
    if isinstance(piece, Binary):
        left, right = expression(piece.left), expression(piece.right)
        if piece.operator == "/":
            return Ratio(left, right)
        if piece.operator == "**":
            return power(left, right)
        if piece.operator in _ARITHMETIC:
            return row(left, Sign(_ARITHMETIC[piece.operator]), right)
    if isinstance(piece, Call):
        arguments = [expression(arg) for arg in piece.args if not isinstance(arg, Text)]
        if piece.function == "I" and len(arguments) == 1:
            return arguments[0]
        if piece.function == "sqrt" and len(arguments) == 1:
            return Root(arguments[0])
        if piece.function == "factor" and len(piece.args) == 1 and isinstance(piece.args[0], Name):
            return variable(piece.args[0].name)
        # What a transform is told besides its variables are settings.
        about = [a for a, arg in zip(arguments, piece.args, strict=False) if not isinstance(arg, Literal)]
        return applied(piece.function, *(about or arguments))
    return variable(piece.text)


def expression_of_text(text: str) -> Node:
    """The same for the text of a piece."""
    try:
        return expression(parse(f"~ {text}").right)
    except FormulaError:
        return variable(text)


def column(name: str, design: Design) -> tuple[Node, ...]:
    """The factors of a column of a model matrix, by the name it has there (``"f[T.b]:log(x)"``); none for the
    intercept."""
    if name == "Intercept":
        return ()
    found: list[Node] = []
    rest = name
    while rest:
        shown, length = _next(rest, design)
        found.append(shown)
        rest = rest[length + 1 :]
    return tuple(found)


def columns_product(factors: Sequence[Node]) -> Node:
    """The factors of a column multiplied; brackets side by side need no sign."""
    parts: list[Node] = []
    for k, factor in enumerate(factors):
        if k:
            brackets = isinstance(factor, Fenced) and isinstance(factors[k - 1], Fenced)
            parts.append(Sign("thin" if brackets else "times"))
        sum_of_terms = isinstance(factor, Row) and any(p in SUMMED for p in factor.parts)
        parts.append(Fenced(factor) if sum_of_terms else factor)
    return row(*parts)


def occasions(names: Sequence[str], levels: Mapping[str, Sequence[str]]) -> str | None:
    """The factor whose levels are the columns, one after the other; None where they are something else."""
    for factor, own in levels.items():
        if list(names) == [f"{factor}[{level}]" for level in own]:
            return factor
    return None


def _next(rest: str, design: Design) -> tuple[Node, int]:
    """The first factor of what is left of a column's name, and how much of it that takes."""
    levels, contrasts = design.factor_levels, design.contrasts
    for name in sorted(design.variables, key=len, reverse=True):
        if rest == name or rest.startswith(f"{name}:"):
            return variable(name), len(name)
    for factor in sorted(levels, key=len, reverse=True):
        if not rest.startswith(f"{factor}["):
            continue
        base = expression_of_text(factor) if "(" in factor else variable(factor)
        for level in sorted(levels[factor], key=len, reverse=True):
            for before in ("T.", ""):
                text = f"{factor}[{before}{level}]"
                plain = before == "T." or contrasts.get(factor) != "matrix"
                if plain and rest.startswith(text) and rest[len(text) : len(text) + 1] in ("", ":"):
                    return Fenced(row(base, Sign("="), Word(level)), "[]"), len(text)
        end = _end(rest, len(factor))
        label = rest[len(factor) + 1 : end - 1].lstrip(".^")
        return indexed(Word(factor), Word(label), Letter("i")), end
    end = _end(rest, 0)
    text = rest[:end]
    if text.endswith("]") and "[" in text:
        basis, _, label = text[:-1].rpartition("[")
        shown = expression_of_text(basis)
        if isinstance(shown, Row) and isinstance(shown.parts[0], Operator):
            return row(Indexed(shown.parts[0], Word(label)), *shown.parts[1:]), end
        return listed(indexed(Word(basis), Word(label), Letter("i"))), end
    return expression_of_text(text), end


def _end(text: str, start: int) -> int:
    """Where the factor that begins there ends: at a colon outside of brackets, or at the end."""
    depth = 0
    for k in range(start, len(text)):
        depth += (text[k] in "([{") - (text[k] in ")]}")
        if text[k] == ":" and depth == 0:
            return k
    return len(text)
