"""Bits by tile: strips of every layer."""

from dataclasses import replace

import pytest

from nas.report.markup import written
from nas.report.tiles import eight_bit_share, tiles_figure
from tests.nas.report import samples
from tests.nas.report.samples import titles


def test_tiles():
    network = samples.network()
    figure = tiles_figure(network.shape)
    said = titles(figure)
    blocks = network.shape.blocks
    for number, block in enumerate(blocks):
        for layer, tiles in block.bits8:
            of = f"block {number}, {layer}: {sum(tiles)} of {len(tiles)} row tiles with 8 bits"
            assert of in said
    assert "Classifier: " in written(figure)


@pytest.mark.parametrize(("fraction", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_share_of_eight_bits(fraction, share):
    network = samples.network(fraction=fraction)
    assert eight_bit_share(network.shape) == share
    bars = [
        rect for rect in tiles_figure(network.shape).iter("rect") if rect.find("title") is not None
    ]
    assert len(bars) == 6 * len(network.shape.blocks)  # a strip of one width is one bar


def test_blocks_of_unequal_size_fit():
    shape = samples.network().shape
    small = samples.random_model(blocks=((1, 16),)).shape.blocks[0]
    figure = tiles_figure(replace(shape, blocks=(*shape.blocks, small)))
    ends = [float(r.attrib["x"]) + float(r.attrib["width"]) for r in figure.iter("rect")]
    assert max(ends) <= 400
