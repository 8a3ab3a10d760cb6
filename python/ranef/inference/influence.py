"""Influence: how the fit changes when a row, or all rows of a group, are left out.

With b the fixed effects of the mean, V their covariance and b(-j) those without set j,

    Cook's distance   D_j = (b - b(-j))' V^-1 (b - b(-j)) / p
    DFBETAS           (b_k - b_k(-j)) / standard error of b_k(-j)
    covariance ratio  det V(-j) / det V
    leverage          trace of d fitted / d observed over the rows of the set

"exact" fits the model again without the set. "one-step" takes a linear model's covariance as it is, which gives b(-j)
in closed form: with P = V^-1 - V^-1 X M X' V^-1 of all rows and M = (X' V^-1 X)^-1,

    b - b(-j) = M (X' V^-1)_j (P_jj)^-1 (P y)_j,

and for a generalised model takes one Newton step of all parameters from the estimates, with the score s_j and the
information I_j that the set contributes: (I - I_j)^-1 s_j.

References: Cook (1977), Technometrics 19, 15-18; Belsley, Kuh & Welsch (1980), Regression Diagnostics; Christensen,
Pearson & Johnson (1992), Technometrics 34, 38-45; Xiang, Tse & Lee (2002), Comput. Stat. Data Anal. 40, 759-774.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np

from ranef import _engine
from ranef.errors import DataError, ModelError, did_you_mean
from ranef.fitting import Control, FittedModel, announce, kept_columns
from ranef.inference.natural_parameters import NaturalParameter, natural_parameters
from ranef.inference.sandwich import compact, contributions, is_linear, require_scores, working_model
from ranef.inference.variance_components import variance_parameters

if TYPE_CHECKING:
    from scipy.sparse.linalg import SuperLU

METHODS = ("exact", "one-step")
# Rows up to which leaving each out is by fits: seconds for most models.
MANY_ROWS = 1000
# Refits between two lines of progress, and seconds between two looks at the keyboard (an interrupt).
PIECE, PATIENCE = 100, 0.2
# A direction of the fixed effects whose information falls below this share when a set is left out cannot be estimated.
NO_INFORMATION = 1e-9


@dataclass(frozen=True, eq=False)
class DeletedSets:
    """What is left out, one after the other.

    Attributes
    ----------
    kind : str
        "row", or what the groups are: a column, a grouping factor, "group" where an array was given.
    names : list
        Row numbers of the caller's data, or levels as text.
    rows : list of int arrays
    """

    kind: str
    names: list[Any]
    rows: list[np.ndarray]


@dataclass(frozen=True, eq=False)
class Deletion:
    """What a fit is without a set of rows; arrays over the sets.

    Attributes
    ----------
    sets : DeletedSets
    method : str
    coefficients : list of NaturalParameter, length k
        Fixed effects of all components.
    variances : list of NaturalParameter, length v
        Standard deviations, correlations and what else is not a fixed effect.
    estimate : (k + v,) array
        Of the whole fit.
    without : (sets, k + v) array
        Of the fits without each set; NaN where it cannot be estimated, or, by one step, is not looked for.
    std_error : (sets, k) array
        Of the coefficients without each set.
    cooks_distance, leverage, covratio : (sets,) arrays
    converged : (sets,) bool array
    note : list of str
    """

    sets: DeletedSets
    method: str
    coefficients: list[NaturalParameter]
    variances: list[NaturalParameter]
    estimate: np.ndarray
    without: np.ndarray
    std_error: np.ndarray
    cooks_distance: np.ndarray
    leverage: np.ndarray
    covratio: np.ndarray
    converged: np.ndarray
    note: list[str]

    @property
    def dfbetas(self) -> np.ndarray:
        """(sets, k): changes of the coefficients in standard errors."""
        k = len(self.coefficients)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.estimate[:k] - self.without[:, :k]) / self.std_error

    def columns(self) -> dict[str, Any]:
        """The table, a row a set."""
        k = len(self.coefficients)
        found: dict[str, Any] = {
            "row" if self.sets.kind == "row" else "level": self.sets.names,
            "rows": [len(rows) for rows in self.sets.rows],
            "cooks_distance": self.cooks_distance,
            "leverage": self.leverage,
            "covratio": self.covratio,
        }
        for j, parameter in enumerate(self.coefficients):
            found[f"dfbetas__{parameter.name}"] = self.dfbetas[:, j]
        for j, parameter in enumerate(self.variances):
            change = self.without[:, k + j] - self.estimate[k + j]
            found[f"change__{parameter.name}"] = change
            with np.errstate(divide="ignore", invalid="ignore"):
                found[f"relative__{parameter.name}"] = change / self.estimate[k + j]
        found["converged"] = self.converged
        found["note"] = self.note
        return found

    def dfbetas_columns(self) -> dict[str, Any]:
        """DFBETAS alone, a column a coefficient."""
        found: dict[str, Any] = {"row" if self.sets.kind == "row" else "level": self.sets.names}
        return found | {p.name: self.dfbetas[:, j] for j, p in enumerate(self.coefficients)}

    def estimate_columns(self) -> dict[str, Any]:
        """Every parameter without every set: a row for each of both."""
        parameters = [*self.coefficients, *self.variances]
        count = len(self.sets.names)
        return {
            "row" if self.sets.kind == "row" else "level": [name for name in self.sets.names for _ in parameters],
            "component": [p.component for p in parameters] * count,
            "group": [p.group for p in parameters] * count,
            "term": [p.term for p in parameters] * count,
            "estimate": np.tile(self.estimate, count),
            "without": self.without.reshape(-1),
        }

    def order(self) -> np.ndarray:
        """Sets from the largest Cook's distance to the smallest; those without one first."""
        return np.argsort(-np.where(np.isnan(self.cooks_distance), np.inf, self.cooks_distance), kind="stable")


