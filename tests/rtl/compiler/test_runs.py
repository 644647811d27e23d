"""Matrices in weight blocks and runs: everything once, in order, and nothing too large."""

from dataclasses import replace

import pytest

from rtl.compiler.runs import MAX_ROW_TILES, RowTiles, cut_into_blocks
from rtl.compiler.tiles import TiledMatrix
from rtl.config import TINY


def layer(name, row_tiles, depth_words=4, bits8=()):
    flags = tuple(tile in bits8 for tile in range(row_tiles))
    return TiledMatrix(name, 0, 16 * row_tiles, 8 * depth_words, depth_words, flags)


def cut(pieces, max_words, parameter_words=256):
    pieces = [RowTiles(*piece) for piece in pieces]
    return cut_into_blocks(pieces, replace(TINY, parameter_words=parameter_words), max_words)


@pytest.mark.parametrize("max_words", [1, 8, 20, 1000])
def test_every_row_tile_once_and_in_order(max_words):
    k, q = layer("blocks.0.k", 9, bits8=(2, 3)), layer("blocks.0.q", 5)
    blocks = cut([(k, 2, 7), (q, 0, 5)], max_words)
    tiles = [
        (run.layer.name, tile)
        for block in blocks
        for run in block
        for tile in range(run.first, run.first + run.count)
    ]
    assert tiles == [(k.name, i) for i in range(2, 9)] + [(q.name, i) for i in range(5)]
    for block in blocks:
        words = sum(run.words for run in block)
        assert words <= max_words or sum(run.count for run in block) == 1


def test_runs_of_a_block_follow_each_other():
    k, q = layer("blocks.0.k", 3, bits8=(1,)), layer("blocks.0.q", 2)
    (block,) = cut([(k, 0, 3), (q, 0, 2)], 1000)
    assert [(run.layer.name[-1], run.word, run.parameter) for run in block] == [
        ("k", 0, 0),
        ("q", 16, 3),
    ]
    assert [(run.bits8, run.words) for run in block] == [(0b010, 16), (0, 8)]


def test_a_run_ends_where_a_piece_ends():
    """Pieces of one layer may use different GELU tables."""
    fc1 = layer("blocks.0.fc1", 9)
    (block,) = cut([(fc1, 0, 4), (fc1, 4, 5)], 1000)
    assert [(run.first, run.count, run.word) for run in block] == [(0, 4, 0), (4, 5, 16)]
    blocks = cut([(fc1, 0, 4), (fc1, 4, 5)], 12)  # three row tiles each
    assert [[(run.first, run.count) for run in block] for block in blocks] == [
        [(0, 3)],
        [(3, 1), (4, 2)],
        [(6, 3)],
    ]


def test_blocks_are_of_about_equal_size():
    blocks = cut([(layer("head", 10), 0, 10)], 4 * 9)
    assert [sum(run.count for run in block) for block in blocks] == [5, 5]


def test_a_block_takes_at_most_half_the_parameters():
    blocks = cut([(layer("head", 10), 0, 10)], 1000, parameter_words=6)
    assert max(sum(run.count for run in block) for block in blocks) == 3


def test_a_run_has_no_more_row_tiles_than_a_matmul():
    (block,) = cut([(layer("head", 70, depth_words=1), 0, 70)], 1000)
    assert [run.count for run in block] == [MAX_ROW_TILES, MAX_ROW_TILES, 70 - 2 * MAX_ROW_TILES]
