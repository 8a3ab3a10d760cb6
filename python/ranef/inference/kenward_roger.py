"""Kenward and Roger's covariance, degrees of freedom and scaled F of linear combinations of fixed effects.

The covariance Phi_A of the fixed effects allows for the estimation of the variances; the F statistic

    F = (lambda / q) (L beta)' (L Phi_A L')^-1 (L beta)

is scaled so that its first two moments are those of F with q and m degrees of freedom: with Theta = L'(L Phi L')^-1 L,
D_r = dPhi / dsigma_r and W the covariance of the sigma_r,

    A1 = sum W_rs tr(Theta D_r) tr(Theta D_s) ,    A2 = sum W_rs tr(Theta D_r Theta D_s) ,    B = (A1 + 6 A2) / 2q

give lambda and m. The engine computes Phi, Phi_A, D and W.

References: Kenward & Roger (1997), Biometrics 53, 983-997; Halekoh & Hojsgaard (2014), Journal of Statistical Software
59(9), whose rules for the limits are used: a lambda of at most 0.2 is not applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ranef import _engine
from ranef.fitting import FittedModel, fit_model
from ranef.model import raised_by_engine

# The scale of F below which it is not applied.
LEAST_SCALE = 0.2


@dataclass(frozen=True)
class KenwardRoger:
    """Degrees of freedom by Kenward and Roger's approximation.

    Attributes
    ----------
    covariance : (p, p) array
        Phi.
    adjusted : (p, p) array
        Phi_A.
    slopes : (k, p, p) array
        D_r.
    parameters : (k, k) array
        W.
    """

    covariance: np.ndarray
    adjusted: np.ndarray
    slopes: np.ndarray
    parameters: np.ndarray

    def of(self, combinations: np.ndarray) -> np.ndarray:
        """Degrees of freedom of each row of `combinations` (k, p), (k,); NaN where the row is zero."""
        each = [self.scaled(row[None, :])[0] if row.any() else np.nan for row in combinations]
        return np.array(each)

    def of_several(self, independent: np.ndarray) -> tuple[float, float]:
        """Denominator degrees of freedom of the F test of independent rows, and the scale of F."""
        return self.scaled(independent)

    def scaled(self, rows: np.ndarray) -> tuple[float, float]:
        """m and lambda; one where lambda is not applied."""
        q = len(rows)
        theta = rows.T @ np.linalg.solve(rows @ self.covariance @ rows.T, rows)
        moved = theta @ self.slopes
        traces = np.trace(moved, axis1=1, axis2=2)
        a1 = float(traces @ self.parameters @ traces)
        a2 = float(np.einsum("rs,rij,sji->", self.parameters, moved, moved))
        if a1 <= 0.0 or a2 <= 0.0:
            return np.inf, 1.0
        b = (a1 + 6.0 * a2) / (2.0 * q)
        g = ((q + 1.0) * a1 - (q + 4.0) * a2) / ((q + 2.0) * a2)
        rest = 3.0 * q + 2.0 * (1.0 - g)
        c1, c2, c3 = g / rest, (q - g) / rest, (q + 2.0 - g) / rest
        v0, v1, v2 = near_zero(1.0 + c1 * b), 1.0 - c2 * b, 1.0 - c3 * b
        rho = ratio(1.0 - a2 / q, v1) ** 2 * v0 / (q * v2)
        m = 4.0 + (q + 2.0) / (q * rho - 1.0)
        scale = 1.0 if abs(m - 2.0) < 0.01 else m * (1.0 - a2 / q) / (m - 2.0)
        return float(m), float(scale) if scale > LEAST_SCALE else 1.0


def near_zero(value: float) -> float:
    """Zero for what is zero but for rounding."""
    return 0.0 if abs(value) < 1e-10 else value


def ratio(above: float, below: float) -> float:
    """above / below, and one where both are zero."""
    return 1.0 if near_zero(above) == 0.0 and near_zero(below) == 0.0 else above / below


def refitted(record: FittedModel) -> FittedModel:
    """The same model by restricted maximum likelihood, which Kenward and Roger's covariance belongs to."""
    if record.method == "reml":
        return record
    model = replace(record.model, method="reml")
    engine, kept = fit_model(model, record.control, None)
    return FittedModel(model=model, control=record.control, engine=engine, kept=kept)


def kenward_roger(record: FittedModel) -> KenwardRoger | str:
    """Of a fit by restricted maximum likelihood; why there is none where there is none."""
    try:
        return KenwardRoger(*record.engine.kenward_roger())
    except _engine.EngineError as error:
        if error.args[0] != "kenward-roger":
            raise raised_by_engine(error, record.design) from None
        return str(error.args[1])
