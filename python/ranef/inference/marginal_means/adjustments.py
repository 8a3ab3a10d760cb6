"""Adjustments for making several tests, and several intervals, at once.

Families of tests are the contrasts of one `by` group. Holm's and the false discovery rate's adjustments are for
p-values only; their intervals are Bonferroni's, which hold under both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranef.errors import ModelError
from ranef.inference.marginal_means.multivariate_t import LargestOfT
from ranef.inference.marginal_means.studentised_range import studentised_range_cdf, studentised_range_quantile
from ranef.inference.multiplicity import benjamini_hochberg, holm
from ranef.inference.wald import quantile

ADJUSTMENTS = ("none", "tukey", "sidak", "holm", "bonferroni", "fdr", "dunnett", "mvt", "scheffe")
# Other words for the same.
_ALSO = {"bh": "fdr", "benjamini-hochberg": "fdr", "dunnettx": "dunnett", "tukey-kramer": "tukey"}

SIDES = ("two-sided", "less", "greater")
_SIDES_ALSO = {"both": "two-sided", "<": "less", ">": "greater", "two_sided": "two-sided", "=": "two-sided"}


def adjustment_named(name: str | None, default: str = "none") -> str:
    """The adjustment of that name, in any of its spellings."""
    word = default if name is None else str(name).lower()
    word = _ALSO.get(word, word)
    if word not in ADJUSTMENTS:
        raise ModelError(f"adjust={name!r}: give one of {', '.join(map(repr, ADJUSTMENTS))}.")
    return word


def side_named(name: str) -> str:
    """The alternative of that name, in any of its spellings."""
    word = _SIDES_ALSO.get(str(name).lower(), str(name).lower())
    if word not in SIDES:
        raise ModelError(f"side={name!r}: give one of {', '.join(map(repr, SIDES))}.")
    return word


@dataclass(frozen=True, eq=False)
class FamilyOfTests:
    """Tests that are made together.

    Attributes
    ----------
    covariance : (m, m) array
        Of the estimates, of which none is NaN.
    df : (m,) array
        Degrees of freedom of each.
    means : int or None
        How many means these are all pairs of; None where they are something else, to which Tukey's method does not
        apply (Sidak's takes its place).
    """

    covariance: np.ndarray
    df: np.ndarray
    means: int | None = None

    @property
    def size(self) -> int:
        """Number of tests."""
        return len(self.df)

    @cached_property
    def correlation(self) -> np.ndarray:
        """Correlation matrix of the estimates."""
        sd = np.sqrt(np.diag(self.covariance).clip(min=0.0))
        scale = np.where(sd > 0.0, sd, 1.0)
        found = self.covariance / np.outer(scale, scale)
        np.fill_diagonal(found, 1.0)
        return found

    @cached_property
    def rank(self) -> int:
        """How many of the estimates are independent."""
        values = np.linalg.eigvalsh(self.correlation)
        return int((values > 1e-8 * values.max()).sum())

    @cached_property
    def largest(self) -> LargestOfT:
        """The law of the largest absolute statistic."""
        return LargestOfT(self.correlation)

    def effective(self, adjust: str, side: str) -> str:
        """The adjustment that is made: Tukey's is for two-sided tests of all pairs, Scheffe's for two-sided ones."""
        if adjust == "tukey" and (self.means is None or side != "two-sided"):
            return "sidak"
        if adjust == "scheffe" and side != "two-sided":
            return "bonferroni"
        return adjust

    def p_values(self, statistic: np.ndarray, p: np.ndarray, adjust: str, side: str = "two-sided") -> np.ndarray:
        """Adjusted p-values.

        Parameters
        ----------
        statistic : (m,) array
        p : (m,) array
            Unadjusted, of the same side.
        adjust, side : str
        """
        adjust, m = self.effective(adjust, side), self.size
        if adjust == "none" or m < 2:
            return p
        if adjust == "bonferroni":
            return np.minimum(1.0, m * p)
        if adjust == "sidak":
            return -np.expm1(m * np.log1p(-np.minimum(p, 1.0 - 1e-16)))
        if adjust == "holm":
            return holm(p)
        if adjust == "fdr":
            return benjamini_hochberg(p)
        if adjust == "scheffe":
            return self._scheffe_tail(statistic)
        # A tail far below rounding error is only known to lie between the single test's and Bonferroni's.
        return np.clip(self._simultaneous(statistic, adjust, side), p, np.minimum(1.0, m * p))

    def critical_values(self, level: float, adjust: str, side: str = "two-sided") -> np.ndarray:
        """Half-widths of simultaneous intervals in standard errors, (m,); one-sided ones have one end."""
        adjust, m = self.effective(adjust, side), self.size
        outside = 1.0 - level
        if adjust in ("bonferroni", "holm", "fdr"):
            outside /= m
        elif adjust == "sidak":
            outside = -np.expm1(np.log(level) / m)
        if adjust in ("none", "bonferroni", "holm", "fdr", "sidak") or m < 2:
            # The one-sided end at `level` is that of a two-sided interval which leaves out twice as much.
            return np.asarray(quantile(1.0 - outside * (1.0 if side == "two-sided" else 2.0), self.df))
        each: Callable[[float], float]
        if adjust == "scheffe":
            each = self._scheffe_quantile(level)
        elif adjust == "tukey":
            each = lambda df: studentised_range_quantile(level, self.means or 2, df) / np.sqrt(2.0)  # noqa: E731
        else:
            law = self.largest if side == "two-sided" else LargestOfT(self.correlation, two_sided=False)
            each = lambda df: law.quantile(level, df)  # noqa: E731
        found = {df: each(float(df)) for df in np.unique(self._rounded_df)}
        return np.array([found[df] for df in self._rounded_df])

    @property
    def _rounded_df(self) -> np.ndarray:
        """Degrees of freedom without the noise of their last digits, so that alike ones share their quantile."""
        return np.where(np.isfinite(self.df), np.round(self.df, 6), np.inf)

    def _simultaneous(self, statistic: np.ndarray, adjust: str, side: str) -> np.ndarray:
        """The chance that any statistic of the family is as far out."""
        if adjust == "tukey":
            return np.array(
                [
                    1.0 - studentised_range_cdf(abs(t) * np.sqrt(2.0), self.means or 2, df)
                    for t, df in zip(statistic, self._rounded_df, strict=True)
                ]
            )
        if side == "two-sided":
            return np.array(
                [self.largest.upper_tail(abs(t), df) for t, df in zip(statistic, self._rounded_df, strict=True)]
            )
        law, sign = LargestOfT(self.correlation, two_sided=False), -1.0 if side == "less" else 1.0
        return np.array([law.upper_tail(sign * t, df) for t, df in zip(statistic, self._rounded_df, strict=True)])

    def _scheffe_tail(self, statistic: np.ndarray) -> np.ndarray:
        from scipy.special import chdtrc, fdtrc

        rank, square = self.rank, np.asarray(statistic, float) ** 2
        finite = np.where(np.isfinite(self.df), self.df, 1.0)
        return np.where(np.isfinite(self.df), fdtrc(rank, finite, square / rank), chdtrc(rank, square))

    def _scheffe_quantile(self, level: float) -> Callable[[float], float]:
        from scipy.special import chdtri, fdtri

        rank = self.rank
        return lambda df: float(
            np.sqrt(rank * fdtri(rank, df, level) if np.isfinite(df) else chdtri(rank, 1.0 - level))
        )
