"""What travels through the matmul unit: vocabulary of feed, array and drain."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from rtl import numerics
from rtl.control.isa import Opcode
from rtl.control.layout import dispatch_layout

WORK = dispatch_layout(Opcode.MATMUL)
ACC = signed(numerics.ACC_BITS)
LANE = unsigned(6)
PAIR = unsigned(4)  # of token lanes: at most 16
ROW_TILE = unsigned(5)

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

Step = data.StructLayout(
    {
        "work": WORK,
        "start": 1,  # first word of the instruction
        "tile_start": 1,  # first word of a row tile
        "again": 1,  # first word of a pass that reads the same weight words as the pass before
        "next_words": 1,  # first word of a pass that reads new weight words
        "high_nibble": 1,  # of weights
        "high_slice": 1,  # of pixels
        "word": Word,
        "row_tile": ROW_TILE,
        "final": 1,  # row tile of its instruction
        "lane_last": LANE,
    }
)
"""One word of an instruction's loop nest."""

RowTile = data.StructLayout({"work": WORK, "lane_last": LANE, "row_tile": ROW_TILE, "final": 1})
"""What the drain needs to know about the sums of one row tile."""

Beat = data.StructLayout({"tile": RowTile, "pair": PAIR, "done": 1})
"""Two token lanes (four for SCORES) of a row tile; ``done``: the instruction's last."""
