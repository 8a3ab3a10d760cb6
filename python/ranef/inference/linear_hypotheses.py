"""Linear hypotheses as users write them: weights by name, a matrix, or a text such as ``"a - b = 0"``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranef.errors import ModelError, did_you_mean

NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def read(hypotheses: Any, rhs: Any, names: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """What is claimed: texts, rows (k, p) and right sides (k,).

    Parameters
    ----------
    hypotheses : array, mapping, str, or sequence of mappings and texts
        Rows of weights in the order of `names`; name -> weight; an equation whose sides are linear in names.
    rhs : float or (k,) array
        The right sides of rows and mappings, and of texts without ``=``.
    names : sequence of str
        The fixed effects.

    Raises
    ------
    ModelError
        When it is not linear, or a name is not known.
    """
    listed = _listed(hypotheses)
    if not listed:
        raise ModelError("L is empty: give at least one linear combination of fixed effects.")
    try:
        right = np.broadcast_to(np.asarray(rhs, float), (len(listed),)).copy()
    except (TypeError, ValueError):
        raise ModelError(f"rhs={rhs!r}: give a number, or one for each of the {len(listed)} combinations.") from None
    texts, rows = [], []
    for k, one in enumerate(listed):
        if isinstance(one, str):
            row, constant, equation = _equation(one, names)
            right[k] = constant if equation else right[k] + constant
        elif isinstance(one, Mapping):
            row = np.zeros(len(names))
            for name, weight in one.items():
                row[_place(name, names)] += _weight(weight, f"the weight of {name!r}")
        else:
            row = np.asarray(one, float)
            if row.shape != (len(names),):
                raise ModelError(
                    f"L has rows of {row.size} weights; there are {len(names)} fixed effects: {', '.join(names)}."
                )
        if not np.isfinite(row).all():
            raise ModelError("L holds weights that are not finite.")
        rows.append(row)
        said = " ".join(one.split()) if isinstance(one, str) else ""
        texts.append(said if "=" in said else _written(row, right[k], names))
    return texts, np.array(rows), right


def _listed(hypotheses: Any) -> list[Any]:
    if isinstance(hypotheses, str | Mapping):
        return [hypotheses]
    if isinstance(hypotheses, Sequence) and any(isinstance(one, str | Mapping) for one in hypotheses):
        return list(hypotheses)
    try:
        rows = np.asarray(hypotheses, float)
    except (TypeError, ValueError):
        rows = np.zeros((0, 0, 0))
    if rows.ndim not in (1, 2):
        raise ModelError(
            "L is a row or a matrix of weights, a dict of weights by name, a text like 'a - b = 0', or a list of those."
        )
    return list(np.atleast_2d(rows)) if rows.size else []


def _place(name: Any, names: Sequence[str]) -> int:
    if name not in names:
        raise ModelError(f"there is no fixed effect {name!r}; {did_you_mean(str(name), list(names))}")
    return list(names).index(name)


def _weight(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ModelError(f"{what} is {value!r}; give a number.")
    return float(value)


def _written(row: np.ndarray, right: float, names: Sequence[str]) -> str:
    parts: list[str] = []
    for weight, name in zip(row, names, strict=True):
        if weight:
            size = "" if abs(weight) == 1.0 else f"{abs(weight):g} "
            sign = ("- " if parts else "-") if weight < 0 else ("+ " if parts else "")
            parts.append(f"{sign}{size}{name}")
    return f"{' '.join(parts) or '0'} = {right:g}"


def _equation(text: str, names: Sequence[str]) -> tuple[np.ndarray, float, bool]:
    """Weights of names and the constant on the right, and whether there is an equals sign."""
    sides = _split(text, names)
    left = _Linear(sides[0], text, names).value
    right = _Linear(sides[1], text, names).value if len(sides) == 2 else np.zeros(len(names) + 1)
    difference = left - right
    return difference[:-1], 0.0 - float(difference[-1]), len(sides) == 2


def _tokens(text: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Names, as long as they can be; numbers; signs."""
    known = sorted(names, key=len, reverse=True)
    tokens, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        name = next((name for name in known if text.startswith(name, at) and _ends(text, at, name)), None)
        if name is not None:
            tokens.append(("name", name))
            at += len(name)
        elif found := NUMBER.match(text, at):
            tokens.append(("number", found[0]))
            at = found.end()
        elif text[at] in "+-*/=()":
            tokens.append(("sign", text[at]))
            at += 1
        else:
            rest = re.match(r"[^\s+*/=-]+", text[at:])
            unknown = rest[0] if rest else text[at]
            raise ModelError(f"{text!r}: there is no fixed effect {unknown!r}; {did_you_mean(unknown, list(names))}")
    return tokens


def _ends(text: str, at: int, name: str) -> bool:
    """Whether a name ends where it could: ``x`` is no beginning of ``x2``."""
    after = text[at + len(name) : at + len(name) + 1]
    return not (after.isalnum() or after in ("_", "[", ":")) or not (name[-1].isalnum() or after == ":")


def _split(text: str, names: Sequence[str]) -> list[list[tuple[str, str]]]:
    sides: list[list[tuple[str, str]]] = [[]]
    for token in _tokens(text, names):
        if token == ("sign", "="):
            sides.append([])
        else:
            sides[-1].append(token)
    if len(sides) > 2 or not all(sides):
        raise ModelError(f"{text!r}: give one equation, like 'a - b = 0'.")
    return sides


class _Linear:
    """A side of an equation: weights of all names, then a constant."""

    def __init__(self, tokens: list[tuple[str, str]], text: str, names: Sequence[str]) -> None:
        self.tokens, self.text, self.names, self.at = tokens, text, names, 0
        self.value = self.sum()
        if self.at < len(tokens):
            raise self.refusal()

    def refusal(self) -> ModelError:
        return ModelError(f"{self.text!r} is not linear in the fixed effects; write it like '2 * a - b = 0'.")

    def accept(self, *signs: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "sign" and self.tokens[self.at][1] in signs:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    def sum(self) -> np.ndarray:
        sign = self.accept("+", "-")
        total = self.product() * (-1.0 if sign == "-" else 1.0)
        while sign := self.accept("+", "-"):
            total = total + self.product() * (-1.0 if sign == "-" else 1.0)
        return total

    def product(self) -> np.ndarray:
        value = self.atom()
        while True:
            sign = self.accept("*", "/")
            adjacent = sign is None and self.at < len(self.tokens) and self.tokens[self.at][0] == "name"
            if sign is None and not adjacent:
                return value
            other = self.atom()
            if sign == "/":
                if other[:-1].any() or not other[-1]:
                    raise self.refusal()
                value = value / other[-1]
            elif other[:-1].any() and value[:-1].any():
                raise self.refusal()
            else:
                value = other * value[-1] if not value[:-1].any() else value * other[-1]

    def atom(self) -> np.ndarray:
        value = np.zeros(len(self.names) + 1)
        if self.accept("("):
            value = self.sum()
            if not self.accept(")"):
                raise self.refusal()
            return value
        if self.at >= len(self.tokens) or self.tokens[self.at][0] == "sign":
            raise self.refusal()
        kind, word = self.tokens[self.at]
        self.at += 1
        if kind == "name":
            value[list(self.names).index(word)] = 1.0
        else:
            value[-1] = float(word)
        return value
