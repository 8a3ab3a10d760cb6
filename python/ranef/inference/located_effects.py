"""Random effects of times and of places, with their times and positions as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef.data import label
from ranef.errors import DataError, ModelError, did_you_mean
from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm
from ranef.inference.random_effects import conditional_modes, grouped

# Structures whose levels are occasions, and those whose levels are points or regions of a map.
OVER_TIME = ("ar1", "hetar1", "ou", "toep", "rw1", "rw2")
OVER_SPACE = ("exp", "gau", "mat", "car", "icar")
NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")
SERIES = ("component", "group", "level", "time", *NUMBERS)
_NUMBER = re.compile(r"\[(-?\d+(?:\.\d*)?(?:e[+-]?\d+)?)\]\s*$", re.I)


def along_time(term: RandomTerm) -> bool:
    """Whether the effects of a term are those of occasions."""
    if term.coupling is None:
        return term.structure in OVER_TIME and len(term.names) > 1
    places = term.coupling.coordinates.shape[1]
    return term.structure in OVER_TIME or (term.structure in OVER_SPACE[:3] and places == 1)


def over_space(term: RandomTerm) -> bool:
    """Whether the effects of a term are those of places in a plane, or of regions."""
    if term.coupling is None or term.structure not in OVER_SPACE:
        return False
    return term.structure in ("car", "icar") or term.coupling.coordinates.shape[1] == 2


def along_time_or_space(record: FittedModel) -> list[int]:
    """The terms that series and maps are drawn of."""
    return [t for t in grouped(record) if along_time(record.terms()[t]) or over_space(record.terms()[t])]


def series_columns(record: FittedModel, level: float = 0.95) -> dict[str, list[Any]]:
    """Columns component, group, level, time, estimate, std_error, conf_low, conf_high, ascending in time.

    Where a random walk begins its effect is zero by definition, with an interval of no width. Occasions that are no
    numbers count from 0.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SERIES}
    for term, _rows, found in _terms(record, level):
        if not along_time(term):
            continue
        if term.coupling is None:
            matches = [_NUMBER.search(name) for name in term.names]
            times = [float(m[1]) if m is not None else float(k) for k, m in enumerate(matches)]
            if any(m is None for m in matches):
                times = [float(k) for k in range(len(times))]
            levels, time = list(found["level"]), times * len(term.levels)
        else:
            levels = [term.levels[m] for m in term.coupling.members]
            time = term.coupling.coordinates[:, 0].tolist()
        numbers = {name: list(found[name]) for name in NUMBERS}
        if term.coupling is not None and term.coupling.origin is not None:
            members, times_there = term.coupling.origin
            levels += [term.levels[m] for m in members]
            time += times_there[:, 0].tolist()
            for name in NUMBERS:
                numbers[name] += [0.0] * len(members)
        place = {text: k for k, text in enumerate(term.levels)}
        order = sorted(range(len(time)), key=lambda i: (place[levels[i]], time[i]))
        columns["component"] += [term.component] * len(order)
        columns["group"] += [term.group] * len(order)
        columns["level"] += [levels[i] for i in order]
        columns["time"] += [time[i] for i in order]
        for name in NUMBERS:
            columns[name] += [numbers[name][i] for i in order]
    return columns


def map_columns(record: FittedModel, positions: Any = None, level: float = 0.95) -> dict[str, list[Any]]:
    """Columns component, group, level, place, x, y, estimate, std_error, conf_low, conf_high.

    Parameters
    ----------
    record : FittedModel
    positions : optional
        Where regions are that have no coordinates in the model: a mapping of their names to (x, y), or the names of two
        columns of the data, of which each region has its mean. Without them x and y place neighbours near each other.
    level : float
    """
    names = ("component", "group", "level", "place", "x", "y", *NUMBERS)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for term, _rows, found in _terms(record, level):
        if not over_space(term):
            continue
        coupling = term.coupling
        assert coupling is not None
        numbers = {name: list(found[name]) for name in NUMBERS}
        if coupling.known is None:
            places = [",".join(map(label, row)) for row in coupling.coordinates.tolist()]
            levels = [term.levels[m] for m in coupling.members]
            xy = np.asarray(coupling.coordinates, float)
        else:
            members, regions = coupling.members, coupling.coordinates[:, 0].astype(int)
            if coupling.origin is not None:
                members = np.r_[members, coupling.origin[0]]
                regions = np.r_[regions, coupling.origin[1][:, 0].astype(int)]
                for name in NUMBERS:
                    numbers[name] += [0.0] * len(coupling.origin[0])
            places = [coupling.known.levels[r] for r in regions]
            # A map of the group's own levels is one map.
            one = len(set(members.tolist())) == 1
            levels = ["1" if one else term.levels[m] for m in members]
            xy = _positions(record, term, positions)[regions]
        columns["component"] += [term.component] * len(places)
        columns["group"] += [term.group] * len(places)
        columns["level"] += levels
        columns["place"] += places
        columns["x"] += xy[:, 0].tolist()
        columns["y"] += xy[:, 1].tolist()
        for name in NUMBERS:
            columns[name] += numbers[name]
    return columns


