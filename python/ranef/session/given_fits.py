"""What a caller gives where several fits are asked for: fits, lists of them, mappings of names to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranef.errors import ModelError
from ranef.session.fit import Fit

#: A fit, several, or several by name.
Given = Fit | Sequence[Fit] | Mapping[str, Fit]


def given_fits(caller: str, fits: Sequence[Any], named: Mapping[str, Any]) -> list[tuple[str | None, Fit]]:
    """All fits in their order, with their names where they have one.

    Raises
    ------
    ModelError
        For what is no fit; the text begins with the caller's name.
    """
    given: list[tuple[str | None, Any]] = []
    for fit in fits:
        if isinstance(fit, Mapping):
            given += list(fit.items())
        else:
            given += [(None, each) for each in (fit if isinstance(fit, list | tuple) else [fit])]
    given += list(named.items())
    for name, fit in given:
        if not isinstance(fit, Fit):
            what = f"{name}=" if name else ""
            raise ModelError(f"{caller}({what}{type(fit).__name__}): give fits, as rf.lmm and rf.glmm return them")
    return given
