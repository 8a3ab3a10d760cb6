"""What mkdocs does to a page before it becomes HTML.

GitHub wants a bar inside code in a table written with a backslash before it; Python-Markdown knows code when it sees
it, and would show the backslash. The pages are written for GitHub.
"""


def on_page_markdown(markdown: str, **_: object) -> str:
    """Take the backslash from bars in the code of tables."""
    return "\n".join(_row(line) if line.startswith("|") else line for line in markdown.split("\n"))


def _row(line: str) -> str:
    """A row of a table: every second piece between backticks is code."""
    pieces = line.split("`")
    pieces[1::2] = [code.replace("\\|", "|") for code in pieces[1::2]]
    return "`".join(pieces)
