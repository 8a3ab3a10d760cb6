"""The types of arguments: what a signature promises is what a call is held to.

The annotations of the public functions are the contract; :func:`held_to_its_types` reads them, so that a value of
another type is refused by name at the call, and not by an exception of NumPy or pandas from the depth of a computation.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ranef import _engine
from ranef.errors import DataError, FormulaError, ModelError, SavedFitError

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Group = TypeVar("Group")


def _truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not _truth(value)


def _number(value: Any) -> bool:
    if not isinstance(value, Real) or _truth(value):
        return False
    try:
        float(value)
    except OverflowError:  # a whole number beyond all floats
        return False
    return True


def _listed(value: Any) -> bool:
    # A set has no order; and what can be gone through once only would be used up by a look at it.
    other = isinstance(value, str | bytes | Mapping | Set | Iterator) or hasattr(value, "columns")
    return isinstance(value, Iterable) and not other and getattr(value, "ndim", 1) == 1


def _iterable(value: Any) -> bool:
    # A text is one of letters.
    other = isinstance(value, bytes | Mapping) or hasattr(value, "columns")
    return isinstance(value, Iterable) and not other and getattr(value, "ndim", 1) == 1


def _list_of(belongs: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: _listed(value) and all(belongs(each) for each in value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _made_by(name: str) -> Callable[[Any], bool]:
    """Whether a value is of the class of this name, which may be defined further down."""
    return lambda value: any(c.__name__ == name and c.__module__.startswith("ranef.") for c in type(value).__mro__)


# Types as the signatures spell them: who belongs, and what to call it.
TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "None": (lambda value: value is None, "None"),
    "bool": (_truth, "True or False"),
    "int": (_whole, "a whole number"),
    "float": (_number, "a number"),
    "str": (_text, "text"),
    "Sequence[str]": (_list_of(_text), "a list of texts"),
    "Sequence[float]": (_list_of(_number), "a list of numbers"),
    "Sequence[Sequence[str]]": (_list_of(_listed), "a list of lists of texts"),
    "tuple[float, float]": (lambda value: _list_of(_number)(value) and len(value) == 2, "two numbers"),
    "Mapping": (lambda value: isinstance(value, Mapping), "a dictionary"),
    "Callable": (callable, "a function"),
    "os.PathLike[str]": (lambda value: isinstance(value, os.PathLike), "a path"),
    "Path": (lambda value: isinstance(value, os.PathLike), "a path"),
    "Iterable[str | Sequence[str]]": (_iterable, "a list of texts, or of lists of texts"),
    "Iterable[Any]": (_iterable, "a list"),
    "Control": (_made_by("Control"), "a ranef.Control(...)"),
    "Family": (_made_by("Family"), "an object of ranef.families"),
    "Check": (_made_by("Check"), "what fit.check() gave"),
    "SimulatedResiduals": (_made_by("SimulatedResiduals"), "what fit.simulate_residuals() gave"),
}


def _alternatives(annotation: str) -> list[str]:
    """The types that an annotation joins by bars, outside of brackets."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(annotation):
        depth += (letter == "[") - (letter == "]")
        if letter == "|" and depth == 0:
            found.append(annotation[start:place].strip())
            start = place + 1
    return [*found, annotation[start:].strip()]


def _known(word: str) -> tuple[Callable[[Any], bool], str] | None:
    """The entry of a type: as it is spelled, or without what is in its brackets."""
    return TYPES.get(word) or (TYPES.get(word.split("[")[0]) if word.startswith(("Mapping[", "Callable[")) else None)


def complaint(function: str, name: str, value: Any, annotation: str) -> str | None:
    """What is wrong with the type of a value, in a sentence; None where it is right or nothing is promised."""
    types = [_known(word) for word in _alternatives(annotation)]
    if None in types or any(known[0](value) for known in types if known):
        return None
    wanted = [known[1] for known in types if known]
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else f"<{type(value).__name__}>"
    listed = wanted[0] if len(wanted) == 1 else f"{', '.join(wanted[:-1])} or {wanted[-1]}"
    return f"{function}({name}={shown}): give {listed}"


def held_to_its_types(function: Callable[Given, Answer], name: str | None = None) -> Callable[Given, Answer]:
    """The function, which refuses arguments of other types than its annotations say.

    Parameters
    ----------
    function : callable
    name : str, optional
        What its callers know it by, where that is not its own name.

    Raises
    ------
    ModelError
        Naming the argument, what was given and what to give; and for what the engine refuses.
    """
    signature = inspect.signature(function)
    promised = {
        argument: parameter.annotation
        for argument, parameter in signature.parameters.items()
        if isinstance(parameter.annotation, str)
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and all(_known(word) for word in _alternatives(parameter.annotation))
    }

    @functools.wraps(function)
    def called(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        given = signature.bind(*args, **kwargs).arguments
        wrong = None
        for argument, annotation in promised.items():
            if argument in given:
                wrong = wrong or complaint(name or function.__name__, argument, given[argument], annotation)
        if wrong is None:
            try:
                return function(*args, **kwargs)
            except _engine.EngineError as error:
                # What the engine refuses after a fit, a function of the user's own that fails as a rule.
                raise (DataError if error.args[0] == "data" else ModelError)(error.args[1]) from error
        # A check further in may know more of what belongs there (the columns, the terms): its words come first.
        try:
            function(*args, **kwargs)
        except (DataError, FormulaError, ModelError, SavedFitError):
            raise
        except Exception as error:
            raise ModelError(wrong) from error
        raise ModelError(wrong)

    return called


def path_of(path: Any, called: str) -> Path:
    """A path that the operating system can be asked for.

    Raises
    ------
    ModelError
        For a text that is the name of no file.
    """
    try:
        # What cannot be encoded, or holds a null character, is refused by an error that does not name it.
        if b"\0" not in os.fsencode(path):
            return Path(path)
    except (TypeError, UnicodeEncodeError):
        pass
    raise ModelError(f"{called}: {path!r} cannot be the name of a file")


def hold_to_their_types(group: type[Group]) -> type[Group]:
    """Hold the public methods that a class defines to the types in their signatures; a decorator of classes."""
    for name, method in list(vars(group).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(group, name, held_to_its_types(method))
    return group
