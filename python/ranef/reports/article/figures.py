"""Figures as pictures inside a page: SVG whose colours follow the page's, to be read on light and on dark.

Lines, text and the colours that all figures share become variables of the page's style sheet; text stays text. Clouds
of points and densities become pictures inside the SVG. What is drawn in colours of its own (a map, contours) lies on
a light plate.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from ranef.plots.canvas import GREY, PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# Marks of an artist beyond which it becomes a picture: a thousand circles are 100 kB.
MOST_MARKS = 400
DOTS_PER_INCH = 170
# The page's variables for the colours that figures share.
VARIABLES = {colour.lower(): f"var(--c{k + 1})" for k, colour in enumerate(PALETTE)}
VARIABLES |= {"#000000": "currentColor", "#ffffff": "var(--paper)", GREY.lower(): "var(--grey)"}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT = re.compile(r"font:\s*(?P<how>[^;]*?)(?P<size>[\d.]+)px\s[^;]*")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True)
class Picture:
    """A figure in a page.

    Attributes
    ----------
    svg : str
    alt : str
        What it shows, for those who do not see it.
    width : float
        In pixels of the page.
    plate : bool
        Whether it needs a light ground.
    caption : str
    """

    svg: str
    alt: str
    width: float
    plate: bool
    caption: str = ""


@contextmanager
def drawing() -> Iterator[None]:
    """Settings under which figures for a page are drawn: a dollar in a level's name is no mathematics."""
    from matplotlib import rc_context

    settings: Any = {
        "text.parse_math": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "ranef",
        "axes.unicode_minus": True,
    }
    with rc_context(settings):
        yield


def picture(figure: Figure, key: str, alt: str, caption: str = "") -> Picture:
    """A figure as one picture; to be called inside `drawing`."""
    return _picture(figure, key, alt, caption, "tight")


def panels(figure: Figure, key: str, alts: list[str] | None = None, what: str = "") -> list[Picture]:
    """Every panel of a figure as a picture of its own, so that a narrow page can put them below each other.

    Parameters
    ----------
    figure : Figure
    key : str
        Begins the names inside the pictures.
    alts : list of str, optional
        What each panel shows; their titles when left out.
    what : str
        What panels are of, before their titles.
    """
    from matplotlib.transforms import Bbox

    # A colour bar goes with the panel whose colours it explains.
    found_bars = ((axis, getattr(axis, "_colorbar", None)) for axis in figure.axes)
    bars = {axis: bar.mappable.axes for axis, bar in found_bars if bar is not None}
    axes = [axis for axis in figure.axes if axis not in bars]
    if len(axes) < 2 or figure.legends:
        alt = "; ".join(alts) if alts else f"{what}{'; '.join(_title(axis) for axis in axes)}"
        return [picture(figure, key, alt)]
    figure.draw_without_rendering()
    # The layout is kept while the other panels are hidden.
    figure.set_layout_engine("none")
    canvas: Any = figure.canvas
    found = []
    for k, axis in enumerate(axes):
        if not axis.has_data():
            continue
        own = [axis, *(bar for bar, panel in bars.items() if panel is axis)]
        for other in figure.axes:
            other.set_visible(other in own)
        boxes = [part.get_tightbbox(canvas.get_renderer()) for part in own]
        box = Bbox.union([found_box for found_box in boxes if found_box is not None])
        inches = box.transformed(figure.dpi_scale_trans.inverted()).padded(0.04)
        alt = alts[k] if alts else f"{what}{_title(axis)}"
        found.append(_picture(figure, f"{key}-{k}", alt, "", inches))
    for axis in figure.axes:
        axis.set_visible(True)
    return found


def _title(axis: Any) -> str:
    title = " ".join((axis.get_title() or axis.get_title(loc="left")).split())
    labels = [text for text in (axis.get_ylabel(), axis.get_xlabel()) if text]
    drawn = " against ".join(labels)
    return f"{title} ({drawn})" if title and drawn else title or drawn


def _picture(figure: Figure, key: str, alt: str, caption: str, box: Any) -> Picture:
    own_colours = False
    for axis in figure.axes:
        for line in axis.lines:
            if line.get_marker() not in ("", "None", " ", None) and np.size(line.get_xdata()) > MOST_MARKS:
                line.set_rasterized(True)
        for collection in axis.collections:
            mapped = collection.get_array() is not None
            own_colours |= mapped
            if mapped or _marks(collection) > MOST_MARKS:
                collection.set_rasterized(True)
        own_colours |= bool(axis.images)
    out = io.BytesIO()
    figure.savefig(
        out,
        format="svg",
        bbox_inches=box,
        transparent=True,
        dpi=DOTS_PER_INCH,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    root = ElementTree.fromstring(out.getvalue())
    plate = _adapt(root, key) or own_colours
    width = float(str(root.get("width")).removesuffix("pt")) * 4.0 / 3.0
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("focusable", "false")
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return Picture(ElementTree.tostring(root, encoding="unicode"), alt, width, plate, caption)


def _marks(collection: Any) -> int:
    return max(len(collection.get_paths()), len(collection.get_offsets()))


def _adapt(root: ElementTree.Element, key: str) -> bool:
    """Give an SVG the page's colours and font and names of its own; tells whether some colour is not the page's."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{SVG}}}metadata":
                parent.remove(child)
    used: set[str] = set()
    for element in root.iter():
        used |= {name for value in element.attrib.values() for name in _REFERENCE.findall(value)}
        link = element.get(f"{{{XLINK}}}href", "")
        used |= {link[1:]} if link.startswith("#") else set()
    strange = False

    def coloured(match: re.Match[str]) -> str:
        nonlocal strange
        found = VARIABLES.get(match.group().lower())
        if found is None:
            value = match.group()[1:]
            grey = len({value[0:2], value[2:4], value[4:6]}) == 1
            strange |= not grey
            return "var(--grey)" if grey else match.group()
        return found

    for element in root.iter():
        name = element.get("id")
        if name is not None:
            if name in used:
                element.set("id", f"{key}-{name}")
            else:
                del element.attrib["id"]
        for attribute, value in list(element.attrib.items()):
            value = _REFERENCE.sub(lambda m: f"url(#{key}-{m[1]})", value)
            if attribute == f"{{{XLINK}}}href" and value.startswith("#"):
                value = f"#{key}-{value[1:]}"
            if attribute == "style":
                value = _FONT.sub(lambda m: f"{_weight(m['how'])}font-size: {m['size']}px", value)
                value = _COLOUR.sub(coloured, _FAMILY.sub("", value))
                if element.tag == f"{{{SVG}}}text":
                    value = value.replace("var(--grey)", "var(--muted)")
            element.set(attribute, value)
    for parent in list(root.iter()):
        for child in list(parent):
            # The style sheet of an SVG would be one of the whole page.
            if child.tag == f"{{{SVG}}}defs" and all(inner.tag == f"{{{SVG}}}style" for inner in child):
                parent.remove(child)
    return strange


def _weight(how: str) -> str:
    return "font-weight: 600; " if "bold" in how or "700" in how else ""
