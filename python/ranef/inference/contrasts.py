"""Tests of linear combinations of fixed effects: the covariance and the degrees of freedom that they use.

Every test and interval of fixed effects (coefficients, anova, marginal means, slopes) goes through `Denominator`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.level_columns import LevelColumns
from ranef.inference.kenward_roger import kenward_roger, refitted
from ranef.inference.sandwich import sandwich
from ranef.inference.satterthwaite import satterthwaite

# Ways to get the denominator degrees of freedom; None is the default.
DDF = ("satterthwaite", "kenward-roger", "residual", "asymptotic")

# As they are called in texts.
METHODS = {
    "satterthwaite": "Satterthwaite's degrees of freedom",
    "kenward-roger": "Kenward and Roger's covariance and degrees of freedom",
    "residual": "residual degrees of freedom",
    "asymptotic": "normal approximation",
}


@dataclass(frozen=True)
class JointTest:
    """Test that several linear combinations of fixed effects are zero.

    Attributes
    ----------
    statistic : float
        F, or chi-square where `ddf` is infinite.
    df : int
        Numerator degrees of freedom: the rank of the combinations.
    ddf : float
        Denominator degrees of freedom; infinite for a chi-square.
    p_value : float
    scale : float
        What F was multiplied by, besides the covariance of its method.
    """

    statistic: float
    df: int
    ddf: float
    p_value: float
    scale: float = 1.0

    @property
    def is_f(self) -> bool:
        """Whether the statistic is an F."""
        return not np.isinf(self.ddf)


class Freedom(Protocol):
    """Where degrees of freedom come from."""

    def of(self, combinations: np.ndarray) -> np.ndarray:
        """Of the t test of each row (k, p), (k,)."""

    def of_several(self, independent: np.ndarray) -> tuple[float, float]:
        """Of the F test of rows (k, p) whose estimates are uncorrelated, and what F is multiplied by."""


@dataclass(frozen=True)
class Constant:
    """The same degrees of freedom for all combinations; infinite for the normal approximation."""

    value: float

    def of(self, combinations: np.ndarray) -> np.ndarray:
        """Of each row."""
        return np.full(len(combinations), self.value)

    def of_several(self, independent: np.ndarray) -> tuple[float, float]:
        """Of several rows; F is as it is."""
        return self.value, 1.0


@dataclass(frozen=True)
class Denominator:
    """How linear combinations of the fixed effects of a component are tested.

    Attributes
    ----------
    component : str
    method : str
        One of `DDF`.
    reason : str
        Why this method, for the summary: asked for, or the default of the model.
    estimate : (p,) array
    covariance : (p, p) array
        Of the estimates, as the method has it.
    rows : int
        Observations.
    freedom : Freedom
        Where degrees of freedom come from.
    """

    component: str
    method: str
    reason: str
    estimate: np.ndarray
    covariance: np.ndarray
    rows: int
    freedom: Freedom

    @property
    def text(self) -> str:
        """The method and its reason in words, a line for a table's foot."""
        return f"{METHODS[self.method]} ({self.reason})"

    def std_errors(self, combinations: np.ndarray) -> np.ndarray:
        """Standard error of each row of `combinations` (k, p) times the estimates, (k,)."""
        # Values beyond 1e154 have squares that are no numbers, and so have their standard errors.
        with np.errstate(invalid="ignore", over="ignore"):
            return np.sqrt(np.einsum("ij,ij->i", combinations @ self.covariance, combinations).clip(min=0.0))

    def degrees_of_freedom(self, combinations: np.ndarray) -> np.ndarray:
        """Degrees of freedom of the t test of each row of `combinations` (k, p), (k,); infinite for the normal."""
        return self.freedom.of(np.asarray(combinations, float))

    def joint_test(self, combinations: np.ndarray, rhs: np.ndarray | float = 0.0) -> JointTest:
        """Test that ``combinations @ estimate == rhs``; combinations (k, p) may depend on each other."""
        from scipy.special import chdtrc, fdtrc

        difference = combinations @ self.estimate - rhs
        values, vectors = np.linalg.eigh(combinations @ self.covariance @ combinations.T)
        kept = values > 1e-10 * max(values.max(initial=0.0), 1e-300)
        chi_square = float(((vectors[:, kept].T @ difference) ** 2 / values[kept]).sum())
        df = int(kept.sum())
        if df == 0:
            return JointTest(float("nan"), 0, float("nan"), float("nan"))
        ddf, scale = self.freedom.of_several(vectors[:, kept].T @ combinations)
        if np.isinf(ddf):
            return JointTest(chi_square, df, ddf, float(chdtrc(df, chi_square)))
        f = scale * chi_square / df
        return JointTest(f, df, ddf, float(fdtrc(df, ddf, f)), scale)


