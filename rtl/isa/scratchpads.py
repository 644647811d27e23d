"""Scratchpads of an engine as NumPy arrays, and the words in them that instructions write.

A scratchpad is ``(banks, words, lanes)``; the weight ring, row parameters and channel exponents
have one bank and are ``(words, ...)``. Banks and words: docs/design/0001-engine.md.

:func:`written_words` is the one statement in Python of the places: the interpreter writes there
(:mod:`rtl.isa.semantics`), and the engine's writes are looked for there
(:mod:`rtl.compiler.symbols`). Where a MATMUL to KEPT writes depends on data: :func:`kept_words`,
with the places that :func:`places_of` makes of the tokens that stay.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rtl.config import EngineConfig
from rtl.isa.instructions import Destination, Instruction, Opcode, Target
from rtl.model.numerics import BIAS_BITS, IMPORTANCE_BITS, MULTIPLIER_BITS

NOWHERE = -1
"""The place of a token that does not stay."""


class Scratchpads:
    """Everything that instructions read and write on the chip, in integers.

    At the start it holds noise: nothing may depend on what was there.

    Parameters
    ----------
    config : EngineConfig
    seed : int
        Seed of the noise.
    """

    def __init__(self, config: EngineConfig, seed: int = 0):
        self.config = c = config
        rng = np.random.default_rng(seed)

        def noise(low: int, high: int, *shape: int) -> np.ndarray:
            return rng.integers(low, high + 1, shape, np.int64)

        rows, depth, tokens, code = c.row_lanes, c.depth_lanes, c.token_lanes, (1 << c.act_bits) - 1
        banks = bank_counts(c)
        self.activations = noise(0, code, banks["activations"], c.activation_words, rows)
        self.pixels = noise(0, 255, banks["pixels"], c.pixel_words, depth)
        self.keys = noise(-128, 127, banks["keys"], c.key_words, rows)
        self.values = noise(-128, 127, banks["values"], c.value_words, rows)
        self.scores = noise(-(1 << 21), (1 << 21) - 1, banks["scores"], c.score_words, rows)
        self.residual = noise(-(1 << 15), (1 << 15) - 1, banks["residual"], c.residual_words, rows)
        self.ring = noise(0, 15, c.weight_words, rows, depth)
        self.parameters = parameter_records(
            noise(-5000, 4999, c.parameter_words, rows),
            noise(0, (1 << MULTIPLIER_BITS) - 1, c.parameter_words, rows),
            noise(15, 29, c.parameter_words, rows),
        )
        self.exponents = noise(0, 3, c.exponent_words, rows)
        self.gelu = noise(0, code, 2, 256)
        self.maxima = noise(0, 1, c.score_slots, tokens)
        multipliers = noise(0, (1 << MULTIPLIER_BITS) - 1, c.score_slots, tokens)
        shifts = noise(15, 27, c.score_slots, tokens)
        self.scales = np.stack([multipliers, shifts], axis=-1)  # by slot and lane
        self.importance = noise(0, (1 << IMPORTANCE_BITS) - 1, c.select_tokens)
        self.places = noise(NOWHERE, 0, placed_tokens(c))  # of each token among those that stay

    def granules(self, pad: np.ndarray) -> np.ndarray:
        """View a scratchpad of words as (banks, granules, depth lanes)."""
        return pad.reshape(len(pad), -1, self.config.depth_lanes)

    def __getitem__(self, place: "TokenWords") -> np.ndarray:
        """Read words of tokens: (tokens, words, lanes); beyond the scratchpad is an IndexError."""
        return getattr(self, place.buffer)[place.banks, place.words]

    def __setitem__(self, place: "TokenWords", content: np.ndarray) -> None:
        """Write words of tokens."""
        getattr(self, place.buffer)[place.banks, place.words] = content


def bank_counts(config: EngineConfig) -> dict[str, int]:
    """Banks of each scratchpad that holds tokens."""
    return {
        "activations": config.token_lanes,
        "pixels": config.token_lanes,
        "keys": config.row_lanes,
        "values": config.depth_lanes,
        "scores": 4,
        "residual": 4,
    }


class TokenWords(NamedTuple):
    """Places of some tokens' words in a scratchpad; of pixels, of some patches' words.

    Parameters
    ----------
    buffer : str
        Name of the scratchpad.
    banks, words : (tokens, words of each) int
    """

    buffer: str
    banks: np.ndarray
    words: np.ndarray


def written_words(i: Instruction, config: EngineConfig) -> TokenWords:
    """Words that a MATMUL, a NORM, a SOFTMAX or a LOAD of RESIDUAL or PIXELS writes.

    Of a MATMUL to KEPT, those that it reads; it writes to :func:`kept_words`.
    """
    if i.opcode is Opcode.LOAD:
        return _loaded_words(i, config)
    buffer, count = Destination.ACTIVATIONS.name, i["row_words"]
    if i.opcode is Opcode.SOFTMAX:
        count = i["key_words"]
    elif i.opcode is Opcode.MATMUL:
        kept = i["destination"] == Destination.KEPT
        buffer = Destination.RESIDUAL.name if kept else Destination(i["destination"]).name
        count = i["row_tiles"]
    first = i["token"] if buffer in ("KEYS", "VALUES", "RESIDUAL") else 0
    tokens, stride = first + lanes_of(i), i["destination_stride"]  # 0 of NORM and SOFTMAX
    return _words(config, buffer.lower(), tokens, count, first, i["destination_address"], stride)


def kept_words(
    i: Instruction, config: EngineConfig, places: np.ndarray
) -> tuple[np.ndarray, TokenWords]:
    """Words that a MATMUL to KEPT writes.

    Parameters
    ----------
    i : Instruction
    config : EngineConfig
    places : (tokens,) int
        The place of each token, as :func:`places_of` makes them.

    Returns
    -------
    lanes : (tokens that stay,) int
        Which of the instruction's tokens stay: 0 is the one of its first lane.
    words : TokenWords
        Of each of these.
    """
    own = places[i["token"] + lanes_of(i)]
    lanes = np.flatnonzero(own != NOWHERE)
    address, stride = i["destination_address"], i["destination_stride"]
    count, first = i["row_tiles"], i["token"]
    return lanes, _words(config, "residual", own[lanes], count, first, address, stride)


def placed_tokens(config: EngineConfig) -> int:
    """Count the tokens that have a place, others behind the patches included."""
    return 2 * config.select_tokens


def places_of(kept: np.ndarray, tokens: int) -> np.ndarray:
    """Place of each of ``tokens`` tokens among the ``kept`` ones, ascending; or :data:`NOWHERE`."""
    places = np.full(tokens, NOWHERE)
    places[kept] = np.arange(len(kept))
    return places


def read_words(i: Instruction, config: EngineConfig) -> TokenWords:
    """Words that a NORM, a SOFTMAX or a STORE reads."""
    address, stride, first = i["source_address"], i["source_stride"], i["token"]
    if i.opcode is Opcode.SOFTMAX:
        return _words(config, "scores", lanes_of(i), i["key_words"], 0, address, stride)
    if i.opcode is Opcode.STORE:
        tokens = first + np.arange(1 + i["more_words"] // i["row_words"])
        return _words(config, "residual", tokens, i["row_words"], first, address, i["row_words"])
    return _words(config, "residual", first + lanes_of(i), i["row_words"], first, address, stride)


def stored_words(operands: Mapping[str, int]) -> int:
    """Count the words that a STORE with these operands reads."""
    return operands["row_words"] + operands.get("more_words", 0)


def stored_beats(operands: Mapping[str, int], config: EngineConfig) -> int:
    """Count the beats of memory that a STORE with these operands writes."""
    word = config.residual_word_bytes if operands.get("int16", 0) else config.logit_word_bytes
    return -(-stored_words(operands) * word // config.memory_bytes)


def _loaded_words(i: Instruction, config: EngineConfig) -> TokenWords:
    address, stride, first = i["destination"], i["stride"], i["token"]
    if Target(i["target"]) is Target.RESIDUAL:
        tokens = first + np.arange(i["bytes"] // (2 * i["row_words"] * config.row_lanes))
        return _words(config, "residual", tokens, i["row_words"], first, address, stride)
    patches, rows = i["lane_first"] + np.arange(i["segments"]), i["bytes"] // i["segments"]
    count = rows // i["segment_bytes"] * -(-i["segment_bytes"] // config.depth_lanes)
    return _words(config, "pixels", patches, count, 0, address, stride)


def _words(
    config: EngineConfig,
    buffer: str,
    tokens: np.ndarray,
    count: int,
    first: int,
    address: int,
    stride: int,
) -> TokenWords:
    """Places of ``count`` words of each token: a group of tokens fills all banks.

    ``address`` is that of the group of token ``first``; the next group lies ``stride`` words on.
    """
    banks = bank_counts(config)[buffer]
    starts = address + stride * (tokens // banks - first // banks)
    words = starts[:, None] + np.arange(count)
    return TokenWords(buffer, *np.broadcast_arrays((tokens % banks)[:, None], words))


def activation_mask(i: Instruction, config: EngineConfig) -> np.ndarray:
    """Lanes of each word that a MATMUL to ACTIVATIONS writes: (row tiles, row lanes) bool."""
    granule = np.arange(i["row_tiles"] * config.row_lanes) // config.depth_lanes
    first = i["mask_first"]
    mask = (granule >= first) & (granule < first + i["mask_count"])
    return mask.reshape(i["row_tiles"], config.row_lanes)


def lanes_of(i: Instruction) -> np.ndarray:
    """Token lanes that take part in an instruction."""
    return i["lane_first"] + np.arange(i["lane_count"])


def window(pad: np.ndarray, address: int, words: int, axis: int = 1) -> np.ndarray:
    """View ``words`` words from ``address`` on; beyond the scratchpad is a fault."""
    assert address + words <= pad.shape[axis], f"address {address} + {words} of {pad.shape}"
    return pad[address : address + words] if axis == 0 else pad[:, address : address + words]


def wrap(value: np.ndarray, bits: int) -> np.ndarray:
    """Take the low ``bits`` bits as a signed integer."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def parameter_records(bias: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Pack row parameters into records of 64 bits, as they lie in memory."""
    low = (bias & ((1 << BIAS_BITS) - 1)) | (multiplier << BIAS_BITS)
    return low | (shift << (BIAS_BITS + MULTIPLIER_BITS))


def parameter_fields(records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, multiplier and shift of row parameters' records."""
    bias = wrap(records & ((1 << BIAS_BITS) - 1), BIAS_BITS)
    multiplier = records >> BIAS_BITS & ((1 << MULTIPLIER_BITS) - 1)
    return bias, multiplier, records >> (BIAS_BITS + MULTIPLIER_BITS)
