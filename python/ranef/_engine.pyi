"""The compiled engine: arrays and plain values in, numbers out.

Everything here is called by the package; users hold `ranef.Fit`. Indices count from zero. Components are ordered cond,
disp, shape, threshold, zi, as far as the family has them; a *predictor* is a position in that order (each coefficient
of the thresholds has its own), a *term* a random-effects term in the order given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

__version__: str

class EngineError(Exception):
    """The engine refuses: ``args`` are (kind, message, details)."""

class EngineFault(RuntimeError):
    """A fault of ranef itself, which asks to be reported; the session can go on."""

def fault(message: str) -> None:
    """Panics inside the engine, to show what becomes of it."""

def families() -> list[dict[str, Any]]:
    """Cards of all families: name, title, links, parameters, support, zero_inflation, variance, reference."""

def covariances() -> list[dict[str, Any]]:
    """Cards of all covariance structures: name, title, ..."""

def residual_correlations() -> list[dict[str, Any]]:
    """Cards of all correlation structures of the residuals: name, title, parameters, places, reference."""

def variance_functions() -> list[dict[str, Any]]:
    """Cards of all variance functions: name, title, parameters, needs_nonzero, reference."""

def bootstrap(fitted: Fitted, first: int, count: int, seed: int, control: Mapping[str, Any]) -> dict[str, Any]:
    """Replicates first, first + 1, ... of the parametric bootstrap.

    converged, singular (lists), loglik, sigma (count,), parameters (count, k): fixed effects by predictor, then for
    each term its standard deviations and the correlations (0, 1), (0, 2), ..., (1, 2), ...
    """

def bootstrap_fits(
    fitted: Fitted, first: int, count: int, seed: int, control: Mapping[str, Any]
) -> list[tuple[Fitted, Array]]:
    """The same replicates as whole fits, each with its response; rows are drawn whatever their number."""

def profile(
    fitted: Fitted,
    parameters: Sequence[tuple[str, int, int, int]],
    level: float,
    inner: int,
    control: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Profiles as far as zeta = -+level: estimate, value, zeta, and (value, note) of lower and upper.

    A parameter is ("fixed", predictor, column, 0), ("sd", term, column, 0), ("cor", term, i, j),
    ("coupling", term, index, 0) or ("sigma", 0, 0, 0).
    """

def contributions(
    fitted: Fitted,
    rows: NDArray[np.uint32],
    starts: Sequence[int],
    information: bool,
    threads: int | None = None,
) -> dict[str, Any]:
    """What sets of rows, those from one of starts to the next, contribute to the likelihood: loglik (sets,), gradient
    (m, sets) with respect to all parameters in the order of `joint_names` (with maximum likelihood), and information
    (sets, m, m)."""

def sigma_at(fitted: Fitted, dispersion: Sequence[float]) -> Array:
    """The family's sigma at values of a constant dispersion predictor."""

def predictor_at(link: str, value: float) -> float:
    """The linear predictor at which a parameter with that link has a value; not finite where it cannot."""

def draw(name: str, link: str | None, zero_inflated: bool, eta: Array, trials: Array | None, seed: int) -> Array:
    """A response for each row of the linear predictors eta (n, K); NaN where they are infeasible."""

def found(fitted: Fitted) -> dict[str, Any]:
    """What has to be kept of a fit, in the coordinates of its search: x (dim,), value, gradient (dim,), covariance
    (dim, dim), held, evaluations, trace (steps, 4), inner_iterations, seconds; the conditional modes of Laplace's
    approximation, mode, and the fitted mean that variance functions take, fitted; and of the verdict status,
    gradient_scaled, gradient_max, hessian_values, flat, separated, boundary, terms (rank, size, singular values, kkt
    each), inner_decrement, inner_definite."""

def restore(model: Model, found: Mapping[str, Any]) -> Fitted:
    """The fit of a model that a search found before; an error of kind "saved" where it is not of this model."""

