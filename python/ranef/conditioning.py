"""The ``ranef=`` argument: which random-effects terms an answer is conditional on.

`True` keeps every term (at its conditional modes), `False` none (population level, zero), a list keeps the terms it
names. A term is named by its grouping factor (``"Nest"``, all terms of that group) or by its text (``"(1 | Nest)"``).

A smooth is part of the mean, though its penalised part is estimated like random effects: every answer keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ranef.errors import ModelError
from ranef.formula.design import RandomTerm

Conditioning = bool | str | Iterable[str]


def kept_terms(terms: Sequence[RandomTerm], ranef: Conditioning) -> list[bool]:
    """For every term, whether it is kept at its conditional modes; those of smooths always are.

    Raises
    ------
    ModelError
        When a name fits no term; the text lists the terms there are.
    """
    if isinstance(ranef, bool):
        return [ranef or term.smooth is not None for term in terms]
    if not isinstance(ranef, str | Iterable) or getattr(ranef, "ndim", 1) == 0:
        raise ModelError(f"ranef={ranef!r}: give True, False, or the terms to keep.")
    names = [ranef] if isinstance(ranef, str) else list(ranef)
    keep = [term.smooth is not None for term in terms]
    for name in names:
        found = [_named(term, name) for term in terms]
        if not any(found):
            grouped = [term for term in terms if term.smooth is None]
            known = ", ".join(dict.fromkeys(f"{term.group!r} or {term.text!r}" for term in grouped)) or "none"
            raise ModelError(f"ranef={name!r} names no random-effects term; terms: {known}.")
        keep = [k or f for k, f in zip(keep, found, strict=True)]
    return keep


def _named(term: RandomTerm, name: object) -> bool:
    if not isinstance(name, str):
        return False
    return _bare(name) in (_bare(term.group), _bare(term.text))


def _bare(text: str) -> str:
    """Text without spaces and without the parentheses around a term."""
    text = re.sub(r"\s+", "", text)
    return text[1:-1] if text.startswith("(") and text.endswith(")") else text
