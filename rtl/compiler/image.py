"""The memory image: constants and program as bytes, equal to the byte for equal input.

Weights lie in the order in which the ring takes them. Per row tile: all words of a 4-bit tile, or
all words of high nibbles and then all words of low nibbles of an 8-bit one; in a word, nibble
``row * depth_lanes + d``, two to a byte, the lower nibble first. Row parameters are records of 64
bits (bias 27, multiplier 17, shift 6 bits, from the lowest). Exponents take 2 bits per channel,
each word whole memory beats. GELU tables have 256 bytes, byte i for pre-activation i - 128. The
position tensor is int16, tokens padded to whole words, with each token's index in another word
where the output has it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from boards.host.package import ALIGNMENT
from rtl.compiler.matrices import depth_map, pool_matrices, row_map
from rtl.compiler.operations import Chunk, Program
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import TiledMatrix
from rtl.model import IntegerModel, Linear, Norm
from rtl.model.numerics import BIAS_BITS, MULTIPLIER_BITS

PADDING_SHIFT = 1  # of padded rows, whose bias and multiplier are 0


@dataclass(frozen=True)
class MemoryMap:
    """Regions of memory that the host provides; offsets and sizes in bytes.

    Parameters
    ----------
    program_offset : int
        Offset of the program in the MODEL region; constants lie before it.
    model_bytes, image_bytes, output_bytes : int
        Sizes of MODEL, and of IMAGE and OUTPUT for one image.
    """

    program_offset: int
    model_bytes: int
    image_bytes: int
    output_bytes: int

    @property
    def least_bytes(self) -> int:
        """Bytes of memory for the model and one image, as a host lays them out."""
        sizes = self.model_bytes, self.image_bytes, self.output_bytes
        return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)

    @classmethod
    def of(cls, program: Program) -> "MemoryMap":
        """The regions that a program needs."""
        plan = program.plan
        height, width, channels = plan.shape.image
        return cls(
            program_offset=program.constant_bytes,
            model_bytes=program.constant_bytes + program.program_bytes,
            image_bytes=height * width * channels,
            output_bytes=plan.output_bytes,
        )


def model_region(program: Program, model: IntegerModel) -> bytes:
    """Content of the MODEL region: constants, then the program, its operands all filled in."""
    memory = np.zeros(program.constant_bytes, np.uint8)
    for chunk in program.chunks:
        content = _content(chunk, model, program.plan)
        assert content.nbytes == chunk.bytes, chunk
        memory[chunk.offset : chunk.offset + chunk.bytes] = content.reshape(-1).view(np.uint8)
    return memory.tobytes() + program.code


def content_hash(region: bytes) -> str:
    """SHA-256 of the MODEL region, hexadecimal."""
    return hashlib.sha256(region).hexdigest()


def _content(chunk: Chunk, model: IntegerModel, plan: Plan) -> np.ndarray:
    """A chunk's bytes, as an array of any type."""
    name = chunk.parts[0][0]
    if chunk.content == "position":
        return position_words(model.position, plan)
    if chunk.content == "gelu":
        tables = np.atleast_2d(model.blocks[int(name.split(".")[1])].gelu)
        return _gelu_bytes(tables[chunk.parts[0][1]], model.act_bits)
    if chunk.content == "exponents":
        return _exponent_beats(model.norms()[name], plan)
    linears = model.linears() | pool_matrices(model, plan)
    pack = _weight_words if chunk.content == "weights" else _parameter_records
    parts = [
        pack(linears[layer], plan.all_layers[layer], plan, first, count)
        for layer, first, count in chunk.parts
    ]
    return np.concatenate(parts)


def _weight_words(
    linear: Linear, layer: TiledMatrix, plan: Plan, first: int, count: int
) -> np.ndarray:
    """Bytes of row tiles ``first`` ... ``first + count - 1``."""
    padded = _padded_weights(linear, layer, plan, first, count)
    words = []
    for tile, weights in enumerate(padded, first):
        if layer.bits8[tile]:
            words.append(_nibble_words(weights >> 4, plan))
        words.append(_nibble_words(weights, plan))
    return np.concatenate(words)


def _padded_weights(
    linear: Linear, layer: TiledMatrix, plan: Plan, first: int, count: int
) -> np.ndarray:
    """(count, row_lanes, padded depth) int8 weights, zeros for padding."""
    rows = row_map(plan, layer)[first * plan.engine.row_lanes :][: count * plan.engine.row_lanes]
    columns = depth_map(plan, layer)
    if not linear.depth:
        return np.zeros((count, plan.engine.row_lanes, len(columns)), np.int8)
    padded = linear.weight[rows[:, None], columns[None, :]]
    padded[rows < 0] = 0
    padded[:, columns < 0] = 0
    return padded.reshape(count, plan.engine.row_lanes, -1)


def _nibble_words(weights: np.ndarray, plan: Plan) -> np.ndarray:
    """(row_lanes, padded depth) to bytes: word by word, the low four bits of each weight."""
    lanes = plan.engine.depth_lanes
    words = weights.reshape(len(weights), -1, lanes).swapaxes(0, 1).reshape(-1, 2)
    nibbles = words.view(np.uint8) & 15
    return nibbles[:, 0] | nibbles[:, 1] << 4


def _parameter_records(
    linear: Linear, layer: TiledMatrix, plan: Plan, first: int, count: int
) -> np.ndarray:
    """uint64 records of row tiles ``first`` ... ``first + count - 1``."""
    rows = row_map(plan, layer)[first * plan.engine.row_lanes :][: count * plan.engine.row_lanes]
    bias = linear.bias[rows].astype(np.int64) & ((1 << BIAS_BITS) - 1)
    shift = linear.shift[rows].astype(np.int64) << (BIAS_BITS + MULTIPLIER_BITS)
    records = bias | linear.multiplier[rows].astype(np.int64) << BIAS_BITS | shift
    records[rows < 0] = PADDING_SHIFT << (BIAS_BITS + MULTIPLIER_BITS)
    return records.astype("<u8")


def _exponent_beats(norm: Norm, plan: Plan) -> np.ndarray:
    """(width tiles, bytes of a word) uint8: four exponents a byte, the first one lowest."""
    lanes = plan.engine.row_lanes
    exponents = np.zeros(plan.width_tiles * lanes, np.uint8)
    exponents[: len(norm.exponent)] = norm.exponent
    fours = exponents.reshape(plan.width_tiles, lanes // 4, 4)
    beats = np.zeros((plan.width_tiles, plan.engine.exponent_word_bytes), np.uint8)
    beats[:, : lanes // 4] = (fours << np.array([0, 2, 4, 6], np.uint8)).sum(2, dtype=np.uint8)
    return beats


def _gelu_bytes(table: np.ndarray, act_bits: int) -> np.ndarray:
    """Byte i is the code of pre-activation i - 128."""
    return (table & ((1 << act_bits) - 1)).astype(np.uint8)


def position_words(position: np.ndarray, plan: Plan) -> np.ndarray:
    """(tokens, values of a token's words) int16: channels, padded, and each token's index."""
    padded = np.zeros((plan.tokens, plan.token_words * plan.engine.row_lanes), "<i2")
    padded[:, : position.shape[1]] = position
    if plan.index_column is not None:
        padded[:, plan.index_column] = np.arange(plan.tokens)
    return padded
