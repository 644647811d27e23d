"""Marks stand where scales say; labels do not overlap."""

from itertools import pairwise

import pytest

from nas.report.axis import Axis
from nas.report.chart import MARKS, axes, dots, drawing, legend, level, mark, rule, spread
from nas.report.markup import written


@pytest.mark.parametrize(
    "places", [[10, 10, 10], [5, 90, 6, 91, 7], [0, 100], [50], [], [99, 99.5, 100, 98, 97, 96]]
)
def test_labels_are_spread(places):
    found = spread(places, 10, 0, 100)
    assert len(found) == len(places)
    assert all(0 <= place <= 100 for place in found)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(sorted(found)))
    order = sorted(range(len(places)), key=lambda i: places[i])
    assert [found[i] for i in order] == sorted(found)


def test_what_has_room_stays():
    assert spread([10, 50, 90], 10, 0, 100) == [10, 50, 90]


@pytest.mark.parametrize(
    ("rules", "start"), [([], 44), ([300], 44), ([80], 86), ([80, 110], 116), ([120, 250], 44)]
)
def test_a_level_is_named_where_no_rule_is(rules, start):
    _, name = level(Axis(0, 4, 40, 400), 100, "float", 95, rules)
    assert (name.get("x"), name.get("y"), name.text) == (str(start), "95", "float")


@pytest.mark.parametrize("kind", MARKS)
def test_marks_say_what_they_are(kind):
    assert f'class="fill-{MARKS[kind]}"' in written(mark(10, 20, kind, "said"))
    assert "<title>said</title>" in written(mark(10, 20, kind, "said"))


def test_axes_have_numbers_on_either_side():
    for y in (Axis(0, 10, 200, 0), Axis(0, 10, 0, 200)):
        text = written(drawing(240, *axes(Axis(0, 4, 40, 400), y, across="x", up="y"), label="l"))
        assert text.count('y="216"') == 5  # numbers at the foot, wherever y begins
        assert ">10<" in text and ">x<" in text and 'aria-label="l"' in text


def test_many_dots_are_one_path():
    assert written(dots([(1, 2), (3.25, 4)], "pale")) == (
        '<path d="M1.0 2.0h0M3.2 4.0h0" class="pale"></path>'
    )


def test_rules_and_legends_have_names():
    line, name = rule(50, Axis(0, 1, 200, 0), "4 bits")
    assert (line.get("x1"), line.get("x2"), name.text) == ("50", "50", "4 bits")
    assert "waits" in written(legend({"waits": "a"}))
