"""Arrays as the bytes of a ``.npy`` file of numbers, truth values or times, and back: never of Python objects."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from ranef.errors import SavedFitError

__all__ = ["array_of", "npy"]

_KINDS = "biufMm"


def npy(array: np.ndarray[Any, Any]) -> bytes:
    """The bytes of a ``.npy`` file, version 1.0.

    Raises
    ------
    SavedFitError
        When the array holds anything else than numbers, truth values or times.
    """
    if array.dtype.kind not in _KINDS:
        raise SavedFitError(f"an array of {array.dtype} cannot be saved; give numbers")
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def array_of(content: bytes, name: str) -> np.ndarray[Any, Any]:
    """The array in the bytes of a ``.npy`` file; its size is compared with theirs before anything is reserved for it.

    Raises
    ------
    SavedFitError
        When they are not such a file; `name` is what the text calls it.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version}")
        shape, columnwise, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:
        raise SavedFitError(f"{name} is no array ({error})") from error
    if dtype.kind not in _KINDS or dtype.hasobject:
        raise SavedFitError(f"{name} holds {dtype}; a saved fit has numbers, truth values and times only")
    start = file.tell()
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(content) - start:
        raise SavedFitError(f"{name} has {len(content) - start} bytes for an array of {dtype} of shape {shape}")
    values = np.frombuffer(content, dtype, offset=start)
    return values.reshape(shape, order="F" if columnwise else "C").copy(order="K")
