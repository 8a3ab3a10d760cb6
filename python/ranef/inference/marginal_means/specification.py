"""Which variables a question is about: names, a list of them, or ``"~ a * b | c"``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ranef.errors import ModelError


def specification(specs: Any, by: Any = None) -> tuple[list[str], list[str]]:
    """The variables of the means, and those that they are grouped by.

    Examples
    --------
    >>> specification("~ a * b | c")
    (['a', 'b'], ['c'])
    >>> specification(["a", "b"], by="c")
    (['a', 'b'], ['c'])
    """
    grouped = names_of(by, "by") if by is not None else []
    if isinstance(specs, str) and (specs.strip().startswith("~") or "|" in specs):
        text = specs.strip().removeprefix("~")
        left, _, right = text.partition("|")
        wanted = _split(left, specs)
        grouped = [*_split(right, specs), *grouped] if right.strip() else grouped
    else:
        wanted = names_of(specs, "specs")
    wanted = [name for name in dict.fromkeys(wanted) if name not in grouped and name != "1"]
    return wanted, list(dict.fromkeys(grouped))


def names_of(value: Any, role: str) -> list[str]:
    """One name, or several, as a list."""
    if isinstance(value, str):
        return [value]
    found = list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(name, str) for name in found):
        raise ModelError(f"{role}={value!r}: give the name of a variable, or a list of names.")
    return found


def _split(text: str, whole: str) -> list[str]:
    parts = [part.strip().strip("`") for part in re.split(r"[*+:]", text)]
    if not all(parts) and text.strip():
        raise ModelError(f"specs={whole!r}: write names with * or + between them, as in '~ a * b | c'.")
    return [part for part in parts if part]


def listed(names: Sequence[str]) -> str:
    """Names for a sentence."""
    return ", ".join(f"`{name}`" for name in names) or "none"
