"""Offsets of constants: aligned, in the order in which they are asked for."""

from rtl.compiler import plan
from rtl.compiler.constants import ALIGNMENT, Constants
from rtl.compiler.runs import RowTiles, cut_into_blocks
from rtl.config import TINY
from sim.random_model import random_model

PLAN = plan(random_model(patch=14, width=24, blocks=((1, 16),), classes=3).shape, TINY)


def test_chunks_follow_each_other_at_multiples_of_the_alignment():
    constants = Constants(PLAN)
    position, exponents, gelu = constants.position(), constants.exponents("norm"), constants.gelu(0)
    assert [chunk.content for chunk in constants.chunks] == ["position", "exponents", "gelu"]
    # 5 tokens of 2 words of 16 values of 2 bytes; 2 words of one beat; 256 codes
    assert [chunk.bytes for chunk in constants.chunks] == [5 * 2 * 32, 2 * 16, 256]
    assert (position.offset, exponents.offset, gelu.offset) == (0, 320, 384)
    assert constants.bytes == 640 and not any(c.offset % ALIGNMENT for c in constants.chunks)


def test_a_weight_block_has_parameters_of_the_same_row_tiles():
    constants, head = Constants(PLAN), PLAN.head
    (runs,) = cut_into_blocks([RowTiles(head, 0, head.row_tiles)], TINY, 1000)
    weights, parameters = constants.weights(runs)
    assert weights.parts == parameters.parts == (("head", 0, 1),)
    assert weights.bytes == head.ring_words(0) * TINY.weight_word_bytes
    assert parameters.bytes == TINY.parameter_word_bytes
