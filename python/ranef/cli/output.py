"""What the commands print: tables that keep every digit on a narrow terminal, and JSON that any program reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def console() -> Console:
    """Standard output; rich itself honours NO_COLOR, COLUMNS and pipes."""
    return Console(highlight=False, soft_wrap=False)


def show_table(
    out: Console, rows: Sequence[Mapping[str, str]], title: str = "", text: Iterable[str] = (), keep: bool = False
) -> None:
    """Print rows as a table, or as blocks of `name: value` lines where the terminal is too narrow for the table.

    Parameters
    ----------
    out : Console
        Where to.
    rows : sequence of mapping
        Column name to text; all rows have the same columns.
    title : str
        Line above the table.
    text : iterable of str
        Columns of words, set flush left; the others hold numbers and are set flush right.
    keep : bool
        Whether columns of words must stay on one line, as formulas do.
    """
    words = set(text)
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in rows[0]:
        numeric = name not in words
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric or keep, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    if Measurement.get(out, out.options.update(width=10_000), table).minimum <= out.width:
        out.print(table, markup=False)
        return
    if title:
        out.print(title, style="bold", markup=False)
    for row in rows:
        for name, value in row.items():
            if value:
                out.print(f"{name}: {value}", markup=False)
        out.print()


def show_text(out: Console, text: str) -> None:
    """Print text as it stands: no markup, and no line broken by us."""
    out.print(text, markup=False, soft_wrap=True)


def records(frame: Any) -> list[dict[str, Any]]:
    """Rows of a pandas frame as plain values; a missing number is None."""
    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def plain(value: Any) -> Any:
    """A value that JSON can hold: numpy scalars become Python's, NaN and infinities None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def to_json(value: Any) -> str:
    """JSON text, indented, without NaN."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False, default=str)