def influence(
    record: FittedModel,
    group: Any = None,
    method: str | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Deletion:
    """Leave out each row, or each level of a group.

    Parameters
    ----------
    record : FittedModel
    group : str or array_like, optional
        A grouping factor, a column of the data, or a value for each row; None for single rows.
    method : {None, "exact", "one-step"}
        None: "exact" for groups and for up to `MANY_ROWS` single rows.
    threads : int, optional
        None: the fit's control.
    progress : bool, optional
        None: the fit's control.
    """
    if method is not None and method not in METHODS:
        raise ModelError(f"influence(method={method!r}): give one of {', '.join(map(repr, METHODS))}.")
    sets = deleted_sets(record, group)
    if method is None:
        method = "exact" if group is not None or len(sets.rows) <= MANY_ROWS else "one-step"
    control = replace(
        record.control,
        threads=record.control.threads if threads is None else threads,
        progress=record.control.progress if progress is None else progress,
    )
    parameters = natural_parameters(record)
    coefficients = [p for p in parameters if p.kind == "fixed"]
    variances = [p for p in parameters if p.kind != "fixed"]
    if method == "exact":
        found = _by_fits(record, sets, coefficients, variances, control)
    elif is_linear(record):
        found = _closed_form(record, sets, coefficients, variances)
    else:
        found = _newton_step(record, sets, coefficients, variances, control)
    announce(control, f"influence: {len(sets.rows)} sets left out, {int((~found.converged).sum())} without an answer")
    return found


def deleted_sets(record: FittedModel, group: Any) -> DeletedSets:
    """The rows of each set that is left out.

    Raises
    ------
    DataError
        When there is no such group, or nothing would be left.
    """
    numbers = np.asarray(record.design.rows)
    if group is None:
        return DeletedSets("row", numbers.tolist(), [np.array([i]) for i in range(record.nobs)])
    terms = {term.group: term for term in record.terms() if term.smooth is None and term.coupling is None}
    frame = nw.from_native(record.design.frame, eager_only=True)
    if isinstance(group, str):
        kind = group
        if group in terms:
            names, codes = list(terms[group].levels), np.asarray(terms[group].codes, int)
        elif group in frame.columns:
            names, codes = _levels(frame[group].to_list(), numbers, group)
        else:
            raise DataError(
                f"influence(group={group!r}) is no grouping factor and no column of the data; "
                f"{did_you_mean(group, [*terms, *frame.columns])}"
            )
    else:
        kind = "group"
        try:
            values = list(group)
        except TypeError:
            raise DataError(
                f"influence(group={group!r}): give the name of a grouping factor or column, or a value for each row"
            ) from None
        if len(values) == record.nobs + record.n_dropped:
            values = [values[i] for i in numbers.tolist()]
        if len(values) != record.nobs:
            raise DataError(f"influence(group=) has {len(values)} values; the model was fitted to {record.nobs} rows")
        names, codes = _levels(values, numbers, "group")
    met, first = np.unique(codes, return_inverse=True)
    if len(met) < 2:
        raise DataError(f"influence(group={kind!r}): all rows are of `{names[met[0]]}`; without it nothing is left.")
    order = np.argsort(first, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(first.reshape(-1)))[:-1])
    return DeletedSets(kind, [names[k] for k in met], pieces)


