"""Vocabulary of the matmul unit: what travels between feed, array and drain.

A *word* is ``depth_lanes`` terms of every dot product, what the array multiplies in one cycle. A
*row tile* is ``row_lanes`` rows, the sums that the array works on at a time. A *beat* is what the
drain moves in one cycle: a pair of token lanes of a row tile, of raw scores a quad.
"""

from amaranth.hdl import Value, signed, unsigned
from amaranth.lib import data

from rtl.config import EngineConfig
from rtl.isa.instructions import Destination, Opcode
from rtl.isa.layouts import dispatch_layout
from rtl.memory.ports import ADDRESS
from rtl.model import numerics

PAIR = 2  # token lanes of a beat
QUAD = 4  # token lanes that the drain reads together, two pairs

DISPATCH = dispatch_layout(Opcode.MATMUL)
ACC = signed(numerics.ACC_BITS)
LANE = DISPATCH["operands"].shape["lane_first"].shape
PAIR_INDEX = unsigned(4)  # at most 32 token lanes
QUAD_INDEX = unsigned(3)
ROW_TILE = unsigned(5)


def quads(token_lanes: int) -> int:
    """Quads of token lanes, the last one perhaps half empty."""
    return -(-token_lanes // QUAD)


class WordFlags(data.Struct):
    """Control bits of one word of operands, beside the operands."""

    valid: unsigned(1)  # there is a word; without, the accumulators hold still
    first: unsigned(1)  # of a row tile: the accumulators start from 0
    shift_before: unsigned(1)  # accumulators <<= 4 before this word is added
    last: unsigned(1)  # of a row tile: the sums are handed to the drain
    w_signed: unsigned(1)
    a_signed: unsigned(1)


class PreparedInstruction(data.Struct):
    """An instruction, and what can be computed before its first word."""

    dispatch: DISPATCH
    lane_last: LANE
    beats: unsigned(5)  # that the drain needs for each of its row tiles


class RowTile(data.Struct):
    """A row tile of an instruction: all that the drain has to know."""

    dispatch: DISPATCH
    lane_last: LANE
    row_tile: ROW_TILE
    final: unsigned(1)  # the instruction's last


class LoopStep(data.Struct):
    """One word of an instruction's loop nest."""

    word: WordFlags
    start: unsigned(1)  # first word of the instruction
    tile_start: unsigned(1)  # first word of a row tile
    again: unsigned(1)  # first word of a pass that reads the weight words of the pass before
    new_words: unsigned(1)  # first word of a pass that reads weight words not read before
    high_nibble: unsigned(1)  # of weights
    high_slice: unsigned(1)  # of pixels
    tile: RowTile


class DrainBeat(data.Struct):
    """A pair of token lanes of a row tile; of SCORES two pairs, of which this is the first."""

    tile: RowTile
    pair: PAIR_INDEX
    done: unsigned(1)  # the instruction's last


def goes_to(destination: Value, chosen: Destination, config: EngineConfig) -> Value:
    """Whether an instruction's destination is the scratchpad that is ``chosen``."""
    goes = destination == chosen
    if config.select_tokens and chosen is Destination.RESIDUAL:
        goes |= destination == Destination.KEPT
    return goes


def placement_layout(config: EngineConfig) -> data.StructLayout:
    """A beat, and where and how its values are written."""
    return data.StructLayout(
        {
            "beat": DrainBeat,
            "word": ADDRESS,
            "token": unsigned(7),  # of the pair's first lane, counted from its token group
            "enable": unsigned(QUAD),  # lanes of the quad that take part
            "granules": unsigned(config.granules),  # that are written
            "keys": unsigned(config.row_lanes),  # that are valid
        }
    )
