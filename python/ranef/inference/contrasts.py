"""Tests of linear combinations of fixed effects: the covariance and the degrees of freedom that they use.

Every test and interval of fixed effects (coefficients, anova, marginal means, slopes) goes through `Denominator`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.inference.sandwich import Sandwich, sandwich

# Ways to get the denominator degrees of freedom; None is the default.
DDF = ("asymptotic", "residual")


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
    """

    statistic: float
    df: int
    ddf: float
    p_value: float


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
    """

    component: str
    method: str
    reason: str
    estimate: np.ndarray
    covariance: np.ndarray
    rows: int

    def std_errors(self, combinations: np.ndarray) -> np.ndarray:
        """Standard error of each row of `combinations` (k, p) times the estimates, (k,)."""
        return np.sqrt(np.einsum("ij,jk,ik->i", combinations, self.covariance, combinations).clip(min=0.0))

    def degrees_of_freedom(self, combinations: np.ndarray) -> np.ndarray:
        """Degrees of freedom of the t test of each row of `combinations` (k, p), (k,); infinite for the normal."""
        k = len(combinations)
        if self.method == "residual":
            return np.full(k, float(self.rows - len(self.estimate)))
        return np.full(k, np.inf)

    def joint_test(self, combinations: np.ndarray, rhs: np.ndarray | float = 0.0) -> JointTest:
        """Test that ``combinations @ estimate == rhs``; combinations (k, p) may depend on each other."""
        from scipy.special import chdtrc, fdtrc

        difference = combinations @ self.estimate - rhs
        values, vectors = np.linalg.eigh(combinations @ self.covariance @ combinations.T)
        kept = values > 1e-10 * max(values.max(initial=0.0), 1e-300)
        rank = int(kept.sum())
        chi_square = float(((vectors[:, kept].T @ difference) ** 2 / values[kept]).sum())
        if self.method == "residual":
            ddf = float(self.rows - len(self.estimate))
            statistic = chi_square / rank
            return JointTest(statistic, rank, ddf, float(fdtrc(rank, ddf, statistic)))
        return JointTest(chi_square, rank, float("inf"), float(chdtrc(rank, chi_square)))


@dataclass(frozen=True)
class RobustDenominator(Denominator):
    """The same by a cluster-robust covariance; its methods are "asymptotic" and "satterthwaite".

    Attributes
    ----------
    sandwich : Sandwich
    """

    sandwich: Sandwich

    def degrees_of_freedom(self, combinations: np.ndarray) -> np.ndarray:
        """Satterthwaite's under the working model, or infinite."""
        if self.method == "asymptotic":
            return np.full(len(combinations), np.inf)
        return self.sandwich.degrees_of_freedom(combinations)

    def joint_test(self, combinations: np.ndarray, rhs: np.ndarray | float = 0.0) -> JointTest:
        """Hotelling's approximation (HTZ) of the F test, or the chi-square."""
        if self.method == "asymptotic":
            return super().joint_test(combinations, rhs)
        return JointTest(*self.sandwich.joint_test(combinations, combinations @ self.estimate - rhs))


def robust_denominator(
    record: FittedModel, component: str, ddf: str | None, vcov: str, cluster: Any
) -> RobustDenominator:
    """How fixed effects are tested by a cluster-robust covariance (see `inference/sandwich.py`)."""
    if ddf not in (None, "satterthwaite", "asymptotic"):
        raise ModelError(f"ddf={ddf!r} does not go with vcov={vcov!r}; give 'satterthwaite' or 'asymptotic'.")
    found = sandwich(record, component, vcov, cluster)
    return RobustDenominator(
        component=component,
        method=ddf or "satterthwaite",
        reason=f"of the {vcov} covariance, {found.clusters.size} clusters of {found.clusters.name}",
        estimate=record.estimates(component),
        covariance=found.covariance,
        rows=record.nobs,
        sandwich=found,
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
    ddf : {None, "asymptotic", "residual"}
        Degrees of freedom: infinite (z, chi-square), or rows minus fixed effects of the component. None is
        "asymptotic".
    vcov : {None, "CR0", "CR1", "CR2"}
        A cluster-robust covariance instead of the model's; `ddf` is then "satterthwaite" (default) or "asymptotic".
    cluster : str or array_like, optional
        Its clusters, as `sandwich` takes them.

    Raises
    ------
    ModelError
        For another name.
    """
    if vcov is not None:
        return robust_denominator(record, component, ddf, vcov, cluster)
    if cluster is not None:
        raise ModelError("cluster= says which rows vcov= takes for dependent; give vcov='CR2' (or 'CR0', 'CR1') too.")
    if ddf is not None and ddf not in DDF:
        raise ModelError(f"ddf={ddf!r} is not available; give one of {', '.join(map(repr, DDF))}.")
    return Denominator(
        component=component,
        method=ddf or "asymptotic",
        reason="as asked" if ddf else "the default",
        estimate=record.estimates(component),
        covariance=record.covariance_of_estimates(component),
        rows=record.nobs,
    )
