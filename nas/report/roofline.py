"""The roofline: rates of kinds of layers, and what array and memory allow."""

from math import isfinite
from xml.etree.ElementTree import Element

from nas.cost.estimate import Estimate
from nas.cost.roofline import points
from nas.report.axis import Axis, short
from nas.report.chart import (
    BOTTOM,
    LEADING,
    LEFT,
    TOP,
    WIDTH,
    axes,
    drawing,
    polyline,
    spread,
    text,
)
from nas.report.markup import element

HEIGHT, NAMES = 280, 84
COLOURS = ("a", "b", "c", "d", "e", "f", "g")
NETWORK = "network"


def roofline_figure(estimate: Estimate) -> Element:
    """Draw the roofs of 4-bit and 8-bit weights, and a point for each kind of layer."""
    found, clock = points(estimate), estimate.board.clock_hz
    peak, bandwidth = estimate.engine.products * clock, estimate.memory.bytes_per_cycle * clock
    finite = [each.intensity for each in found.values() if isfinite(each.intensity)]
    x = Axis(min(finite) / 2, max(*finite, peak / bandwidth) * 8, LEFT, WIDTH - NAMES, True)
    rates = [peak * 1.3, *(each.rate for each in found.values())]
    y = Axis.around(rates, HEIGHT - BOTTOM, TOP, log=True, margin=0.06)
    parts = axes(x, y, across="multiply-accumulates per byte of memory", up="MAC/s", ticks=4)
    for roof, colour in ((peak, "line-ink"), (peak / 2, "line-g")):  # 4-bit, 8-bit weights
        parts.append(polyline(_roof(x, y, roof, bandwidth), colour))
    places = {
        kind: (x(min(each.intensity, x.high / 1.3)), y(each.rate)) for kind, each in found.items()
    }
    names = spread([place[1] + 4 for place in places.values()], LEADING, TOP, HEIGHT - BOTTOM)
    for number, ((kind, place), name) in enumerate(zip(places.items(), names, strict=True)):
        each = found[kind]
        traffic = f"{short(each.intensity)} per byte" if isfinite(each.intensity) else "no traffic"
        said = f"{kind}: {short(each.rate)}MAC/s, {traffic}"
        strong = kind == NETWORK
        leader = f"M{place[0]:.1f} {place[1]:.1f}L{WIDTH - NAMES + 6} {name - 4:.1f}"
        colour = COLOURS[number % len(COLOURS)]
        disc = element(
            "circle", element("title", said), cx=place[0], cy=place[1], r=6 if strong else 4,
            class_=f"fill-{colour}",
        )  # fmt: skip
        parts += [
            element("path", d=leader, class_="leader"),
            disc,
            text(WIDTH - NAMES + 9, name, kind, class_="strong" if strong else "label"),
        ]
    drawn = drawing(HEIGHT, *parts, label="roofline: rates by kind of layer")
    said = (
        f"At {clock / 1e6:g} MHz. Upper roof: 4-bit weights, lower one: 8-bit weights, which pass"
        " twice. A kind may lie above the slope: its weights came while the array worked for"
        " another one; without traffic, it stands at the right end."
    )
    return element("figure", drawn, element("figcaption", said))


def _roof(x: Axis, y: Axis, roof: float, bandwidth: float) -> list[tuple[float, float]]:
    """Return the corners of a roof within the drawing."""
    begin = max(x.low, y.low / bandwidth)
    corners = [(begin, begin * bandwidth), (roof / bandwidth, roof), (x.high, roof)]
    if roof / bandwidth <= x.low:
        corners = [(x.low, roof), (x.high, roof)]
    return [(x(intensity), y(rate)) for intensity, rate in corners]
