"""A table of models as Markdown: pipes, which GitHub, pandoc, Quarto and notebooks read."""

from __future__ import annotations

import re

from ranef.reports.model_table.table import TableContents

# What every reader of Markdown takes a backslash before; not all of them do before other characters.
_BACKSLASHED = re.compile(r"([\\`*_|])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "~": "&#126;", "#": "&#35;"}


def escaped(text: str) -> str:
    r"""Text from the data that stays text in a cell.

    Examples
    --------
    >>> escaped("a|b *c* <d>")
    'a\\|b \\*c\\* &lt;d&gt;'
    """
    text = "".join(_ENTITIES.get(character, character) for character in " ".join(text.split()))
    # The one pair of characters that would make a link of a name like f[a](b).
    return _BACKSLASHED.sub(r"\\\1", text).replace("](", "]&#40;")


def markdown(table: TableContents) -> str:
    """The table with a head, sections in bold, and its notes below."""
    spans = len(table.heads)
    heads = [
        " ".join(part for part in (escaped(name), escaped(head)) if part)
        for name in table.names
        for head in table.heads
    ]
    if spans == 1:
        heads = [escaped(name) for name in table.names]
    found = [f"**{escaped(table.title)}**", ""] if table.title else []
    found += [_line(["", *heads]), _line([":--", *[":-:"] * table.columns])]
    for section in table.sections:
        found.append(_line([f"**{escaped(section.title)}**", *[""] * table.columns]))
        found += [_line([escaped(row.label), *map(escaped, row.cells)]) for row in section.rows]
    notes = [escaped(note) for note in table.notes]
    return "\n".join(found + (["", "  \n".join(notes)] if notes else []))


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
