"""From a Model to a fitted model: the controls of the optimiser and the frozen record of what it found."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ranef import _engine
from ranef.assumptions import assuming, start_values
from ranef.errors import ConvergenceWarning, DataError, ModelError
from ranef.families import as_family
from ranef.formula.design import Design, RandomTerm
from ranef.formula.level_columns import column_sds
from ranef.memory import require_memory
from ranef.model import Model, build_model, raised_by_engine

# The fields of Control that the engine knows by the same names.
ENGINE_SETTINGS = ("optimizer", "max_iter", "gradient_tol", "max_seconds", "threads")


@dataclass(frozen=True, kw_only=True)
class Control:
    """How the optimiser works; None leaves a setting to the engine.

    Parameters
    ----------
    optimizer : str, optional
        Name of the optimiser.
    max_iter : int, optional
        Most outer iterations.
    gradient_tol : float, optional
        Largest distance to the optimum, in standard errors of the parameters, at which it is accepted.
    max_seconds : float, optional
        Seconds in the engine after which the search ends: the fit is then that of the best point so far, marked as not
        converged and without standard errors. An evaluation of the likelihood is not interrupted.
    threads : int, optional
        Threads the engine may use; results do not depend on it.
    progress : bool
        Whether a line at the start and at the end of the fit goes to the standard error stream.

    Examples
    --------
    >>> import ranef as rf
    >>> rf.Control(max_iter=200).max_iter
    200
    """

    optimizer: str | None = None
    max_iter: int | None = None
    gradient_tol: float | None = None
    max_seconds: float | None = None
    threads: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if self.optimizer is not None and not isinstance(self.optimizer, str):
            raise ModelError(f"Control(optimizer={self.optimizer!r}): give the name of an optimiser")
        for name in ("max_iter", "threads"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ModelError(f"Control({name}={value!r}): give a whole number, 1 or more")
        for name in ("gradient_tol", "max_seconds"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and math.isfinite(value) and value > 0):
                raise ModelError(f"Control({name}={value!r}): give a positive number")
        if not isinstance(self.progress, bool):
            raise ModelError(f"Control(progress={self.progress!r}): give True or False")

    def for_engine(self) -> dict[str, Any]:
        """The settings that were given, by the engine's names."""
        given = {name: getattr(self, name) for name in ENGINE_SETTINGS}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Optimum:
    """How the optimiser ended.

    Attributes
    ----------
    iterations, evaluations, inner_iterations : int
        Outer iterations, evaluations of the criterion, and steps of the inner search for the conditional modes.
    gradient_norm : float
        Size of the gradient of the criterion at the end.
    seconds : float
        Time inside the engine.
    message : str
        The optimiser's reason to stop.
    trace : tuple of dict
        One entry per outer iteration.
    remedies : tuple of str
        What was done besides searching, in plain words with numbers: columns of very different size scaled, searches
        begun again, saddles left, Newton steps at the end.
    """

    iterations: int
    evaluations: int
    inner_iterations: int
    gradient_norm: float
    seconds: float
    message: str
    trace: tuple[dict[str, Any], ...] = ()
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class FittedModel:
    """The frozen record of a fit: the model, the controls, and what the engine found.

    Attributes
    ----------
    model : Model
        What was fitted.
    control : Control
        How.
    engine : _engine.Fitted
        The engine's result, which prediction and simulation ask.
    kept : dict of str to (p,) int array
        For every component, which columns of the fixed part were estimated; the others are aliased.
    """

    model: Model
    control: Control
    engine: _engine.Fitted
    kept: Mapping[str, np.ndarray]

    # -- what was fitted ---------------------------------------------------------------------------------------------

    @property
    def design(self) -> Design:
        """Response and design matrices of the rows used."""
        return self.model.design

    @property
    def formula(self) -> str:
        """The formula of the mean, as it was written."""
        return self.design.formula

    @property
    def family(self) -> str:
        """Name of the family."""
        return self.model.family.name

    @property
    def link(self) -> str:
        """Link of the mean."""
        return self.model.family.link

    @property
    def method(self) -> str:
        """The criterion that was maximised: ``"ml"`` or ``"reml"``."""
        return self.model.method

    @property
    def nobs(self) -> int:
        """Rows used."""
        return self.design.n

    @property
    def n_dropped(self) -> int:
        """Rows left out because a variable of the model was missing."""
        return self.design.n_dropped

    @cached_property
    def ngroups(self) -> dict[str, int]:
        """Levels of every grouping factor."""
        return {term.group: len(term.levels) for term in self.design.random if term.smooth is None}

    @cached_property
    def aliased(self) -> dict[str, tuple[str, ...]]:
        """Per component, fixed effects that are linear combinations of others and were left out."""
        dropped = {}
        for component, kept in self.kept.items():
            names = self.design.fixed[component].names
            dropped[component] = tuple(name for j, name in enumerate(names) if j not in set(kept.tolist()))
        return {component: names for component, names in dropped.items() if names}

    def names(self, component: str) -> tuple[str, ...]:
        """Names of the estimated fixed effects of a component."""
        self.require_component(component)
        names = self.design.fixed[component].names
        return tuple(names[j] for j in self.kept[component])

    def estimates(self, component: str) -> np.ndarray:
        """Estimated fixed effects of a component, (p,), on the scale of its link."""
        self.require_component(component)
        return np.concatenate([np.asarray(self.engine.beta[k], float) for k in self.model.predictors(component)])

    def covariance_of_estimates(self, component: str) -> np.ndarray:
        """Covariance matrix of `estimates`, (p, p)."""
        self.require_component(component)
        predictors = self.model.predictors(component)
        if len(predictors) == 1:
            return np.asarray(self.engine.vcov[predictors[0]], float)
        places = {name: m for m, name in enumerate(self.engine.joint_names())}
        wanted = [places["beta", k, 0] for k in predictors]
        return np.asarray(self.engine.vcov_joint, float)[np.ix_(wanted, wanted)]

    @cached_property
    def slopes_of_fixed_covariance(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Covariance of the mean's fixed effects given the variance parameters, (p, p), its derivatives by these,
        (k, p, p), and their covariance, (k, k); None where there is none."""
        return self.engine.satterthwaite()

    def require_component(self, component: str) -> None:
        """Refuse a component that this model does not have."""
        if component not in self.model.components:
            raise ModelError(f"this model has no component {component!r}; it has {', '.join(self.model.components)}.")

    def terms(self) -> tuple[RandomTerm, ...]:
        """Random-effects terms, in the order of the engine's per-term results."""
        return self.design.random

    # -- how well it fits --------------------------------------------------------------------------------------------

    @property
    def loglik(self) -> float:
        """Maximised log-likelihood (restricted, if the method is REML), constants included.

        With priors it is the log-likelihood alone, at the mode of the posterior.
        """
        return float(self.engine.loglik)

    @property
    def log_prior(self) -> float:
        """Log prior density of the parameters; 0 without priors."""
        return float(self.engine.log_prior)

    @property
    def log_posterior(self) -> float:
        """Log-likelihood plus log prior density: what was maximised."""
        return self.loglik + self.log_prior

    @property
    def npar(self) -> int:
        """Estimated parameters: fixed effects of all components, (co)variance parameters, and the dispersion.

        Fixed effects count under REML too, as in lme4 and glmmTMB. Held parameters do not count, equal ones once.
        """
        fixed = sum(len(kept) for kept in self.kept.values())
        return fixed + int(self.engine.n_theta) + len(self.engine.residual_parameters()) - int(self.engine.n_dependent)

    def held(self, component: str) -> np.ndarray:
        """Which of `names` are held at a value, (p,) bool."""
        columns = [(k, j) for k in self.model.predictors(component) for j in self.model.assumed.held_columns(k)]
        if component == "threshold":
            wanted = {k - self.model.predictor(component) for k, _ in columns}
        else:
            wanted = {j for _, j in columns}
        return np.isin(self.kept[component], list(wanted))

    @property
    def df_residual(self) -> int:
        """Rows minus estimated parameters."""
        return self.nobs - self.npar

    @property
    def aic(self) -> float:
        """Akaike's information criterion, 2 npar - 2 logLik."""
        return 2.0 * self.npar - 2.0 * self.loglik

    @property
    def aicc(self) -> float:
        """AIC with the small-sample term 2 k (k + 1) / (n - k - 1); infinite when n <= k + 1."""
        k, n = self.npar, self.nobs
        return self.aic + 2.0 * k * (k + 1.0) / (n - k - 1.0) if n > k + 1 else math.inf

    @property
    def bic(self) -> float:
        """Bayesian information criterion, npar log(n) - 2 logLik, n the number of rows."""
        return self.npar * math.log(self.nobs) - 2.0 * self.loglik

    @property
    def deviance(self) -> float | None:
        """-2 log-likelihood; None for REML, whose likelihood is of contrasts of the data: see `reml_criterion`."""
        return None if self.method == "reml" else -2.0 * self.loglik

    @property
    def reml_criterion(self) -> float | None:
        """-2 restricted log-likelihood; None for a fit by maximum likelihood."""
        return -2.0 * self.loglik if self.method == "reml" else None

    @property
    def sigma(self) -> float:
        """Residual standard deviation, or the family's dispersion as glmmTMB's `sigma` gives it.

        NaN when the dispersion is modelled, one for families without a dispersion parameter.
        """
        if self.model.linear and not self.model.profiled:
            # Precision weights are an offset of the dispersion; sigma is the value without it.
            with np.errstate(over="ignore"):  # where no maximum was found, it may be infinite
                return float(np.exp(self.estimates("disp")[0]))
        return float(self.engine.sigma)

    # -- whether it can be trusted -----------------------------------------------------------------------------------

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """What the engine says about the optimum: status, message, advice, and the numbers behind them."""
        return named_verdict(self.engine.verdict, self.model, self.kept)

    @property
    def converged(self) -> bool:
        """Whether the optimum can be trusted."""
        return self.engine.converged

    @property
    def singular(self) -> bool:
        """Whether a variance is zero or a correlation is one: an ordinary result, on the edge of what can be."""
        return bool(self.verdict["singular"])

    @cached_property
    def optimum(self) -> Optimum:
        """How the optimiser ended."""
        found = self.engine.optimum
        return Optimum(
            iterations=int(found["iterations"]),
            evaluations=int(found["evaluations"]),
            inner_iterations=int(found.get("inner_iterations") or 0),
            gradient_norm=float(found["gradient_norm"]),
            seconds=float(found["seconds"]),
            message=str(found["message"]),
            trace=tuple(found.get("trace") or ()),
            remedies=(*scaling(self), *(found.get("remedies") or ())),
        )


# Standard deviations of two predictors that differ by this factor: lme4's rule.
SCALES_APART = 1e3


def spreads(record: FittedModel) -> dict[str, float]:
    """Standard deviations of the columns of fixed effects that vary."""
    found: dict[str, float] = {}
    for component in record.model.written_components:
        if component == "threshold":
            continue
        part, kept = record.design.fixed[component], record.kept[component]
        sds = zip((part.names[j] for j in kept), column_sds(part.x)[kept].tolist(), strict=True)
        found |= {name: sd for name, sd in sds if sd > 0.0}
    return found


def scaling(record: FittedModel) -> tuple[str, ...]:
    """What is to be said of the scaling of columns, which is always done, where it mattered."""
    found = spreads(record)
    if not found:
        return ()
    low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    ratio = found[high] / found[low]
    if ratio <= SCALES_APART:
        return ()
    return (f"columns scaled for the search: {high} varies {ratio:.1e} times as much as {low}",)


def model_from_arguments(linear: bool, arguments: Mapping[str, Any], data: Any) -> Model:
    """The model that `lmm` (where `linear`) or `glmm` would fit with these arguments; those left out have their
    defaults."""
    given = dict(arguments)
    formula, assumed = given.pop("formula"), [given.pop(name, None) for name in ("priors", "fixed", "tied")]
    family = as_family("gaussian") if linear else as_family(given.pop("family"), given.pop("link", None))
    given.setdefault("reml", True if linear else None)
    model = build_model(formula, data, family=family, linear=linear, arguments=arguments, **given)
    return assuming(model, *assumed)


def fit_model(
    model: Model, control: Control, start: FittedModel | Mapping[str, Any] | None = None
) -> tuple[_engine.Fitted, dict[str, np.ndarray]]:
    """Let the engine fit a model.

    Returns
    -------
    fitted : _engine.Fitted
    kept : dict of str to int array
        Per component, the columns of the fixed part that were estimated.
    """
    require_memory(model)
    announce(control, f"fitting {model.family.name} to {model.design.n} rows ...")
    try:
        compiled = _engine.Model(model.spec())
        settings = control.for_engine()
        if start is not None:
            if isinstance(start, Mapping) and "factor" not in start:
                settings["start_values"] = start_values(model, start)
            else:
                settings["start"] = start_for_engine(model, start)
        fitted = compiled.fit(settings)
    except _engine.EngineError as error:
        if error.args[0] == "aliased":
            raise ModelError(
                f"{coefficient_name(model, *map(int, error.args[1].split()))} is a linear combination of other fixed "
                "effects and left out of the model: it cannot be held, tied or given a start."
            ) from None
        raise raised_by_engine(error, model.design) from None
    kept = {c: kept_columns([compiled.kept[k] for k in model.predictors(c)]) for c in model.components}
    finish(fitted, model, kept, control, depth=4)
    return fitted, kept


def coefficient_name(model: Model, predictor: int, column: int) -> str:
    """The name of a column of one of the engine's predictors."""
    component = next(c for c in model.components if predictor in model.predictors(c))
    index = column + predictor - model.predictor(component)
    return f"{component}: {model.design.fixed[component].names[index]}"


def kept_columns(by_predictor: Sequence[Sequence[int]]) -> np.ndarray:
    """Which columns of a component were estimated; the predictors of thresholds have one column each."""
    if len(by_predictor) == 1:
        return np.asarray(by_predictor[0], int)
    return np.flatnonzero([len(kept) for kept in by_predictor])


def start_for_engine(model: Model, start: FittedModel | Mapping[str, Any]) -> dict[str, Any]:
    """A start as the engine takes it: factors by term (relative to sigma when profiled), coefficients by predictor.

    Raises
    ------
    ModelError
        When it does not have the model's terms and components, in number and size.
    """
    if isinstance(start, FittedModel):
        scale = start.sigma if model.profiled else 1.0
        factors = [np.asarray(factor, float) / scale for factor in start.engine.factor]
        beta = {c: start.estimates(c) for c in start.model.components}
    elif isinstance(start, Mapping) and set(start) <= {"factor", "beta"}:
        factors, beta = _given_start(start.get("factor", ()), start.get("beta", {}))
    else:
        raise ModelError(
            "start is a fit of a model with the same terms, a dict of values by name, or one with 'factor' and 'beta'"
        )
    wanted = [len(term.names) for term in model.design.random]
    if [len(factor) for factor in factors] != wanted:
        raise ModelError(
            f"start: factors of sizes {[len(factor) for factor in factors]} were given; the random-effects terms "
            f"({', '.join(term.text for term in model.design.random)}) have sizes {wanted}"
        )
    if not all(np.isfinite(factor).all() for factor in factors):
        raise ModelError("start: a factor has values that are not finite")
    if model.profiled:
        return {"factor": factors}
    if not all(np.isfinite(values).all() for values in beta.values()):
        raise ModelError("start['beta'] has values that are not finite; give numbers")
    if missing := [c for c in model.components if c not in beta]:
        raise ModelError(f"start: beta has no {', '.join(missing)}; give the fixed effects of every component")
    by_predictor: list[np.ndarray] = []
    for c in model.components:
        predictors = model.predictors(c)
        by_predictor += [beta[c]] if len(predictors) == 1 else [beta[c][[j]] for j in range(len(predictors))]
    found: dict[str, Any] = {"factor": factors, "beta": by_predictor}
    if isinstance(start, FittedModel):
        found["mode"] = _engine.found(start.engine)["mode"]
    return found


def _given_start(factors: Any, beta: Any) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The factors and coefficients of a start, as arrays."""
    try:
        matrices = [np.atleast_2d(np.asarray(factor, float)) for factor in factors]
    except (TypeError, ValueError):
        raise ModelError("start['factor']: give a list with a matrix of numbers for each random-effects term") from None
    try:
        coefficients = {c: np.asarray(values, float) for c, values in beta.items()}
    except (AttributeError, TypeError, ValueError):
        raise ModelError("start['beta']: give a dictionary from components to lists of numbers") from None
    return matrices, coefficients


def model_with_response(model: Model, y: np.ndarray) -> Model:
    """The same model with another response.

    What `dataclasses.replace` would give, at a tenth of the time: a refit in the engine takes less than three of those.
    """

    def changed(record: Any, **changes: Any) -> Any:
        copy = object.__new__(type(record))
        held = record.__dict__
        copy.__dict__.update({name: held[name] for name in record.__dataclass_fields__}, **changes)
        return copy

    response = changed(model.design.response, y=y)
    return changed(model, design=changed(model.design, response=response))


def refit_response(record: FittedModel, response: Any) -> tuple[_engine.Fitted, np.ndarray]:
    """Let the engine fit the same model to another response; returns its result and the values it was fitted to.

    Parameters
    ----------
    response : array_like
        One value per row used, or per row of the caller's data (rows that were dropped are dropped again), in the
        form `simulate` returns: proportions where the response was one, else counts or numbers.
    """
    design = record.design
    if record.model.family.ordinal:
        response = design.response.numbers_of(response)
    try:
        values = np.asarray(response, float)
    except (TypeError, ValueError):
        raise DataError("response holds values that are not numbers; give one number per row") from None
    if values.ndim != 1:
        raise DataError(f"response has {values.ndim} dimensions; give one value per row")
    if len(values) == design.n + design.n_dropped:
        values = values[np.asarray(design.rows)]
    if len(values) != design.n:
        raise DataError(f"response has {len(values)} values; the model was fitted to {design.n} rows")
    if not np.isfinite(values).all():
        raise DataError(f"response: value {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite")
    if design.response.form == "proportion" and design.response.trials is not None:
        values = np.round(values * design.response.trials, 9)
    try:
        fitted = record.engine.refit(values, design.response.trials, record.control.for_engine())
    except _engine.EngineError as error:
        raise raised_by_engine(error, design) from None
    finish(fitted, record.model, record.kept, record.control, depth=3)
    return fitted, values


def finish(fitted: _engine.Fitted, model: Model, kept: Mapping[str, np.ndarray], control: Control, depth: int) -> None:
    """Say how a fit ended: to the progress stream, and as a warning when its optimum cannot be trusted.

    `depth` is the number of calls between this one and the user's, whose line the warning shows.
    """
    if control.progress:
        optimum, status = fitted.optimum, fitted.verdict["status"]
        announce(control, f"{status} after {optimum['iterations']} iterations, {optimum['seconds']:.3g} s")
    if not fitted.converged:
        text = said(named_verdict(fitted.verdict, model, kept))
        warnings.warn(f"the optimum cannot be trusted: {text}", ConvergenceWarning, stacklevel=depth + 2)


def said(verdict: Mapping[str, Any]) -> str:
    """A verdict's message, the parameters it concerns, and its advice, as a line of text."""
    concerned = ", ".join(verdict["separated"] or verdict["flat"])
    parts = (verdict["message"] + (f" ({concerned})" if concerned else ""), verdict["advice"])
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)


