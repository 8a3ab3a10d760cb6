"""The terms of effects, in the words of ggeffects: ``"x"``, ``"x [0, 5, 10]"``, ``"x [0:10 by=2]"``, ``"f [a, b]"``.

In the brackets stand values, ranges, or a word: all, meansd (mean and one standard deviation to either side), minmax,
zeromax, quart (the quartiles), quart2 (without the extremes), terciles, exp (evenly spaced on the logarithm), pretty,
n=5 (so many round values).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.data import label
from ranef.errors import ModelError
from ranef.inference.marginal_means.variables import Variable, Variables

MOST_TERMS = 4
# Round values along a first variable with more distinct ones than that; enough for a curve to look like one.
_POINTS, _FEW = 50, 12
_TERM = re.compile(r"^\s*`?(?P<name>[^\[`]+?)`?\s*(?:\[(?P<values>.*)\])?\s*$", re.S)
_RANGE = re.compile(r"^(?P<low>[-+.\deE]+)\s*:\s*(?P<high>[-+.\deE]+)(?:\s+by\s*=\s*(?P<by>[-+.\deE]+))?$")
WORDS = ("all", "meansd", "minmax", "zeromax", "quart", "quart2", "terciles", "exp", "pretty", "n=5")


@dataclass(frozen=True, eq=False)
class EffectTerm:
    """A variable and the values at which effects are wanted."""

    name: str
    values: np.ndarray


def effect_terms(terms: Any, by: Any, variables: Variables) -> list[EffectTerm]:
    """Read up to four terms, the first along the axis, the others grouping.

    Raises
    ------
    ModelError
        At a name that is no variable of the model, and at brackets that cannot be read.
    """
    texts = [*_listed(terms, "terms"), *(_listed(by, "by") if by is not None else [])]
    if not 1 <= len(texts) <= MOST_TERMS:
        raise ModelError(f"effects(): give one to {MOST_TERMS} terms, not {len(texts)}.")
    found = [_term(text, variables, first=k == 0) for k, text in enumerate(texts)]
    names = [term.name for term in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ModelError(f"effects(): `{twice}` is given twice.")
    return found


def _listed(value: Any, role: str) -> list[str]:
    if isinstance(value, str):
        return [value]
    found = list(value) if hasattr(value, "__iter__") else [value]
    if not all(isinstance(text, str) for text in found):
        raise ModelError(f"effects({role}={value!r}): give terms as text, 'x' or 'x [0, 5, 10]'.")
    return found


def _term(text: str, variables: Variables, first: bool) -> EffectTerm:
    match = _TERM.match(text)
    if match is None:
        raise ModelError(f"effects(): cannot read the term {text!r}; write 'x' or 'x [0, 5, 10]'.")
    name = match["name"].strip()
    variables.require([name], "effects")
    variable = variables[name]
    if match["values"] is None:
        return EffectTerm(name, _usual_values(variable, first))
    return EffectTerm(name, _values(match["values"].strip(), variable, text))


def _usual_values(variable: Variable, first: bool) -> np.ndarray:
    """All levels; of numbers all values where they are few, else round ones, or for a group mean and sd."""
    if variable.levels is not None:
        return variable.as_column(variable.levels)
    distinct = np.unique(variable.data)
    if first:
        if len(distinct) <= _FEW:
            return distinct
        return np.unique(np.r_[distinct[0], round_values(distinct[0], distinct[-1], _POINTS), distinct[-1]])
    return distinct if len(distinct) <= 5 else _mean_and_sd(variable)


def _values(inside: str, variable: Variable, text: str) -> np.ndarray:
    if not inside:
        raise ModelError(f"effects(): the brackets of {text!r} are empty; write values, or one of {', '.join(WORDS)}.")
    if variable.levels is not None:
        if inside == "all":
            return variable.as_column(variable.levels)
        known = {label(level) for level in variable.levels}
        words = [inside] if inside in known else [word.strip().strip("'\"") for word in inside.split(",")]
        return variable.values(words, f"effects({text!r})")
    data = variable.data
    low, high = float(data.min()), float(data.max())
    match = re.fullmatch(r"n\s*=\s*(\d+)", inside)
    if match is not None:
        return round_values(low, high, int(match[1]))
    known_words: dict[str, Any] = {
        "all": lambda: np.unique(data),
        "meansd": lambda: _mean_and_sd(variable),
        "minmax": lambda: np.array([low, high]),
        "zeromax": lambda: np.array([0.0, high]),
        "quart": lambda: np.quantile(data, [0.0, 0.25, 0.5, 0.75, 1.0]),
        "quart2": lambda: np.quantile(data, [0.25, 0.5, 0.75]),
        "terciles": lambda: np.quantile(data, [1.0 / 3.0, 2.0 / 3.0]),
        "pretty": lambda: round_values(low, high, 10),
        "exp": lambda: _on_logarithm(low, high, variable.name),
    }
    if inside in known_words:
        return np.asarray(known_words[inside](), float)
    found: list[float] = []
    for piece in inside.split(","):
        piece = piece.strip()
        match = _RANGE.match(piece)
        try:
            if match is None:
                found.append(float(piece))
            else:
                found += _sequence(float(match["low"]), float(match["high"]), float(match["by"] or 1.0))
        except ValueError as error:
            raise ModelError(
                f"effects(): cannot read {piece!r} in {text!r}; `{variable.name}` is numeric: write numbers, a range "
                f"0:10 by=2, or one of {', '.join(WORDS)}."
            ) from error
    return np.array(found)


def _sequence(low: float, high: float, by: float) -> list[float]:
    if not by > 0.0 or not high >= low or (high - low) / by > 10_000:
        raise ValueError
    return (low + by * np.arange(int(np.floor((high - low) / by + 1e-9)) + 1)).tolist()


def _mean_and_sd(variable: Variable) -> np.ndarray:
    mean, sd = variable.mean, float(variable.data.std(ddof=1))
    return np.array([mean - sd, mean, mean + sd])


def _on_logarithm(low: float, high: float, name: str) -> np.ndarray:
    if low <= 0.0:
        raise ModelError(f"effects(): [exp] is for positive numbers; the least of `{name}` is {low:g}.")
    return np.exp(np.linspace(np.log(low), np.log(high), _POINTS))


def round_values(low: float, high: float, count: int) -> np.ndarray:
    """About `count` round numbers from the least to the largest of the data, inside them.

    Examples
    --------
    >>> round_values(0.3, 9.8, 5).tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    if not high > low:
        return np.array([low])
    rough = (high - low) / max(count, 1)
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * min((m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * unit >= rough * 0.999), default=10.0)
    places = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1.0)
    return np.asarray(places * step)


def told(values: Sequence[Any]) -> list[str]:
    """Values for a legend."""
    return [f"{value:.4g}" if isinstance(value, float | int) else str(value) for value in values]
