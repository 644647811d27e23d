"""Columns of bits in the rows of a block RAM: exchanged, and nothing else is."""

import random

import numpy as np

from rtl.build.columns import ROW_BITS, ROWS, ContentColumns
from rtl.build.content import placeholder
from rtl.soc.blocks import WORD_BITS


def test_two_words_in_a_row_and_what_is_beside_them():
    """Nine bits of each word of 2,048, from the 27th on; one column is another memory's."""
    words, numbers = 2 * ROWS, random.Random(2)
    old, new = placeholder(words), [numbers.getrandbits(WORD_BITS) for _ in range(words)]

    def rows(content):
        return np.array(
            [[(content[2 * row + half] >> 27 + bit & 1) + ord("0") for half in (0, 1)
              for bit in range(9)] for row in range(ROWS)],
            np.uint8,
        )  # fmt: skip

    found, expected = rows(old), rows(new)
    other = np.random.default_rng(3).integers(ord("0"), ord("2"), ROWS, np.uint8)
    found[:, 4] = expected[:, 4] = other
    columns = ContentColumns(old, new)
    assert columns.count == words // 512 * WORD_BITS
    assert columns.exchange(found) == 2 * (ROW_BITS - 1)
    assert np.array_equal(found, expected)
