"""Models of the same data compared: information criteria, likelihood-ratio tests, the parametric bootstrap.

Models stand in the order of their numbers of parameters, each tested against the nearest one before it that is nested:

    X^2 = 2 (log L_large - log L_small),   df = npar_large - npar_small

weight: exp(-AIC_i / 2) / sum_j exp(-AIC_j / 2) (Burnham & Anderson 2002, Model Selection and Multimodel Inference,
section 2.9). Bootstrap: responses drawn from the smaller model, both fitted to each, p = (1 + #{X*^2 >= X^2}) / (1 + n)
(Davison & Hinkley 1997, section 4.2.5; Halekoh & Hojsgaard 2014, Journal of Statistical Software 59(9)).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranef import _engine
from ranef.errors import ModelError
from ranef.fitting import Control, FittedModel, announce
from ranef.inference.bootstrap import drawn_fits
from ranef.inference.likelihood_ratio import ZERO, boundary_tail, upper_tail
from ranef.inference.nesting import Nesting, nesting
from ranef.simulation import engine_seed

TESTS = ("lrt", "bootstrap", None)
COLUMNS = (
    "model",
    "formula",
    "npar",
    "loglik",
    "deviance",
    "aic",
    "aicc",
    "bic",
    "weight",
    "against",
    "chi_square",
    "df",
    "p_value",
    "p_value_boundary",
    "note",
)
# Whole fits are held in memory at once, in each round of the bootstrap.
PIECE = 50


@dataclass(frozen=True)
class Reference:
    """Likelihood ratios of one pair of models under the smaller one.

    Attributes
    ----------
    small, large : str
    observed : float
    df : int
    chi_square : (n,) array
        NaN where a refit failed.
    """

    small: str
    large: str
    observed: float
    df: int
    chi_square: np.ndarray

    @property
    def failed(self) -> int:
        """Replicates in which one of the two fits has no optimum that can be trusted."""
        return int(np.isnan(self.chi_square).sum())

    @property
    def p_value(self) -> float:
        """(1 + number of replicates as large as what was observed) / (1 + number of replicates)."""
        found = self.chi_square[np.isfinite(self.chi_square)]
        return (1.0 + float((found >= self.observed - ZERO).sum())) / (1.0 + len(found))


@dataclass(frozen=True)
class Compared:
    """What `compare` found: columns of the table, notes about all of it, reference distributions of the bootstrap."""

    columns: dict[str, list[Any]]
    test: str | None
    notes: tuple[str, ...]
    references: tuple[Reference, ...] = field(default=())


def compare(
    records: Sequence[FittedModel],
    names: Sequence[str],
    test: str | None,
    n: int,
    seed: int | None,
    threads: int | None,
    progress: bool | None,
) -> Compared:
    """Compare models that `require_comparable` let through."""
    order = sorted(range(len(records)), key=lambda k: records[k].npar)
    records, names = [records[k] for k in order], [names[k] for k in order]
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    aic = np.array([record.aic for record in records])
    weights = np.exp(-0.5 * (aic - aic.min()))
    texts = descriptions(records)
    references: list[Reference] = []
    for k, record in enumerate(records):
        chi_square = p_value = p_boundary = df = float("nan")
        against: str | None = None
        notes = [] if record.converged else ["the optimum cannot be trusted"]
        place, found, reason = _nested_before(records, k) if test is not None else (None, None, "")
        if reason:
            notes.append(f"no test: {reason}")
        if place is not None and found is not None:
            small, against, extra = records[place], names[place], record.npar - records[place].npar
            chi_square, df = 2.0 * (record.loglik - small.loglik), float(extra)
            p_value = upper_tail(chi_square, extra)
            p_boundary, said = boundary(chi_square, extra, found)
            notes += [said] if said else []
            if test == "bootstrap":
                drawn = reference(small, record, against, names[k], n, seed, threads, progress)
                references.append(drawn)
                p_value = drawn.p_value
                if drawn.failed:
                    notes.append(f"{drawn.failed} of {n} replicates failed")
            if chi_square < -ZERO:
                notes.append("fits worse than the model nested in it: one of the two is not at its maximum")
        row = (
            *(names[k], texts[k], record.npar, record.loglik, -2.0 * record.loglik, record.aic, record.aicc),
            *(record.bic, float(weights[k] / weights.sum()), against, chi_square, df, p_value, p_boundary),
            "; ".join(notes),
        )
        for name, value in zip(COLUMNS, row, strict=True):
            columns[name].append(value)
    return Compared(columns, test, about(records, test, n, references), tuple(references))


def _nested_before(records: Sequence[FittedModel], k: int) -> tuple[int | None, Nesting | None, str]:
    """The largest model before the k-th that has fewer parameters and is nested in it; else why there is none."""
    reason = ""
    for place in range(k - 1, -1, -1):
        if records[place].npar == records[k].npar:
            reason = reason or "as many parameters as the model before it"
            continue
        found = nesting(records[place], records[k])
        if found.nested:
            return place, found, ""
        reason = reason or f"not nested, {found.reason}"
    return None, None, reason


def boundary(chi_square: float, df: int, found: Nesting) -> tuple[float, str]:
    """The p-value of the mixture of chi-squares, and what is to be said where there is none."""
    if not found.variances:
        return float("nan"), ""
    if found.irregular:
        return float("nan"), f"a variance of zero is tested, and {found.irregular}: use test='bootstrap'"
    if found.variances > 1:
        return float("nan"), f"{found.variances} variances of zero are tested at once: use test='bootstrap'"
    return boundary_tail(chi_square, df), "a parameter at its edge (a variance of zero) is tested"


def descriptions(records: Sequence[FittedModel]) -> list[str]:
    """The formulas of all components that are written, with what else tells the models apart."""
    texts = []
    families = len({repr(record.model.family) for record in records}) > 1
    for record in records:
        arguments, design = record.model.arguments, record.design
        parts = [record.formula]
        words = {"zi": "zi", "disp": "dispersion", "shape": "shape"}
        for component, word in words.items():
            if component in record.model.written_components and component in design.component_formulas:
                text = arguments.get(word) or design.component_formulas[component]
                parts.append(f"{word} {text}")
        if arguments.get("correlation"):
            parts.append(f"correlation {arguments['correlation']}")
        if families:
            parts.append(repr(record.model.family))
        texts.append("; ".join(parts))
    return texts


def about(records: Sequence[FittedModel], test: str | None, n: int, references: Sequence[Reference]) -> tuple[str, ...]:
    """Notes on the whole table."""
    notes = []
    how = list(dict.fromkeys(record.model.criterion_in_words for record in records))
    if records[0].method == "reml":
        notes.append("restricted likelihoods, all with the same fixed effects")
    if any("quadrature" in text or "joint mode" in text for text in how) and len(how) > 1:
        notes.append(
            f"the log-likelihoods are approximated in different ways ({'; '.join(how)}): constants agree, but a small "
            "difference may be one of approximation"
        )
    if references:
        notes.append(f"p_value: parametric bootstrap, {n} replicates of each smaller model")
    return tuple(notes)


# -- what cannot be compared -------------------------------------------------------------------------------------------


def require_known(test: str | None, n: int) -> None:
    """Refuse a test or a number of replicates that there is not."""
    if test not in TESTS:
        raise ModelError(f"compare(test={test!r}): give 'lrt', 'bootstrap' or None")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"compare(n={n!r}): give a whole number of replicates, 1 or more")


def require_comparable(records: Sequence[FittedModel], names: Sequence[str]) -> None:
    """Refuse models whose likelihoods are not densities of the same data with respect to the same measure."""
    first, name = records[0], names[0]
    for record, label in zip(records, names, strict=True):
        if record.model.assumed.priors:
            raise ModelError(
                f"{label} has priors: its estimates are the mode of a posterior density, so that likelihood ratios and "
                "information criteria do not apply. Compare fits without priors."
            )
    for record, label in zip(records[1:], names[1:], strict=True):
        _require_same_rows(first, record, name, label)
        _require_same_response(first, record, name, label)
        _require_same_measure(first, record, name, label)
        _require_same_weights(first, record, name, label)
        _require_same_criterion(first, record, name, label)


def _require_same_rows(a: FittedModel, b: FittedModel, name: str, label: str) -> None:
    if a.nobs == b.nobs:
        return

    def rows(record: FittedModel, called: str) -> str:
        missing = ", ".join(f"{count} in `{column}`" for column, count in record.design.dropped_because.items())
        return f"{called} has {record.nobs} rows" + (f" (missing values: {missing})" if missing else "")

    raise ModelError(
        f"the models were fitted to different data: {rows(a, name)}, {rows(b, label)}. Fit all to the rows without "
        "missing values in any of their variables."
    )


def _require_same_response(a: FittedModel, b: FittedModel, name: str, label: str) -> None:
    mine, theirs = a.design.response, b.design.response

    def values(record: FittedModel) -> np.ndarray:
        y = np.asarray(record.design.response.y, float)
        trials = record.design.response.trials
        return np.column_stack([y, np.ones(len(y)) if trials is None else trials])

    different = (np.abs(values(a) - values(b)) > 1e-10 * (1.0 + np.abs(values(a)))).any(axis=1)
    if not different.any():
        return
    if mine.name != theirs.name:
        advice = "Fit all models to the same response."
        for plain, other in ((mine.name, theirs.name), (theirs.name, mine.name)):
            if other.replace(" ", "") == f"log({plain})":
                advice = (
                    f"Their AIC differ by the Jacobian too: that of `{other}` on the scale of `{plain}` is AIC + 2 "
                    f"sum(log({plain})); family='lognormal' has it in the likelihood."
                )
        raise ModelError(
            f"the responses are `{mine.name}` in {name} and `{theirs.name}` in {label}: densities of different "
            f"quantities cannot be compared. {advice}"
        )
    row = int(np.flatnonzero(different)[0])
    raise ModelError(
        f"the models were fitted to different data: the response `{mine.name}` of row {int(a.design.rows[row])} "
        f"(counting from 0) is {mine.y[row]:g} in {name} and {theirs.y[row]:g} in {label}; rows that "
        f"differ: {int(different.sum())}."
    )


def atoms(record: FittedModel) -> tuple[str, tuple[float, ...]]:
    """Whether densities are probabilities; else the values of the response that have a probability of their own."""
    support, y = record.model.family.support, np.asarray(record.design.response.y, float)
    if support in ("counts", "positive_counts", "trials", "ordered"):
        return "discrete", ()
    own: tuple[float, ...] = ()
    if record.model.zero_inflated or support == "nonnegative":
        own = (0.0,)
    elif support == "closed_unit":
        own = (0.0, 1.0)
    return "continuous", tuple(value for value in own if (y == value).any())


def _require_same_measure(a: FittedModel, b: FittedModel, name: str, label: str) -> None:
    mine, theirs = atoms(a), atoms(b)
    if mine == theirs:
        return

    def said(found: tuple[str, tuple[float, ...]], family: str) -> str:
        if found[0] == "discrete":
            return f"{family} gives probabilities"
        if found[1]:
            return f"{family} gives probabilities of {', '.join(f'{v:g}' for v in found[1])} and densities elsewhere"
        return f"{family} gives densities"

    raise ModelError(
        f"the likelihoods of {name} and {label} are not of one kind: {said(mine, a.family)}, "
        f"{said(theirs, b.family)}. A density changes with the unit of the response, a probability does not: they "
        "cannot be compared."
    )


def _require_same_weights(a: FittedModel, b: FittedModel, name: str, label: str) -> None:
    def weights(record: FittedModel) -> np.ndarray:
        w = record.design.weights
        return np.ones(record.nobs) if w is None else np.asarray(w, float)

    mine, theirs = weights(a), weights(b)
    weighted = bool((mine != 1.0).any() or (theirs != 1.0).any())
    if not np.allclose(mine, theirs, rtol=1e-12, atol=0.0):
        row = int(np.flatnonzero(~np.isclose(mine, theirs, rtol=1e-12, atol=0.0))[0])
        raise ModelError(
            f"the models have different weights: row {int(a.design.rows[row])} (counting from 0) has {mine[row]:.15g} "
            f"in {name} and {theirs[row]:.15g} in {label}. Fit all with the same weights."
        )
    if weighted and a.model.linear != b.model.linear:
        raise ModelError(
            f"the weights of {name} and {label} mean different things: in rf.lmm they divide the residual variance, in "
            "rf.glmm they multiply the log-likelihood. Fit both by the same function."
        )


def _require_same_criterion(a: FittedModel, b: FittedModel, name: str, label: str) -> None:
    if a.method != b.method:
        by = {"ml": "maximum likelihood", "reml": "REML"}
        raise ModelError(
            f"{name} was fitted by {by[a.method]} and {label} by {by[b.method]}: their likelihoods are of different "
            "things. Give refit=True, which fits all by maximum likelihood."
        )
    if a.method == "ml":
        return
    mine, theirs = (np.asarray(r.design.fixed["cond"].x)[:, r.kept["cond"]] for r in (a, b))
    if mine.shape != theirs.shape or not np.allclose(mine, theirs, rtol=1e-10, atol=1e-12):
        raise ModelError(
            f"{name} and {label} were fitted by REML and have different fixed effects ({', '.join(a.names('cond'))}; "
            f"{', '.join(b.names('cond'))}): their restricted likelihoods are of different contrasts of the data. Give "
            "refit=True, which fits all by maximum likelihood."
        )


# -- bootstrap ---------------------------------------------------------------------------------------------------------


def reference(
    small: FittedModel,
    large: FittedModel,
    name: str,
    label: str,
    n: int,
    seed: int | None,
    threads: int | None,
    progress: bool | None,
) -> Reference:
    """Likelihood ratios of responses drawn from the smaller model; replicate r depends on the seed and r alone."""
    small.model.family.require("simulate", "the parametric bootstrap")
    control = Control(
        threads=small.control.threads if threads is None else threads,
        progress=small.control.progress if progress is None else progress,
    )
    seed = engine_seed(seed)
    trials = large.design.response.trials

    def ratio(drawn: tuple[_engine.Fitted, np.ndarray] | None) -> float:
        if drawn is None:
            return float("nan")
        below, y = drawn
        try:
            above = large.engine.refit(np.asarray(y, float), trials, {})
        except _engine.EngineError:
            return float("nan")
        if not (below.converged and above.converged):
            return float("nan")
        return 2.0 * (above.loglik - below.loglik)

    found: list[float] = []
    with ThreadPoolExecutor(control.threads) as pool:
        for first in range(0, n, PIECE):
            count = min(PIECE, n - first)
            found += pool.map(ratio, drawn_fits(small, first, count, seed, control))
            announce(control, f"comparing {name} with {label}: {first + count} of {n} replicates")
    observed = 2.0 * (large.loglik - small.loglik)
    return Reference(name, label, observed, large.npar - small.npar, np.asarray(found))
