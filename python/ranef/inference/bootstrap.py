"""The parametric bootstrap: responses simulated from the fit, and the model fitted to each.

    y*_r ~ fitted model (random effects and residuals drawn afresh),   estimates_r = fit(y*_r),   r = 1, ..., n

All work is the engine's, in parallel. Replicate r uses stream r of a counter-based generator, so the numbers depend on
the seed alone.

Reference: Davison & Hinkley (1997), Bootstrap Methods and their Application, chapter 2 and section 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import DataError, ModelError
from ranef.fitting import Control, FittedModel, announce
from ranef.inference.natural_parameters import NaturalParameter, natural_parameters
from ranef.model import raised_by_engine
from ranef.simulation import engine_seed

# Replicates between two looks at the keyboard (an interrupt) and two lines of progress.
PIECE = 500
# Whole fits are held in memory at once.
PIECE_OF_FITS = 50

# From the engine's result and its response to what the user's statistic takes.
Wrap = Callable[[Any, np.ndarray], Any]


def bootstrap(
    record: FittedModel,
    n: int,
    statistic: Callable[[Any], Any] | None,
    seed: int | None,
    threads: int | None,
    progress: bool | None,
    wrap: Wrap,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of the replicates, and what there is to say about them: seed, replicates, failed, singular.

    Parameters
    ----------
    record : FittedModel
    n : int
        Number of replicates.
    statistic : callable, optional
        A function of a fit that gives a number, a mapping or a vector; None for all natural parameters.
    seed : int, optional
        None takes one from the system.
    threads : int, optional
        None: the fit's control.
    progress : bool, optional
        Whether lines about the progress go to the standard error stream; None: the fit's control.
    wrap : callable
        Makes a fit of the engine's result and its response.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"bootstrap(n={n!r}): give a whole number of replicates, 1 or more")
    if statistic is not None and not callable(statistic):
        raise ModelError(
            f"bootstrap(statistic={statistic!r}): give a function of a fit, such as `lambda fit: fit.sigma`"
        )
    record.model.family.require("simulate", "the parametric bootstrap")
    control = replace(
        record.control,
        threads=record.control.threads if threads is None else threads,
        progress=record.control.progress if progress is None else progress,
    )
    used = engine_seed(seed)
    if statistic is None:
        columns = _estimates(record, int(n), used, control)
    else:
        columns = _statistics(record, int(n), used, control, statistic, wrap)
    failed = int(np.sum(~np.asarray(columns["converged"], bool)))
    said = {"seed": used, "replicates": int(n), "failed": failed, "singular": int(np.sum(columns["singular"]))}
    announce(control, f"bootstrap: {n} replicates, {failed} failed, {said['singular']} singular")
    return columns, said


def bootstrap_interval(
    estimate: float, draws: np.ndarray, level: float, kind: str = "percentile"
) -> tuple[float, float]:
    """Interval from the replicates of one parameter.

    percentile: (q_a, q_{1-a}); basic: (2 e - q_{1-a}, 2 e - q_a), a = (1 - level) / 2 (Davison & Hinkley 1997, 5.18
    and 5.6).
    """
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [0.5 - level / 2.0, 0.5 + level / 2.0])
    if kind == "basic":
        low, high = 2.0 * estimate - high, 2.0 * estimate - low
    return float(low), float(high)


def draws_of(parameter: NaturalParameter, columns: Mapping[str, Any]) -> np.ndarray:
    """The replicates of one parameter that converged."""
    return np.asarray(columns[parameter.name], float)[np.asarray(columns["converged"], bool)]


def drawn_fits(
    record: FittedModel, first: int, count: int, seed: int, control: Control
) -> list[tuple[_engine.Fitted, np.ndarray] | None]:
    """Replicates first, first + 1, ... as whole fits with their responses; None where the engine refuses a response.

    A drawn response may be one that the model cannot be fitted to: a category that does not occur.
    """
    settings = control.for_engine()
    try:
        return list(_engine.bootstrap_fits(record.engine, first, count, seed, settings))
    except _engine.EngineError as error:
        if count == 1:
            if error.args[0] == "control":
                raise raised_by_engine(error, record.design) from None
            return [None]
    return [drawn_fits(record, replicate, 1, seed, control)[0] for replicate in range(first, first + count)]


def _pieces(n: int, size: int, control: Control) -> Iterator[tuple[int, int]]:
    for first in range(0, n, size):
        yield first, min(size, n - first)
        announce(control, f"bootstrap: {min(first + size, n)} of {n} replicates")


def _estimates(record: FittedModel, n: int, seed: int, control: Control) -> dict[str, Any]:
    settings = control.for_engine()
    pieces = [
        _engine.bootstrap(record.engine, first, count, seed, settings) for first, count in _pieces(n, PIECE, control)
    ]
    joined = {name: np.concatenate([np.asarray(piece[name]) for piece in pieces]) for name in pieces[0]}
    columns: dict[str, Any] = {
        "replicate": np.arange(n),
        "converged": joined["converged"],
        "singular": joined["singular"],
        "loglik": joined["loglik"],
        "sigma": joined["sigma"],
    }
    for parameter in natural_parameters(record):
        if parameter.position is not None:
            columns[parameter.name] = np.ascontiguousarray(joined["parameters"][:, parameter.position])
    return columns


def _statistics(
    record: FittedModel, n: int, seed: int, control: Control, statistic: Callable[[Any], Any], wrap: Wrap
) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {name: [] for name in ("replicate", "converged", "singular", "loglik")}
    names: list[str] | None = None
    failures: list[int] = []
    for first, count in _pieces(n, PIECE_OF_FITS, control):
        for replicate, found in enumerate(drawn_fits(record, first, count, seed, control), first):
            if found is None:
                failures.append(replicate)
                continue
            engine, y = found
            fit = wrap(engine, y)
            values = _named(statistic(fit))
            if names is None:
                names = list(values)
                taken = set(names) & set(columns)
                if taken:
                    raise ModelError(f"statistic gives {', '.join(sorted(taken))}, which the frame has already; rename")
                columns |= {name: [] for name in names}
            if list(values) != names:
                raise ModelError(
                    f"statistic gave {', '.join(values)} in replicate {replicate} and {', '.join(names)} before: give "
                    "the same names every time"
                )
            verdict = engine.verdict
            for name, value in (
                ("replicate", replicate),
                ("converged", bool(verdict["converged"])),
                ("singular", bool(verdict["singular"])),
                ("loglik", float(engine.loglik)),
                *values.items(),
            ):
                columns[name].append(value)
    for replicate in failures:
        missing = {"replicate": replicate, "converged": False, "singular": False}
        for name, column in columns.items():
            column.insert(replicate, missing.get(name, float("nan")))
    return columns


def _named(value: Any) -> dict[str, float]:
    """The values of a statistic by name: a mapping's own, ``statistic``, or ``statistic_0``, ``statistic_1``, ..."""
    try:
        if isinstance(value, Mapping):
            return {str(name): float(number) for name, number in value.items()}
        values = np.asarray(value, float)
    except (TypeError, ValueError):
        raise DataError(
            f"statistic gave {value!r}: give a number, a mapping of names to numbers, or a vector"
        ) from None
    if values.ndim == 0:
        return {"statistic": float(values)}
    if values.ndim > 1:
        raise DataError(f"statistic gave an array of shape {values.shape}: give a number, a mapping or a vector")
    return {f"statistic_{i}": float(number) for i, number in enumerate(values)}
