"""What tests of figures look at: whether anything is cut off, and how far two pictures are apart."""

import numpy as np
from matplotlib import style

# matplotlib's own settings and font, whatever those of the user are; letters without hinting look alike everywhere.
PLAIN = ["default", {"font.family": ["DejaVu Sans"], "text.hinting": "no_hinting"}]


def plain_style():
    """A context in which figures come out the same everywhere."""
    return style.context(PLAIN)


def cut_off(figure, slack=2.0):
    """Texts of a figure that reach beyond its edge by more than `slack` pixels."""
    figure.draw_without_rendering()
    renderer, edge = figure.canvas.get_renderer(), figure.bbox
    found = []
    for axis in figure.axes:
        low, high = sorted(axis.get_xlim()), sorted(axis.get_ylim())
        texts = [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        # Ticks beyond the limits are not drawn.
        texts += [text for text in axis.get_xticklabels() if low[0] <= text.get_position()[0] <= low[1]]
        texts += [text for text in axis.get_yticklabels() if high[0] <= text.get_position()[1] <= high[1]]
        for text in texts:
            if not text.get_text() or not text.get_visible():
                continue
            box = text.get_window_extent(renderer)
            if (
                box.x0 < edge.x0 - slack
                or box.x1 > edge.x1 + slack
                or box.y0 < edge.y0 - slack
                or box.y1 > edge.y1 + slack
            ):
                found.append(text.get_text())
    for legend in figure.legends:
        box = legend.get_window_extent(renderer)
        if box.x0 < -slack or box.x1 > edge.x1 + slack or box.y0 < -slack or box.y1 > edge.y1 + slack:
            found.append("legend")
    return found


def largest_line(figure):
    """Points of the line or cloud that has most of them."""
    sizes = [len(line.get_xdata()) for axis in figure.axes for line in axis.get_lines()]
    sizes += [len(c.get_offsets()) for axis in figure.axes for c in axis.collections if c.get_offsets().size > 2]
    return max(sizes, default=0)


def apart(one, other, block=4):
    """Root mean square difference of two pictures (0 to 255), each averaged over blocks of pixels.

    Averages, because letters and edges that lie a fraction of a pixel apart are the same figure.
    """
    if one.shape != other.shape:
        return float("inf")

    def averaged(picture):
        picture = picture[..., :3].astype(float)
        rows, columns = (size // block * block for size in picture.shape[:2])
        return picture[:rows, :columns].reshape(rows // block, block, columns // block, block, 3).mean(axis=(1, 3))

    return float(np.sqrt(np.mean((averaged(one) - averaged(other)) ** 2)))
