"""Plain values, arrays, frames and ranef's own records to JSON with arrays beside it, and back.

What JSON has stands for itself. Everything else is an object with the key ``is``, whose word chooses among the readers
below: a file can say which of them, and never anything that is run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from scipy import sparse

from ranef.errors import SavedFitError
from ranef.families import THRESHOLDS, Family, family_named
from ranef.formula.contrasts import Contrast
from ranef.prior import Prior
from ranef.relatedness.adjacency import Adjacency
from ranef.relatedness.known_matrix import PrecisionMatrix
from ranef.relatedness.pedigree import Pedigree
from ranef.relatedness.phylogeny import Phylogeny
from ranef.saving import tables
from ranef.saving.arrays import array_of, npy

__all__ = ["Reader", "Writer"]

#: Records of ranef's that are told by their fields.
_RECORDS: dict[str, type[Any]] = {
    "prior": Prior,
    "contrast": Contrast,
    "precision matrix": PrecisionMatrix,
    "pedigree": Pedigree,
    "phylogeny": Phylogeny,
    "adjacency": Adjacency,
}


class Writer:
    """Collects the members of a file while values are written.

    Attributes
    ----------
    members : dict of str to bytes
    left_out : list of str
        Columns of frames that have no place in a file.
    """

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}
        self.left_out: list[str] = []

    def array(self, values: np.ndarray[Any, Any]) -> int:
        """Keep an array; returns its number."""
        number = len(self.members)
        self.members[f"arrays/{number}.npy"] = npy(values)
        return number

    def write(self, value: Any, what: str) -> Any:
        """A value as JSON has it; `what` is what errors call it."""
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"is": "float", "value": str(value)}
        if isinstance(value, list):
            return [self.write(item, what) for item in value]
        if isinstance(value, tuple):
            return {"is": "tuple", "items": [self.write(item, what) for item in value]}
        if isinstance(value, Mapping):
            items = [[self.write(key, what), self.write(item, f"{what}[{key!r}]")] for key, item in value.items()]
            return {"is": "mapping", "items": items}
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "O":
                return {"is": "tuple", "items": [self.write(item, what) for item in value.tolist()]}
            return {"is": "array", "number": self.array(value)}
        if sparse.issparse(value):
            matrix = sparse.csc_matrix(cast(Any, value))
            parts = {part: self.array(getattr(matrix, part)) for part in ("data", "indices", "indptr")}
            return {"is": "sparse", "rows": matrix.shape[0], "columns": matrix.shape[1], **parts}
        if isinstance(value, Family):
            return family_card(value)
        if callable(value) and isinstance(named := getattr(value, "__name__", None), str) and what == "family":
            return named
        for word, kind in _RECORDS.items():
            if isinstance(value, kind):
                names = [field.name for field in fields(kind)]
                return {"is": word} | {name: self.write(getattr(value, name), f"{what}.{name}") for name in names}
        if tables.is_frame(value):
            return {"is": "frame", **self.frame(value)}
        if isinstance(value, pd.Series | pd.Index) or nw.dependencies.is_into_series(value):
            return {"is": "array", "number": self.array(np.asarray(value, dtype=np.float64))}
        raise SavedFitError(
            f"the fit cannot be saved: {what} is of the type {type(value).__name__}, which has no place in a file; "
            "give an array or a frame"
        )

    def frame(self, value: Any) -> dict[str, Any]:
        """A frame by its columns; those that have no place in a file are noted."""
        card, left_out = tables.stored(value, self.array)
        self.left_out += left_out
        return card

    def json(self, value: Any) -> bytes:
        """The text of what was written."""
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


class Reader:
    """Reads what a `Writer` wrote.

    Parameters
    ----------
    members : dict of str to bytes
    family : Family, optional
        What stands for a custom family.
    """

    def __init__(self, members: Mapping[str, bytes], family: Family | None = None) -> None:
        self.members = members
        self.family = family
        self.used = {"fit.json"}
        self._readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "float": lambda card: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[card["value"]],
            "tuple": lambda card: tuple(map(self.read, card["items"])),
            "mapping": lambda card: {self.read(key): self.read(value) for key, value in card["items"]},
            "array": lambda card: self.array(card["number"]),
            "sparse": self._sparse,
            "family": self._family,
            "frame": self.frame,
        }

    def json(self) -> Any:
        """The value of ``fit.json``, not yet read."""
        return json.loads(self.members["fit.json"])

    def array(self, number: int) -> np.ndarray[Any, Any]:
        """The array of that number."""
        name = f"arrays/{number:d}.npy"
        if name not in self.members:
            raise SavedFitError(f"it has no {name}")
        self.used.add(name)
        return array_of(self.members[name], name)

    def read(self, value: Any) -> Any:
        """A value from its JSON."""
        if isinstance(value, list):
            return [self.read(item) for item in value]
        if not isinstance(value, dict):
            return value
        word = value["is"]
        if word in self._readers:
            return self._readers[word](value)
        if word in _RECORDS:
            return _RECORDS[word](**{name: self.read(item) for name, item in value.items() if name != "is"})
        raise SavedFitError(f"it has a value of the kind {word!r}, which this version of ranef does not know")

    def frame(self, card: dict[str, Any]) -> Any:
        """A frame from its columns."""
        return tables.rebuilt(card, self.array)

    def _sparse(self, card: dict[str, Any]) -> Any:
        parts = tuple(self.array(card[part]) for part in ("data", "indices", "indptr"))
        matrix = sparse.csc_matrix(cast(Any, parts), shape=(card["rows"], card["columns"]))
        matrix.check_format(full_check=True)
        return matrix

    def _family(self, card: dict[str, Any]) -> Family:
        if card["custom"] is not None:
            if self.family is None:
                raise SavedFitError(
                    f"its family {card['name']} was made by rf.families.custom, and a file cannot hold its functions. "
                    f"Make it again as it was and give it: rf.load(path, family={card['name']})"
                )
            given = family_card(self.family)
            if given != card:
                raise SavedFitError(f"it was fitted with another family than family={self.family!r}")
            return self.family
        family = family_named(card["name"], card["link"])
        if (thresholds := card["thresholds"]) is not None:
            if thresholds not in THRESHOLDS:
                raise SavedFitError(f"it has thresholds {thresholds!r}, which this version of ranef does not know")
            family = replace(family, thresholds=thresholds)
        return family.with_values(**{name: float(value) for name, value in card["fixed"]})


def family_card(family: Family) -> dict[str, Any]:
    """A family by what chooses it; of a custom one, what tells it from others."""
    custom = None
    if family.engine is not None:
        parameters = [[p.name, p.component, p.link] for p in family.parameters]
        custom = {"parameters": parameters, "support": family.support, "functions": sorted(family.functions)}
    fixed = [[name, value] for name, value in family.fixed]
    return {
        "is": "family",
        "name": family.name,
        "link": family.link,
        "fixed": fixed,
        "thresholds": family.thresholds,
        "custom": custom,
    }
