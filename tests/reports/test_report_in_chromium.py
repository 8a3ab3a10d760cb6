"""A report in a browser: nothing is asked for, nothing complained of, every figure shows, all text can be read.

`pytest tests/reports/test_report_in_chromium.py --update-documentation` takes the pictures of the documentation anew.
"""

from pathlib import Path

import pytest

import models
from chromium import Chromium, find_chromium

PROGRAM = find_chromium()
PICTURES = Path(__file__).parents[2] / "docs" / "tutorials"
PHONE, DESKTOP = 390, 1100
LARGEST_PICTURE = 300_000

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on the path to open the report with")

# Pieces of text whose contrast with what lies behind them is below 4.5, those of figures included.
FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = text => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = c => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const words = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!words || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element.closest("svg") ? style.fill : style.color);
    const lights = [luminance(colour), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
    if (ratio < 4.5) found.push(`${words.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
})()
"""
# Width and height of every figure, and of every picture inside one, with the number of shapes and words it holds.
FIGURES = """
[...document.querySelectorAll("main svg")].map(svg => {
  const box = svg.getBoundingClientRect();
  const right = Math.max(...[...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect().right - box.right), 0);
  return {
    width: box.width, height: box.height, shapes: svg.querySelectorAll("path, use, image").length,
    words: svg.querySelectorAll("text").length, beyond: right,
    images: [...svg.querySelectorAll("image")].map(image => image.getBoundingClientRect().width),
  };
})
"""
SMALLEST = """
Math.min(...[...document.querySelectorAll("main svg text")].map(t => {
  const svg = t.closest("svg");
  return parseFloat(getComputedStyle(t).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
}))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return models.owls().report(tmp_path_factory.mktemp("report") / "owls.html", title="Calls of barn owl nestlings")


@pytest.fixture(scope="module")
def browser():
    with Chromium(PROGRAM) as opened:
        yield opened


def test_the_page_shows_and_asks_for_nothing(browser, report):
    browser.look(DESKTOP)
    browser.open(report)
    assert browser.requests() == []
    assert browser.complaints() == []
    assert browser.value("document.compatMode") == "CSS1Compat"
    assert browser.value("document.scripts.length") == 0
    figures = browser.value(FIGURES)
    assert len(figures) >= 9
    for figure in figures:
        assert figure["width"] > 100
        assert figure["height"] > 80
        assert figure["shapes"] > 5
        assert figure["words"] > 2
        assert all(width > 10 for width in figure["images"])


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_nothing_stands_out_of_the_window(browser, report, width):
    browser.look(width)
    browser.open(report)
    assert browser.value("document.documentElement.scrollWidth") <= width
    figures = browser.value(FIGURES)
    assert all(figure["width"] <= width for figure in figures)
    # Letters are of the reader's fonts, not those that the figure was laid out with.
    assert all(figure["beyond"] < 12 for figure in figures)
    # Smaller than 7 pixels nobody reads.
    assert browser.value(SMALLEST) >= 7.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_told_from_its_ground(browser, report, scheme):
    browser.look(DESKTOP, scheme)
    browser.open(report)
    dark = browser.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert browser.value(FAINT) == []


def test_it_prints(browser, report, tmp_path):
    browser.look(DESKTOP, "dark")
    browser.open(report)
    browser.pdf(tmp_path / "owls.pdf")
    pdf = (tmp_path / "owls.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 5 <= pdf.count(b"/Type /Page\n") <= 20


def test_pictures_of_the_documentation(browser, report, request):
    parts = {"owls-report-phone.png": (PHONE, 0, 1500), "owls-report-desktop.png": (DESKTOP, 0, 1400)}
    if request.config.getoption("--update-documentation"):
        for name, (width, top, height) in parts.items():
            browser.look(width)
            browser.open(report)
            browser.screenshot(PICTURES / name, height, top)
    for name in parts:
        picture = (PICTURES / name).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < LARGEST_PICTURE
