"""The documentation runs: every Python block of the pages and the README, with the output printed under it.

`pytest tests/test_documentation.py --update-documentation` writes the outputs anew; read the diff before committing it.
"""

import ast
import contextlib
import io
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n?^```text\n(?P<output>.*?)^```\n)?", re.M | re.S)
RUNNING = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


def run_block(code: str, names: dict) -> str:
    """Run a block and give what it prints; a last line that is an expression shows its value, as at a prompt."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "page", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "page", "eval"), names)
            if value is not None:
                print(repr(value))
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).strip("\n")


def without_counts(printed: str) -> str:
    """How many steps the optimiser took is its own affair; what it found is compared."""
    return re.sub(r"\(\d+ iterations\)", "(iterations)", printed).strip("\n")


@pytest.fixture(autouse=True)
def wide_frames():
    """Frames print whole, however wide the terminal is."""
    with pd.option_context("display.width", 120, "display.max_columns", None):
        yield


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_runs_and_prints_what_it_says(page, request):
    text = page.read_text(encoding="utf-8")
    names: dict = {}
    blocks = [(match, run_block(match["code"], names)) for match in BLOCK.finditer(text)]
    if request.config.getoption("--update-documentation"):
        for match, printed in reversed(blocks):
            output = f"\n```text\n{printed}\n```\n" if printed else ""
            if without_counts(printed) == without_counts(match["output"] or ""):
                continue
            text = f"{text[: match.start()]}```python\n{match['code']}```\n{output}{text[match.end() :]}"
        page.write_text(text, encoding="utf-8")
        return
    for match, printed in blocks:
        assert without_counts(printed) == without_counts(match["output"] or ""), match["code"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"^\s+- ([\w/-]+\.md)$|- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    named = {name for pair in listed for name in pair if name}
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
