"""The bootstrap: responses simulated from the fit, or groups drawn from the data, and the model fitted to each.

    parametric   y*_r ~ fitted model (random effects and residuals drawn afresh),   estimates_r = fit(y*_r)
    cases        groups drawn with replacement (see `resampling`)

All fitting is the engine's, in parallel. Replicate r uses stream r of a counter-based generator, so the numbers depend
on the seed and r alone: not on threads, processes or how many replicates there are.

Reference: Davison & Hinkley (1997), Bootstrap Methods and their Application, chapter 2 and section 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import DataError, ModelError, blaming
from ranef.fitting import Control, FittedModel, announce
from ranef.inference.natural_parameters import NaturalParameter, natural_parameters
from ranef.inference.resampling import case_fit, unit_of
from ranef.model import raised_by_engine
from ranef.simulation import engine_seed

# Replicates between two looks at the keyboard (an interrupt) and two lines of progress.
PIECE = 500
# Whole fits are held in memory at once.
PIECE_OF_FITS = 50

WAYS = ("parametric", "cases")
# Statistics by name, and the kinds of natural parameters they hold.
NAMED = {
    "fixef": ("fixed",),
    "variances": ("sd", "cor", "coupling", "residual", "sigma"),
}

# How a statistic is asked for, for the message when it raises.
ASKED = "bootstrap(statistic=)"

# From the engine's result and its response to what the user's statistic takes.
Wrap = Callable[[Any, np.ndarray], Any]


@dataclass(frozen=True)
class Plan:
    """Which replicates, and how they are made.

    Attributes
    ----------
    first, n : int
        The first replicate and how many.
    seed : int
    kind : {"parametric", "cases"}
    group : str or None
        The grouping factor that is resampled by cases.
    statistic : callable, str or None
        A function of a fit that gives a number, a mapping or a vector; one of `NAMED`; None for all natural parameters.
    control : Control
    """

    first: int
    n: int
    seed: int
    kind: str
    group: str | None
    statistic: Callable[[Any], Any] | str | None
    control: Control


def plan(
    record: FittedModel,
    n: int,
    statistic: Callable[[Any], Any] | str | None,
    seed: int | None,
    threads: int | None,
    progress: bool | None,
    kind: str = "parametric",
    group: str | None = None,
) -> Plan:
    """What to do, checked."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"bootstrap(n={n!r}): give a whole number of replicates, 1 or more")
    known = _listed((*NAMED, "r2", "icc"))
    if isinstance(statistic, str) and statistic not in NAMED:
        raise ModelError(f"bootstrap(statistic={statistic!r}): give a function of a fit, or one of {known}")
    if statistic is not None and not (callable(statistic) or isinstance(statistic, str)):
        raise ModelError(
            f"bootstrap(statistic={statistic!r}): give a function of a fit, such as `lambda fit: fit.sigma`, or one of "
            f"{known}"
        )
    if kind not in WAYS:
        raise ModelError(f"bootstrap(kind={kind!r}): give one of {_listed(WAYS)}")
    if kind == "parametric":
        if group is not None:
            raise ModelError(f"bootstrap(group={group!r}): groups are resampled with kind='cases'; leave out group")
        record.model.family.require("simulate", "the parametric bootstrap")
    else:
        unit_of(record, group)
    control = replace(
        record.control,
        threads=record.control.threads if threads is None else threads,
        progress=record.control.progress if progress is None else progress,
    )
    return Plan(0, int(n), engine_seed(seed), kind, group, statistic, control)


def replicates(record: FittedModel, what: Plan, wrap: Wrap) -> dict[str, Any]:
    """Columns of the replicates of a plan."""
    by_name = isinstance(what.statistic, str)
    if what.kind == "cases":
        return _by_cases(record, what, wrap)
    if what.statistic is None or by_name:
        columns = _estimates(record, what)
        if isinstance(what.statistic, str):
            wanted = {p.name for p in natural_parameters(record) if p.kind in NAMED[what.statistic]}
            wanted |= {"replicate", "converged", "singular", "loglik"}
            columns = {name: values for name, values in columns.items() if name in wanted}
        return columns
    return _statistics(record, what, wrap)


def summary_of(columns: Mapping[str, Any], what: Plan) -> dict[str, int]:
    """What there is to say about the replicates: seed, replicates, failed, singular."""
    failed = int(np.sum(~np.asarray(columns["converged"], bool)))
    said = {"seed": what.seed, "replicates": what.n, "failed": failed, "singular": int(np.sum(columns["singular"]))}
    announce(what.control, f"bootstrap: {what.n} replicates, {failed} failed, {said['singular']} singular")
    return said


