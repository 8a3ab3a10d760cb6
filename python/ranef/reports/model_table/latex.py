"""A table of models as LaTeX, with the rules of booktabs and nothing else."""

from __future__ import annotations

import re
from textwrap import wrap

from ranef.reports.model_table.table import Aligned, TableContents, aligned
from ranef.reports.model_table.text import NARROWEST, text

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "−": "$-$",
    "²": "$^2$",
    "\n": " ",
}
_CHARACTERS = re.compile("[" + re.escape("".join(_SPECIAL)) + "]")


def escaped(name: str) -> str:
    """Text from the data as LaTeX prints it.

    Examples
    --------
    >>> escaped("50 % of a_b")
    '50 \\\\% of a\\\\_b'
    """
    return _CHARACTERS.sub(lambda match: _SPECIAL[match.group()], name)


def latex(table: TableContents) -> str:
    """A ``tabular`` environment, in a ``table`` where there is a title; it needs booktabs."""
    spans, lines = len(table.heads), table.lines()
    columns = [aligned([line[j + 1] for line in lines]) for j in range(table.columns)]
    groups = [
        rf"\multicolumn{{{spans}}}{{c}}{{{escaped(name)}}}" if spans > 1 else escaped(name) for name in table.names
    ]
    found = [rf"\begin{{tabular}}{{l{'c' * table.columns}}}", r"\toprule", f" & {' & '.join(groups)} \\\\"]
    if spans > 1:
        rules = " ".join(rf"\cmidrule(lr){{{2 + k * spans}-{1 + (k + 1) * spans}}}" for k in range(len(table.names)))
        found += [rules, " & " + " & ".join([*map(escaped, table.heads)] * len(table.names)) + r" \\"]
    at = 0
    for section in table.sections:
        found += [r"\midrule", rf"\multicolumn{{{1 + table.columns}}}{{l}}{{\textit{{{escaped(section.title)}}}}} \\"]
        for row in section.rows:
            cells = " & ".join(_cell(column[at]) for column in columns)
            found.append(rf"{_guarded(escaped(row.label))} & {cells} \\")
            at += 1
    found += [r"\bottomrule"]
    # A cell over all columns that is wider than they are would push the last one away: notes are broken in time.
    width = max(NARROWEST, max(map(len, text(table).splitlines()), default=0))
    for line in (line for note in table.notes for line in wrap(note, width, break_on_hyphens=False)):
        found.append(rf"\multicolumn{{{1 + table.columns}}}{{l}}{{\footnotesize {escaped(line)}}} \\")
    found.append(r"\end{tabular}")
    if table.title:
        found = [r"\begin{table}", rf"\caption{{{escaped(table.title)}}}", r"\centering", *found, r"\end{table}"]
    return "\n".join(found)


def _guarded(label: str) -> str:
    # A bracket or star at the start of a row would be taken for an option of the line break before it.
    return f"{{}}{label}" if label[:1] in ("[", "*") else label


def _cell(cell: Aligned) -> str:
    left, right = (rf"\phantom{{{escaped(side)}}}" if side else "" for side in (cell.left, cell.right))
    return f"{left}{escaped(cell.text)}{right}"
