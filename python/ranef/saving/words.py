"""Text as codes and a list of its different words, for any kind of frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Keep", "Take", "coded", "masked", "spelled"]

#: Keeps an array and gives its number; gives the array of a number.
Keep = Callable[[np.ndarray[Any, Any]], int]
Take = Callable[[int], np.ndarray[Any, Any]]


def coded(values: Sequence[str | None], keep: Keep) -> dict[str, Any]:
    """Words in order of appearance, and the code of each value, -1 where it is missing."""
    codes, words = pd.factorize(np.array(values, dtype=object), use_na_sentinel=True)
    return {"words": [str(word) for word in words], "codes": keep(codes.astype(np.int32))}


def spelled(card: dict[str, Any], take: Take) -> list[str | None]:
    """The values of a card of `coded`."""
    words, codes = [*card["words"], None], take(card["codes"])
    if not all(isinstance(word, str) for word in words[:-1]):
        raise ValueError("a word that is no text")
    if codes.size and not -1 <= codes.min() <= codes.max() < len(words) - 1:
        raise ValueError("a code without a word")
    return [words[code] for code in codes.tolist()]


def masked(card: dict[str, Any], take: Take) -> np.ndarray[Any, Any] | None:
    """Which values of a column are missing; None when none is."""
    return None if card.get("missing") is None else take(card["missing"]).astype(bool)
