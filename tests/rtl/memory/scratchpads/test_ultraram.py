# amaranth: UnusedElaboratable=no
"""Banks of UltraRAM's primitives: equal to plain ones, but for collisions; their counts."""

import random

import pytest
from amaranth.lib import wiring

from rtl.build.netlist.flat import Graph
from rtl.build.netlist.outputs import unregistered
from rtl.build.synthesis import Resources, synthesise
from rtl.lib.devices import Primitives
from rtl.lib.emit import emit_rtlil
from rtl.memory.ports import READ_LATENCY
from rtl.memory.scratchpads.bank import UltraBank
from rtl.memory.scratchpads.ultraram import WORDS, ultrarams
from rtl.resources.memories import MemoryShape, bank_blocks, bank_features, mapping
from tests.rtl.arith.test_ultrascale import concatenated, ports, run_both, verilate

DEVICE = "xck26-sfvc784-2LV-c"
PARTS, PART_BITS = 5, 20  # three bytes of a part: 15 of 18 bytes of two UltraRAMs
ONES = (1 << PART_BITS) - 1


def make():
    """A bank of two rows of UltraRAMs."""
    return UltraBank(WORDS + 8, PARTS, PART_BITS)


def traffic(rng, collide):
    """Lines of inputs, and the words that are read as they come out; None where nothing is."""
    words = [*range(4), WORDS - 1, WORDS, WORDS + 7]
    content, lines, expected = {}, [], []
    pins = ports(make(), wiring.In)

    def cycle(read, write, enable):
        data = rng.getrandbits(PARTS * PART_BITS)
        values = {"read_enable": read is not None, "read_word": read or 0}
        values |= {"write_enable": enable, "write_word": write, "write_data": data}
        lines.append(concatenated(values, pins))
        expected.append(content.get(read))
        for part in range(PARTS):
            if enable >> part & 1:
                mask = ONES << part * PART_BITS
                content[write] = content.get(write, 0) & ~mask | data & mask

    for word in words:
        cycle(None, word, (1 << PARTS) - 1)
    for _ in range(400):
        read, write = rng.sample(words, 2) if not collide else [rng.choice(words)] * 2
        cycle(read if rng.random() < 0.8 else None, write, rng.randrange(1 << PARTS))
    enables = [line >> lowest(pins, "write_enable") & (1 << PARTS) - 1 for line in lines]
    return lines, expected, enables


def lowest(pins, name):
    names = [pin for pin, _ in pins]
    return sum(shape.width for _, shape in pins[: names.index(name)])


@pytest.mark.sim
def test_banks_of_primitives_equal_plain_ones(tmp_path):
    lines, expected, _ = traffic(random.Random(1), collide=False)
    answers = run_both(make, [*lines, 0, 0], tmp_path)
    read = [
        (answers[i + READ_LATENCY], word) for i, word in enumerate(expected) if word is not None
    ]
    assert len(read) > 200
    assert all(answer == [word, word] for answer, word in read)


@pytest.mark.sim
def test_a_read_that_collides_is_inverted_in_the_model(tmp_path):
    """In each UltraRAM that is written: parts 0 to 2 lie in one, 3 and 4 in the other.

    Plain memories return the word of before, as the device does.
    """
    lines, expected, enables = traffic(random.Random(2), collide=True)
    answers = run_both(make, [*lines, 0, 0], tmp_path)
    low = (1 << 3 * PART_BITS) - 1
    high = low ^ (1 << PARTS * PART_BITS) - 1
    seen = set()
    for i, word in enumerate(expected):
        if word is not None:
            plain, primitive = answers[i + READ_LATENCY]
            inverted = (low if enables[i] & 0b111 else 0) | (high if enables[i] >> 3 else 0)
            assert (plain, primitive) == (word, word ^ inverted)
            seen.add(inverted)
    assert seen == {0, low, high, low | high}


@pytest.mark.parametrize(
    ("parts", "bits", "count"), [(2, 256, 8), (2, 96, 3), (8, 128, 15), (16, 128, 29), (1, 1, 1)]
)
def test_counts(parts, bits, count):
    assert ultrarams(parts, bits) == count
    assert mapping(MemoryShape(WORDS, parts, bits, ultra=True), "xilinx").used == Resources(
        uram=count
    )


def test_what_a_bank_takes():
    """Yosys counts what the model does: no block RAM, no register of a word outside of UltraRAM."""
    shape = MemoryShape(WORDS + 8, PARTS, PART_BITS, ultra=True)
    rtlil = emit_rtlil(make(), "bank", Primitives.ULTRASCALE)
    synthesis = synthesise(rtlil, "bank", DEVICE)
    used = synthesis.used.total
    assert used.uram == sum(mapping(block, "xilinx").cells for block in bank_blocks(shape)) == 4
    assert (used.dsp, used.bram36, used.ff) == (0, 0, READ_LATENCY)
    features = bank_features([(1, shape)], "xilinx")
    assert features["output_bits"] == features["memory_luts"] == features["way_bits"] == 0
    assert used.lut >= features["choice_bits"] == PARTS * PART_BITS
    assert unregistered(Graph(synthesis.netlist, "bank")).bram == 0


INSTANCE = """
    module top (input logic clk, input logic [11:0] address, output logic [71:0] word);
      URAM288_BASE #({attributes}) memory (
        .CLK(clk), .SLEEP(1'b0), .ADDR_A({{11'h0, address}}), .ADDR_B(23'h0), .EN_A(1'b1),
        .EN_B(1'b0), .RDB_WR_A(1'b0), .RDB_WR_B(1'b1), .BWE_A(9'h0), .BWE_B(9'h0), .DIN_A(72'h0),
        .DIN_B(72'h0), .OREG_CE_A(1'b1), .OREG_CE_B(1'b0), .OREG_ECC_CE_A(1'b0),
        .OREG_ECC_CE_B(1'b0), .RST_A(1'b0), .RST_B(1'b0), .INJECT_SBITERR_A(1'b0),
        .INJECT_SBITERR_B(1'b0), .INJECT_DBITERR_A(1'b0), .INJECT_DBITERR_B(1'b0), .DOUT_A(word)
      );
    endmodule
"""
MODES = '.BWE_MODE_A("PARITY_INDEPENDENT"), .BWE_MODE_B("PARITY_INDEPENDENT")'


@pytest.mark.sim
def test_the_model_refuses_what_it_lacks(tmp_path):
    good = f'{MODES}, .OREG_A("TRUE")'
    status, messages = verilate(tmp_path, INSTANCE.format(attributes=good))
    assert status == 0, messages
    for attributes, message in (
        (MODES, "OREG_A FALSE"),
        ('.OREG_A("TRUE")', "BWE_MODE_A PARITY_INTERLEAVED"),
        (f'{good}, .OREG_B("TRUE")', "Parameter not found: 'OREG_B'"),
    ):
        status, messages = verilate(tmp_path, INSTANCE.format(attributes=attributes))
        assert status and message in messages
