"""Numbers and lists as they stand in a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

MINUS = "\N{MINUS SIGN}"
# Up to this many things are named one by one in a sentence.
MOST_NAMED = 6


def listed(things: Sequence[str], last: str = "and") -> str:
    """Things in a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(things) < 2:
        return "".join(things)
    return f"{', '.join(things[:-1])} {last} {things[-1]}"


def counted(number: int, thing: str, several: str | None = None) -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "level"), counted(1200, "level")
    ('1 level', '1,200 levels')
    """
    return f"{number:,} {thing if number == 1 else several or thing + 's'}"


def signed(text: str) -> str:
    """A number with a typographic minus."""
    return text.replace("-", MINUS)


def short(value: float, digits: int = 3) -> str:
    """A number to some significant digits.

    Examples
    --------
    >>> [short(v) for v in (0.012345, 12345.6, 1.5, 2.0)]
    ['0.0123', '12,346', '1.5', '2']
    """
    value = float(value)
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "infinity" if value > 0 else f"{MINUS}infinity"
    if value != 0.0 and not 1e-4 <= abs(value) < 1e7:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{signed(mantissa)} × 10^{signed(str(int(power)))}"
    if abs(value) >= 10.0 ** (digits - 1):
        return signed(f"{value:,.0f}")
    return signed(f"{value:.{digits}g}") if value else "0"


def decimals(low: float, high: float, estimate: float = math.nan) -> int:
    """Decimals at which an interval is told: two significant digits of its width, and of its smallest number if that
    takes one decimal more.

    Examples
    --------
    >>> decimals(0.5151, 0.8827), decimals(7.3, 13.6), decimals(4.93, 17.2, 9.2)
    (2, 1, 1)
    """
    width = high - low
    sizes = [abs(v) for v in (low, high, estimate) if math.isfinite(v) and v != 0.0]
    if not math.isfinite(width) or width <= 0.0:
        width = min(sizes, default=1.0)
    places = max(0, 1 - math.floor(math.log10(width)))
    least = 1 - math.floor(math.log10(min(sizes, default=width)))
    return int(min(7, max(places, min(least, places + 1))))


def with_interval(numbers: Iterable[float], more: str = "") -> str:
    """An estimate with the ends of its 95 % interval in brackets, and what else belongs there.

    Examples
    --------
    >>> with_interval((0.674, 0.5149, 0.883))
    '0.67 (95% CI 0.51 to 0.88)'
    """
    estimate, low, high = map(float, numbers)
    if not (math.isfinite(low) or math.isfinite(high)):
        return f"{short(estimate)}{f' ({more})' if more else ''}"
    places = decimals(low, high, estimate)
    if any(math.isfinite(v) and abs(v) >= 1e7 for v in (estimate, low, high)):
        values = [short(v) for v in (estimate, low, high)]
    else:
        values = [signed(f"{v:,.{places}f}") if math.isfinite(v) else short(v) for v in (estimate, low, high)]
    behind = f"; {more}" if more else ""
    return f"{values[0]} (95% CI {values[1]} to {values[2]}{behind})"


def probability(p: float) -> str:
    """A p-value in a sentence.

    Examples
    --------
    >>> probability(0.00012), probability(0.0042), probability(0.4663)
    ('p < 0.001', 'p = 0.004', 'p = 0.47')
    """
    if math.isnan(p):
        return "p not defined"
    if p < 0.001:
        return "p < 0.001"
    # Not rounded across 0.05: 0.0496 is told as 0.050 otherwise.
    if p < 0.01 or 0.045 <= p < 0.055:
        return f"p = {p:.3f}"
    return f"p = {p:.2f}" if p < 0.995 else "p > 0.99"


def degrees(df: float) -> str:
    """Degrees of freedom: whole numbers as such."""
    if not math.isfinite(df):
        return "" if math.isnan(df) else "∞"
    whole = df >= 1000 or abs(df - round(df)) < 0.005 * max(1.0, abs(df))
    return f"{df:,.0f}" if whole else f"{df:.1f}"


def tested(statistic: float, df: float, p: float) -> str:
    """A t or z statistic with its p-value.

    Examples
    --------
    >>> tested(6.771, 17.0, 3.3e-6)
    't(17) = 6.77, p < 0.001'
    """
    name = "z" if math.isinf(df) else f"t({degrees(df)})"
    return f"{name} = {signed(f'{statistic:.2f}')}, {probability(p)}"


def joint(statistic: float, num_df: float, den_df: float, p: float) -> str:
    """An F or chi-square statistic with its p-value.

    Examples
    --------
    >>> joint(12.7225, 1, float("inf"), 0.00036)
    'χ²(1) = 12.72, p < 0.001'
    """
    name = f"χ²({num_df:g})" if math.isinf(den_df) else f"F({num_df:g}, {degrees(den_df)})"
    return f"{name} = {signed(f'{statistic:.2f}')}, {probability(p)}"


def sentence(text: str) -> str:
    """A sentence: a capital where it begins with a word of ours, and a full stop."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def capital(text: str) -> str:
    """The first letter large."""
    return text[:1].upper() + text[1:]
