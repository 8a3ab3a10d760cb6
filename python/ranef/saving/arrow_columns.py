"""Columns of pyarrow tables. pyarrow is imported when its table is: it is optional."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ranef.saving.words import Keep, Take, coded, masked, spelled

__all__ = ["column", "frame", "rebuilt", "stored", "stored_rows"]

_NUMBERS = ("bool", "float", "double", *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)))
_TEXT = ("string", "large_string")


def column(data: Any, name: str) -> Any:
    """One column, in one piece."""
    return _whole(data.column(name))


def stored(array: Any, keep: Keep) -> dict[str, Any] | None:
    """The card of a column; None for what has no place in a file."""
    pa = _library()
    kind = array.type
    name = str(kind)
    if name in _NUMBERS:
        return {"kind": "numbers", "type": name, **_masked(array, keep)}
    if name in _TEXT:
        return {"kind": "text", "type": name, **coded(array.to_pylist(), keep)}
    if pa.types.is_dictionary(kind):
        values = stored(array.dictionary, keep)
        indices = stored(array.indices, keep)
        if values is None or indices is None:
            return None
        return {"kind": "dictionary", "indices": indices, "dictionary": values, "ordered": bool(kind.ordered)}
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        word = next(
            w for w in ("timestamp", "date32", "date64", "time32", "time64", "duration", "") if name.startswith(w)
        )
        if not word:
            return None
        more = {"unit": getattr(kind, "unit", None), "zone": getattr(kind, "tz", None)}
        return {"kind": "times", "type": word, **more, **_masked(array.view(width), keep)}
    return None


def rebuilt(card: dict[str, Any], take: Take) -> Any:
    """The array of a card."""
    pa = _library()
    kind = card["kind"]
    if kind == "text" and card["type"] in _TEXT:
        return pa.array(spelled(card, take), pa.type_for_alias(card["type"]))
    if kind == "dictionary":
        indices, dictionary = rebuilt(card["indices"], take), rebuilt(card["dictionary"], take)
        return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=card["ordered"])
    values = pa.array(take(card["values"]), mask=masked(card, take))
    if kind == "numbers" and card["type"] in _NUMBERS:
        return values.cast(pa.type_for_alias(card["type"]))
    if kind == "times":
        unit, zone = card["unit"], card["zone"]
        makers = {
            "timestamp": lambda: pa.timestamp(unit, zone),
            "date32": pa.date32,
            "date64": pa.date64,
            "time32": lambda: pa.time32(unit),
            "time64": lambda: pa.time64(unit),
            "duration": lambda: pa.duration(unit),
        }
        return values.view(makers[card["type"]]())
    raise ValueError(f"a column of the kind {kind!r}")


def stored_rows(data: Any, keep: Keep) -> dict[str, Any]:
    """Nothing: rows have no names."""
    return {}


def frame(columns: dict[str, Any], card: dict[str, Any], take: Take) -> Any:
    """The table of these columns."""
    return _library().table(columns)


def _whole(column: Any) -> Any:
    if hasattr(column, "unify_dictionaries"):
        column = column.unify_dictionaries()
        if column.num_chunks == 0:
            return _library().array([], column.type)
        column = column.combine_chunks()
    return column.chunk(0) if hasattr(column, "chunk") else column


def _masked(array: Any, keep: Keep) -> dict[str, Any]:
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    zero = False if str(array.type) == "bool" else 0
    values = array.fill_null(zero).to_numpy(zero_copy_only=False)
    return {"values": keep(np.asarray(values)), "missing": keep(missing) if missing.any() else None}


def _library() -> Any:
    return importlib.import_module("pyarrow")
