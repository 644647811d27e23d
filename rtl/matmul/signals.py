"""What travels through the matmul unit: vocabulary of feed, array and drain."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from rtl.isa.instructions import Opcode
from rtl.isa.layouts import dispatch_layout
from rtl.model import numerics

WORK = dispatch_layout(Opcode.MATMUL)
ACC = signed(numerics.ACC_BITS)
LANE = unsigned(6)
PAIR_INDEX = unsigned(4)  # of token lanes: at most 16
ROW_TILE = unsigned(5)

PAIR = 2  # token lanes of a drain beat
QUAD = 4  # token lanes that are read together, two pairs


def quads(token_lanes: int) -> int:
    """Groups of four lanes, the last one perhaps half empty."""
    return -(-token_lanes // QUAD)


Word = data.StructLayout(
    {
        "valid": 1,  # a word of operands; the accumulators hold still without
        "first": 1,  # of a row tile: the accumulators start from 0
        "shift_before": 1,  # accumulators <<= 4 before this word is added
        "last": 1,  # of a row tile: the sums are handed to the drain
        "w_signed": 1,
        "a_signed": 1,
    }
)
"""Flags of one word of operands (``depth_lanes`` terms of every product), beside the data."""

Job = data.StructLayout({"work": WORK, "lane_last": LANE, "beats": unsigned(5)})
"""An instruction, its last lane, and the beats that the drain needs for each of its row tiles."""

RowTile = data.StructLayout({"work": WORK, "lane_last": LANE, "row_tile": ROW_TILE, "final": 1})
"""A row tile of an instruction, perhaps its ``final`` one: all that the drain has to know."""

Step = data.StructLayout(
    {
        "word": Word,
        "start": 1,  # first word of the instruction
        "tile_start": 1,  # first word of a row tile
        "again": 1,  # first word of a pass that reads the weight words of the pass before
        "new_words": 1,  # first word of a pass that reads weight words not read before
        "high_nibble": 1,  # of weights
        "high_slice": 1,  # of pixels
        "tile": RowTile,
    }
)
"""One word of an instruction's loop nest."""

Beat = data.StructLayout({"tile": RowTile, "pair": PAIR_INDEX, "done": 1})
"""Two token lanes of a row tile, for SCORES four; ``done``: the instruction's last."""