def _levels(values: Sequence[Any], numbers: np.ndarray, name: str) -> tuple[list[str], np.ndarray]:
    places: dict[Any, int] = {}
    codes = np.empty(len(values), int)
    for i, value in enumerate(values):
        if value is None or value != value:
            raise DataError(f"influence(group={name!r}) is missing in row {numbers[i]} (counting from 0).")
        codes[i] = places.setdefault(value, len(places))
    return [str(value) for value in places], codes


# -- exact -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Refit:
    """What a fit without a set says: all parameters, errors of the coefficients, covariance of the mean's."""

    estimate: np.ndarray
    std_error: np.ndarray
    covariance: np.ndarray
    converged: bool
    note: str


def _by_fits(
    record: FittedModel,
    sets: DeletedSets,
    coefficients: list[NaturalParameter],
    variances: list[NaturalParameter],
    control: Control,
) -> Deletion:
    spec = record.model.spec()
    p = len(record.names("cond"))
    nothing = _Refit(
        np.full(len(coefficients) + len(variances), np.nan),
        np.full(len(coefficients), np.nan),
        np.full((p, p), np.nan),
        False,
        "",
    )

    def refit(rows: np.ndarray) -> _Refit:
        left = np.setdiff1d(np.arange(record.nobs), rows, assume_unique=True)
        try:
            model = _engine.Model(spec_of_rows(spec, left))
            settings: dict[str, Any] = {**control.for_engine(), "threads": 1}
            start = _start(record, model)
            fitted = model.fit(settings if start is None else {**settings, "start": start})
        except _engine.EngineError as error:
            return replace(nothing, note=str(error.args[1]))
        return _read(record, model, fitted, coefficients, variances)

    refits = list(_in_parallel(refit, sets.rows, control))
    k = len(coefficients)
    estimate = _estimates(record, coefficients, variances)
    without = np.array([r.estimate for r in refits])
    mean = [j for j, parameter in enumerate(coefficients) if parameter.component == "cond"]
    full = record.covariance_of_estimates("cond")
    return Deletion(
        sets=sets,
        method="exact",
        coefficients=coefficients,
        variances=variances,
        estimate=estimate,
        without=without,
        std_error=np.array([r.std_error for r in refits]).reshape(len(refits), k),
        cooks_distance=_distances(estimate[mean] - without[:, mean], _free_block(record, full)),
        leverage=_leverages(record, sets),
        covratio=np.array([_covratio(_free_block(record, r.covariance), _free_block(record, full)) for r in refits]),
        converged=np.array([r.converged for r in refits], bool),
        note=[r.note for r in refits],
    )


