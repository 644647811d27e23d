"""Cells of memories: cases that Yosys was seen to decide like this, and a bank through Yosys."""

import pytest

from rtl.memory.scratchpads.bank import LUT_WORDS, Bank, LutBank
from rtl.resources.memories import (
    MemoryShape,
    bank_blocks,
    bank_features,
    block_memory,
    mapping,
)
from tests.rtl.resources.synthesised import DEVICES, synthesised


@pytest.mark.parametrize(
    "shape, kind, cells, lut, bram36",
    [
        (MemoryShape(64, 2, 256), "RAM64M8", 74, 592, 0),
        (MemoryShape(32, 1, 96), "RAM32M16", 7, 56, 0),
        (MemoryShape(128, 1, 8), "RAM64M8", 4, 32, 0),  # two above one another
        (MemoryShape(128, 2, 32), "RAMB36E2", 1, 0, 1),
        (MemoryShape(512, 1, 32), "RAMB18E2", 1, 0, 0.5),
        (MemoryShape(512, 4, 400), "RAMB18E2", 45, 0, 22.5),
        (MemoryShape(1024, 4, 200), "RAMB36E2", 23, 0, 23),
        (MemoryShape(4096, 8, 64), "RAMB36E2", 64, 0, 64),
        (MemoryShape(512, 1, 4, reads=2), "RAM64M8", 16, 128, 0),
        (MemoryShape(512, 1, 6, reads=2), "RAMB18E2", 2, 0, 1),
    ],
)
def test_ultrascale(shape, kind, cells, lut, bram36):
    built = mapping(shape, "xilinx")
    assert (built.cell.kind, built.cells) == (kind, cells)
    assert (built.used.lut, built.used.bram36) == (lut, bram36)


@pytest.mark.parametrize(
    "shape, kind, cells",
    [
        (MemoryShape(32, 2, 128), "TRELLIS_DPR16X4", 128),
        (MemoryShape(1024, 2, 48), "DP16KD", 6),
        (MemoryShape(128, 2, 128), "DP16KD", 8),
    ],
)
def test_ecp5(shape, kind, cells):
    built = mapping(shape, "ecp5")
    assert (built.cell.kind, built.cells) == (kind, cells)


def test_a_bank_of_an_odd_depth_is_two_memories():
    blocks = bank_blocks(MemoryShape(2560, 4, 512))
    assert blocks == (MemoryShape(2048, 4, 512), MemoryShape(512, 4, 512))


@pytest.mark.parametrize("family", DEVICES)
def test_memories_of_a_bank(family):
    """A block memory of 512 words, and 32 words in LUTs."""
    shape = MemoryShape(544, 2, 96)
    used = synthesised(Bank(shape.depth, shape.parts, shape.part_bits), family).total
    features = bank_features([(1, shape)], family)
    blocks = [(1, block) for block in bank_blocks(shape)]
    assert used.bram36 == block_memory(blocks, family) > 0
    assert used.lut >= features["memory_luts"] + features["choice_bits"] > 0
    assert used.ff == features["output_bits"] + features["memory_register_bits"] + 2


def test_memories_of_a_bank_of_luts():
    """A register for the address, and one for the word behind the LUTs."""
    shape = MemoryShape(LUT_WORDS, 2, 96, addressed=True)
    used = synthesised(LutBank(shape.depth, shape.parts, shape.part_bits), "xilinx").total
    features = bank_features([(1, shape)], "xilinx")
    assert used.bram36 == 0
    assert used.lut == features["memory_luts"]
    assert used.ff == features["output_bits"] + features["memory_register_bits"]
    assert features["memory_register_bits"] == 6  # bits of an address
