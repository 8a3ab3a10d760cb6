"""The same model by several optimisers from several starts: do they end at the same place?

The engine's trust region with exact derivatives starts where it always does, and from perturbed starts. L-BFGS-B (with
the engine's gradient) and Nelder and Mead's simplex (with values alone), both of scipy, maximise the same likelihood,
`_engine.Model.evaluate`, in coordinates of their own: coefficients in standard errors, and the entries of each term's
factor. That is possible where a term's covariance is free (``us``, ``diag``) and nothing is assumed of parameters; for
other models the engine's restarts are all there is.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ranef import _engine
from ranef.checks.restarts import SAME, fitted_from, perturbed_start, startable
from ranef.errors import ConvergenceWarning, ModelError
from ranef.fitting import FittedModel
from ranef.inference.natural_parameters import NaturalParameter, natural_parameters
from ranef.model import raised_by_engine

# What the simplex may spend for each parameter, and when either stops.
EVALUATIONS = 400
GRADIENT, CLOSE = 1e-6, 1e-8
# What the criterion is called where the engine finds none: farther than any maximum, but finite, for the line search.
NOWHERE = 1e300


@dataclass(frozen=True, eq=False)
class Attempt:
    """Where one optimiser ended from one start.

    Attributes
    ----------
    optimizer, start : str
    loglik : float
    converged : bool
        By the optimiser's own rule.
    seconds : float
    estimates : dict
        By the names of `Fit.bootstrap`; NaN for what the optimiser does not move.
    note : str
    place : dict or None
        The end, as a start for `update`; None where the engine ended there, or there is none.
    """

    optimizer: str
    start: str
    loglik: float
    converged: bool
    seconds: float
    estimates: dict[str, float]
    note: str = ""
    place: dict[str, Any] | None = None


def all_fit(record: FittedModel, starts: int, seed: int, progress: bool | None) -> dict[str, list[Any]]:
    """A row for each optimiser and start.

    Raises
    ------
    ModelError
    """
    for name, value, least in (("starts", starts, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ModelError(f"all_fit({name}={value!r}): give a whole number, {least} or more.")
    own = record.optimum.seconds
    attempts = [Attempt("trust region", "its own", record.log_posterior, record.converged, own, estimates_of(record))]
    perturbed = [perturbed_start(record, seed + r) for r in range(starts)] if startable(record) else []
    surface = surface_of(record) if perturbed else None
    searches = [partial(from_engine, record, start, f"perturbed {r + 1}") for r, start in enumerate(perturbed)]
    if surface is not None:
        searches += [
            partial(from_scipy, surface, optimizer, start, f"perturbed {r + 1}")
            for r, start in enumerate(perturbed)
            for optimizer in ("L-BFGS-B", "Nelder-Mead")
        ]
    attempts += side_by_side(searches, record, bool(progress or (progress is None and record.control.progress)))
    return _columns(attempts, [p.name for p in natural_parameters(record)], surface is None)


def side_by_side(searches: Sequence[Callable[[], Attempt]], record: FittedModel, progress: bool) -> list[Attempt]:
    """What the searches find, in their order; as many at a time as there are processors or `Control.threads` allows.

    The engine gives up Python's lock while it works, and no search knows of another, so that nothing depends on how
    many run at once.
    """
    workers = max(1, min(len(searches), record.control.threads or os.cpu_count() or 1))
    found: dict[int, Attempt] = {}
    # The filters of warnings are everybody's: what the searches do to them is undone when all have ended.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore", ConvergenceWarning)
        waiting = {pool.submit(search): place for place, search in enumerate(searches)}
        for done in as_completed(waiting):
            attempt = found[waiting[done]] = done.result()
            if progress:
                print(
                    f"ranef: {attempt.optimizer} from {attempt.start}: {attempt.loglik:.4f}",
                    file=sys.stderr,
                    flush=True,
                )
    return [found[place] for place in range(len(searches))]


def _columns(attempts: list[Attempt], names: list[str], engine_only: bool) -> dict[str, list[Any]]:
    best = max((a.loglik for a in attempts if np.isfinite(a.loglik)), default=np.nan)
    found: dict[str, list[Any]] = {
        "optimizer": [a.optimizer for a in attempts],
        "start": [a.start for a in attempts],
        "loglik": [a.loglik for a in attempts],
        "difference": [a.loglik - best for a in attempts],
        "converged": [a.converged for a in attempts],
        "seconds": [a.seconds for a in attempts],
        "note": [_note(a, best) for a in attempts],
    }
    if len(attempts) > 1 and found["difference"][0] >= -SAME:
        found["note"][0] = agreement(found)
    if engine_only:
        found["note"][0] += "; only the engine's own search can be used for this model"
    return found | {name: [a.estimates.get(name, np.nan) for a in attempts] for name in names}


def _note(attempt: Attempt, best: float) -> str:
    if attempt.note:
        return attempt.note
    short = best - attempt.loglik
    if short <= SAME:
        return "agrees with the best"
    return f"ends {short:.3g} below the best" + ("" if attempt.converged else ", not converged")


def agreement(columns: dict[str, list[Any]]) -> str:
    """In a sentence, whether all end at the same place."""
    loglik, difference = np.array(columns["loglik"]), np.array(columns["difference"])
    together = int(np.sum(difference >= -SAME))
    best = float(np.nanmax(loglik))
    if together == len(loglik):
        return f"all {together} searches agree on a log-likelihood of {best:.4f}"
    ours = float(difference[0])
    lead = "this fit is among them" if ours >= -SAME else f"this fit ends {-ours:.3g} lower"
    return f"{together} of {len(loglik)} searches agree on the best log-likelihood, {best:.4f}; {lead}"


def from_engine(record: FittedModel, start: Any, name: str) -> Attempt:
    """The engine's search from a start."""
    began = time.perf_counter()
    fit = fitted_from(record, start)
    seconds = time.perf_counter() - began
    if fit is None:
        return Attempt("trust region", name, np.nan, False, seconds, {}, "the engine found no likelihood there")
    return Attempt("trust region", name, fit.log_posterior, fit.converged, seconds, estimates_of(fit))


