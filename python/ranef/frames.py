"""Frames that go back to the caller: built from columns, of the kind the caller's own data has."""

from __future__ import annotations

from collections.abc import Mapping
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
    return nw.from_dict({name: _plain(values) for name, values in columns.items()}, backend=backend).to_native()


def backend_of(frame: IntoFrame) -> Any:
    """The kind of a native frame, as `frame_from` takes it; pandas for a mapping of columns."""
    if isinstance(frame, Mapping):
        return "pandas"
    return nw.from_native(frame, eager_only=True).implementation


def _plain(values: Any) -> Any:
    """Columns of texts as lists (numpy's fixed-width texts are not every backend's), the rest as they are."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "UO":
        return list(values.tolist())
    return values
