"""Places, ticks and numbers in words."""

import pytest

from nas.report.axis import Axis, percent, short


def test_places():
    scale = Axis(0, 10, 100, 200)
    assert (scale(0), scale(5), scale(10)) == (100, 150, 200)
    assert Axis(1, 100, 0, 50, log=True)(10) == pytest.approx(25)
    assert Axis(0, 1, 200, 0)(0.25) == 150  # from the foot to the top


def test_around_leaves_room():
    scale = Axis.around([3, 5], 0, 100, margin=0.5)
    assert (scale.low, scale.high) == (2, 6)
    log = Axis.around([10, 1000], 0, 100, log=True, margin=0.5)
    assert (log.low, log.high) == (pytest.approx(1), pytest.approx(10_000))


@pytest.mark.parametrize("values", [[5.0], [0.0], [-2.0, -2.0]])
def test_a_single_value_has_a_place(values):
    scale = Axis.around(values, 0, 100)
    assert scale(values[0]) == pytest.approx(50)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.93, 1.001, [0.94, 0.96, 0.98, 1.0]),
        (8_000, 17_000, [8_000, 10_000, 12_000, 14_000, 16_000]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_round_ticks(low, high, expected):
    assert Axis(low, high, 0, 1).ticks() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 100, [1, 2, 5, 10, 20, 50, 100]),
        (0.9, 5000, [1, 10, 100, 1000]),
        (100, 150, [100, 110, 120, 130, 140, 150]),
    ],
)
def test_ticks_of_a_logarithmic_scale(low, high, expected):
    assert Axis(low, high, 0, 1, log=True).ticks() == pytest.approx(expected)


def test_many_powers_are_thinned():
    assert len(Axis(1, 1e30, 0, 1, log=True).ticks(4)) <= 5


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0312, "0.0312"),
        (5, "5"),
        (1234, "1.23 k"),
        (1.5e6, "1.5 M"),
        (-2e9, "-2 G"),
        (1.5e12, "1.5 T"),
    ],
)
def test_short(value, said):
    assert short(value) == said


def test_percent():
    assert percent(0.9804) == "98.0 %"
