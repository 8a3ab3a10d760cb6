"""What ranef raises, by the stage that noticed: the data, the formula, the model, the optimiser.

Every error is a ``ValueError`` whose text names the column, row or term at fault, says what was found there, and ends
with what to do about it. Nothing else is raised for bad input. An ``EngineFault`` is a fault of ranef itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ranef._engine import EngineFault

__all__ = [
    "ConvergenceWarning",
    "DataError",
    "EngineFault",
    "FormulaError",
    "ModelError",
    "SavedFitError",
    "blaming",
    "did_you_mean",
]


class DataError(ValueError):
    """A column, a row or a level of the data cannot be used as it is."""


class FormulaError(ValueError):
    """A formula cannot be read, or names something that does not exist.

    The text shows the formula with a caret under the place: build it with :meth:`at`.
    """

    @classmethod
    def at(cls, source: str, start: int, end: int, message: str) -> FormulaError:
        """Build the error with the formula written out and the offending span marked.

        Parameters
        ----------
        source : str
            The formula as the user wrote it.
        start, end : int
            The half-open span of characters at fault; an empty span marks one character.
        message : str
            What is wrong and what to write instead.

        Examples
        --------
        >>> print(FormulaError.at("y ~ x +", 7, 7, "the formula ends where a term is expected"))
        the formula ends where a term is expected
            y ~ x +
                   ^
        """
        shown = "".join(" " if char in "\n\r\t\v\f" else char for char in source)
        if len(shown) > 160:  # a very long formula is cut to the neighbourhood of the fault
            first = max(0, min(start - 60, len(shown) - 120))
            shown, start, end = shown[first : first + 120], start - first, min(end - first, 120)
        return cls(f"{message}\n    {shown}\n    {' ' * start}{'^' * max(1, end - start)}")


class ModelError(ValueError):
    """The parts are sound, but together they are not a model that can be fitted."""


class SavedFitError(ValueError):
    """A fit cannot be saved, or a file is not a saved fit as ranef wrote it."""


class ConvergenceWarning(UserWarning):
    """The fit ended without a trustworthy optimum; ``fit.check()`` says why."""


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Tell exceptions of a function that the caller handed over from those of ranef: a ModelError says whose it was.

    Parameters
    ----------
    what : str
        The function, as the caller knows it: ``"bootstrap(statistic=)"``.

    Examples
    --------
    >>> with blaming("bootstrap(statistic=)"):
    ...     1 / 0
    Traceback (most recent call last):
        ...
    ranef.errors.ModelError: bootstrap(statistic=): the function given raised ZeroDivisionError: division by zero
    """
    try:
        yield
    except (DataError, FormulaError, ModelError, SavedFitError):
        raise
    except Exception as error:
        said = f": {error}" if str(error) else ""
        raise ModelError(f"{what}: the function given raised {type(error).__name__}{said}") from error


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint that names the closest known word, or lists the known words when none is close.

    What is no word is close to none.

    Examples
    --------
    >>> did_you_mean("Dayz", ["Reaction", "Days", "Subject"])
    'did you mean `Days`?'
    >>> did_you_mean("zzz", ["x", "y"])
    'there are: x, y.'
    """
    words = [word for word in known if isinstance(word, str)]
    lowered = {word.lower(): word for word in reversed(words)}
    # Of words that are as close, one that begins alike.
    given = name.lower() if isinstance(name, str) else ""
    close = difflib.get_close_matches(given, lowered, n=4, cutoff=0.6)
    close.sort(key=lambda word: word[:1] != given[:1])
    if close:
        return f"did you mean `{lowered[close[0]]}`?"
    if not words:
        return "there are none."
    return f"there are: {', '.join(words[:20])}{', ...' if len(words) > 20 else ''}."
