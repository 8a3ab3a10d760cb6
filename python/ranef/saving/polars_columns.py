"""Columns of polars frames. polars is imported when its frame is: it is optional."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ranef.saving.words import Keep, Take, coded, masked, spelled

__all__ = ["column", "frame", "rebuilt", "stored", "stored_rows"]

_NUMBERS = ("Boolean", "Float32", "Float64", *(f"{u}Int{b}" for u in ("", "U") for b in (8, 16, 32, 64)))
_TIMES = ("Date", "Time", "Datetime", "Duration")


def column(data: Any, name: str) -> Any:
    """One column."""
    return data[name]


def stored(series: Any, keep: Keep) -> dict[str, Any] | None:
    """The card of a column; None for what has no place in a file."""
    dtype = series.dtype
    name = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    if name in _NUMBERS:
        return {"kind": "numbers", "dtype": name, **_masked(series, keep)}
    if name == "Enum":
        codes = _masked(series.to_physical(), keep)
        return {"kind": "enum", "categories": dtype.categories.to_list(), **codes}
    if name in ("String", "Categorical"):
        return {"kind": "text", "dtype": name, **coded(series.cast(_library().String).to_list(), keep)}
    if name in _TIMES:
        more = {"unit": getattr(dtype, "time_unit", None), "zone": getattr(dtype, "time_zone", None)}
        return {"kind": "times", "dtype": name, **more, **_masked(series.to_physical(), keep)}
    return None


def rebuilt(card: dict[str, Any], take: Take) -> Any:
    """The series of a card."""
    pl = _library()
    kind = card["kind"]
    if kind == "text":
        if card["dtype"] not in ("String", "Categorical"):
            raise ValueError(f"a column of the type {card['dtype']!r}")
        return pl.Series(spelled(card, take), dtype=pl.String).cast(getattr(pl, card["dtype"]))
    values = pl.Series(take(card["values"]))
    gone = masked(card, take)
    if gone is not None:
        values = values.set(pl.Series(gone), None)
    if kind == "numbers" and card["dtype"] in _NUMBERS:
        return values.cast(getattr(pl, card["dtype"]))
    if kind == "enum":
        categories = pl.Series(card["categories"], dtype=pl.String)
        return categories.gather(values.cast(pl.UInt32)).cast(pl.Enum(categories))
    if kind == "times" and card["dtype"] in ("Date", "Time"):
        return values.cast(getattr(pl, card["dtype"]))
    if kind == "times" and card["dtype"] == "Duration":
        return values.cast(pl.Duration(card["unit"]))
    if kind == "times" and card["dtype"] == "Datetime":
        return values.cast(pl.Datetime(card["unit"], card["zone"]))
    raise ValueError(f"a column of the kind {kind!r}")


def stored_rows(data: Any, keep: Keep) -> dict[str, Any]:
    """Nothing: rows have no names."""
    return {}


def frame(columns: dict[str, Any], card: dict[str, Any], take: Take) -> Any:
    """The frame of these columns."""
    return _library().DataFrame(columns)


def _masked(series: Any, keep: Keep) -> dict[str, Any]:
    missing = series.is_null().to_numpy()
    zero = False if series.dtype == _library().Boolean else 0
    values = series.fill_null(zero).to_numpy() if missing.any() else series.to_numpy()
    return {"values": keep(np.asarray(values)), "missing": keep(missing) if missing.any() else None}


def _library() -> Any:
    return importlib.import_module("polars")
