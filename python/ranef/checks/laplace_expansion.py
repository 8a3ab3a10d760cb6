"""The next term of Laplace's expansion, for any number of crossed factors.

Laplace's log-likelihood leaves out, of each row's loss g_i = -log f(y_i | eta_i) beyond its second derivative,

    c = -1/8 sum_i g_i'''' v_ii^2 + 1/8 sum_ij g_i''' v_ii v_ij v_jj g_j''' + 1/12 sum_ij g_i''' v_ij^3 g_j''' + ...

with v = Z H^-1 Z' the covariance of the rows' predictors given the data, H the curvature at the modes. For one effect a
level this is the fourth derivative and the squared skewness of the level's posterior. As rows share levels of several
factors, it takes all pairs of rows: for small and middling data, which are those where it matters.

Derivatives are known in closed form for canonical links: Poisson counts by their log, successes by their logit.

Reference: Shun & McCullagh (1995), Journal of the Royal Statistical Society B 57, 749-760.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranef.fitting import FittedModel
from ranef.formula.level_columns import LevelColumns

CANONICAL = (("poisson", "log"), ("binomial", "logit"))
# Rows, effects and parameters up to which the term is computed: some tenths of a second.
MOST_ROWS, MOST_EFFECTS, MOST_PARAMETERS = 800, 200, 12
# Newton steps for the modes, and the largest change of an effect in standard deviations at which they are found.
STEPS, FOUND = 50, 1e-9
# Step of the differences, in standard deviations of an effect or on the scale of the link.
STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Expansion:
    """A model whose expansion is taken, as a function of its parameters.

    Attributes
    ----------
    record : FittedModel
    """

    record: FittedModel

    def next_term(self, beta: np.ndarray, factors: Sequence[np.ndarray]) -> float:
        """c at fixed effects of the mean and factors of the terms; NaN where the modes are not found."""
        design = self.record.design
        a = np.column_stack(
            [
                columns_of(term.columns, term.codes, len(term.levels)) @ np.kron(np.eye(len(term.levels)), factor)
                for term, factor in zip(design.random, factors, strict=True)
            ]
        )
        part = design.fixed["cond"]
        fixed = np.asarray(part.x, float)[:, self.record.kept["cond"]] @ beta
        fixed = fixed + (0.0 if part.offset is None else part.offset)
        u, (loss, score, second, third, fourth) = np.zeros(a.shape[1]), self._losses(fixed)
        for _ in range(STEPS):
            curvature = (a.T * second) @ a + np.eye(len(u))
            step = np.linalg.solve(curvature, -(a.T @ score) - u)
            if np.abs(step).max() < FOUND:
                break
            # A full step may pass the mode by far where means grow exponentially: half of it, and so on.
            before, halvings = loss + 0.5 * float(u @ u), 0
            while halvings < STEPS:
                loss, score, second, third, fourth = self._losses(fixed + a @ (u + step))
                if loss + 0.5 * float((u + step) @ (u + step)) <= before + 1e-9 * abs(before):
                    break
                step, halvings = 0.5 * step, halvings + 1
            u = u + step
        else:
            return float("nan")
        v = a @ np.linalg.solve(curvature, a.T)
        own = np.diag(v)
        skew = third * own
        return float(-fourth @ own**2 / 8.0 + skew @ v @ skew / 8.0 + third @ (v**3) @ third / 12.0)

    def _losses(self, eta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The sum of the rows' losses but for constants, and the first to fourth derivative of each."""
        response, weights = self.record.design.response, self.record.model.likelihood_weights
        w = 1.0 if weights is None else weights
        if self.record.family == "poisson":
            mean = w * np.exp(np.minimum(eta, 700.0))
            return float(np.sum(mean - w * response.y * eta)), mean - w * response.y, mean, mean, mean
        trials = 1.0 if response.trials is None else response.trials
        p = 1.0 / (1.0 + np.exp(-eta))
        v = p * (1.0 - p)
        n = w * trials
        loss = float(np.sum(n * np.logaddexp(0.0, eta) - w * response.y * eta))
        return loss, n * p - w * response.y, n * v, n * v * (1.0 - 2.0 * p), n * v * (1.0 - 6.0 * v)

    def gradient(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Derivatives of c by the fixed effects of the mean, and by the entries of each factor; central differences."""
        record = self.record
        beta = np.asarray(record.estimates("cond"), float)
        factors = [np.asarray(factor, float) for factor in record.engine.factor]
        x = np.asarray(record.design.fixed["cond"].x, float)[:, record.kept["cond"]]
        by_beta = np.zeros(len(beta))
        for k, size in enumerate(np.maximum(np.abs(x).max(axis=0), 1e-300)):
            step = STEP / size
            ends = [self.next_term(beta + side * step * (np.arange(len(beta)) == k), factors) for side in (1, -1)]
            by_beta[k] = (ends[0] - ends[1]) / (2.0 * step)
        by_factor = [np.zeros_like(factor) for factor in factors]
        for t, factor in enumerate(factors):
            step = STEP * max(float(np.abs(factor).max()), 1e-3)
            for i, j in zip(*np.nonzero(np.tril(np.ones_like(factor))), strict=True):
                ends = []
                for side in (1, -1):
                    moved = [f.copy() for f in factors]
                    moved[t][i, j] += side * step
                    ends.append(self.next_term(beta, moved))
                by_factor[t][i, j] = (ends[0] - ends[1]) / (2.0 * step)
        return by_beta, by_factor


def expansion_of(record: FittedModel) -> Expansion | None:
    """The expansion of a fit; None where it is not known, or too much work."""
    model, terms = record.model, record.terms()
    if (record.family, record.link) not in CANONICAL or model.components != ("cond",) or record.method != "ml":
        return None
    if model.assumed or any(term.smooth or term.coupling is not None or term.component != "cond" for term in terms):
        return None
    effects = sum(len(term.levels) * len(term.names) for term in terms)
    parameters = len(record.names("cond")) + sum(len(term.names) * (len(term.names) + 1) // 2 for term in terms)
    small = record.nobs <= MOST_ROWS and effects <= MOST_EFFECTS and parameters <= MOST_PARAMETERS
    square = all(np.shape(factor)[0] == np.shape(factor)[1] for factor in record.engine.factor)
    if not small or not square or isinstance(record.design.fixed["cond"].x, LevelColumns):
        return None
    return Expansion(record)


def columns_of(columns: np.ndarray, codes: np.ndarray, levels: int) -> np.ndarray:
    """The columns of a term for each level, (n, levels times columns)."""
    n, p = columns.shape
    found = np.zeros((n, levels, p))
    found[np.arange(n), np.asarray(codes, int)] = columns
    return found.reshape(n, levels * p)