def robust_denominator(record: FittedModel, component: str, ddf: str | None, vcov: str, cluster: Any) -> Denominator:
    """How fixed effects are tested by a cluster-robust covariance (see `inference/sandwich.py`)."""
    if ddf not in (None, "satterthwaite", "asymptotic"):
        raise ModelError(f"ddf={ddf!r} does not go with vcov={vcov!r}; give 'satterthwaite' or 'asymptotic'.")
    found = sandwich(record, component, vcov, cluster)
    return Denominator(
        component=component,
        method=ddf or "satterthwaite",
        reason=f"of the {vcov} covariance, {found.clusters.size} clusters of {found.clusters.name}",
        estimate=record.estimates(component),
        covariance=found.covariance,
        rows=record.nobs,
        freedom=Constant(np.inf) if ddf == "asymptotic" else found,
    )


def denominator(
    record: FittedModel,
    component: str = "cond",
    ddf: str | None = None,
    vcov: str | None = None,
    cluster: Any = None,
) -> Denominator:
    """How the fixed effects of a component are tested.

    Parameters
    ----------
    record : FittedModel
    component : str
    ddf : {None, "satterthwaite", "kenward-roger", "residual", "asymptotic"}
        Degrees of freedom: by Satterthwaite's approximation; by Kenward and Roger's, whose covariance replaces that of
        the fit; rows minus fixed effects of the component; infinite (z, chi-square). None is "satterthwaite" for the
        mean of a model of `lmm`, and "asymptotic" otherwise, as for all other components. Where Kenward and Roger's
        covariance does not exist (V is not linear in its parameters) Satterthwaite takes its place, and `reason` says
        so; a fit by maximum likelihood is refitted by REML for it.
    vcov : {None, "CR0", "CR1", "CR2"}
        A cluster-robust covariance instead of the model's; `ddf` is then "satterthwaite" (default) or "asymptotic".
    cluster : str or array_like, optional
        Its clusters, as `sandwich` takes them.

    Raises
    ------
    ModelError
        For another name, or a method that this model does not have.
    """
    if vcov is not None:
        return robust_denominator(record, component, ddf, vcov, cluster)
    if cluster is not None:
        raise ModelError("cluster= says which rows vcov= takes for dependent; give vcov='CR2' (or 'CR0', 'CR1') too.")
    if ddf is not None and ddf not in DDF:
        raise ModelError(f"ddf={ddf!r} is not available; give one of {', '.join(map(repr, DDF))}.")
    method, reason = chosen(record, component, ddf)
    freedom: Freedom = Constant(np.inf)
    covariance = None
    if method == "kenward-roger":
        fit = refitted(record)
        found = kenward_roger(fit)
        if isinstance(found, str):
            method, reason = "satterthwaite", f"there is no Kenward-Roger covariance: {found}"
        else:
            reason += "" if fit is record else "; refitted by REML"
            record, freedom, covariance = fit, found, found.adjusted
    if method == "satterthwaite":
        by_engine = satterthwaite(record)
        if by_engine is None:
            raise ModelError(f"ddf={ddf!r}: {lacking(record)}; use ddf='asymptotic'.")
        freedom = by_engine
        reason += on_boundary(record)
    elif method == "residual":
        freedom = Constant(float(record.nobs - len(record.estimates(component))))
    return Denominator(
        component=component,
        method=method,
        reason=reason,
        estimate=record.estimates(component),
        covariance=record.covariance_of_estimates(component) if covariance is None else covariance,
        rows=record.nobs,
        freedom=freedom,
    )


def lacking(record: FittedModel) -> str:
    """Why the engine has nothing to make Satterthwaite's degrees of freedom of."""
    if isinstance(record.design.fixed["cond"].x, LevelColumns):
        return "there are too many fixed effects"
    return "the variance parameters have no covariance matrix at this optimum"


def chosen(record: FittedModel, component: str, ddf: str | None) -> tuple[str, str]:
    """The method for a component, and why."""
    record.require_component(component)
    if ddf in ("asymptotic", "residual"):
        return str(ddf), "as asked"
    if component != "cond":
        return "asymptotic", "there is nothing else for this component"
    against = why_not(record)
    if ddf is not None:
        if against is not None:
            raise ModelError(f"ddf={ddf!r}: {against}; use ddf='asymptotic'.")
        return ddf, "as asked"
    if not record.model.linear:
        return "asymptotic", "the default of glmm"
    if against is None and satterthwaite(record) is None:
        against = lacking(record)
    if against is not None:
        return "asymptotic", against
    return "satterthwaite", "the default of lmm"


def why_not(record: FittedModel) -> str | None:
    """Why a model has no denominator degrees of freedom; None where it has."""
    if not record.engine.is_normal:
        if record.family != "gaussian":
            return f"degrees of freedom are for Gaussian responses, and this model's family is {record.family}"
        return "degrees of freedom are for Gaussian responses with identity link and random effects of the mean only"
    if (assumed := record.model.assumed.of_mean()) is not None:
        return f"fixed effects are {assumed}"
    return None


def on_boundary(record: FittedModel) -> str:
    """What to say of variance parameters that are left out."""
    return "; variance parameters on their boundary are taken as known" if record.singular else ""
