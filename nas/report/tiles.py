"""Bits by tile: which rows of the weights have 8 bits."""

from itertools import groupby
from xml.etree.ElementTree import Element

from nas.report.chart import WIDTH, bar, drawing, legend, text
from nas.report.markup import element
from rtl.model.shape import LAYERS, NetworkShape

ROW, STRIP = 15, 11
NAMES, GAP = 24, 5
Tiles = tuple[bool, ...]


def eight_bit_share(shape: NetworkShape) -> float:
    """Return the share of the blocks' row tiles that have 8 bits."""
    flags = [flag for block in shape.blocks for _, tiles in block.bits8 for flag in tiles]
    return sum(flags) / len(flags)


def tiles_figure(shape: NetworkShape) -> Element:
    """Draw a strip for each layer of each block, in the order of its row tiles."""
    blocks = [dict(block.bits8) for block in shape.blocks]
    most = {layer: max(len(block[layer]) for block in blocks) for layer in LAYERS}
    unit = (WIDTH - NAMES - GAP * len(LAYERS)) / sum(most.values())
    begins, place = {}, float(NAMES)
    for layer in LAYERS:
        begins[layer] = place
        place += unit * most[layer] + GAP
    parts = [text(begins[layer], 11, layer) for layer in LAYERS]
    for number, block in enumerate(blocks):
        y = ROW * number + 18
        parts.append(text(NAMES - 8, y + 9, str(number), anchor="end"))
        for layer, tiles in block.items():
            said = f"block {number}, {layer}: {sum(tiles)} of {len(tiles)} row tiles with 8 bits"
            parts += _strip(tiles, begins[layer], y, unit, said)
    drawn = drawing(ROW * len(blocks) + 20, *parts, label="8-bit row tiles of every layer")
    names = legend({"8 bits": "eight", "4 bits": "four"})
    ends = {
        "Patch embedding": shape.embed_bits8,
        "In front of the blocks": shape.front_bits8 or (),
        "Classifier": shape.head_bits8,
    }
    others = "; ".join(f"{name}: {sum(t)} of {len(t)}" for name, t in ends.items() if t)
    said = (
        f"{eight_bit_share(shape):.0%} of the blocks' row tiles, of {shape.row_granularity} rows"
        f" each, have 8 bits. A strip is a matrix, a row of strips a block. {others}."
    )
    return element("figure", names, drawn, element("figcaption", said))


def _strip(tiles: Tiles, x: float, y: float, unit: float, said: str) -> list[Element]:
    """Draw runs of tiles with the same number of bits as one bar."""
    found, begin = [], 0
    for flag, run in groupby(tiles):
        count = len(list(run))
        place, width = x + begin * unit, count * unit
        found.append(bar(place, y, width, STRIP, "eight" if flag else "four", said))
        begin += count
    return found
