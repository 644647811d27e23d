"""Payloads and signatures at the scratchpads' ports.

One place for what a beat between a unit and a scratchpad holds, so that both sides agree by
construction. Words, granules and banks: docs/design/0001-engine.md. Every read answers
``READ_LATENCY`` cycles after the request was taken. Every write carries the ``number`` of its
instruction for the simulation tap; synthesis finds it unused and drops it.
"""

from typing import Any

from amaranth.hdl import Cat, Shape, ShapeLike, Value, signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import ceil_log2, exact_log2

from rtl.config import EngineConfig
from rtl.isa.layouts import NUMBER_BITS
from rtl.lib.pipeline import choose
from rtl.model import numerics

READ_LATENCY = 2  # block RAM with its output register
ADDRESS = unsigned(16)
NUMBER = unsigned(NUMBER_BITS)
SCORE = signed(numerics.SCORE_BITS)
RESIDUAL = signed(numerics.RESIDUAL_BITS)
KEY_VALUE = signed(numerics.KV_BITS)
IMPORTANCE = unsigned(numerics.IMPORTANCE_BITS)
IMPORTANCE_LANES = 4  # keys whose importance is added in a cycle: no engine has fewer softmax lanes
TOKEN = unsigned(12)

RECORD_BITS = 64  # of a row's parameters, in memory
STORED_RECORD_BITS = numerics.BIAS_BITS + numerics.MULTIPLIER_BITS + numerics.SHIFT_BITS


class ParameterRecord(data.Struct):
    """Parameters by which the drain requantizes a row: docs/numerics.md."""

    bias: signed(numerics.BIAS_BITS)
    multiplier: unsigned(numerics.MULTIPLIER_BITS)
    shift: unsigned(numerics.SHIFT_BITS)
    padding: unsigned(RECORD_BITS - STORED_RECORD_BITS)


class TokenScale(data.Struct):
    """Scale by which the drain requantizes a token of a head's context: docs/numerics.md."""

    multiplier: unsigned(numerics.MULTIPLIER_BITS)
    shift: unsigned(numerics.SHIFT_BITS)


class ScoreRequest(data.Struct):
    """The address of a token's scores: ``bank`` is its lane modulo 4."""

    bank: unsigned(2)
    word: ADDRESS


class ResidualRequest(data.Struct):
    """The address of two tokens' residual: ``half`` 0 is tokens 0 and 1 of a group of 4."""

    half: unsigned(1)
    word: ADDRESS


class PairPlace(data.Struct):
    """Places of two tokens, 2 * word and the next one, among those that stay."""

    kept: unsigned(2)  # which of the two stay
    index: unsigned(2)  # of the first of them among those that stay, modulo 4
    down: ADDRESS  # residual words from the group of 4 of the two down to that of the index


def selection_lanes(config: EngineConfig) -> int:
    """Scores of importance that are read and compared in a cycle."""
    return min(16, config.row_lanes)


def array(length: int, shape: object) -> data.ArrayLayout:
    """The layout of ``length`` values of ``shape``."""
    return data.ArrayLayout(shape, length)


def activation_code(config: EngineConfig) -> Shape:
    """Raw bits of a hidden activation; whether they are signed, the reader is told."""
    return unsigned(config.act_bits)


# ---------------------------------------------------------------- reads: fixed latency, no stall


class ReadPort(Signature):
    """Read without backpressure: ``data`` belongs to the ``request`` READ_LATENCY cycles before.

    Members, as the reader sees them
    --------------------------------
    request : Out(request shape)
    enable : Out(1)
    data : In(data shape)
    """

    def __init__(self, request: object, payload: object):
        super().__init__({"request": Out(request), "enable": Out(1), "data": In(payload)})


class SharedReadPort(Signature):
    """Read that may have to wait: ``data`` comes READ_LATENCY cycles after the handshake."""

    def __init__(self, request: object, payload: object):
        super().__init__({"request": Out(stream.Signature(request)), "data": In(payload)})


def activation_read(config: EngineConfig) -> ReadPort:
    """Read at a granule address: one depth word of every token lane."""
    word = array(config.depth_lanes, activation_code(config))
    return ReadPort(ADDRESS, array(config.token_lanes, word))


def pixel_read(config: EngineConfig) -> ReadPort:
    """Read at a word address: ``depth_lanes`` bytes of every token lane."""
    return ReadPort(ADDRESS, array(config.token_lanes, array(config.depth_lanes, unsigned(8))))


def weight_read(config: EngineConfig) -> ReadPort:
    """Read at a word of the ring: a nibble for every row and depth lane."""
    return ReadPort(ADDRESS, array(config.row_lanes, array(config.depth_lanes, unsigned(4))))


def key_read(config: EngineConfig) -> ReadPort:
    """Read at a granule address: one depth word of ``row_lanes`` keys."""
    return ReadPort(ADDRESS, array(config.row_lanes, array(config.depth_lanes, KEY_VALUE)))


def value_read(config: EngineConfig) -> ReadPort:
    """Read at a word address: ``row_lanes`` rows of ``depth_lanes`` keys, key by key."""
    return ReadPort(ADDRESS, array(config.depth_lanes, array(config.row_lanes, KEY_VALUE)))


def parameter_read(config: EngineConfig) -> ReadPort:
    """Read at a word address: the parameters of ``row_lanes`` rows."""
    return ReadPort(ADDRESS, array(config.row_lanes, ParameterRecord))


def exponent_read(config: EngineConfig) -> ReadPort:
    """Read at a word address: the exponents of ``row_lanes`` channels."""
    exponent = unsigned(numerics.NORM_EXPONENT_BITS)
    return ReadPort(ADDRESS, array(config.row_lanes, exponent))


