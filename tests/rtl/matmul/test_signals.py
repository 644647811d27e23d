"""Vocabulary of the matmul unit: its widths hold what the largest engine needs."""

from dataclasses import replace

import pytest

from rtl.config import ZCU102
from rtl.errors import UserError
from rtl.isa.instructions import INSTRUCTIONS, Opcode
from rtl.matmul.signals import (
    LANE,
    PAIR,
    PAIR_INDEX,
    QUAD,
    QUAD_INDEX,
    ROW_TILE,
    PreparedInstruction,
    placement_layout,
    quads,
)

LARGEST = replace(ZCU102, name="largest", token_lanes=32, row_lanes=64, depth_lanes=16)
ROW_TILES = 32


def test_no_engine_has_more_lanes():
    with pytest.raises(UserError, match="token_lanes must be even and between 2 and 32, not 34"):
        replace(LARGEST, token_lanes=34)
    with pytest.raises(UserError, match="row_lanes must be a power of two between 4 and 64"):
        replace(LARGEST, row_lanes=128)


def test_indices_of_the_largest_engine_fit():
    lanes = LARGEST.token_lanes
    assert lanes <= 1 << LANE.width
    assert lanes // PAIR == 1 << PAIR_INDEX.width
    assert quads(lanes) == 1 << QUAD_INDEX.width
    assert ROW_TILES == 1 << ROW_TILE.width
    row_tiles = next(f for f in INSTRUCTIONS[Opcode.MATMUL] if f.name == "row_tiles")
    assert ROW_TILES < 1 << row_tiles.bits
    assert lanes // PAIR < 1 << PreparedInstruction.as_shape()["beats"].width


def test_a_token_fits_beside_all_of_its_group():
    """``token`` is even, at most row_lanes - 2 into its group, and a tile's last pair behind it."""
    largest = LARGEST.row_lanes - 2 + LARGEST.token_lanes - 2
    assert largest < 1 << placement_layout(LARGEST)["token"].width


@pytest.mark.parametrize(("lanes", "count"), [(2, 1), (4, 1), (6, 2), (18, 5), (32, 8)])
def test_quads_cover_all_lanes(lanes, count):
    assert quads(lanes) == count
    assert QUAD * (count - 1) < lanes <= QUAD * count
