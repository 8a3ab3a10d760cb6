"""Whether a fit has the memory it needs: said before it starts, since the system's way to say it is to end the session.

The numbers are lower bounds: the arrays that every fit of such a model holds at one time, each counted once or twice
where the engine holds more, so that no fit that would have worked is refused. A fit that is let through may still
need several times as much.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ranef.errors import ModelError
from ranef.formula.design import RandomTerm
from ranef.formula.level_columns import LevelColumns
from ranef.model import Model

__all__ = ["Need", "available_bytes", "needs", "require_memory"]

NUMBER = np.dtype(np.float64).itemsize
# Fewer effects and rows than this are never worth a look: 2 x 1000^2 numbers are 16 MB.
LEAST_ORDER = 1000
# What the engine certainly holds at one time of a dense matrix: the matrix or its factor, and the inverse that the
# gradient asks for.
DENSE_COPIES = 2
# A level of the largest factor ties all effects it meets to each other. The engine goes dense where the sparse factor
# would take more than a fifteenth of the dense one's multiply-adds; c of m effects tied to each other take (c / m)^3
# of them at least, half of that if only one triangle is counted: 0.51. The rest is a margin.
DENSE_SHARE = 0.6
# Structures whose places are correlated over distances, each with every other of its group.
FIELDS = ("exp", "gau", "mat")

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMORY_TABLE = Path("/proc/meminfo")
# Control groups say "no limit" as a number near 2^63.
UNLIMITED = 2**60


@dataclass(frozen=True)
class Need:
    """Memory that one part of a model takes.

    Attributes
    ----------
    part : str
        The term, as written.
    size : int
        Bytes, at least.
    why : str
        What they hold.
    remedy : str
        What would take less.
    """

    part: str
    size: int
    why: str
    remedy: str


def needs(model: Model) -> list[Need]:
    """What the engine will allocate for a model, at least; parts that need little are left out."""
    return [*_rows(model), *_crossed(model), *_fields(model), *_residuals(model)]


def _at_most(model: Model) -> int:
    """No less than the sum of the needs, from the shapes alone."""
    design = model.design
    columns = sum(
        (part.x.dense if isinstance(part.x, LevelColumns) else part.x).shape[1] for part in design.fixed.values()
    )
    columns += sum(term.columns.shape[1] for term in design.random)
    alone: dict[str, int] = {}
    tied = 0
    for term in design.random:
        if term.coupling is None:
            alone[term.group] = alone.get(term.group, 0) + term.size * len(term.names)
        elif term.structure in FIELDS:
            tied += term.size**2
    # The largest factor is eliminated before anything is dense.
    order = sum(alone.values()) - max(alone.values(), default=0)
    rows = 0 if model.correlation is None else model.correlation.largest
    return NUMBER * (design.n * columns + DENSE_COPIES * (order**2 + tied + rows**2))


def _rows(model: Model) -> list[Need]:
    """The engine's own copy of the columns; those of ones take no memory, columns of levels next to none."""
    design, found = model.design, []
    for component in model.written_components:
        part = design.fixed[component]
        columns = (part.x.dense if isinstance(part.x, LevelColumns) else part.x).shape[1] - part.has_intercept
        if component != "threshold" and columns > 0:
            remedy = "factors with fewer levels, or random effects of their levels"
            found.append(_copy(f"the fixed effects of {component}", columns, design.n, remedy))
    for term in design.random:
        columns = 0 if term.coupling is not None else int((term.columns != 1.0).any(axis=0).sum())
        if columns:
            found.append(_copy(term.text, columns, design.n, "fewer columns before the bar"))
    return found


def _copy(part: str, columns: int, rows: int, remedy: str) -> Need:
    return Need(part, NUMBER * rows * columns, f"columns of {rows} rows: {columns}", remedy)