class Custom:
    """A family from functions of the caller's, by name: log_density, derivatives, mean, variance, cdf, simulate.

    parameters: (name, link, step or None) of each.
    """

    def __init__(
        self,
        name: str,
        support: str,
        zero_inflation: bool,
        parameters: Sequence[tuple[str, str, float | None]],
        start: Sequence[float] | None,
        functions: Mapping[str, Any],
    ) -> None: ...

class Model:
    """A model in plain values, checked.

    Parameters
    ----------
    spec : dict
        family: name, link, zero_inflated, categories and thresholds (None but for ordinal ones), custom (a `Custom`
        or None); y (n,); trials (n,) or None; weights (n,) or None; predictors: list of component, x (n, p), offset
        (n,) or None; groups: list of codes (n,) uint32, levels; terms: list of predictor, group, columns (n, p_t),
        covariance, coupling (None, or how the levels of the group depend on each other); method "ml" or "reml";
        quadrature; profiled (True: linear mixed model with fixed effects and residual variance profiled out, weights as
        precision weights); residual: None, or a dict of blocks (n,) uint32, correlation (None or name, groups, places
        (n, w), orders, nugget, occasions, largest, distance) and spreads (list of name, covariate (n,) or None for the
        fitted mean), for the exact marginal likelihood.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None: ...
    @property
    def kept(self) -> list[list[int]]:
        """Per predictor, the columns of x that are estimated."""

    @property
    def aliased(self) -> list[list[int]]:
        """Per predictor, the columns of x that are linear combinations of those kept."""

    def fit(self, control: Mapping[str, Any]) -> Fitted:
        """Maximise the criterion; control: optimizer, max_iter, gradient_tol, threads, start, each optional."""

    def evaluate(self, beta: Sequence[Array], factor: Sequence[Array], gradient: bool = True) -> dict[str, Any]:
        """Criterion at given parameters: value and, per predictor and term, the gradients beta and factor."""

class Fitted:
    """What the engine found; frozen."""

    @property
    def log_prior(self) -> float: ...
    @property
    def n_dependent(self) -> int:
        """Parameters that are held at values or follow from others."""

    @property
    def loglik(self) -> float:
        """Maximised (restricted) log-likelihood, constants included."""

    @property
    def method(self) -> str:
        """ "ml" or "reml"."""

    @property
    def couplings(self) -> list[tuple[int, str, str, float, float, int]]:
        """Natural parameters of coupled terms: term, name, scale of intervals ("correlation" or "log"), estimate, its
        derivative with respect to theta, and the row of `theta_cov` which that theta is."""

    def extended(self, model: Model) -> Fitted:
        """The same fit to a model with further levels of coupled groups, which no row meets."""

    @property
    def nobs(self) -> int:
        """Rows."""

    @property
    def n_outer(self) -> int:
        """Parameters the optimiser moved."""

    @property
    def n_theta(self) -> int:
        """Covariance parameters."""

    @property
    def beta(self) -> list[Array]:
        """Per predictor, estimates of the columns kept, (p,), link scale."""

    @property
    def vcov(self) -> list[Array]:
        """Per predictor, their covariance, (p, p)."""

    @property
    def is_normal(self) -> bool:
        """Whether the response is normal given the parameters: Gaussian, identity link, random effects of the mean."""

    def satterthwaite(self) -> tuple[Array, Array, Array] | None:
        """Covariance of the mean's fixed effects given the variance parameters (p, p), its derivatives by these
        (k, p, p), and their covariance (k, k), zero for those on the boundary. None where the model has none."""

    def kenward_roger(self) -> tuple[Array, Array, Array, Array]:
        """Covariance of the mean's fixed effects given the variance parameters (p, p), Kenward and Roger's (p, p),
        derivatives of the former by parameters of V (k, p, p), and the covariance of these, (k, k).

        Raises an error of kind "kenward-roger" that says why where there is none.
        """

    @property
    def vcov_joint(self) -> Array:
        """Covariance of all parameters in the order of `joint_names`."""

    def joint_names(self) -> list[tuple[str, int, int]]:
        """("beta", predictor, column), ("theta", term, index), ("coupling", term, index) or ("residual", 0, index) for
        each row of `vcov_joint`."""

    @property
    def covariance(self) -> list[Array]:
        """Per term, Sigma (p_t, p_t), absolute."""

    @property
    def factor(self) -> list[Array]:
        """Per term, Lambda with Sigma = Lambda Lambda', absolute."""

    @property
    def theta(self) -> list[Array]:
        """Per term, its parameters in the engine's coordinates (docs/explanation/covariance-structures.md)."""

    @property
    def theta_cov(self) -> Array:
        """Covariance of all theta, NaN where undefined (on the boundary)."""

    def variance_components(self) -> list[dict[str, Any]]:
        """Per term: sd and sd_se (p_t,), cor and cor_se of columns (0, 1), (0, 2), ..., (1, 2), ...

        sds and cors: the columns and the pairs of columns whose standard deviations and correlations are parameters.
        """

    @property
    def sigma(self) -> float:
        """Residual sd or the family's sigma; NaN when the dispersion is modelled."""

    def residual_parameters(self) -> list[tuple[int | None, str, str, float, float]]:
        """(variance function or None for the correlation, name, scale, estimate, standard error) of each."""

    def spread(self) -> Array:
        """What the variance functions add to the log standard deviation of each row."""

    def whitened(self, values: Array) -> Array:
        """A value for each row, multiplied by the inverse Cholesky factor of the residuals' correlation."""

    @property
    def modes(self) -> list[Array]:
        """Per term, conditional modes of b, (levels, p_t)."""

    def modes_se(self, given_other_parameters: bool = False) -> list[Array]:
        """Per term, their standard deviations with the uncertainty of all parameters, (levels, p_t).

        Given the other parameters, with that of the fixed effects of the term's own predictor only.
        """

    def modes_cov(self) -> list[Array]:
        """Per term, their covariance given the parameters, (levels, p_t, p_t)."""

    @property
    def linear_predictor(self) -> Array:
        """(n, K): all predictors at the conditional modes, offsets included."""

    def predict(self, design: Mapping[str, Any], kind: str, se: bool) -> tuple[Array, Array | None]:
        """Prediction and its standard error for other rows.

        design: per predictor x (m, p) and offset; per term codes (m,) (-1 leaves the term out, -2 is a level the fit
        has not met) and columns (m, p_t). kind: link, zlink, response, conditional, zprob, dispersion.
        """

    def fitted_values(self, kind: str) -> Array:
        """The same for the rows of the fit, without standard errors."""

    def variance(self, keep: Sequence[bool]) -> Array:
        """Var(y | eta) of each row, each term kept at its modes or zero; of the proportion, where there are trials."""

    def unit_deviance(self, keep: Sequence[bool]) -> Array:
        """Squared deviance residual of each row, each term kept at its modes or zero; NaN where the family has none."""

    def loglik_rows(self) -> Array:
        """Log density of each row at the conditional modes."""

    def quantile_residuals(self, keep: Sequence[bool], seed: int) -> Array:
        """Randomised quantile residual of each row; each term kept at its modes or zero. NaN without a cdf."""

    def leverage(self) -> Array:
        """d fitted / d observed of each row."""

    def simulate(self, n: int, seed: int, terms: Sequence[str], design: Mapping[str, Any] | None) -> Array:
        """(rows, n) responses; each term "fixed" at its modes, "new" draws or "zero"."""

    def refit(self, y: Array, trials: Array | None, control: Mapping[str, Any]) -> Fitted:
        """The same model fitted to another response."""

    @property
    def converged(self) -> bool:
        """Whether the optimum can be trusted."""

    @property
    def verdict(self) -> dict[str, Any]:
        """status, converged, singular, message, advice, and the numbers behind them."""

    @property
    def optimum(self) -> dict[str, Any]:
        """iterations, evaluations, inner_iterations, gradient_norm, seconds, message, trace."""
