"""Satterthwaite's degrees of freedom of linear combinations of fixed effects.

    df = 2 (l' Phi l)^2 / (g' A g) ,    g_m = l' (dPhi / dpsi_m) l

with Phi the covariance of the fixed effects given the variance parameters psi, and A the covariance of these; the
engine computes all three exactly. Several rows are turned into independent ones by the eigenvectors of their
covariance.

References: Giesbrecht & Burns (1985), Biometrics 41, 477-486; Fai & Cornelius (1996), Journal of Statistical
Computation and Simulation 54, 363-378; Kuznetsova, Brockhoff & Christensen (2017), Journal of Statistical Software
82(13).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.fitting import FittedModel

# Degrees of freedom of independent combinations that agree to this are one and the same number, computed several times.
SAME = 1e-8


@dataclass(frozen=True)
class Satterthwaite:
    """Degrees of freedom by Satterthwaite's approximation.

    Attributes
    ----------
    covariance : (p, p) array
        Phi.
    slopes : (k, p, p) array
        dPhi / dpsi_m.
    parameters : (k, k) array
        A; zero for parameters on their boundary, which are left out.
    """

    covariance: np.ndarray
    slopes: np.ndarray
    parameters: np.ndarray

    def of(self, combinations: np.ndarray) -> np.ndarray:
        """Degrees of freedom of each row of `combinations` (k, p), (k,); NaN where the row is zero."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            variance = quadratic(combinations, self.covariance)
            slopes = np.array([quadratic(combinations, slope) for slope in self.slopes])
            uncertainty = np.einsum("mi,mn,ni->i", slopes, self.parameters, slopes)
            return np.where(
                uncertainty > 0.0, 2.0 * variance**2 / uncertainty, np.where(variance > 0.0, np.inf, np.nan)
            )

    def of_several(self, independent: np.ndarray) -> tuple[float, float]:
        """Denominator degrees of freedom of the F test of independent rows (k, p), and the scale of F, which is one.

        An F statistic is the mean of the squares of the rows' t: its expectation is matched, E = sum df / (df - 2) over
        the rows with more than 2, and 2 E / (E - k); rows of at most 2, which have no expectation, make it 2.
        """
        each = self.of(independent)
        k = len(each)
        if np.isinf(each).all():
            # All variances are known.
            return np.inf, 1.0
        if k == 1 or (np.isfinite(each).all() and np.ptp(each) <= SAME * each.max()):
            return float(each.mean()), 1.0
        if (each <= 2.0).any():
            return 2.0, 1.0
        expected = float((1.0 / (1.0 - 2.0 / each)).sum())
        return 2.0 * expected / (expected - k), 1.0


def quadratic(combinations: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """l' M l of each row l."""
    result: np.ndarray = ((combinations @ matrix) * combinations).sum(axis=1)
    return result


def satterthwaite(record: FittedModel) -> Satterthwaite | None:
    """What the engine knows about a fit; None where its parameters have no covariance, or it is no normal model."""
    found = record.slopes_of_fixed_covariance
    return None if found is None else Satterthwaite(*found)
