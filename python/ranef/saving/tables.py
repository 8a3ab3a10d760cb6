"""Data frames to cards with arrays beside them, and back to frames of the kind that they were.

A card has a backend and one entry a column. What a column's kinds are, and their types, is the backend's own file.
"""

from __future__ import annotations

import importlib
from typing import Any

import narwhals.stable.v2 as nw

from ranef.errors import SavedFitError
from ranef.saving import arrow_columns, pandas_columns, polars_columns
from ranef.saving.words import Keep, Take

__all__ = ["is_frame", "rebuilt", "stored"]

_BACKENDS = {"pandas": pandas_columns, "polars": polars_columns, "pyarrow": arrow_columns}


def is_frame(value: Any) -> bool:
    """Whether a value is an eager frame."""
    return bool(nw.dependencies.is_into_dataframe(value))


def stored(frame: Any, keep: Keep, columns: tuple[str, ...] | None = None) -> tuple[dict[str, Any], list[str]]:
    """The card of a frame, and the names of columns that have no place in a file.

    Parameters
    ----------
    frame : data frame
        pandas, polars or pyarrow; a frame of another kind is stored as pandas'.
    keep : callable
        Keeps an array and gives its number.
    columns : tuple of str, optional
        Those to store; all by default.
    """
    wrapped = nw.from_native(frame, eager_only=True)
    backend = wrapped.implementation.name.lower()
    if backend not in _BACKENDS:
        frame, backend = wrapped.to_pandas(), "pandas"
    module = _BACKENDS[backend]
    names = [name for name in wrapped.columns if isinstance(name, str) and (columns is None or name in columns)]
    left_out = [name for name in wrapped.columns if not isinstance(name, str)]
    cards = []
    for name in names:
        card = module.stored(module.column(frame, name), keep)
        if card is None:
            left_out.append(name)
        else:
            cards.append({"name": name, **card})
    return {"backend": backend, "rows": len(wrapped), "columns": cards, **module.stored_rows(frame, keep)}, left_out


def rebuilt(card: dict[str, Any], take: Take) -> Any:
    """The frame of a card."""
    backend = card["backend"]
    if backend not in _BACKENDS:
        raise SavedFitError(f"its data are a {backend} frame, which this version of ranef does not know")
    try:
        importlib.import_module(backend)
    except ImportError:
        raise SavedFitError(f"its data are a {backend} frame: install {backend} to load it") from None
    module = _BACKENDS[backend]
    names = [entry["name"] for entry in card["columns"]]
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise SavedFitError("its data have two columns of one name")
    columns = {entry["name"]: module.rebuilt(entry, take) for entry in card["columns"]}
    if any(len(column) != card["rows"] for column in columns.values()):
        raise SavedFitError(f"its data have columns that are not {card['rows']} rows long")
    return module.frame(columns, card, take)
