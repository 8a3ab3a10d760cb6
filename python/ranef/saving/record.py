"""A fitted model to the members of a file, and back without a search.

A file holds what the model was made of (the data of the rows used, formula and further arguments) and what the search
found. The design is built again from the former, so that whatever the formula learned from the data is learned again;
the engine takes the latter as it was. A few of the fit's numbers in the user's units say whether both still mean the
same.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import DataError, FormulaError, ModelError, SavedFitError
from ranef.families import Family
from ranef.fitting import Control, FittedModel, fit_model, kept_columns, model_from_arguments, model_with_response
from ranef.model import Model
from ranef.saving import tables
from ranef.saving.archive import packed, unpacked
from ranef.saving.values import Reader, Writer

__all__ = ["content_of", "fields_of"]

#: Rows whose linear predictors tell whether a loaded fit is the one saved, spread over the data.
_PROBES = 64
#: Another machine or release may round differently; a design that means something else differs by much more.
_SAME = 1e-6


def content_of(record: FittedModel, columns: str = "all") -> bytes:
    """The bytes of a file that holds a fit.

    Parameters
    ----------
    record : FittedModel
    columns : {"all", "used"}
        Which columns of the data are kept.

    Raises
    ------
    SavedFitError
        When something of the fit has no place in a file.

    Warns
    -----
    UserWarning
        When a column that the model does not use has none; it is left out.
    """
    if columns not in ("all", "used"):
        raise SavedFitError(f'columns is "all" or "used", not {columns!r}')
    model, design, writer = record.model, record.design, Writer()
    wanted = None if columns == "all" else design.variables
    data, left_out = tables.stored(design.frame, writer.array, wanted)
    if used := [name for name in left_out if name in design.variables]:
        raise SavedFitError(f"the fit cannot be saved: `{used[0]}` holds values that have no place in a file")
    if left_out:
        shown = ", ".join(f"`{name}`" for name in left_out[:5])
        warnings.warn(
            f"{shown}: columns of this kind have no place in a saved fit and are left out; the model does not use them",
            UserWarning,
            stacklevel=4,
        )
    every_row = len(design.rows) and design.rows[-1] == design.n - 1 and design.n_dropped == 0
    given = model.arguments.get("family")
    family = given if isinstance(given, str) else model.family
    arguments = {name: value for name, value in model.arguments.items() if name != "family"}
    written = {
        "linear": model.linear,
        "data": data,
        "rows": None if every_row else writer.array(np.asarray(design.rows, dtype=np.int64)),
        "n_dropped": design.n_dropped,
        "dropped_because": writer.write(dict(design.dropped_because), "dropped_because"),
        "family": None if model.linear else writer.write(family, "family"),
        "arguments": {name: writer.write(value, name) for name, value in arguments.items()},
        "response": writer.array(np.asarray(design.response.y, dtype=np.float64)),
        "control": writer.write(dataclasses.asdict(record.control), "control"),
        "found": writer.write(_engine.found(record.engine), "what the search found"),
        "probes": writer.write(probes(record.engine), "probes"),
    }
    return packed({"fit.json": writer.json(written), **writer.members})


def fields_of(content: bytes, most: int, family: Family | None = None, refit: bool = False) -> dict[str, Any]:
    """The fields of the `FittedModel` that a file holds.

    Parameters
    ----------
    content : bytes
        Of the file.
    most : int
        Bytes that it may unpack to.
    family : Family, optional
        The custom family of the fit, whose functions are in no file.
    refit : bool
        Whether the model is fitted again instead of taking what the file says was found.

    Raises
    ------
    SavedFitError
        When they are not what `content_of` gives, or this version of ranef understands them differently.
    """
    members = unpacked(content, most)
    try:
        return _fields(Reader(members, family), refit)
    except SavedFitError:
        raise
    except (DataError, FormulaError, ModelError, _engine.EngineError) as error:
        text = error.args[1] if isinstance(error, _engine.EngineError) else error
        raise SavedFitError(f"its model is not one that this version of ranef can fit: {text}") from error
    except Exception as error:
        # Whatever a file of sound checksums, written by something else, may hold in place of a value.
        raise SavedFitError(f"its content is not that of a saved fit ({type(error).__name__}: {error})") from error


def _fields(reader: Reader, refit: bool) -> dict[str, Any]:
    card = reader.json()
    frame = reader.frame(card["data"])
    n = card["data"]["rows"]
    rows = np.arange(n) if card["rows"] is None else reader.array(card["rows"]).astype(np.intp)
    arguments: dict[str, Any] = {name: reader.read(value) for name, value in card["arguments"].items()}
    if not card["linear"]:
        # `family` stands where the caller gave it, for `update`.
        arguments = {"formula": arguments.pop("formula"), "family": reader.read(card["family"]), **arguments}
    model = model_of_rows(bool(card["linear"]), arguments, frame, rows)
    dropped = {"n_dropped": int(card["n_dropped"]), "dropped_because": reader.read(card["dropped_because"])}
    model = replace(model, arguments=arguments, design=replace(model.design, rows=rows, **dropped))
    response = reader.array(card["response"])
    if response.shape != (model.design.n,) or response.dtype != np.float64:
        raise SavedFitError(f"its response has {response.size} values for {model.design.n} rows")
    if not np.array_equal(response, model.design.response.y):
        model = model_with_response(model, response)
    control = Control(**reader.read(card["control"]))
    found, expected = reader.read(card["found"]), reader.read(card["probes"])
    if surplus := set(reader.members) - reader.used:
        raise SavedFitError(f"it has {min(surplus)}, which its fit.json does not speak of")
    if refit:
        engine, kept = fit_model(model, control)
        return {"model": model, "control": control, "engine": engine, "kept": kept}
    compiled = _engine.Model(model.spec())
    engine = _engine.restore(compiled, found)
    require_same(expected, probes(engine))
    kept = {c: kept_columns([compiled.kept[k] for k in model.predictors(c)]) for c in model.components}
    return {"model": model, "control": control, "engine": engine, "kept": kept}


def model_of_rows(linear: bool, arguments: Mapping[str, Any], frame: Any, rows: np.ndarray) -> Model:
    """The model of the rows used, whose weights and offset may be arrays with those of the rows dropped too."""
    given = dict(arguments)
    for name in ("weights", "offset"):
        if isinstance(given[name], np.ndarray | list | tuple):
            given[name] = np.asarray(given[name], dtype=np.float64)[rows]
    return model_from_arguments(linear, given, frame)


def probes(engine: _engine.Fitted) -> dict[str, Any]:
    """Numbers of a fit in the user's units that say what its parameters mean."""
    eta = np.asarray(engine.linear_predictor, dtype=np.float64)
    chosen = np.unique(np.linspace(0, len(eta) - 1, _PROBES).astype(int))
    return {
        "beta": [np.asarray(beta, dtype=np.float64) for beta in engine.beta],
        "factor": [np.asarray(factor, dtype=np.float64) for factor in engine.factor],
        "linear_predictor": np.ascontiguousarray(eta[chosen]),
    }


def require_same(expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse a fit whose numbers are not those of the one saved."""
    for name, after in found.items():
        before = expected[name]
        pairs = zip(before, after, strict=True) if isinstance(before, list) else [(before, after)]
        for saved, now in pairs:
            scale = 1.0 + np.abs(saved[np.isfinite(saved)]).max(initial=0.0)
            if saved.shape != now.shape or not np.allclose(saved, now, rtol=_SAME, atol=_SAME * scale, equal_nan=True):
                raise SavedFitError(
                    f"this version of ranef ({_engine.__version__}) understands its parameters differently "
                    f"({name.replace('_', ' ')}); rf.load(path, refit=True) fits the model again to the data in it"
                )
