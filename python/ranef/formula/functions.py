"""The functions a formula may apply value by value; a name neither here nor among the transforms is refused.

Names are R's, numpy's where they differ, and numpy's with their prefix (``np.log``). Each entry is the numpy function
with the least and the greatest number of arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

__all__ = ["CONSTANTS", "ELEMENTWISE", "SMOOTHS", "SPECIAL", "VARIANCE", "Elementwise"]


@dataclass(frozen=True, slots=True)
class Elementwise:
    """A function of the values of one row, with the number of arguments it takes."""

    apply: Callable[..., Any]
    least: int = 1
    most: int = 1


def _log(x: Any, base: Any = None) -> Any:
    """log(x) or, as in R, log(x, base)."""
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _round(x: Any, digits: Any = 0) -> Any:
    """Round half to even, to ``digits`` decimals."""
    return np.round(x, int(digits))


# fmt: off
_NUMPY = (
    "log2", "log10", "log1p", "exp", "exp2", "expm1", "sqrt", "cbrt", "square", "abs", "sign", "floor", "ceil", "trunc",
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh",
)
# fmt: on
_R = {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "ceiling": np.ceil,
    "plogis": special.expit,
    "qlogis": special.logit,
    "pnorm": special.ndtr,
    "qnorm": special.ndtri,
}

ELEMENTWISE: dict[str, Elementwise] = {
    "log": Elementwise(_log, 1, 2),
    "np.log": Elementwise(np.log),
    "round": Elementwise(_round, 1, 2),
    "np.round": Elementwise(_round, 1, 2),
    "atan2": Elementwise(np.arctan2, 2, 2),
    "np.power": Elementwise(np.power, 2, 2),
    "pmin": Elementwise(np.minimum, 2, 2),
    "np.minimum": Elementwise(np.minimum, 2, 2),
    "pmax": Elementwise(np.maximum, 2, 2),
    "np.maximum": Elementwise(np.maximum, 2, 2),
    "ifelse": Elementwise(np.where, 3, 3),
    "np.where": Elementwise(np.where, 3, 3),
    **{name: Elementwise(function) for name, function in _R.items()},
    **{name: Elementwise(getattr(np, name)) for name in _NUMPY},
    **{f"np.{name}": Elementwise(getattr(np, name)) for name in _NUMPY},
}

#: Forms that the evaluation treats one by one.
# fmt: off
SPECIAL: frozenset[str] = frozenset({
    "I", "c", "cbind", "offset", "interaction",
    "C", "factor", "as.factor", "ordered", "as.ordered", "relevel", "dummy", "as.numeric", "as.integer",
    "contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.sdif", "contr.diff", "contr.SAS",
    "Treatment", "Sum", "Helmert", "Poly", "Diff",
})
# fmt: on

#: Forms that make a smooth: they stand in a sum, by themselves.
SMOOTHS: frozenset[str] = frozenset({"s", "t2"})

#: Variance functions, which stand in the dispersion of `lmm` only; exp() is one where it takes the fitted mean.
VARIANCE: frozenset[str] = frozenset({"power", "constpower"})

#: Words that are values unless the data has a column of that name (TRUE and FALSE: always).
CONSTANTS: dict[str, Any] = {
    "TRUE": True,
    "FALSE": False,
    "True": True,
    "False": False,
    "NULL": None,
    "None": None,
    "pi": np.pi,
    "np.pi": np.pi,
}
