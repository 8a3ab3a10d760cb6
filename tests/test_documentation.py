"""The documentation runs: every Python block of the pages and the README, with the output printed under it.

A block whose last line is a figure, with an image of `docs/images/` under it, draws that image, as a notebook would.
`pytest tests/test_documentation.py --update-documentation` writes outputs and images anew; read the diff, and look at
the images, before committing them.
"""

import ast
import contextlib
import doctest
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n?^```text\n(?P<output>.*?)^```\n)?"
    r"(?P<drawing>\n!\[[^\]]*\]\((?P<image>[^)]*images/[^)]*\.png)\)(?:\{[^}]*\})?\n)?",
    re.M | re.S,
)
RUNNING = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
# Mean difference of the pixels, of 255. With the locked matplotlib, which brings its own fonts and rasteriser, a
# figure is drawn alike up to the last digits of its numbers, which move nothing by a visible part of a pixel. A marker
# of another colour makes 0.12, intervals of level 0.949 instead of 0.95 make 0.19, one letter of a label 0.5.
SAME_DRAWING = 0.05


def run_block(code: str, names: dict) -> tuple[str, Figure | None]:
    """Run a block: what it prints, the value of a last expression included, and the figure it ends in."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    figure = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "page", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "page", "eval"), names)
            if isinstance(value, Figure):
                figure = value
            elif value is not None:
                print(repr(value))
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()).strip("\n"), figure


def drawn(figure: Figure) -> Image.Image:
    """A figure in at most 64 colours, sharp on screens of two pixels a point, without date or version in the file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return Image.open(buffer).convert("RGB").quantize(64, dither=Image.Dither.NONE)


def difference(drawing: Image.Image, path: Path) -> float:
    """Mean absolute difference of a drawing and a stored image, from 0 to 255; 255 where sizes differ."""
    with Image.open(path) as stored:
        if drawing.size != stored.size:
            return 255.0
        pixels = [np.asarray(image.convert("RGB"), dtype=float) for image in (drawing, stored)]
    return float(np.abs(pixels[0] - pixels[1]).mean())


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
    blocks = []
    for match in BLOCK.finditer(text):
        printed, figure = run_block(match["code"], names)
        assert (figure is None) or match["image"], f"name an image for the figure of this block:\n{match['code']}"
        assert (figure is not None) or not match["image"], f"{match['image']} is not drawn by:\n{match['code']}"
        blocks.append((match, printed, drawn(figure) if figure else None))
    if request.config.getoption("--update-documentation"):
        for match, printed, drawing in reversed(blocks):
            if drawing:
                path = page.parent / match["image"]
                path.parent.mkdir(exist_ok=True)
                if not path.exists() or difference(drawing, path) > SAME_DRAWING:
                    drawing.save(path, optimize=True)
            if without_counts(printed) == without_counts(match["output"] or ""):
                continue
            output = f"\n```text\n{printed}\n```\n" if printed else ""
            block = f"```python\n{match['code']}```\n{output}{match['drawing'] or ''}"
            text = text[: match.start()] + block + text[match.end() :]
        page.write_text(text, encoding="utf-8")
        return
    for match, printed, drawing in blocks:
        assert without_counts(printed) == without_counts(match["output"] or ""), match["code"]
        if drawing:
            off = difference(drawing, page.parent / match["image"])
            assert off <= SAME_DRAWING, f"{match['image']} looks otherwise now: --update-documentation"


def test_command_of_the_readme_prints_what_it_says():
    """The first command for a file of one's own, as it stands there; `...` is for lines left out."""
    found = re.search(r"```sh\n(ranef fit .*)\n```\n\n```text\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    ran = subprocess.run(
        [sys.executable, "-m", *shlex.split(found[1])], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert doctest.OutputChecker().check_output(found[2], ran.stdout, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def test_every_image_is_drawn_on_a_page():
    shown = {
        (page.parent / match["image"]).resolve()
        for page in RUNNING
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if match["image"]
    }
    assert shown == {path.resolve() for path in IMAGES.iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r"^\s+- (?:\w+: )?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
