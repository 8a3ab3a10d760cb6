"""The largest of several correlated t statistics, which makes their tests and intervals simultaneous.

With R = B B' the correlation of the statistics, B of r columns, they are B z / s, z normal in r dimensions. Given the
direction u of z, their largest is below c when |z| / s <= c / max(|B u|), and |z|^2 / r / s^2 has the F distribution:

    P(max |T| > c) = E_u [ P(F_{r, df} > (c / max |B u|)^2 / r) ],

an average over directions alone, taken over a fixed low-discrepancy sequence of them: the same input gives the same
answer. For statistics with one common factor, R_ij = b_i b_j (comparisons of independent means with a control), the
probability is an integral over that factor and s instead.

References: Deak (1980), Numerische Mathematik 35, 369-380; Dunnett (1955), JASA 50, 1096-1121.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranef.inference.marginal_means.scaled_chi import scaled_chi
from ranef.inference.marginal_means.studentised_range import normal_quadrature, root

# Directions, fewer where there are hundreds of statistics; a 5 % tail is then right to 1e-3 of itself (tested).
_DIRECTIONS, _MOST_PROJECTIONS = 2**16, 2**23


@dataclass(frozen=True, eq=False)
class LargestOfT:
    """The largest absolute value (or the largest, for one-sided tests) of statistics with a known correlation matrix.

    Attributes
    ----------
    correlation : (m, m) array
        May be singular.
    two_sided : bool

    Examples
    --------
    >>> pair = LargestOfT(np.array([[1.0, 0.5], [0.5, 1.0]]))
    >>> round(pair.quantile(0.95, np.inf), 3)  # Dunnett's table
    2.212
    """

    correlation: np.ndarray
    two_sided: bool = True

    def upper_tail(self, t: float, df: float) -> float:
        """P(max |T| > t)."""
        if self.factor is not None:
            return 1.0 - self._with_one_factor(t, df)
        return self._over_directions(t, df)

    def quantile(self, level: float, df: float) -> float:
        """The t that the largest stays below with probability `level`."""
        high = 4.0
        while self.upper_tail(high, df) > 1.0 - level:
            high *= 2.0
            if high > 1e8:
                return float("inf")
        low = 0.0 if self.two_sided else -high
        return root(lambda t: 1.0 - level - self.upper_tail(t, df), low, high)

    @cached_property
    def factor(self) -> np.ndarray | None:
        """b with R_ij = b_i b_j off the diagonal, |b| < 1; None where there is none."""
        r = self.correlation
        m = len(r)
        if m == 1:
            return np.zeros(1)
        if m == 2:
            rho = r[0, 1]
            found = np.array([np.sqrt(abs(rho)), np.sign(rho) * np.sqrt(abs(rho))])
            return found if abs(rho) < 1.0 - 1e-12 else None
        first = np.array([np.sqrt(abs(r[i, j] * r[i, k] / r[j, k])) if r[j, k] else 0.0 for i, j, k in _triples(m)])
        signs = np.where(r[0] < 0.0, -1.0, 1.0)
        signs[0] = 1.0
        found = first * signs
        close = np.abs(np.outer(found, found) - r)[~np.eye(m, dtype=bool)].max() < 1e-10
        return found if close and (np.abs(found) < 1.0 - 1e-12).all() else None

    def _with_one_factor(self, t: float, df: float) -> float:
        from scipy.special import ndtr

        b = self.factor
        assert b is not None
        z, w = normal_quadrature()
        s, chance = scaled_chi(float(df))
        own = np.sqrt(1.0 - b**2)
        inside = np.ones((len(s), len(z)))
        for loading, sd in zip(b, own, strict=True):
            upper = ndtr((t * s[:, None] - loading * z) / sd)
            inside *= upper - ndtr((-t * s[:, None] - loading * z) / sd) if self.two_sided else upper
        return float(chance @ (inside @ w))

    @cached_property
    def _heights(self) -> tuple[int, np.ndarray]:
        """The rank of R, and the largest of B u (of |B u|) for every direction."""
        values, vectors = np.linalg.eigh(self.correlation)
        kept = values > 1e-10 * values.max()
        b = vectors[:, kept] * np.sqrt(values[kept])
        projected = directions(b.shape[1], len(b)) @ b.T
        if self.two_sided:
            return b.shape[1], np.abs(projected).max(axis=1)
        return b.shape[1], np.concatenate([projected.max(axis=1), -projected.min(axis=1)])

    def _over_directions(self, t: float, df: float) -> float:
        rank, heights = self._heights
        if t < 0.0 and not self.two_sided:
            # A direction ends below t only when it leads down everywhere, and far enough.
            return float(1.0 - _tail_by_height(-t, -heights, rank, df).mean())
        return float(_tail_by_height(t, heights, rank, df).mean())


def _tail_by_height(t: float, heights: np.ndarray, rank: int, df: float) -> np.ndarray:
    """P(height |z| / s > t) for z normal in `rank` dimensions: zero where the height is not positive."""
    from scipy.special import chdtrc, fdtrc

    up = heights > 0.0
    reach = (t / np.where(up, heights, 1.0)) ** 2
    return np.where(up, fdtrc(rank, df, reach / rank) if np.isfinite(df) else chdtrc(rank, reach), 0.0)


def _triples(m: int) -> list[tuple[int, int, int]]:
    return [(i, *[j for j in range(m) if j != i][:2]) for i in range(m)]  # type: ignore[misc]


def directions(dimension: int, statistics: int = 1) -> np.ndarray:
    """Unit vectors spread evenly, one a row, always the same.

    In the plane at equal angles, in space on a spiral of the golden angle; in more dimensions normal quantiles of an
    additive recurrence by square roots of primes (Richtmyer), folded to be periodic. Their opposites count too and are
    left to the caller.
    """
    from scipy.special import ndtri

    if dimension == 1:
        return np.ones((1, 1))
    count = max(2**10, min(_DIRECTIONS, _MOST_PROJECTIONS // statistics))
    if dimension == 2:
        angle = np.pi * (np.arange(count) + 0.5) / count
        return np.column_stack([np.cos(angle), np.sin(angle)])
    if dimension == 3:
        height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
        angle = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(count)
        radius = np.sqrt(1.0 - height**2)
        return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), height])
    place = (np.outer(np.arange(1, count + 1), np.sqrt(_primes(dimension))) + 0.5) % 1.0
    normal = ndtri(np.clip(1.0 - np.abs(2.0 * place - 1.0), 1e-12, 1.0 - 1e-12))
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True))


def _primes(count: int) -> np.ndarray:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return np.array(found, float)
