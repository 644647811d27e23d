# amaranth: UnusedElaboratable=no
"""Packed operands and cascades."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from rtl.arith.multiplier import Cascade, packed
from rtl.arith.packing import SIGN_MODES, pack, packing, unpack
from rtl.numerics import code_range


class Packer(wiring.Component):
    """``packed`` alone."""

    def __init__(self, bits: int, count: int, spacing: int, port_bits: int):
        self.bits, self.count, self.spacing = bits, count, spacing
        super().__init__(
            {
                "codes": wiring.In(bits * count),
                "is_signed": wiring.In(1),
                "o": wiring.Out(port_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        codes = [self.codes.word_select(n, self.bits) for n in range(self.count)]
        m.d.comb += self.o.eq(packed(m, codes, self.is_signed, self.spacing, len(self.o)))
        return m


@pytest.mark.parametrize(("bits", "spacing", "port"), [(4, 22, 27), (6, 11, 18)])
def test_packed_operands_exhaustively(bits, spacing, port):
    dut = Packer(bits, 2, spacing, port)

    async def testbench(ctx):
        for signed in (False, True):
            low, high = code_range(bits, signed)
            for first in range(low, high + 1):
                for second in range(low, high + 1):
                    raw = (first & high - low) | (second & high - low) << bits
                    ctx.set(dut.codes, raw)
                    ctx.set(dut.is_signed, signed)
                    await ctx.delay(1e-9)
                    expected = pack([first, second], spacing) & ((1 << port) - 1)
                    assert ctx.get(dut.o) == expected

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("length", [1, 2])
def test_cascade_adds_staggered_products(length):
    """Values, latency, one sum per cycle; operand k comes k cycles after operand 0."""
    pack46, choose = packing(4, 6, "dsp48e2"), random.Random(length)
    dut = Cascade(pack46, length)
    assert dut.LATENCY == 2 + length
    cycles = []
    for _ in range(40):
        w_signed, a_signed = choose.choice(SIGN_MODES)
        stages = [
            (
                [choose.randint(*code_range(4, w_signed)) for _ in range(2)],
                [choose.randint(*code_range(6, a_signed)) for _ in range(2)],
            )
            for _ in range(length)
        ]
        cycles.append((w_signed or a_signed, stages))

    async def testbench(ctx):
        for now in range(len(cycles) + dut.LATENCY):
            for k in range(length):
                if 0 <= now - k < len(cycles):
                    weights, activations = cycles[now - k][1][k]
                    ctx.set(dut.weights[k], pack(weights, pack46.weight_spacing))
                    ctx.set(dut.activations[k], pack(activations, pack46.activation_spacing))
            if now >= dut.LATENCY:
                signed, stages = cycles[now - dut.LATENCY]
                fields = unpack(ctx.get(dut.total), 4, 11, signed)
                for t in range(2):
                    for r in range(2):
                        expected = sum(w[r] * a[t] for w, a in stages)
                        assert fields[pack46.field(t, r)] == expected
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_a_cascade_that_could_overflow_is_refused():
    with pytest.raises(ValueError, match="length must be between 1 and 2, not 3"):
        Cascade(packing(4, 6, "dsp48e2"), 3)
