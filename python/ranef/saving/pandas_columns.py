"""Columns and index of pandas frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ranef.saving.words import Keep, Take, coded, masked, spelled

__all__ = ["column", "frame", "rebuilt", "stored", "stored_rows"]

_NULLABLE = {f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)} | {"Float32", "Float64", "boolean"}
_WHOLE = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_ARROW = {f"{name}[pyarrow]" for name in ("bool", "float", "double", *_WHOLE)}


def column(data: pd.DataFrame, name: str) -> pd.Series[Any]:
    """One column."""
    return data[name]


def stored(series: pd.Series[Any], keep: Keep) -> dict[str, Any] | None:
    """The card of a column; None for what has no place in a file."""
    dtype: Any = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM":
        return {"kind": "array", "values": keep(series.to_numpy())}
    if isinstance(dtype, pd.CategoricalDtype):
        categories = stored(pd.Series(dtype.categories), keep)
        if categories is None:
            return None
        codes = keep(series.cat.codes.to_numpy())
        return {"kind": "category", "codes": codes, "ordered": bool(dtype.ordered), "categories": categories}
    if isinstance(dtype, pd.DatetimeTZDtype):
        values = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return {"kind": "zoned", "values": keep(values), "zone": str(dtype.tz)}
    if isinstance(dtype, pd.StringDtype):
        storage = {"storage": dtype.storage, "nan": dtype.na_value is not pd.NA}
        return {"kind": "text", **storage, **coded(_values(series), keep)}
    if str(dtype) in _NULLABLE | _ARROW:
        kind = getattr(dtype, "numpy_dtype", None)
        missing = series.isna().to_numpy(dtype=bool)
        plain = series.fillna(_zero(str(dtype))).to_numpy(dtype=kind)
        return {
            "kind": "nullable",
            "dtype": str(dtype),
            "values": keep(plain),
            "missing": keep(missing) if missing.any() else None,
        }
    if pd.api.types.is_object_dtype(dtype):
        values = _values(series)
        if all(value is None or isinstance(value, str) for value in values):
            return {"kind": "text", "storage": "object", "nan": False, **coded(values, keep)}
        scalars = [value.item() if isinstance(value, np.generic) else value for value in values]
        if all(value is None or isinstance(value, bool | int | float | str) for value in scalars):
            return {"kind": "plain", "values": [_finite(value) for value in scalars]}
    return None


def rebuilt(card: dict[str, Any], take: Take) -> Any:
    """The array of a card."""
    kind = card["kind"]
    if kind == "array":
        return take(card["values"])
    if kind == "category":
        categories = _index(rebuilt(card["categories"], take))
        return pd.Categorical.from_codes(take(card["codes"]), categories, ordered=card["ordered"])
    if kind == "zoned":
        times: Any = pd.Series(take(card["values"]))
        return times.dt.tz_localize("UTC").dt.tz_convert(card["zone"]).array
    if kind == "text":
        values = np.array([*spelled(card, take), None], dtype=object)[:-1]
        if card["storage"] == "object":
            return values
        missing: Any = np.nan if card["nan"] else pd.NA
        try:
            return pd.array(values, dtype=pd.StringDtype(card["storage"], na_value=missing))
        except ImportError:
            # Without pyarrow the same words are kept by Python.
            return pd.array(values, dtype=pd.StringDtype("python", na_value=missing))
    if kind == "nullable":
        if card["dtype"] not in _NULLABLE | _ARROW:
            raise ValueError(f"a column of the type {card['dtype']!r}")
        array = pd.array(take(card["values"]), dtype=card["dtype"])
        gone = masked(card, take)
        if gone is not None:
            array[gone] = pd.NA
        return array
    if kind == "plain":
        values = np.empty(len(card["values"]), dtype=object)
        values[:] = [np.nan if value == {"is": "nan"} else value for value in card["values"]]
        return values
    raise ValueError(f"a column of the kind {kind!r}")


def stored_rows(data: pd.DataFrame, keep: Keep) -> dict[str, Any]:
    """The card of the index; one that has no place in a file is left out."""
    index = data.index
    names = [name if name is None or isinstance(name, str | int) else str(name) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return {"index": {"range": [index.start, index.stop, index.step], "names": names}}
    levels = [stored(pd.Series(index.get_level_values(k)), keep) for k in range(index.nlevels)]
    return {"index": None if None in levels else {"levels": levels, "names": names}}


def frame(columns: dict[str, Any], card: dict[str, Any], take: Take) -> pd.DataFrame:
    """The frame of these columns."""
    index: Any = pd.RangeIndex(card["rows"])
    if (given := card["index"]) is not None:
        if "range" in given:
            start, stop, step = given["range"]
            index = pd.RangeIndex(start, stop, step, name=given["names"][0])
        else:
            levels = [rebuilt(level, take) for level in given["levels"]]
            names = given["names"]
            index = pd.MultiIndex.from_arrays(levels, names=names) if len(levels) > 1 else _index(levels[0], names[0])
    if len(index) != card["rows"]:
        raise ValueError("an index of another length")
    # Objects stay what they are: pandas would take text for its own.
    objects = {
        name: pd.Series(values, index=index, dtype=object)
        for name, values in columns.items()
        if pd.api.types.is_object_dtype(values.dtype)
    }
    return pd.DataFrame({**columns, **objects}, index=index)


def _index(values: Any, name: Any = None) -> pd.Index[Any]:
    dtype = object if pd.api.types.is_object_dtype(values.dtype) else None
    return pd.Index(values, dtype=dtype, name=name)


def _values(series: pd.Series[Any]) -> list[Any]:
    """Values with None where they are missing; NaN among numbers stays."""
    text = isinstance(series.dtype, pd.StringDtype) or pd.api.types.infer_dtype(series, skipna=True) == "string"
    missing = series.isna().to_numpy(dtype=bool) if text else [value is pd.NA for value in series]
    return [None if gone else value for value, gone in zip(series.tolist(), missing, strict=True)]


def _finite(value: Any) -> Any:
    return {"is": "nan"} if isinstance(value, float) and value != value else value


def _zero(dtype: str) -> Any:
    return False if dtype.startswith("bool") else 0