def named_verdict(verdict: Mapping[str, Any], model: Model, kept: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The engine's verdict with parameters called by the names of the user's model.

    The engine counts: ``beta[0][2]`` is the third coefficient of the first component, ``theta[1][0]`` a covariance
    parameter of the second random-effects term.
    """

    def name(parameter: str) -> str:
        found = re.fullmatch(r"(beta|theta|residual)\[(\d+)\]\[(\d+)\]", parameter)
        if found is None:
            return parameter
        which, index = int(found[2]), int(found[3])
        if found[1] == "residual":
            return f"residuals: {model.owner_of_residual_parameter(index)}"
        if found[1] == "theta":
            term = model.design.random[which]
            return f"{term.component}: covariance of {term.text}"
        component = next(c for c in model.components if which in model.predictors(c))
        index += which - model.predictor(component)
        return f"{component}: {model.design.fixed[component].names[kept[component][index]]}"

    if model.assumed.priors:
        words = {key: verdict[key].replace("the likelihood", "the posterior density") for key in ("message", "advice")}
        verdict = {**verdict, **words}
    named = {key: list(dict.fromkeys(map(name, verdict[key]))) for key in ("flat", "separated", "boundary")}
    found = {**verdict, **named}
    terms = zip(model.design.random, verdict.get("terms") or [], strict=False)
    short = [term for term, size in terms if size["rank"] < size["size"]]
    if verdict.get("status") == "converged_singular" and short and all(term.smooth for term in short):
        # A smooth without variance is its straight part: nothing is wrong or superfluous.
        straight = ", ".join(str(term.smooth) for term in short)
        message = f"converged to a maximum of the likelihood, where there is no bending in {straight}"
        found |= {"status": "converged", "singular": False, "message": message, "advice": ""}
    return found


def announce(control: Control, text: str) -> None:
    """Write a line to the standard error stream, if progress was asked for."""
    if control.progress:
        print(f"ranef: {text}", file=sys.stderr, flush=True)
