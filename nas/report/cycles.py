"""Cycles by kind of layer and by cause, as bars of the matmul unit's time."""

from xml.etree.ElementTree import Element

from nas.cost.estimate import Estimate
from nas.report.axis import Axis, short
from nas.report.chart import WIDTH, bar, drawing, legend, text
from nas.report.markup import element
from rtl.timing.breakdown import END, Wait

ROW, BAR = 20, 13
NAMES, NUMBERS = 78, 96
"""Width of the names of layers, and of the numbers behind the bars."""
MULTIPLY, PADDING, DRAIN = "multiplying", "multiplying padding", "the drain"
COLOURS = {MULTIPLY: "a", PADDING: "four", DRAIN: "c"}
WAITS = {
    Wait.MEMORY: "b", Wait.ROOM: "e", Wait.SOFTMAX: "d", Wait.NORM: "f",
    Wait.RESULTS: "g", Wait.STORE: "g", Wait.PROGRAM: "g", Wait.START: "g",
}  # fmt: skip
"""Colours of causes; the last ones are small as a rule."""
LEAST = 0.5  # cycles from which a cause is shown


def cycles_by_layer(estimate: Estimate) -> dict[str, dict[str, float]]:
    """Return the cycles of each kind of layer by cause, in the order of execution."""
    breakdown, padding = estimate.breakdown, estimate.padding
    found = {}
    for kind in [*breakdown.multiplying, END]:
        unused = padding.get(kind, 0.0)
        parts = {
            MULTIPLY: breakdown.multiplying.get(kind, 0.0) - unused,
            PADDING: unused,
            DRAIN: breakdown.draining.get(kind, 0.0),
            **{str(wait): idle for wait, idle in breakdown.waiting.get(kind, {}).items()},
        }
        shown = {cause: cycles for cause, cycles in parts.items() if cycles >= LEAST}
        if shown:
            found[kind] = shown
    return found


def cycles_figure(estimate: Estimate) -> Element:
    """Draw a bar for each kind of layer, divided by causes."""
    rows = cycles_by_layer(estimate)
    colours = COLOURS | {str(wait): colour for wait, colour in WAITS.items()}
    most = max(sum(parts.values()) for parts in rows.values())
    x, parts = Axis(0, most, NAMES, WIDTH - NUMBERS), []
    for number, (kind, causes) in enumerate(rows.items()):
        y, begin, total = ROW * number + 4, 0.0, sum(causes.values())
        parts.append(text(NAMES - 8, y + 11, kind, anchor="end", class_="label"))
        for cause, cycles in causes.items():
            said = f"{kind}, {cause}: {cycles:,.0f} cycles"
            width = x(begin + cycles) - x(begin)
            parts.append(bar(x(begin), y, width, BAR, colours[cause], said))
            begin += cycles
        share = total / estimate.cycles
        parts.append(text(x(begin) + 6, y + 11, f"{short(total)}, {share:.0%}"))
    used = {cause for causes in rows.values() for cause in causes}
    names = {
        cause if cause in COLOURS and cause != DRAIN else f"waits for {cause}": colour
        for cause, colour in colours.items()
        if cause in used
    }
    drawn = drawing(ROW * len(rows) + 8, *parts, label="cycles by kind of layer and cause")
    said = f"All blocks together. {_words(estimate)}"
    return element("figure", legend(names), drawn, element("figcaption", said))


def _words(estimate: Estimate) -> str:
    busy = estimate.work.array_cycles / estimate.cycles
    return (
        f"The array multiplies in {busy:.0%} of {estimate.cycles:,.0f} cycles per image, images"
        f" back to back; what binds: {estimate.binds}."
    )
