"""Whole groups drawn with replacement, each copy a group of its own: the bootstrap by cases.

A grouping factor that is nested in the resampled one gets new levels with every copy; one that is crossed with it keeps
its levels, so that copies share them. No distribution is assumed, but groups must be independent and many.

References: Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8; van der Leeden, Meijer &
Busing (2008), in de Leeuw & Meijer, Handbook of Multilevel Analysis, chapter 11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef import _engine
from ranef.errors import ModelError, did_you_mean
from ranef.fitting import FittedModel, kept_columns
from ranef.formula.grouping import is_nested
from ranef.formula.residual import CorrelationPart
from ranef.model import Model

Codes = np.ndarray


@dataclass(frozen=True)
class Unit:
    """What is drawn: a grouping factor's levels, or rows.

    Attributes
    ----------
    name : str or None
        The grouping factor; None for rows.
    rows : tuple of int arrays
        The rows of each level.
    """

    name: str | None
    rows: tuple[np.ndarray, ...]


def unit_of(record: FittedModel, group: str | None) -> Unit:
    """What to resample: the group asked for, or the one in which all others are nested, or rows where there is none."""
    for term in record.terms():
        if term.coupling is not None:
            raise ModelError(
                f"bootstrap(kind='cases'): the effects of {term.text} are tied over {term.coupling.label}, and copies "
                "of a group have no place there. Use kind='parametric'."
            )
    factors = grouping_factors(record.model)
    if group is None and not factors:
        return Unit(None, tuple(np.arange(record.nobs)[:, None]))
    if group is None:
        outer = [name for name, codes in factors.items() if all(is_nested(other, codes) for other in factors.values())]
        if not outer:
            raise ModelError(
                f"bootstrap(kind='cases'): the grouping factors {', '.join(factors)} are crossed. Say which is "
                f"resampled, as in group={next(iter(factors))!r}; copies share the levels of the others."
            )
        group = outer[0]
    if group not in factors:
        raise ModelError(f"bootstrap(group={group!r}): no such grouping factor; {did_you_mean(str(group), factors)}")
    return Unit(group, rows_by_level(factors[group]))


def rows_by_level(codes: Codes) -> tuple[np.ndarray, ...]:
    """The rows of each level that has any."""
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes))[:-1]
    return tuple(part for part in np.split(order, ends) if len(part))


def grouping_factors(model: Model) -> dict[str, Codes]:
    """Codes of the grouping factors of random effects and of the residuals' correlation."""
    found = {t.group: np.asarray(t.codes).astype(np.int64) for t in model.design.random if t.smooth is None}
    part = model.correlation
    if part is not None:
        found.setdefault(part.group, np.asarray(part.codes).astype(np.int64))
    return found


def resampled(record: FittedModel, unit: Unit, rng: np.random.Generator, frame: bool) -> Model:
    """The model of one resample; its data frame too where someone will look at it."""
    drawn = rng.integers(len(unit.rows), size=len(unit.rows))
    rows = np.concatenate([unit.rows[k] for k in drawn])
    copies = np.repeat(np.arange(len(drawn)), [len(unit.rows[k]) for k in drawn])
    return with_copies(record.model, unit.name, rows, copies, frame)


def with_copies(model: Model, group: str | None, rows: np.ndarray, copies: np.ndarray, frame: bool) -> Model:
    """The model with these rows; each copy of a level of `group` (of a row, for None) is a level of its own."""
    design = model.design
    outer = np.arange(design.n) if group is None else grouping_factors(model)[group]

    def codes_of(codes: Codes, labels: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
        old = np.asarray(codes).astype(np.int64)
        if not is_nested(old, outer):
            present, new = np.unique(old[rows], return_inverse=True)
            return new.astype(np.uint32), tuple(labels[k] for k in present)
        pairs, new = np.unique(copies * len(labels) + old[rows], return_inverse=True)
        names = tuple(f"{labels[pair % len(labels)]} (draw {pair // len(labels) + 1})" for pair in pairs)
        return new.astype(np.uint32), names

    random = []
    for term in design.random:
        changes: dict[str, Any] = {"columns": np.asfortranarray(np.asarray(term.columns)[rows])}
        changes["codes"] = np.asarray(term.codes)[rows]
        if term.smooth is None:
            changes["codes"], changes["levels"] = codes_of(term.codes, term.levels)
        random.append(replace(term, **changes))
    fixed = {
        name: replace(
            part,
            x=np.asfortranarray(np.asarray(part.x)[rows]),
            offset=None if part.offset is None else np.asarray(part.offset)[rows],
        )
        for name, part in design.fixed.items()
    }
    response = design.response
    trials = None if response.trials is None else response.trials[rows]
    residual = design.residual
    if residual is not None:
        correlation: CorrelationPart | None = residual.correlation
        if correlation is not None:
            codes, levels = codes_of(correlation.codes, correlation.levels)
            correlation = replace(
                correlation,
                codes=codes,
                levels=levels,
                places=np.asarray(correlation.places)[rows],
                largest=int(np.bincount(codes).max()),
            )
        spreads = tuple(
            replace(s, covariate=None if s.covariate is None else np.asarray(s.covariate)[rows])
            for s in residual.spreads
        )
        residual = replace(residual, correlation=correlation, spreads=spreads)
    changed = replace(
        design,
        response=replace(response, y=np.asarray(response.y)[rows], trials=trials),
        fixed=fixed,
        random=tuple(random),
        weights=None if design.weights is None else np.asarray(design.weights)[rows],
        n=len(rows),
        n_dropped=0,
        rows=np.arange(len(rows)),
        frame=nw.from_native(design.frame, eager_only=True)[rows.tolist()].to_native() if frame else design.frame,
        residual=residual,
    )
    return replace(model, design=changed)


def case_fit(
    record: FittedModel, unit: Unit, seed: int, replicate: int, frame: bool
) -> tuple[Model, _engine.Fitted, dict[str, np.ndarray]] | None:
    """Replicate r, which depends on the seed and r alone; None where the model cannot be fitted to the resample.

    A resample that misses a level of a fixed effect has no estimate of it.
    """
    rng = np.random.default_rng((seed, replicate))
    model = resampled(record, unit, rng, frame)
    try:
        compiled = _engine.Model(model.spec())
        kept = {c: kept_columns([compiled.kept[k] for k in model.predictors(c)]) for c in model.components}
        if any(not np.array_equal(kept[c], record.kept[c]) for c in model.components):
            return None
        return model, compiled.fit(record.control.for_engine() | {"threads": 1}), kept
    except _engine.EngineError:
        return None
