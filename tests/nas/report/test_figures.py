"""Figures hold the numbers that they are made of."""

import re
from dataclasses import replace
from xml.etree.ElementTree import Element

import pytest

from nas.cost.estimate import Estimate
from nas.report.accuracy import _stairs, front_figure, quality_figure
from nas.report.cycles import cycles_by_layer, cycles_figure
from nas.report.markup import written
from nas.report.noise import noise_figure
from nas.report.roofline import roofline_figure
from nas.report.tiles import eight_bit_share, tiles_figure
from tests.nas.report import samples


def titles(figure: Element) -> list[str]:
    return [title.text or "" for title in figure.iter("title")]


def estimated(**options) -> Estimate:
    estimate = samples.network(**options).estimate
    assert estimate is not None
    return estimate


def test_quality():
    figure = quality_figure(samples.quality())
    said = titles(figure)
    assert "1,000 fps: 97.0 %, 95 %: 95.5 % to 98.0 %; 8,000 cycles" in said
    assert "best random network: 92.0 %; 4,900 cycles" in said
    text = written(figure)
    assert "float network" in text and "8 bits" in text and "A caption." in text


def test_a_single_network_without_intervals():
    point = samples.Point("alone", 100.0, 0.9963)
    text = written(quality_figure(samples.Quality("cosine", (point,), share=False)))
    assert "alone: 0.9963; 100 cycles" in text and "winner" not in text


def test_front():
    given = samples.front()
    figure = front_figure(given)
    text = written(figure)
    assert "30 evaluated by the search" in text and "30 random draws" in text
    paths = [path.get("d") for path in figure.iter("path")]
    assert sum(path.count("h0") for path in paths) == 60
    assert text.count("9 fps") >= 4  # the limit, and three that were chosen


def test_the_front_goes_down():
    points = [(3.0, 5.0), (1.0, 9.0), (2.0, 9.5), (4.0, 6.0), (5.0, 1.0)]
    assert _stairs(points) == [(1, 9), (3, 9), (3, 5), (5, 5), (5, 1)]


def test_cycles_add_up():
    estimate = estimated()
    rows = cycles_by_layer(estimate)
    total = sum(cycles for causes in rows.values() for cycles in causes.values())
    assert total == pytest.approx(estimate.cycles, rel=2e-3)
    text = written(cycles_figure(estimate))
    assert all(f">{kind}<" in text for kind in rows)
    bars = re.findall(r"<title>(\S+), (.+?): ([\d,]+) cycles</title>", text)
    assert {(kind, cause): f"{cycles:,.0f}" for kind, causes in rows.items()
            for cause, cycles in causes.items()} == {(k, c): n for k, c, n in bars}  # fmt: skip


def test_roofline_names_every_kind():
    estimate = estimated()
    said = titles(roofline_figure(estimate))
    kinds = {text.partition(":")[0] for text in said if "MAC/s" in text}
    assert kinds == {*estimate.breakdown.multiplying, "network"}
    assert any("no traffic" in text for text in said)


def test_a_network_without_a_classifier():
    estimate = estimated(output="tokens")
    assert "head" not in cycles_by_layer(estimate)
    assert not any(text.startswith("head") for text in titles(roofline_figure(estimate)))


def test_noise_is_sorted():
    text = written(noise_figure(samples.noise()))
    assert text.index(">hidden<") < text.index(">weights<")
    assert "0.070" in text and "everything together, 0.090" in text


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
