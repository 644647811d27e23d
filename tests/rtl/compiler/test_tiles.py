"""Token tiles and row tiles: their tokens, words and widths, by hand."""

import pytest

from rtl.compiler.tiles import (
    TiledMatrix,
    TokenTile,
    divide_up,
    evenly,
    padded_tile_flags,
    tile_flags,
)


@pytest.mark.parametrize("value, by, expected", [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2)])
def test_divide_up(value, by, expected):
    assert divide_up(value, by) == expected


@pytest.mark.parametrize("count, parts", [(0, 3), (2, 3), (7, 3), (9, 3), (5, 1)])
def test_evenly(count, parts):
    found = evenly(range(count), parts)
    lengths = [len(part) for part in found]
    assert [i for part in found for i in part] == list(range(count))
    assert len(found) == parts and max(lengths) - min(lengths) <= 1


def test_tokens_of_a_tile_are_those_of_its_lanes():
    assert list(TokenTile(index=2, token=8, lane_first=1, lane_count=3).tokens) == [9, 10, 11]


def test_a_row_tile_of_8_bits_takes_twice_the_words():
    matrix = TiledMatrix("head", -1, 48, 32, 4, (False, True, False))
    assert matrix.row_tiles == 3
    assert [matrix.ring_words(tile) for tile in range(3)] == [4, 8, 4]


def test_flags_of_coarse_row_tiles_hold_for_all_their_parts():
    assert tile_flags((True, False), 32, 16, 50) == (True, True, False, False)


def test_a_row_tile_of_padded_heads_has_8_bits_if_any_of_its_rows_has():
    """Two heads of 12 rows in 16 each; rows 16 to 31 have 8 bits: 4 to 11 of the second head."""
    assert padded_tile_flags((False, True), 16, 8, 24, 12, 16) == (False, False, True, True)
    assert padded_tile_flags((True, False), 16, 8, 24, 12, 16) == (True, True, True, False)
