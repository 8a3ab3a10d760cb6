"""What the commands print: tables that keep every digit on a narrow terminal, and JSON that any program reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

# Blanks between the columns of a table, and the least width at which a column of words still reads well.
GAP = 2
READABLE = 20


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
    if narrowest(rows, words, keep) > out.width:
        show_blocks(out, rows, title)
        return
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in rows[0]:
        numeric = name not in words
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric or keep, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    out.print(table, markup=False)


def narrowest(rows: Sequence[Mapping[str, str]], words: set[str], keep: bool) -> int:
    """Width below which a table would cut numbers off, or leave a column of words too narrow to read."""
    total = GAP * (len(rows[0]) - 1)
    for name in rows[0]:
        widest = max(len(name), *(len(row[name]) for row in rows))
        total += min(widest, READABLE) if name in words and not keep else widest
    return total


def show_blocks(out: Console, rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Print every row as lines of `name: value`."""
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


def show_prose(out: Console, text: str) -> None:
    """Print a paragraph, wrapped to the terminal."""
    out.print(text, markup=False)


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