def spec_of_rows(spec: Mapping[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """A model, as the engine takes it, of some of its rows; levels that none of them has are dropped.

    Coupled levels stay, as their dependence is between all of them.
    """

    def some(values: Any) -> Any:
        return None if values is None else np.ascontiguousarray(np.asarray(values)[rows])

    coupled = {term["group"] for term in spec["terms"] if term["coupling"] is not None}
    groups = []
    for g, group in enumerate(spec["groups"]):
        codes, levels = some(group["codes"]), group["levels"]
        if g not in coupled:
            codes, levels = compact(codes)
        groups.append({"codes": codes.astype(np.uint32), "levels": levels})
    residual = spec["residual"]
    if residual is not None:
        correlation = residual["correlation"]
        if correlation is not None:
            own, _ = compact(some(correlation["groups"]))
            correlation = {**correlation, "groups": own.astype(np.uint32), "places": some(correlation["places"])}
        residual = {
            "blocks": compact(some(residual["blocks"]))[0].astype(np.uint32),
            "correlation": correlation,
            "spreads": [{**spread, "covariate": some(spread["covariate"])} for spread in residual["spreads"]],
        }
    return {
        **spec,
        "y": some(spec["y"]),
        "trials": some(spec["trials"]),
        "weights": some(spec["weights"]),
        "predictors": [
            {**predictor, "x": np.asfortranarray(predictor["x"][rows]), "offset": some(predictor["offset"])}
            for predictor in spec["predictors"]
        ],
        "groups": groups,
        "terms": [{**term, "columns": np.asfortranarray(term["columns"][rows])} for term in spec["terms"]],
        "residual": residual,
    }


def _start(record: FittedModel, model: _engine.Model) -> dict[str, Any] | None:
    """The estimates as a start of the model without some rows.

    None, for a search from what the data say, at a variance of zero, which may be a stationary point without the set
    too; where other columns are estimated; and with residuals that have parameters of their own.
    """
    if record.singular or record.model.marginal or not record.terms():
        return None
    scale = record.sigma if record.model.profiled else 1.0
    factors = [np.asarray(factor, float) / scale for factor in record.engine.factor]
    kept = {c: kept_columns([model.kept[k] for k in record.model.predictors(c)]) for c in record.model.components}
    if any(not np.array_equal(kept[c], record.kept[c]) for c in kept):
        return None
    return {"factor": factors, "beta": [np.asarray(beta, float) for beta in record.engine.beta]}


def _read(
    record: FittedModel,
    model: _engine.Model,
    fitted: _engine.Fitted,
    coefficients: list[NaturalParameter],
    variances: list[NaturalParameter],
) -> _Refit:
    kept = {c: kept_columns([model.kept[k] for k in record.model.predictors(c)]) for c in record.model.components}
    without = FittedModel(model=record.model, control=record.control, engine=fitted, kept=kept)
    values: dict[tuple[str, str | None, str], tuple[float, float]] = {}
    lost = []
    for component in record.model.components:
        names = without.names(component)
        errors = np.sqrt(np.diag(without.covariance_of_estimates(component)).clip(min=0.0)) if names else []
        for name, value, error in zip(names, without.estimates(component), errors, strict=True):
            values[component, None, name] = (float(value), float(error))
        lost += [name for name in record.names(component) if name not in names]
    for parameter in variance_parameters(without):
        values[parameter.component, parameter.group, parameter.term] = (parameter.estimate, np.nan)
    if not record.model.has_residual:
        values["disp", None, "sigma"] = (without.sigma, np.nan)
    unknown = (np.nan, np.nan)
    found = [values.get((q.component, q.group, q.term), unknown) for q in (*coefficients, *variances)]
    p = len(record.names("cond"))
    covariance = np.full((p, p), np.nan)
    if record.names("cond") == without.names("cond"):
        covariance = without.covariance_of_estimates("cond")
    note = without.verdict["message"] if not fitted.converged else ""
    if lost:
        note = f"cannot be estimated without it: {', '.join(lost)}"
    return _Refit(
        estimate=np.array([value for value, _ in found]),
        std_error=np.array([error for _, error in found[: len(coefficients)]]),
        covariance=covariance,
        converged=bool(fitted.converged),
        note=note,
    )


def _in_parallel(refit: Any, sets: list[np.ndarray], control: Control) -> list[_Refit]:
    """Refits of all sets, on threads that the engine runs outside the interpreter's lock; an interrupt stops them."""
    workers = control.threads or os.cpu_count() or 1
    found: dict[int, _Refit] = {}
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        # No more than a few ahead, so that an interrupt does not wait for all of them.
        waiting: dict[Future[_Refit], int] = {}
        upcoming: Iterator[tuple[int, np.ndarray]] = iter(enumerate(sets))
        said = 0
        while True:
            while len(waiting) < 2 * workers and (piece := next(upcoming, None)) is not None:
                waiting[pool.submit(refit, piece[1])] = piece[0]
            if not waiting:
                break
            done, _ = wait(waiting, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            for future in done:
                found[waiting.pop(future)] = future.result()
            if len(found) // PIECE > said:
                said = len(found) // PIECE
                announce(control, f"influence: {len(found)} of {len(sets)}")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [found[j] for j in range(len(sets))]


# -- one step of a linear model --------------------------------------------------------------------------------------


def _closed_form(
    record: FittedModel, sets: DeletedSets, coefficients: list[NaturalParameter], variances: list[NaturalParameter]
) -> Deletion:
    if record.model.correlation is not None:
        raise ModelError(
            "influence(method='one-step') is not there for correlated residuals "
            f"({record.model.correlation.text}); use method='exact'."
        )
    _require_uncoupled(record)
    from scipy.sparse import csc_array, csr_array, eye_array, hstack
    from scipy.sparse.linalg import splu

    working = working_model(record)
    n, p = working.x.shape
    inverse = 1.0 / working.residual_sd**2
    blocks = []
    for codes, columns in working.terms:
        own, levels = compact(codes)
        r = columns.shape[1]
        places = own[:, None] * r + np.arange(r)
        rows = np.repeat(np.arange(n), r)
        blocks.append(csr_array((columns.ravel(), (rows, places.ravel())), shape=(n, levels * r)))
    u = csr_array(hstack(blocks)) if blocks else csr_array((n, 0))
    scaled = csr_array(u.multiply(inverse[:, None]))
    inner: SuperLU | None = splu(csc_array(eye_array(u.shape[1]) + u.T @ scaled)) if u.shape[1] else None

    def times_inverse(values: np.ndarray) -> np.ndarray:
        """V^-1 times columns, by Woodbury's identity."""
        first = inverse[:, None] * values
        return first if inner is None else first - scaled @ inner.solve(np.ascontiguousarray(scaled.T @ values))

    weighted = times_inverse(working.x)
    information = working.x.T @ weighted
    bread = np.linalg.inv(information)
    projected = times_inverse(working.residual[:, None])[:, 0]
    change, kept_covariance = np.full((len(sets.rows), p), np.nan), np.full((len(sets.rows), p, p), np.nan)
    scale = 1.0 / np.sqrt(np.diag(information))
    note = [""] * len(sets.rows)
    for j, rows in enumerate(sets.rows):
        own = np.diag(inverse[rows])
        if inner is not None:
            part = scaled[rows].toarray()
            own = own - part @ inner.solve(np.ascontiguousarray(part.T))
        t = weighted[rows]
        left = information - t.T @ np.linalg.solve(own, t)
        if np.linalg.eigvalsh(scale[:, None] * left * scale).min(initial=1.0) < NO_INFORMATION:
            note[j] = "fixed effects cannot be estimated without it"
            continue
        change[j] = bread @ t.T @ np.linalg.solve(own - t @ bread @ t.T, projected[rows])
        kept_covariance[j] = np.linalg.inv(left)
    free = ~record.held("cond")
    mean = [j for j, parameter in enumerate(coefficients) if parameter.component == "cond"]
    estimate = _estimates(record, coefficients, variances)
    without = np.full((len(sets.rows), len(estimate)), np.nan)
    without[:, mean] = estimate[mean] - change
    std_error = np.full((len(sets.rows), len(coefficients)), np.nan)
    std_error[:, mean] = np.sqrt(np.einsum("jkk->jk", kept_covariance))
    full = record.covariance_of_estimates("cond")[np.ix_(free, free)]
    return Deletion(
        sets=sets,
        method="one-step",
        coefficients=coefficients,
        variances=variances,
        estimate=estimate,
        without=without,
        std_error=std_error,
        cooks_distance=_distances(change, full),
        leverage=_leverages(record, sets),
        covratio=np.array([_covratio(covariance, bread) for covariance in kept_covariance]),
        converged=~np.isnan(change).any(1),
        note=note,
    )


# -- one step of a generalised model -----------------------------------------------------------------------------------


def _newton_step(
    record: FittedModel,
    sets: DeletedSets,
    coefficients: list[NaturalParameter],
    variances: list[NaturalParameter],
    control: Control,
) -> Deletion:
    require_scores(record, "influence(method='one-step')")
    if record.model.assumed.priors or record.model.assumed.tied:
        what = "priors" if record.model.assumed.priors else "tied parameters"
        raise ModelError(f"influence(method='one-step') is not there for models with {what}; use method='exact'.")
    _require_uncoupled(record)
    components = independent_rows(record)
    together = _rows_of(components)
    base = contributions(record, together, True, control.threads)
    # Each set changes the contribution of the independent rows around it to that of what is left of them.
    around = [np.unique(components[rows]) for rows in sets.rows]
    rest = [
        np.setdiff1d(np.concatenate([together[c] for c in met]), rows)
        for met, rows in zip(around, sets.rows, strict=True)
    ]
    some = [j for j, rows in enumerate(rest) if len(rows)]
    left = contributions(record, [rest[j] for j in some], True, control.threads) if some else None
    joint = np.asarray(record.engine.vcov_joint, float)
    free = np.isfinite(np.diag(joint))
    scale = np.sqrt(np.diag(joint)[free])
    whole = np.linalg.inv(joint[np.ix_(free, free)] / np.outer(scale, scale))
    places = {name: m for m, name in enumerate(record.engine.joint_names())}
    wanted = [_place(record, places, parameter) for parameter in coefficients]
    position = np.cumsum(free) - 1
    count, k = len(sets.rows), len(coefficients)
    change, errors = np.full((count, k), np.nan), np.full((count, k), np.nan)
    mean = [j for j, parameter in enumerate(coefficients) if parameter.component == "cond"]
    covariances = np.full((count, len(mean), len(mean)), np.nan)
    note = [""] * count
    after = {j: i for i, j in enumerate(some)}
    usable = [j for j in range(k) if free[wanted[j]]]
    at = [int(position[wanted[j]]) for j in usable]
    for j, met in enumerate(around):
        score, information = base.scores[met].sum(0), base.information[met].sum(0)
        if j in after and left is not None:
            score = score - left.scores[after[j]]
            information = information - left.information[after[j]]
        remaining = whole - information[np.ix_(free, free)] * np.outer(scale, scale)
        if np.linalg.eigvalsh(remaining).min() < NO_INFORMATION:
            note[j] = "one step does not get there; use method='exact'"
            continue
        inverse = np.linalg.inv(remaining) * np.outer(scale, scale)
        change[j, usable] = (inverse @ score[free])[at]
        errors[j, usable] = np.sqrt(np.diag(inverse)[at])
        if all(free[wanted[m]] for m in mean):
            own = [int(position[wanted[m]]) for m in mean]
            covariances[j] = inverse[np.ix_(own, own)]
    estimate = _estimates(record, coefficients, variances)
    without = np.full((count, len(estimate)), np.nan)
    without[:, :k] = estimate[:k] - change
    full = _free_block(record, record.covariance_of_estimates("cond"))
    return Deletion(
        sets=sets,
        method="one-step",
        coefficients=coefficients,
        variances=variances,
        estimate=estimate,
        without=without,
        std_error=errors,
        cooks_distance=_distances(change[:, mean], full),
        leverage=_leverages(record, sets),
        covratio=np.array([_covratio(covariance, full) for covariance in covariances]),
        converged=np.array([not text for text in note], bool),
        note=note,
    )


def _place(record: FittedModel, places: Mapping[tuple[str, int, int], int], parameter: NaturalParameter) -> int:
    _, predictor, column, _ = parameter.place
    return places["beta", predictor, column]


def independent_rows(record: FittedModel) -> np.ndarray:
    """The smallest sets of rows that share no random effects, as codes (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, first = record.nobs, record.nobs
    rows, nodes = [], []
    for term in record.terms():
        codes, levels = compact(np.asarray(term.codes))
        rows.append(np.arange(n))
        nodes.append(first + codes)
        first += levels
    if not rows:
        return np.arange(n)
    i, j = np.concatenate(rows), np.concatenate(nodes)
    _, labels = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(first, first)), directed=False)
    return compact(labels[:n])[0]


def _rows_of(codes: np.ndarray) -> list[np.ndarray]:
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


# -- what both have in common ----------------------------------------------------------------------------------------


def _require_uncoupled(record: FittedModel) -> None:
    for term in record.terms():
        if term.coupling is not None:
            raise ModelError(
                f"influence(method='one-step') is not there for effects that depend on each other ({term.text}); use "
                "method='exact'."
            )


def _estimates(
    record: FittedModel, coefficients: list[NaturalParameter], variances: list[NaturalParameter]
) -> np.ndarray:
    values = {
        (component, None, name): float(value)
        for component in record.model.components
        for name, value in zip(record.names(component), record.estimates(component), strict=True)
    }
    own: dict[tuple[str, str | None, str], float] = {
        (v.component, v.group, v.term): v.estimate for v in variance_parameters(record)
    }
    own.setdefault(("disp", None, "sigma"), record.sigma)
    return np.array(
        [values[p.component, None, p.term] for p in coefficients]
        + [own[p.component, p.group, p.term] for p in variances]
    )


def _free_block(record: FittedModel, covariance: np.ndarray) -> np.ndarray:
    free = ~record.held("cond")
    return covariance[np.ix_(free, free)]


def _distances(change: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(sets,): changes (sets, p) in the metric of their covariance, over p."""
    p = change.shape[1]
    if not p or not np.isfinite(covariance).all():
        return np.full(len(change), np.nan)
    return np.einsum("jk,kj->j", change, np.linalg.solve(covariance, change.T)) / p


def _covratio(without: np.ndarray, whole: np.ndarray) -> float:
    if not np.isfinite(without).all() or not np.isfinite(whole).all():
        return float("nan")
    return float(np.exp(np.linalg.slogdet(without)[1] - np.linalg.slogdet(whole)[1]))


def _leverages(record: FittedModel, sets: DeletedSets) -> np.ndarray:
    leverage = np.asarray(record.engine.leverage(), float)
    return np.array([leverage[rows].sum() for rows in sets.rows])