def bootstrap(
    record: FittedModel,
    n: int,
    statistic: Callable[[Any], Any] | str | None,
    seed: int | None,
    threads: int | None,
    progress: bool | None,
    wrap: Wrap,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of `n` parametric replicates, and what there is to say about them.

    Parameters
    ----------
    record : FittedModel
    n, statistic, seed, threads, progress
        As in `Plan`; a seed of None is taken from the system, threads and progress of None from the fit's control.
    wrap : callable
        Makes a fit of the engine's result and its response.
    """
    what = plan(record, n, statistic, seed, threads, progress)
    columns = replicates(record, what, wrap)
    return columns, summary_of(columns, what)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(repr, words))


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


def _pieces(what: Plan, size: int) -> Iterator[tuple[int, int]]:
    last = what.first + what.n
    for first in range(what.first, last, size):
        yield first, min(size, last - first)
        announce(what.control, f"bootstrap: {min(first + size, last) - what.first} of {what.n} replicates")


def _estimates(record: FittedModel, what: Plan) -> dict[str, Any]:
    settings = what.control.for_engine()
    pieces = [
        _engine.bootstrap(record.engine, first, count, what.seed, settings) for first, count in _pieces(what, PIECE)
    ]
    joined = {name: np.concatenate([np.asarray(piece[name]) for piece in pieces]) for name in pieces[0]}
    columns: dict[str, Any] = {
        "replicate": np.arange(what.first, what.first + what.n),
        "converged": joined["converged"],
        "singular": joined["singular"],
        "loglik": joined["loglik"],
        "sigma": joined["sigma"],
    }
    for parameter in natural_parameters(record):
        if parameter.position is not None:
            columns[parameter.name] = np.ascontiguousarray(joined["parameters"][:, parameter.position])
    return columns


def _statistics(record: FittedModel, what: Plan, wrap: Wrap) -> dict[str, Any]:
    assert callable(what.statistic)
    table = _Table(what.first)
    for first, count in _pieces(what, PIECE_OF_FITS):
        for found in drawn_fits(record, first, count, what.seed, what.control):
            if found is None:
                table.failed()
                continue
            engine, y = found
            with blaming(ASKED):
                value = what.statistic(wrap(engine, y))
            table.add(engine, value)
    return table.columns()


def _by_cases(record: FittedModel, what: Plan, wrap: Wrap) -> dict[str, Any]:
    unit, statistic = unit_of(record, what.group), what.statistic
    if not callable(statistic):
        kinds = None if statistic is None else NAMED[statistic]
        names = [p for p in natural_parameters(record) if kinds is None or p.kind in kinds]
    table = _Table(what.first)
    with ThreadPoolExecutor(what.control.threads) as pool:
        for first, count in _pieces(what, PIECE_OF_FITS):

            def one(replicate: int) -> Any:
                return case_fit(record, unit, what.seed, replicate, callable(statistic))

            for found in pool.map(one, range(first, first + count)):
                if found is None:
                    table.failed()
                    continue
                model, engine, kept = found
                if callable(statistic):
                    refit = replace(wrap(engine, np.asarray(model.design.response.y)), model=model, kept=kept)
                    with blaming(ASKED):
                        value = statistic(refit)
                    table.add(engine, value)
                else:
                    drawn = replace(record, model=model, engine=engine, kept=kept)
                    table.add(engine, {p.name: value_of(p, drawn) for p in names})
    return table.columns()


def value_of(parameter: NaturalParameter, record: FittedModel) -> float:
    """The estimate of a natural parameter in another fit of the model."""
    kind, first, second, third = parameter.place
    if parameter.kind == "sigma":
        return record.sigma
    if kind == "fixed":
        return float(record.engine.beta[first][second])
    if kind == "coupling":
        own = [coupling for coupling in record.engine.couplings if coupling[0] == first]
        return float(own[second][3])
    if kind == "residual":
        return float(record.engine.residual_parameters()[first][3])
    numbers = record.engine.variance_components()[first]
    if kind == "sd":
        return float(numbers["sd"][second])
    width = len(record.terms()[first].names)
    return float(numbers["cor"][list(combinations(range(width), 2)).index((second, third))])


class _Table:
    """Rows of replicates as they come, with the same columns in each."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._names: list[str] | None = None
        self._rows: list[dict[str, Any] | None] = []

    def failed(self) -> None:
        """A replicate that cannot be fitted."""
        self._rows.append(None)

    def add(self, engine: _engine.Fitted, statistic: Any) -> None:
        """A replicate and its statistic."""
        replicate = self._first + len(self._rows)
        values, verdict = _named(statistic), engine.verdict
        fixed = {
            "replicate": replicate,
            "converged": bool(verdict["converged"]),
            "singular": bool(verdict["singular"]),
            "loglik": float(engine.loglik),
        }
        if self._names is None:
            self._names = list(values)
            taken = set(values) & set(fixed)
            if taken:
                raise ModelError(f"statistic gives {', '.join(sorted(taken))}, which the frame has already; rename")
        if list(values) != self._names:
            raise ModelError(
                f"statistic gave {', '.join(values)} in replicate {replicate} and {', '.join(self._names)} before: "
                "give the same names every time"
            )
        self._rows.append(fixed | values)

    def columns(self) -> dict[str, list[Any]]:
        """Columns of all rows; NaN in those that failed."""
        names = ["replicate", "converged", "singular", "loglik", *(self._names or [])]
        found: dict[str, list[Any]] = {name: [] for name in names}
        for replicate, row in enumerate(self._rows, self._first):
            failed = {"replicate": replicate, "converged": False, "singular": False}
            for name in names:
                found[name].append((failed if row is None else row).get(name, float("nan")))
        return found


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