def borders(record: FittedModel) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pairs of neighbours of each map of regions, by component and group."""
    from scipy import sparse

    found = {}
    for t in grouped(record):
        term = record.terms()[t]
        known = None if term.coupling is None else term.coupling.known
        if not over_space(term) or known is None or known.precision is None:
            continue
        upper = sparse.triu(known.precision, 1).tocoo()
        found[term.component, term.group] = [
            (known.levels[i], known.levels[j]) for i, j in zip(upper.row, upper.col, strict=True)
        ]
    return found


def _terms(record: FittedModel, level: float) -> Iterator[tuple[RandomTerm, slice, dict[str, list[Any]]]]:
    """Each term of groups with its part of the conditional modes."""
    every = conditional_modes(record, level)
    start = 0
    for t in grouped(record):
        term = record.terms()[t]
        rows = slice(start, start + term.size * len(term.names))
        start = rows.stop
        yield term, rows, {name: values[rows] for name, values in every.items()}


def _positions(record: FittedModel, term: RandomTerm, given: Any) -> np.ndarray:
    """x and y of every region of a map, (regions, 2)."""
    coupling = term.coupling
    assert coupling is not None
    assert coupling.known is not None
    regions = list(coupling.known.levels)
    if given is None:
        return _drawn_from_neighbours(coupling.known.precision)
    if isinstance(given, Mapping):
        for name in regions:
            if name not in given:
                raise DataError(f"plot.map(positions=): no position for {name!r}; {did_you_mean(name, list(given))}")
        return np.array([[float(v) for v in given[name]] for name in regions])
    names = [given] if isinstance(given, str) else list(given)
    frame = nw.from_native(record.design.frame, eager_only=True)
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"plot.map(positions={given!r}): give a mapping of regions to (x, y), or the names of two columns of the "
            "data."
        )
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"plot.map(positions=): {name!r} is no column of the data; {did_you_mean(name, frame.columns)}"
            )
    factor = coupling.label
    if factor not in frame.columns:
        raise ModelError(f"plot.map(positions={given!r}): `{factor}` is no plain column; give a mapping instead.")
    owner = [label(value) for value in frame[factor].to_list()]
    place = {name: k for k, name in enumerate(regions)}
    code = np.array([place[name] for name in owner])
    count = np.bincount(code, minlength=len(regions))
    xy = np.column_stack([np.asarray(frame[name].to_numpy(), float) for name in names])
    with np.errstate(invalid="ignore"):
        total = np.column_stack([np.bincount(code, column, len(regions)) for column in xy.T])
        found: np.ndarray = total / count[:, None]
    return found


def _drawn_from_neighbours(laplacian: Any) -> np.ndarray:
    """Places that put neighbours near each other: distances on the graph, scaled to two dimensions.

    Classical scaling of the lengths of shortest paths (Torgerson 1952, Psychometrika 17, 401-419; for graphs Kruskal &
    Seery 1980). Parts without a border between them lie apart.
    """
    from scipy.sparse.csgraph import shortest_path

    steps = shortest_path(abs(laplacian) - _diagonal(laplacian), directed=False, unweighted=True)
    reached = np.isfinite(steps)
    steps = np.where(reached, steps, steps[reached].max(initial=0.0) + 2.0)
    squares = steps**2
    centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    found: np.ndarray = vectors[:, -2:][:, ::-1] * np.sqrt(np.maximum(values[-2:][::-1], 0.0))
    # The sign of an eigenvector is nobody's: the larger half to the right and up.
    return found * np.where(np.abs(found.max(axis=0)) >= np.abs(found.min(axis=0)), 1.0, -1.0)


def _diagonal(matrix: Any) -> Any:
    from scipy import sparse

    return sparse.diags(abs(matrix).diagonal())


def groups_of(columns: Mapping[str, Sequence[Any]]) -> dict[tuple[str, str, str], list[int]]:
    """Rows of each component, group and level, in their order."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(columns["component"], columns["group"], columns["level"], strict=True)):
        found.setdefault(key, []).append(i)
    return found
