"""The types of arguments: what a signature promises is what a call is held to.

The annotations of the public functions are the contract; :func:`held_to_its_types` reads them, so that a value of
another type is refused by name at the call, and not by an exception of NumPy or pandas from the depth of a computation.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ranef.errors import DataError, FormulaError, ModelError, SavedFitError
from ranef.families import Family
from ranef.fitting import Control

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not _truth(value)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not _truth(value)


def _words(value: Any) -> bool:
    listed = (
        isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) and not hasattr(value, "columns")
    )
    return listed and np.ndim(value) == 1 and all(isinstance(word, str) for word in value)


# Types as the signatures spell them: who belongs, and what to call it.
TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "None": (lambda value: value is None, "None"),
    "bool": (_truth, "True or False"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "str": (lambda value: isinstance(value, str), "text"),
    "Sequence[str]": (_words, "a list of texts"),
    "Mapping[str, Any]": (lambda value: isinstance(value, Mapping), "a dictionary"),
    "Mapping[str, Prior]": (lambda value: isinstance(value, Mapping), "a dictionary"),
    "Control": (lambda value: isinstance(value, Control), "a ranef.Control(...)"),
    "Family": (lambda value: isinstance(value, Family), "an object of ranef.families"),
}


def complaint(function: str, name: str, value: Any, annotation: str) -> str | None:
    """What is wrong with the type of a value, in a sentence; None where it is right or nothing is promised."""
    words = [word.strip() for word in annotation.split("|")]
    if any(word not in TYPES for word in words) or any(TYPES[word][0](value) for word in words):
        return None
    wanted = [TYPES[word][1] for word in words]
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else f"<{type(value).__name__}>"
    listed = wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
    return f"{function}({name}={shown}): give {listed}"


def held_to_its_types(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """The function, which refuses arguments of other types than its annotations say.

    Raises
    ------
    ModelError
        Naming the argument, what was given and what to give.
    """
    signature = inspect.signature(function)
    promised = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, str)
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and all(word.strip() in TYPES for word in parameter.annotation.split("|"))
    }

    @functools.wraps(function)
    def called(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        given = signature.bind(*args, **kwargs).arguments
        wrong = None
        for name, annotation in promised.items():
            if name in given:
                wrong = wrong or complaint(function.__name__, name, given[name], annotation)
        if wrong is None:
            return function(*args, **kwargs)
        # A check further in may know more of what belongs there (the columns, the terms): its words come first.
        try:
            function(*args, **kwargs)
        except (DataError, FormulaError, ModelError, SavedFitError):
            raise
        except Exception as error:
            raise ModelError(wrong) from error
        raise ModelError(wrong)

    return called


def hold_to_their_types(group: type) -> None:
    """Hold the public methods that a class defines to the types in their signatures."""
    for name, method in list(vars(group).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(group, name, held_to_its_types(method))