def _crossed(model: Model) -> list[Need]:
    """Effects that are left when those of the largest factor are eliminated: dense where the factors are crossed."""
    terms = model.design.random
    if any(term.coupling is not None for term in terms):
        return []
    width: dict[str, int] = {}
    first: dict[str, RandomTerm] = {}
    for term in terms:
        columns = term.options.get("d", len(term.names)) if term.structure == "rr" else len(term.names)
        width[term.group] = width.get(term.group, 0) + columns
        first.setdefault(term.group, term)
    effects = {group: first[group].size * width[group] for group in width}
    if len(effects) < 2:
        return []
    leading = max(effects, key=effects.__getitem__)
    others = [group for group in effects if group != leading]
    order = sum(effects[group] for group in others)
    if order < LEAST_ORDER:
        return []
    met = np.zeros(first[leading].size, dtype=np.int64)
    for group in others:
        pairs = np.unique(first[leading].codes.astype(np.int64) * first[group].size + first[group].codes)
        met += width[group] * np.bincount(pairs // first[group].size, minlength=len(met))
    tied = int(met.max())
    largest = max(others, key=effects.__getitem__)
    if tied >= DENSE_SHARE * order:
        size, why = DENSE_COPIES * NUMBER * order**2, f"a dense matrix of order {order} and its inverse"
    else:
        size, why = NUMBER * tied * (tied + 1) // 2, f"{tied} effects that meet in one level of {leading}"
    remedy = f"fewer levels of {largest}, or without this term"
    return [Need(first[largest].text, size, f"crossed with {leading}: {why}", remedy)]


def _fields(model: Model) -> list[Need]:
    """The correlations of places with each other, group by group."""
    found = []
    for term in model.design.random:
        if term.coupling is None or term.structure not in FIELDS:
            continue
        places = np.unique(term.coupling.members, return_counts=True)[1]
        size = DENSE_COPIES * NUMBER * int((places.astype(np.int64) ** 2).sum())
        why = f"correlations of up to {places.max()} places with each other and their factor"
        found.append(Need(term.text, size, why, "fewer places: coordinates rounded to a grid, or more groups"))
    return found


def _residuals(model: Model) -> list[Need]:
    """The correlations of the rows of the largest group."""
    part = model.correlation
    if part is None or part.structure not in FIELDS:
        return []
    why = f"correlations of {part.largest} rows with each other and their factor"
    return [Need(part.text, DENSE_COPIES * NUMBER * part.largest**2, why, "a grouping factor with fewer rows a group")]


def available_bytes() -> int | None:
    """Memory and swap that this process could still get; None where the system does not say."""
    found = [size for size in (_of_system(), _of_control_groups()) if size is not None]
    return min(found, default=None)


def _of_system() -> int | None:
    try:
        lines = MEMORY_TABLE.read_text(encoding="ascii").splitlines()
        table = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest}
        return 1024 * (table["MemAvailable"] + table.get("SwapFree", 0))
    except (OSError, ValueError, KeyError, IndexError):
        pass
    try:
        # Systems that do not say what is free: what there is in all.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _of_control_groups() -> int | None:
    """What the tightest control group around this process (a container, a job of a cluster) leaves."""
    try:
        membership = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = []
    for line in membership:
        _, kinds, place = line.split(":", 2)
        if kinds == "":
            top, limit, used, cache = CONTROL_GROUPS, "memory.max", "memory.current", ("active_file", "inactive_file")
        elif "memory" in kinds.split(","):
            top, limit, used = CONTROL_GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = ("total_active_file", "total_inactive_file")
        else:
            continue
        folder = top / place.lstrip("/")
        # In a container the place may be that outside, which is not there inside; the top then is the own group.
        for group in (folder, *folder.parents):
            found += _left(group / limit, group / used, group / "memory.stat", cache)
            if group == top:
                break
    return min(found, default=None)


def _left(limit: Path, used: Path, statistics: Path, cache: tuple[str, ...]) -> list[int]:
    """What one control group leaves, pages of files counted as free; nothing where it has no limit."""
    try:
        most, now = limit.read_text(encoding="ascii").strip(), int(used.read_text(encoding="ascii"))
        if most == "max" or int(most) > UNLIMITED:
            return []
        table = dict(line.split() for line in statistics.read_text(encoding="ascii").splitlines())
        return [max(0, int(most) - now + sum(int(table.get(name, 0)) for name in cache))]
    except (OSError, ValueError):
        return []


def require_memory(model: Model) -> None:
    """Refuse a model whose fit needs more memory than there is.

    Raises
    ------
    ModelError
        Naming the term that needs most, how much, and what would need less.
    """
    # Asking the system takes longer than a small fit, and looking at all rows longer than asking.
    bound = _at_most(model)
    if bound < DENSE_COPIES * NUMBER * LEAST_ORDER**2:
        return
    available = available_bytes()
    if available is None or bound <= available:
        return
    parts = needs(model)
    total = sum(part.size for part in parts)
    if total <= available:
        return
    most = max(parts, key=lambda part: part.size)
    raise ModelError(
        f"this fit needs at least {in_words(total)} of memory, of which {in_words(available)} are available. "
        f"{most.part} needs {in_words(most.size)} ({most.why}). "
        f"What needs less: {most.remedy}; or a machine with more memory."
    )


def in_words(size: int) -> str:
    """Bytes as a reader takes them: ``"1.6 GB"``."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
