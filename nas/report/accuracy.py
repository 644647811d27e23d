"""Figures of quality against cycles: measured networks, and what a search has evaluated."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

from nas.report.axis import Axis, percent
from nas.report.chart import (
    BOTTOM,
    LEADING,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    axes,
    dots,
    drawing,
    legend,
    level,
    mark,
    polyline,
    rule,
    spread,
    text,
    whisker,
)
from nas.report.content import Evaluated, Point, Quality
from nas.report.markup import element

HEIGHT = 280
KINDS = {"winner": "winner", "uniform": "best uniform network", "random": "best random network"}
COLOURS = {"winner": "d", "uniform": "b", "random": "c"}


def quality_figure(quality: Quality) -> Element:
    """Draw networks with their intervals, the float network, and marked numbers of cycles."""
    say = percent if quality.share else (lambda value: f"{value:.4g}")
    values = [end for point in quality.points for end in (point.value, *(point.interval or ()))]
    values += [] if quality.reference is None else [quality.reference]
    x = Axis.around(
        [*(point.cycles for point in quality.points), *quality.marks.values()],
        LEFT,
        WIDTH - RIGHT,
        margin=0.12,
    )
    y = Axis.around(values, HEIGHT - BOTTOM, TOP + 8, margin=0.15)
    if quality.marks:  # room for their names at the foot
        y = replace(y, low=y.low - 0.2 * (y.high - y.low))
    named = [point for point in quality.points if point.name]
    known = [] if quality.reference is None else [y(quality.reference)]
    feet = [*(y(point.value) + 4 for point in named), *(place - 5 for place in known)]
    places = spread(feet, LEADING, TOP + 10, HEIGHT - BOTTOM)
    rules = [x(cycles) for cycles in quality.marks.values()]
    parts = [
        *axes(x, y, across="cycles per image", up=quality.name, heights=say),
        *(part for name, cycles in quality.marks.items() for part in rule(x(cycles), y, name)),
        *(part for place in known for part in level(x, place, "float network", places[-1], rules)),
        *(part for point in quality.points for part in _point(point, x, y, say)),
        *(
            _name(point, x(point.cycles), place)
            for point, place in zip(named, places, strict=False)
        ),
    ]
    kinds = {KINDS[k]: COLOURS[k] for k in KINDS if any(p.kind == k for p in quality.points)}
    figure = drawing(HEIGHT, *parts, label=f"{quality.name} against cycles per image")
    return element("figure", legend(kinds), figure, element("figcaption", quality.caption))


def _point(point: Point, x: Axis, y: Axis, say: Callable[[float], str]) -> Iterator[Element]:
    said = f"{point.name or KINDS.get(point.kind, '')}: {say(point.value)}"
    if point.interval:
        low, high = point.interval
        said += f", 95 %: {say(low)} to {say(high)}"
        yield whisker(x(point.cycles), y(low), y(high), point.kind)
    said += f"; {point.cycles:,.0f} cycles"
    yield mark(x(point.cycles), y(point.value), point.kind, said)


def _name(point: Point, x: float, y: float) -> Element:
    """Name a point on its right, or on its left where there is no room."""
    right = x < WIDTH * 0.62
    return text(
        x + 9 if right else x - 9, y, point.name, anchor=None if right else "end", class_="label"
    )


def front_figure(front: Evaluated) -> Element:
    """Draw all subnets that were evaluated, the front, the winners and their baselines."""
    everything = [*front.found, *front.drawn, *((p.cycles, p.value) for p in front.chosen)]
    x = Axis.around((c for c, _ in everything), LEFT, WIDTH - RIGHT, log=True, margin=0.04)
    # The less cross-entropy, the higher.
    y = Axis.around((v for _, v in everything), TOP + 8, HEIGHT - BOTTOM, log=True, margin=0.05)
    chosen = [p for kind in ("random", "uniform", "winner") for p in front.chosen if p.kind == kind]
    parts = [
        *axes(x, y, across="cycles per image", up="cross-entropy, nats", ticks=6),
        *(part for name, cycles in front.limits.items() for part in rule(x(cycles), y, name)),
        dots(((x(c), y(v)) for c, v in front.drawn), "pale"),
        dots(((x(c), y(v)) for c, v in front.found), "dots"),
        polyline([(x(cycles), y(value)) for cycles, value in _stairs(front.found)], "line-a"),
        *(mark(x(p.cycles), y(p.value), p.kind, f"{KINDS[p.kind]} {p.name}") for p in chosen),
    ]
    names = {
        f"{len(front.found):,} evaluated by the search": "a",
        f"{len(front.drawn):,} random draws": "g",
        "winners": "d",
        "best uniform ones": "b",
        "best random ones": "c",
    }
    figure = drawing(HEIGHT, *parts, label="cross-entropy against cycles of all candidates")
    said = (
        "On the search images, in quantized mode: they chose, so values are too low. Better is"
        " higher. The line is the front of what the search found."
    )
    return element("figure", legend(names), figure, element("figcaption", said))


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the front: the least value at up to so many cycles."""
    found: list[tuple[float, float]] = []
    for cycles, value in sorted(points):
        if not found or value < found[-1][1]:
            if found:
                found.append((cycles, found[-1][1]))
            found.append((cycles, value))
    return found
