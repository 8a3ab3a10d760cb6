"""A table of models as HTML: one element with its own style, which needs nothing around it."""

from __future__ import annotations

from html import escape

from ranef.reports.model_table.table import Aligned, TableContents, aligned

_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;border-top:2px solid;border-bottom:2px solid"
_LABEL = "text-align:left;padding:0.15em 1.2em 0.15em 0;white-space:nowrap"
_CELL = "text-align:center;padding:0.15em 0.8em;white-space:nowrap"
_TITLE = "text-align:left;padding:0.5em 0 0.15em 0;font-style:italic;font-weight:normal;border-top:1px solid"


def html(table: TableContents) -> str:
    """The table as an element that can stand in any page."""
    spans = len(table.heads)
    lines = table.lines()
    columns = [aligned([line[j + 1] for line in lines]) for j in range(table.columns)]
    found = ['<div class="ranef-table" style="overflow-x:auto">', f'<table style="{_TABLE}">']
    if table.title:
        found.append(f'<caption style="text-align:left;padding-bottom:0.4em">{escape(table.title)}</caption>')
    names = "".join(f'<th scope="col" colspan="{spans}" style="{_CELL}">{escape(name)}</th>' for name in table.names)
    found.append(f"<thead><tr><td></td>{names}</tr>")
    if spans > 1:
        heads = "".join(f'<th scope="col" style="{_CELL};font-weight:normal">{escape(h)}</th>' for h in table.heads)
        found.append(f"<tr><td></td>{heads * len(table.names)}</tr>")
    found.append("</thead>")
    at = 0
    for section in table.sections:
        found.append(f'<tbody><tr><th scope="rowgroup" colspan="{1 + table.columns}" style="{_TITLE}">')
        found.append(f"{escape(section.title)}</th></tr>")
        for row in section.rows:
            cells = "".join(f'<td style="{_CELL}">{_cell(column[at])}</td>' for column in columns)
            label = (
                f'<th scope="row" style="{_LABEL};font-weight:normal">{escape(row.label)}</th>'
                if row.label
                else "<td></td>"
            )
            found.append(f"<tr>{label}{cells}</tr>")
            at += 1
        found.append("</tbody>")
    if table.notes:
        # Notes are as wide as the table, not the other way round.
        notes = f'<div style="width:0;min-width:100%">{"<br>".join(map(escape, table.notes))}</div>'
        style = "text-align:left;padding-top:0.4em;font-size:85%;border-top:1px solid"
        found.append(f'<tfoot><tr><td colspan="{1 + table.columns}" style="{style}">{notes}</td></tr></tfoot>')
    return "\n".join([*found, "</table>", "</div>"])


def page(table: TableContents) -> str:
    """A whole page with the table."""
    title = escape(table.title or "Models")
    head = f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>'
    return f'{head}\n<body style="font-family:serif">\n{html(table)}\n</body>\n</html>\n'


def _cell(cell: Aligned) -> str:
    hidden = [
        f'<span style="visibility:hidden" aria-hidden="true">{escape(side)}</span>' if side else ""
        for side in (cell.left, cell.right)
    ]
    return f"{hidden[0]}{escape(cell.text)}{hidden[1]}"
