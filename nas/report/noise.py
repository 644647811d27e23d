"""The error budget: noise of every operation, alone and left out."""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from nas.report.axis import Axis
from nas.report.chart import WIDTH, bar, drawing, legend, text
from nas.report.markup import element

ROW, BAR = 20, 13
NAMES, NUMBERS = 104, 44
ALONE, WITHOUT = "alone", "what is left without it"


def noise_figure(budget: Mapping[str, Any]) -> Element:
    """Draw a bar for each source, and a mark for everything but it, beside the total."""
    sources = sorted(budget["sources"], key=lambda source: -source["alone"])
    total = budget["total"]
    most = max(total, *(max(s["alone"], s["without"]) for s in sources))
    x, height = Axis(0, most, NAMES, WIDTH - NUMBERS), ROW * len(sources) + 8
    parts = []
    for number, source in enumerate(sources):
        y, alone, without = ROW * number + 4, source["alone"], source["without"]
        said = f"{source['source']}: alone {alone:.4f}, all but it {without:.4f}"
        parts += [
            text(NAMES - 8, y + 11, source["source"], anchor="end", class_="label"),
            bar(x(0), y, x(alone) - x(0), BAR, "a", said),
            bar(x(without) - 1, y - 2, 2.0, BAR + 4, "b", said),
            # In a column of their own: no mark and no line crosses them.
            text(WIDTH, y + 11, f"{alone:.3f}", anchor="end"),
        ]
    line = element("line", x1=x(total), x2=x(total), y1=0, y2=height, class_="rule")
    drawn = drawing(height, line, *parts, label="noise of every operation")
    said = (
        "Length of what rounding changes in the result, relative to the float network's, on"
        f" {budget['images']} images. Dashed: everything together, {total:.3f}; the sources' root"
        f" of squares is {budget['root_of_squares']:.3f}."
    )
    names = legend({ALONE: "a", WITHOUT: "b"})
    return element("figure", names, drawn, element("figcaption", said))