def score_read(config: EngineConfig) -> ReadPort:
    """Read at a bank (lane modulo 4) and a word: ``row_lanes`` raw scores of one token."""
    return ReadPort(ScoreRequest, array(config.row_lanes, SCORE))


def residual_read(config: EngineConfig) -> SharedReadPort:
    """Read at a half (tokens 0, 1 or 2, 3 of a group of 4) and a word: 2 tokens x ``row_lanes``."""
    return SharedReadPort(ResidualRequest, array(2, array(config.row_lanes, RESIDUAL)))


def importance_read(config: EngineConfig) -> ReadPort:
    """Read at a word address: the importance of ``selection_lanes`` keys."""
    return ReadPort(ADDRESS, array(selection_lanes(config), IMPORTANCE))


def place_read() -> ReadPort:
    """Read at the number of a pair of tokens: where they go."""
    return ReadPort(ADDRESS, PairPlace)


# ---------------------------------------------------------------- writes


def _write(**fields: ShapeLike) -> data.StructLayout:
    """The layout of a write: ``fields``, and the number of the instruction that writes."""
    return data.StructLayout(fields | {"number": NUMBER})


def activation_write(config: EngineConfig) -> data.StructLayout:
    """A word for each of two neighbouring token lanes, ``2 * pair`` and ``2 * pair + 1``.

    ``mask`` enables granules of ``depth_lanes`` codes, ``enable`` lanes.
    """
    return _write(
        pair=unsigned(ceil_log2(max(2, config.token_lanes // 2))),
        enable=unsigned(2),
        word=ADDRESS,
        mask=unsigned(config.granules),
        codes=array(2, array(config.row_lanes, activation_code(config))),
    )


def pixel_write(config: EngineConfig) -> data.StructLayout:
    """A word of one token lane: ``depth_lanes`` pixel bytes of its patch."""
    return _write(
        lane=unsigned(ceil_log2(config.token_lanes)),
        word=ADDRESS,
        bytes=array(config.depth_lanes, unsigned(8)),
    )


def key_value_write(config: EngineConfig, banks: int) -> data.StructLayout:
    """Words of two neighbouring tokens, to banks ``2 * pair`` and ``2 * pair + 1`` of ``banks``."""
    return _write(
        pair=unsigned(ceil_log2(banks // 2)),
        enable=unsigned(2),
        word=ADDRESS,
        codes=array(2, array(config.row_lanes, KEY_VALUE)),
    )


def score_write(config: EngineConfig) -> data.StructLayout:
    """Words of four neighbouring lanes, bank = lane modulo 4."""
    return _write(enable=unsigned(4), word=ADDRESS, scores=array(4, array(config.row_lanes, SCORE)))


def residual_write(config: EngineConfig) -> data.StructLayout:
    """Words of the two tokens of one half of a group of four."""
    return _write(
        half=unsigned(1),
        enable=unsigned(2),
        word=ADDRESS,
        values=array(2, array(config.row_lanes, RESIDUAL)),
    )


def moved_write(config: EngineConfig) -> data.StructLayout:
    """Words of two tokens, each to a place of its own; at most one for each half.

    By half: ``enable`` its words, at ``word``. With ``swap`` the first token's values are those of
    the odd places. ``halves`` are those that nobody else may write, a bit each: both, where the
    places depend on the image, so that no cycle does.
    """
    return _write(
        halves=unsigned(2),
        enable=array(2, unsigned(2)),
        word=array(2, ADDRESS),
        swap=unsigned(1),
        values=array(2, array(config.row_lanes, RESIDUAL)),
    )


def drain_write(config: EngineConfig) -> data.StructLayout:
    """The drain's write to the residual: to places of their own where the engine selects tokens."""
    return moved_write(config) if config.select_tokens else residual_write(config)


def importance_write() -> data.StructLayout:
    """The importance of the keys ``4 * word`` to ``4 * word + 3``."""
    return _write(word=ADDRESS, scores=array(IMPORTANCE_LANES, IMPORTANCE))


def place_write() -> data.StructLayout:
    """The place of two tokens; ``first`` is that of the first that stays, for simulation alone."""
    return _write(word=ADDRESS, place=PairPlace, first=TOKEN)


def part_write(config: EngineConfig) -> data.StructLayout:
    """One memory beat of a word: weights, parameters and exponents; ``part`` 0 is the lowest."""
    return _write(word=ADDRESS, part=unsigned(8), beat=unsigned(8 * config.memory_bytes))


def gelu_write(config: EngineConfig) -> data.StructLayout:
    return _write(table=unsigned(1), index=unsigned(8), code=activation_code(config))


class WritePort(Signature):
    """Write without backpressure: a ``beat`` of ``layout`` lands in every cycle with ``valid``."""

    def __init__(self, layout: data.StructLayout):
        super().__init__({"valid": Out(1), "beat": Out(layout)})


def split_position(position: Value, parts: int) -> tuple[Value, Value]:
    """Word, and part of this word."""
    bits = exact_log2(parts)
    return position[bits:], position[:bits]


def part_of(word: Any, parts: int, part: Value) -> Value:
    """One of ``parts`` equal parts of a word, part 0 the lowest."""
    value = Value.cast(word)
    bits = len(value) // parts
    return choose([value[i * bits : (i + 1) * bits] for i in range(parts)], part)


def part_mask(config: EngineConfig, parts: int, part: Value) -> Value:
    """The granules of a word of ``row_lanes`` codes that lie in one of its ``parts``."""
    return Cat(part == i * parts // config.granules for i in range(config.granules))


def in_every_part(codes: Any, parts: int) -> Value:
    """A word with ``codes`` in each of its ``parts``; a mask tells which of them is written."""
    return Value.cast(codes).replicate(parts)
