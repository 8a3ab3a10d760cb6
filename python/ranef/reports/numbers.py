"""Numbers as printed tables show them."""

from __future__ import annotations

import math
from collections.abc import Sequence

SIGNIFICANT = 4
MOST_DECIMALS = 7


def decimals_for(values: Sequence[float], significant: int = SIGNIFICANT) -> int:
    """Decimals at which the smallest non-zero value keeps its significant digits, R's rule for coefficient tables.

    Examples
    --------
    >>> decimals_for([251.405, 6.825, 10.467, 1.546])
    3
    """
    sizes = [abs(v) for v in values if math.isfinite(v) and v != 0.0]
    if not sizes:
        return significant - 1
    return min(MOST_DECIMALS, max(1, significant - 1 - math.floor(math.log10(min(sizes)))))


def fixed(value: float, decimals: int) -> str:
    """A number with that many decimals; in powers of ten when it is too large or small for them."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    if value != 0.0 and (abs(value) >= 1e9 or abs(value) < 0.5 * 10.0**-decimals):
        return f"{value:.{SIGNIFICANT - 1}e}"
    return f"{value:.{decimals}f}"


def column(values: Sequence[float], significant: int = SIGNIFICANT) -> list[str]:
    """A column of numbers with common decimals."""
    decimals = decimals_for(values, significant)
    return [fixed(v, decimals) for v in values]


def probability(p: float) -> str:
    """A p-value: four decimals, three significant digits below a thousandth, a bound below rounding error.

    Examples
    --------
    >>> [probability(p) for p in (0.5, 0.00012, 1e-30)]
    ['0.5000', '0.00012', '<2e-16']
    """
    if math.isnan(p):
        return "NaN"
    if p < 2.2e-16:
        return "<2e-16"
    return f"{p:.4f}" if p >= 0.001 else f"{p:.3g}"


def stars(p: float) -> str:
    """R's significance stars."""
    for bound, mark in ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, ".")):
        if p < bound:
            return mark
    return ""
