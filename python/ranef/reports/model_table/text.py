"""A table of models as plain text."""

from __future__ import annotations

from textwrap import wrap

from ranef.reports.model_table.table import TableContents, aligned

# Notes below a narrow table are not broken into lines of single words.
NARROWEST = 60


def text(table: TableContents) -> str:
    """The table in columns of characters, decimal points in one line."""
    lines = table.lines()
    labels = [line[0] for line in lines]
    spans = len(table.heads)
    columns: list[list[str]] = []
    for j in range(table.columns):
        padded = [" " * len(a.left) + a.text + " " * len(a.right) for a in aligned([line[j + 1] for line in lines])]
        head = table.heads[j % spans]
        width = max(len(cell) for cell in [*padded, head])
        columns.append([head.center(width), *(cell.center(width) for cell in padded)])
    widths = [len(column[0]) for column in columns]
    groups: list[str] = []
    for k, name in enumerate(table.names):
        own = widths[k * spans : (k + 1) * spans]
        missing = len(name) - (sum(own) + 2 * (spans - 1))
        if missing > 0:
            # The name of a model is wider than its columns: the last one takes the rest.
            last = (k + 1) * spans - 1
            widths[last] += missing
            columns[last] = [cell.center(widths[last]) for cell in columns[last]]
        groups.append(name.center(sum(widths[k * spans : (k + 1) * spans]) + 2 * (spans - 1)))
    left = max(len(label) for label in [*labels, *(section.title for section in table.sections)]) + 1
    total = left + sum(widths) + 2 * len(widths)
    rule = "─" * total
    found = [table.title] if table.title else []
    found += [rule, " " * left + "".join(f"  {group}" for group in groups)]
    if spans > 1:
        found.append(" " * left + "".join(f"  {column[0]}" for column in columns))
    at = 1
    for section in table.sections:
        found += [rule, section.title] if section.title else [rule]
        for row in section.rows:
            cells = "".join(f"  {column[at]}" for column in columns)
            found.append(f" {row.label}".ljust(left) + cells)
            at += 1
    found += [
        rule,
        *(line for note in table.notes for line in wrap(note, max(total, NARROWEST), break_on_hyphens=False)),
    ]
    return "\n".join(line.rstrip() for line in found)
