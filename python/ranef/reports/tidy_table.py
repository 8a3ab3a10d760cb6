"""Tables of estimates as text and HTML, from their tidy columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ranef.reports.numbers import column, fixed, probability
from ranef.reports.summary import Section

# Heads of columns that printed tables shorten.
_HEADS = {
    "std_error": "SE",
    "p_value": "p value",
    "conf_low": "lower",
    "conf_high": "upper",
    "odds_ratio": "odds ratio",
}
_TOGETHER = ("std_error", "conf_low", "conf_high")
# Longer tables are cut in print, never in their frames.
MOST_ROWS = 60


def tidy_table(
    columns: Mapping[str, Sequence[Any]], estimate: str | None = None, title: str = "", notes: Sequence[str] = ()
) -> Section:
    """A section of a report that shows tidy columns.

    Parameters
    ----------
    columns : mapping
        Labels first, then numbers.
    estimate : str, optional
        The column whose decimals standard errors and limits share.
    title : str
    notes : sequence of str
    """
    shown: dict[str, list[str]] = {}
    own = [*([estimate] if estimate else []), *(name for name in _TOGETHER if name in columns)]
    flat = [float(v) for name in own for v in columns[name]] if estimate else []
    together = column(flat) if flat else []
    rows = len(next(iter(columns.values()), ()))
    left = 0
    for name, values in columns.items():
        if estimate and name in own:
            at = own.index(name) * rows
            shown[name] = together[at : at + rows]
        elif name == "p_value":
            shown[name] = [probability(float(v)) for v in values]
        elif name in ("df", "ddf"):
            shown[name] = [_degrees(float(v)) for v in values]
        elif name == "statistic":
            shown[name] = [fixed(float(v), 3) for v in values]
        elif all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            shown[name] = [f"{v:.6g}" for v in values]
        else:
            shown[name] = [str(v) for v in values]
        left += int(name not in own and shown[name] == [str(v) for v in values] and not left < len(shown) - 1)
    heads = dict(_HEADS)
    if "df" in columns and "ddf" not in columns:
        infinite = all(math.isinf(float(v)) for v in columns["df"])
        heads |= {"statistic": "z" if infinite else "t"}
        if infinite:
            shown.pop("df")
    elif "ddf" in columns:
        infinite = all(math.isinf(float(v)) for v in columns["ddf"])
        heads |= {"statistic": "chi-square" if infinite else "F"}
        if infinite:
            shown.pop("ddf")
    lines = list(zip(*shown.values(), strict=True))
    cut = (f"... {len(lines) - MOST_ROWS} more rows; the frame has all",) if len(lines) > MOST_ROWS else ()
    header = tuple(heads.get(name, name) for name in shown)
    return Section(title, header=header, rows=tuple(lines[:MOST_ROWS]), left=left, notes=(*cut, *notes))


def _degrees(df: float) -> str:
    if not math.isfinite(df):
        return fixed(df, 1)
    return str(int(df)) if df == round(df) else fixed(df, 1)
