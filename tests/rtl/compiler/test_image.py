"""The memory image to the bit."""

from dataclasses import replace

import numpy as np

from rtl.compiler import compile_model
from rtl.compiler.image import MemoryMap
from rtl.config import TINY
from rtl.isa.instructions import Instruction, Opcode
from sim.random_model import random_model

MODEL = random_model(
    patch=14, width=32, head_dim=16, blocks=((2, 64),), classes=5, bits8_fraction=0.5
)
COMPILED = compile_model(MODEL, TINY)


def chunk(what, layer):
    for piece in COMPILED.program.chunks:
        if piece.content == what and piece.parts[0][0] == layer:
            return piece, COMPILED.region[piece.offset : piece.offset + piece.bytes]
    raise AssertionError(f"no {what} of {layer}")


def test_equal_input_gives_equal_bytes():
    again = compile_model(MODEL, TINY)
    assert (again.region, again.hash) == (COMPILED.region, COMPILED.hash)
    other = compile_model(replace(MODEL, position=MODEL.position + np.int16(1)), TINY)
    assert other.hash != COMPILED.hash


def test_nibbles_lie_row_major_low_first_high_words_before_low():
    """Every nibble of fc1, against the rule of the design note, one by one."""
    piece, data = chunk("weights", "blocks.0.fc1")
    linear, words = MODEL.blocks[0].fc1, 32 // TINY.depth_lanes
    (_, first, tiles), *rest = piece.parts
    assert first == 0 and not rest
    position = 0
    for tile in range(tiles):
        rows = linear.weight[tile * 16 : tile * 16 + 16].astype(int)
        bits8 = linear.bits[tile * 16] == 8
        for part in ("high", "low") if bits8 else ("low",):
            for word in range(words):
                for row in range(TINY.row_lanes):
                    for d in range(TINY.depth_lanes):
                        weight = rows[row, word * TINY.depth_lanes + d]
                        nibble = (weight >> 4 if part == "high" else weight) & 15
                        byte = data[position // 2]
                        assert (byte >> 4 if position % 2 else byte & 15) == nibble
                        position += 1
    assert position == 2 * len(data)


def test_row_parameters_are_records_of_64_bits():
    _, data = chunk("parameters", "head")
    records = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    assert len(records) == 16
    for row, record in enumerate(records[:5]):
        assert record & ((1 << 27) - 1) == int(MODEL.classifier.head.bias[row]) % (1 << 27)
        assert record >> 27 & ((1 << 17) - 1) == MODEL.classifier.head.multiplier[row]
        assert record >> 44 == MODEL.classifier.head.shift[row]
    assert set(records[5:]) == {1 << 44}  # padding: bias and multiplier 0, shift 1


def test_gelu_position_and_exponents():
    _, gelu = chunk("gelu", "blocks.0.gelu")
    assert list(gelu) == [int(code) & 63 for code in MODEL.blocks[0].gelu]
    _, position = chunk("position", "position")
    assert position == MODEL.position.astype("<i2").tobytes()  # width 32 needs no padding
    _, exponents = chunk("exponents", "blocks.0.norm1")
    for channel, exponent in enumerate(MODEL.blocks[0].norm1.exponent):
        beat = exponents[channel // 16 * TINY.memory_bytes :]
        assert beat[channel % 16 // 4] >> 2 * (channel % 4) & 3 == exponent


def test_chunks_are_aligned_and_apart_and_the_program_follows():
    end = 0
    for piece in COMPILED.program.chunks:
        assert piece.offset % 64 == 0 and piece.offset >= end
        end = piece.offset + piece.bytes
    assert COMPILED.memory.program_offset >= end
    assert COMPILED.memory.model_bytes == len(COMPILED.region)
    first = Instruction.decode(COMPILED.code[:32])
    assert first.opcode is Opcode.BEGIN
    assert first["engine"] == TINY.hash and first["instructions"] * 32 == len(COMPILED.code)
    assert Instruction.decode(COMPILED.code[-32:]).opcode is Opcode.END


def test_memory_that_a_host_needs_at_least():
    sizes = MemoryMap(program_offset=64, model_bytes=130, image_bytes=64, output_bytes=1)
    assert sizes.least_bytes == 192 + 64 + 64
