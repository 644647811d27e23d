"""Axes, marks and legends in SVG, 400 units wide: legible on a phone as on a desk."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

from nas.report.axis import Axis, short
from nas.report.markup import Content, element

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 12, 40
LETTER = 6.0  # most of a letter's width
STAR = "l2 4.9 5.3.4-4 3.5 1.2 5.1-4.5-2.8-4.5 2.8 1.2-5.1-4-3.5 5.3-.4z"
LEADING = 13  # between labels below one another

MARKS = {"model": "a", "winner": "d", "uniform": "b", "random": "c"}
"""Colour of a point by its kind."""


def drawing(height: float, *content: Content, label: str) -> Element:
    """Make a drawing; ``label`` says what it shows to those who do not see it."""
    title = element("title", label)
    return element(
        "svg", title, *content, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=label
    )


def axes(
    x: Axis,
    y: Axis,
    *,
    across: str,
    up: str,
    numbers: Callable[[float], str] = short,
    heights: Callable[[float], str] = short,
    ticks: int = 5,
) -> list[Element]:
    """Draw grid lines, numbers and names of two axes; either end of ``y`` may be at the foot."""
    found, foot = [], max(y.start, y.end)
    for value in y.ticks(ticks):
        place = y(value)
        found.append(_line(x.start, place, x.end, place, "axis"))
        found.append(text(x.start - 5, place + 4, heights(value), anchor="end"))
    for value in x.ticks(ticks):
        place = x(value)
        found.append(_line(place, foot, place, foot + 4, "axis"))
        found.append(text(place, foot + 16, numbers(value), anchor="middle"))
    found.append(_line(x.start, foot, x.end, foot, "axis"))
    found.append(text(x.end, foot + 32, across, anchor="end"))
    found.append(text(2, 4, up))
    return found


def text(
    x: float, y: float, said: str, *, anchor: str | None = None, class_: str | None = None
) -> Element:
    return element("text", said, x=x, y=y, text_anchor=anchor, class_=class_)


def rule(x: float, y: Axis, name: str) -> list[Element]:
    """Draw an upright line at a place, named at its foot along it."""
    turned = f"translate({x - 4:.1f} {max(y.start, y.end) - 6:.1f}) rotate(-90)"
    return [_line(x, y.start, x, y.end, "rule"), element("text", name, transform=turned)]


def level(
    x: Axis, place: float, name: str, foot: float, rules: Iterable[float] = ()
) -> list[Element]:
    """Draw a level line with its name, which stands on ``foot``.

    The name is at the left end, or behind the first of the upright ``rules`` that leaves it room.
    """
    starts = [x.start + 4, *(at + 6 for at in sorted(rules))]
    span = LETTER * len(name) + LEADING  # a rule's own name stands on its left
    free = (s for s in starts if not any(s < at < s + span for at in rules) and s + span < x.end)
    return [_line(x.start, place, x.end, place, "rule"), text(next(free, starts[0]), foot, name)]


def dots(points: Iterable[tuple[float, float]], class_: str) -> Element:
    """Draw many points as one path."""
    return element("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in points), class_=class_)


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Element:
    steps = " ".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return element("path", d=f"M{steps}", class_=f"line {class_}")


def mark(x: float, y: float, kind: str, said: str) -> Element:
    """Draw a point: a disc, a star, a square or a triangle by its kind; ``said`` on hovering."""
    title, fill = element("title", said), f"fill-{MARKS[kind]}"
    if kind == "uniform":
        return element("rect", title, x=x - 4, y=y - 4, width=8, height=8, class_=fill)
    if kind == "random":
        shape = f"M{x - 5:.1f} {y - 4:.1f}h10l-5 9z"
    elif kind == "winner":
        shape = (
            f"M{x:.1f} {y - 7:.1f}l2 4.9 5.3.4-4 3.5 1.2 5.1-4.5-2.8-4.5 2.8 1.2-5.1-4-3.5 5.3-.4z"
        )
    else:
        return element("circle", title, cx=x, cy=y, r=5, class_=fill)
    return element("path", title, d=shape, class_=fill)


def whisker(x: float, low: float, high: float, kind: str) -> Element:
    """Draw an interval as an upright line."""
    return element("path", d=f"M{x:.1f} {low:.1f}V{high:.1f}", class_=f"line line-{MARKS[kind]}")


def bar(x: float, y: float, width: float, height: float, colour: str, said: str) -> Element:
    title = element("title", said)
    return element(
        "rect", title, x=x, y=y, width=max(width, 0.0), height=height, class_=f"fill-{colour}"
    )


def legend(entries: Mapping[str, str]) -> Element:
    """List colours by what they stand for."""
    found = []
    for name, colour in entries.items():
        box = element("rect", x=0, y=0, width=12, height=12, rx=3, class_=f"fill-{colour}")
        found.append(element("li", element("svg", box, viewBox="0 0 12 12"), name))
    return element("ul", *found, class_="legend")


def spread(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Move places apart, down to ``least``, in their order and between two ends."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    found = list(places)
    for before, index in zip([None, *order], order, strict=False):
        limit = low if before is None else found[before] + least
        found[index] = max(found[index], limit)
    for after, index in zip([None, *reversed(order)], reversed(order), strict=False):
        limit = high if after is None else found[after] - least
        found[index] = min(found[index], limit)
    return found


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)
