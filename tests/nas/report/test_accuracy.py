"""Quality against cycles, and what a search has evaluated."""

from itertools import pairwise

from nas.report.accuracy import _stairs, front_figure, quality_figure
from nas.report.chart import LEADING
from nas.report.markup import written
from tests.nas.report import samples
from tests.nas.report.samples import titles


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


def test_the_float_network_s_name_keeps_clear_of_points():
    points = tuple(samples.Point(f"p{i}", 100.0 + i, 0.9 + i / 1000) for i in range(3))
    figure = quality_figure(samples.Quality("accuracy", points, 0.902))
    named = ("float network", "p0", "p1", "p2")
    feet = sorted(float(t.attrib["y"]) for t in figure.iter("text") if t.text in named)
    assert len(feet) == 4 and all(b - a >= LEADING - 1e-6 for a, b in pairwise(feet))


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