def estimates_of(fit: FittedModel) -> dict[str, float]:
    """The parameters of a fit by name."""
    beta = [np.asarray(b, float) for b in fit.engine.beta]
    found = {}
    for parameter in natural_parameters(fit):
        if parameter.kind == "fixed":
            found[parameter.name] = float(beta[parameter.place[1]][parameter.place[2]])
        elif parameter.kind == "sigma":
            found[parameter.name] = fit.sigma
        elif parameter.kind in ("sd", "cor"):
            found[parameter.name] = _component(parameter, [np.asarray(c, float) for c in fit.engine.covariance])
    return found


def _component(parameter: NaturalParameter, covariance: list[np.ndarray]) -> float:
    """A standard deviation or correlation, of the covariance of its term."""
    _, term, i, j = parameter.place
    sigma = covariance[term]
    if parameter.kind == "sd":
        return float(np.sqrt(sigma[i, i]))
    scale = float(np.sqrt(sigma[i, i] * sigma[j, j]))
    return float(sigma[i, j] / scale) if scale > 0.0 else np.nan


@dataclass(frozen=True, eq=False)
class Surface:
    """Minus the log-likelihood over coefficients and factors, as scipy's optimisers see it.

    Attributes
    ----------
    record : FittedModel
    model : _engine.Model
    scales : list of arrays
        For each predictor, what one unit of its coordinates is: a standard error.
    places : list of lists
        For each term, the entries of its factor that are free.
    units : list of arrays
        For each term, the size of its columns: entries of the factor are multiplied by it.
    """

    record: FittedModel
    model: _engine.Model
    scales: list[np.ndarray]
    places: list[list[tuple[int, int]]]
    units: list[np.ndarray]

    def unpacked(self, x: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Coefficients by predictor and factors by term."""
        beta, at = [], 0
        for scale in self.scales:
            beta.append(x[at : at + len(scale)] * scale)
            at += len(scale)
        factors = []
        for places, unit in zip(self.places, self.units, strict=True):
            factor = np.zeros((len(unit), len(unit)))
            for place in places:
                factor[place] = x[at] / unit[place[0]]
                at += 1
            factors.append(factor)
        return beta, factors

    def packed(self, beta: list[np.ndarray], factors: list[np.ndarray]) -> np.ndarray:
        """The other way; factors are made lower triangular first."""
        parts = [np.asarray(b, float) / scale for b, scale in zip(beta, self.scales, strict=True)]
        for factor, places, unit in zip(factors, self.places, self.units, strict=True):
            lower = np.linalg.cholesky(factor @ factor.T + 1e-12 * np.eye(len(factor)))
            parts.append(np.array([lower[place] * unit[place[0]] for place in places]))
        return np.concatenate(parts)

    def value(self, x: np.ndarray) -> float:
        """Minus the log-likelihood."""
        beta, factors = self.unpacked(x)
        try:
            found = float(self.model.evaluate(beta, factors, False)["value"])
        except _engine.EngineError:
            return NOWHERE
        return found * self.half if np.isfinite(found) else NOWHERE

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The same with its gradient."""
        beta, factors = self.unpacked(x)
        try:
            found = self.model.evaluate(beta, factors, True)
        except _engine.EngineError:
            return NOWHERE, np.zeros(len(x))
        if not np.isfinite(found["value"]):
            return NOWHERE, np.zeros(len(x))
        parts = [np.asarray(g, float) * s for g, s in zip(found["beta"], self.scales, strict=False)]
        for gradient, places, unit in zip(found["factor"], self.places, self.units, strict=True):
            parts.append(np.array([float(gradient[place]) / unit[place[0]] for place in places]))
        return float(found["value"]) * self.half, np.concatenate(parts) * self.half

    @property
    def half(self) -> float:
        """The profiled criterion is a deviance, the other minus a log-likelihood."""
        return 0.5 if self.record.model.profiled else 1.0


def surface_of(record: FittedModel) -> Surface | None:
    """The likelihood to hand to scipy; None where the engine does not evaluate it elsewhere."""
    terms = record.terms()
    integrated = not record.model.profiled and (record.method != "ml" or record.model.quadrature == 0)
    if integrated or any(term.structure not in ("us", "diag") for term in terms):
        return None
    scales = []
    if not record.model.profiled:
        for k, b in enumerate(record.engine.beta):
            sd = np.sqrt(np.diag(np.asarray(record.engine.vcov[k], float)).clip(0.0)) if len(b) else np.empty(0)
            scales.append(np.where(np.isfinite(sd) & (sd > 0.0), sd, 1.0))
    places, units = [], []
    for term in terms:
        size = len(term.names)
        whole = [(i, j) for j in range(size) for i in range(j, size)]
        places.append(whole if term.structure == "us" else [(i, i) for i in range(size)])
        rms = np.sqrt(np.mean(np.square(np.asarray(term.columns, float)), axis=0))
        units.append(np.where(rms > 0.0, rms, 1.0))
    try:
        model = _engine.Model(record.model.spec())
    except _engine.EngineError as error:
        raise raised_by_engine(error, record.design) from None
    surface = Surface(record, model, scales, places, units)
    scale = record.sigma if record.model.profiled else 1.0
    here = surface.packed(
        [] if record.model.profiled else [np.asarray(b, float) for b in record.engine.beta],
        [np.asarray(f, float) / scale for f in record.engine.factor],
    )
    # The criterion must be the likelihood that was maximised: it is not where fixed effects are integrated out.
    return surface if abs(surface.value(here) + record.loglik) < 1e-4 * (1.0 + abs(record.loglik)) else None


def from_scipy(surface: Surface, optimizer: str, start: dict[str, Any], name: str) -> Attempt:
    """One of scipy's optimisers from a start."""
    from scipy.optimize import minimize

    record = surface.record
    beta = [] if record.model.profiled else by_predictor(record, start["beta"])
    x0 = surface.packed(beta, start["factor"])
    began = time.perf_counter()
    if optimizer == "L-BFGS-B":
        found = minimize(
            surface.value_and_gradient, x0, jac=True, method="L-BFGS-B", options={"gtol": GRADIENT, "ftol": 1e-14}
        )
    else:
        most = EVALUATIONS * len(x0)
        found = minimize(
            surface.value,
            x0,
            method="Nelder-Mead",
            options={"xatol": 1e-5, "fatol": CLOSE, "maxfev": most, "maxiter": most, "adaptive": len(x0) > 5},
        )
    seconds = time.perf_counter() - began
    beta, factors = surface.unpacked(np.asarray(found.x, float))
    note = "" if found.fun < NOWHERE else "no finite likelihood at this start"
    estimates = natural_estimates(record, beta, factors)
    place = None if note else {"factor": factors, "beta": _by_component(record, beta)}
    return Attempt(optimizer, name, -float(found.fun), bool(found.success), seconds, estimates, note, place)


def natural_estimates(record: FittedModel, beta: list[np.ndarray], factors: list[np.ndarray]) -> dict[str, float]:
    """Parameters by name; what is profiled out of a linear model follows from the factors."""
    sigma = np.nan
    if record.model.profiled:
        beta, sigma = profiled_out(record, factors)
        factors = [factor * sigma for factor in factors]
    covariance = [factor @ factor.T for factor in factors]
    found = {}
    for parameter in natural_parameters(record):
        if parameter.kind == "fixed":
            found[parameter.name] = float(beta[parameter.place[1]][parameter.place[2]])
        elif parameter.kind in ("sd", "cor"):
            found[parameter.name] = _component(parameter, covariance)
        elif parameter.kind == "sigma" and record.model.profiled:
            found[parameter.name] = sigma
        elif parameter.kind == "sigma":
            eta = float(beta[parameter.place[1]][0])
            found[parameter.name] = float(np.asarray(_engine.sigma_at(record.engine, [eta]))[0])
    return found


def profiled_out(record: FittedModel, factors: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Fixed effects and residual standard deviation at given relative factors, by Henderson's equations.

    With Z_t Lambda_t of each term as columns A, the solution of [A'WA + I, A'WX; X'WA, X'WX] [u; b] = [A'Wy; X'Wy] has
    the residual sum of squares r'Wr + u'u = n sigma^2 (n - p by REML).
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    design = record.design
    part = design.fixed["cond"]
    x = np.asarray(part.x, float)[:, record.kept["cond"]]
    y = np.asarray(design.response.y, float) - (0.0 if part.offset is None else np.asarray(part.offset, float))
    weights = record.model.likelihood_weights if record.model.likelihood_weights is not None else design.weights
    w = np.ones(record.nobs) if weights is None else np.asarray(weights, float)
    n = record.nobs
    blocks = []
    for term, factor in zip(record.terms(), factors, strict=True):
        columns = np.asarray(term.columns, float) @ factor
        size = columns.shape[1]
        rows = np.repeat(np.arange(n), size)
        at = (np.asarray(term.codes, int)[:, None] * size + np.arange(size)).ravel()
        blocks.append(sparse.csc_matrix((columns.ravel(), (rows, at)), shape=(n, len(term.levels) * size)))
    q = sum(block.shape[1] for block in blocks)
    both = sparse.hstack([*blocks, sparse.csc_matrix(x)]).tocsc()
    weighted = both.multiply(w[:, None]).tocsc()
    identity = sparse.diags(np.r_[np.ones(q), np.zeros(x.shape[1])])
    solution = splu((both.T @ weighted + identity).tocsc()).solve(np.asarray(weighted.T @ y))
    residual = y - both @ solution
    squares = float(np.sum(w * residual**2) + np.sum(solution[:q] ** 2))
    freedom = n - (x.shape[1] if record.method == "reml" else 0)
    return [solution[q:]], float(np.sqrt(squares / freedom))


def by_predictor(record: FittedModel, beta: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Coefficients by the engine's predictors; each threshold has its own."""
    found: dict[int, np.ndarray] = {}
    for component, values in beta.items():
        predictors = list(record.model.predictors(component))
        if len(predictors) == 1:
            found[predictors[0]] = np.asarray(values, float)
        else:
            found |= {k: np.array([v]) for k, v in zip(predictors, np.asarray(values, float).tolist(), strict=True)}
    return [found[k] for k in sorted(found)]


def _by_component(record: FittedModel, beta: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The other way; empty where coefficients are profiled out."""
    if not beta:
        return {}
    return {c: np.concatenate([beta[k] for k in record.model.predictors(c)]) for c in record.model.components}
