"""What the commands print: tables that keep every digit on a narrow terminal, and JSON that any program reads."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ranef import _engine
from ranef.cli.input import ARROW, SEPARATORS
from ranef.errors import DataError

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


def show_verdicts(out: Console, text: str) -> None:
    """Print a check as it stands, its verdicts coloured where there are colours."""
    shown = Text(text)
    for pattern, style in ((r"(?m)^ok(?= )", "green"), (r"(?m)^LOOK", "yellow"), (r"(?m)^PROBLEM", "bold red")):
        shown.highlight_regex(pattern, style)
    out.print(shown, soft_wrap=True)


def show_prose(out: Console, text: str) -> None:
    """Print a paragraph, wrapped to the terminal."""
    out.print(text, markup=False)


@contextmanager
def working(what: str, progress: bool | None) -> Iterator[None]:
    """Show on standard error, where that is a terminal, what is worked at and for how long; nothing of it remains."""
    out = Console(stderr=True, highlight=False)
    if progress is False or not out.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as shown:
        shown.add_task(what, total=None)
        yield


def records(frame: Any) -> list[dict[str, Any]]:
    """Rows of a frame as plain values; a missing number is None."""
    rows = nw.from_native(frame, eager_only=True).rows(named=True)
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def write_json(values: Mapping[str, Any], target: str | None) -> None:
    """Write values as JSON to a file, or to standard output for ``-``; frames as lists of rows."""
    if target is None:
        return
    found = {name: records(value) if hasattr(value, "columns") else value for name, value in values.items()}
    text = to_json({"ranef": _engine.__version__, **found})
    if target == "-":
        print(text)
    else:
        Path(target).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def write_table(columns: Mapping[str, Any], target: str) -> None:
    """Write a table to a file of the kind that its name tells, or as CSV to standard output for ``-``.

    Raises
    ------
    DataError
        For a name that does not tell the kind.
    """
    frame = pd.DataFrame(dict(columns))
    suffix = Path(target).suffix.lower()
    if target == "-":
        frame.to_csv(sys.stdout, index=False)
    elif suffix in SEPARATORS:
        frame.to_csv(target, sep=SEPARATORS[suffix], index=False)
    elif suffix == ".parquet":
        frame.to_parquet(target, index=False)
    elif suffix in ARROW:
        frame.to_feather(target)
    else:
        known = ", ".join((*SEPARATORS, ".parquet", *ARROW))
        raise DataError(f"{target}: the name does not tell the format; known endings are {known}")


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
