"""The limits of a board, and what exceeds them."""

from dataclasses import replace

from nas.cost.engine_search.limits import binding_of, described, fullest, shares
from rtl.build.synthesis import Resources
from rtl.config import TINY
from tests.nas.cost.engine_search.made import board

USED = Resources(dsp=50, lut=300, ff=10, bram36=4)
MADE = board(dsp=100, lut=200, ff=100, bram36=8)


def test_fractions_of_the_limits():
    assert shares(USED, MADE) == {"dsp": 0.5, "lut": 1.5, "ff": 0.1, "bram36": 0.5}
    assert fullest(USED, MADE) == 1.5


def test_the_limit_that_is_exceeded_most_binds():
    binding = binding_of(TINY, USED, MADE)
    assert str(binding) == "lut: 4 x 16 x 8 would need 300 of 200"


def test_engines_with_the_same_lanes_are_told_apart_by_other_sizes():
    larger = replace(TINY, name="larger", weight_words=2048)
    assert described(larger, replace(TINY, token_lanes=2)) == "4 x 16 x 8"
    assert described(larger, TINY) == "4 x 16 x 8 with name larger, weight_words 2048"
