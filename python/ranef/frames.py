"""Frames that go back to the caller: built from columns, of the kind the caller's own data has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.errors import DataError

# A native frame (pandas, polars, pyarrow, ...). The packages are optional, so no narrower type can be named here.
IntoFrame = Any

BACKENDS = ("pandas", "polars", "pyarrow", "modin", "cudf")


def frame_from(columns: Mapping[str, Any], backend: Any) -> IntoFrame:
    """A native frame with these columns.

    Parameters
    ----------
    columns : mapping
        Column name to values of equal length. None marks a missing text, NaN a missing number.
    backend : str or narwhals.Implementation
        ``"pandas"``, ``"polars"``, ``"pyarrow"``, or the implementation of a frame (see `backend_of`).
    """
    if isinstance(backend, str) and backend not in BACKENDS:
        raise DataError(f"backend {backend!r} is not one of {', '.join(map(repr, BACKENDS[:3]))}")
    series = [_series(name, values, backend) for name, values in columns.items()]
    return nw.from_dict({s.name: s for s in series}, backend=backend).to_native()


def frame_of_cards(cards: Iterable[Mapping[str, Any]], backend: str) -> IntoFrame:
    """A row for each card of an engine's catalogue, a column for each of their fields; lists are told as text."""
    rows = list(cards)
    fields = dict.fromkeys(field for card in rows for field in card)
    return frame_from({field: [_as_text(card.get(field)) for card in rows] for field in fields}, backend)


def _as_text(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def backend_of(frame: IntoFrame) -> Any:
    """The kind of a native frame, as `frame_from` takes it; pandas for a mapping of columns."""
    if isinstance(frame, Mapping):
        return "pandas"
    return nw.from_native(frame, eager_only=True).implementation


def _series(name: str, values: Any, backend: Any) -> nw.Series[Any]:
    """A column; texts are declared as such, so that a column of missing texts has the type of the others."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "UO":
        values = values.tolist()
    text = isinstance(values, list) and all(v is None or isinstance(v, str) for v in values)
    return nw.new_series(name, values, nw.String() if text else None, backend=backend)
