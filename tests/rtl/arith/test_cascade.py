# amaranth: UnusedElaboratable=no
"""Packed operands and cascades."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from rtl.arith.cascade import Cascade, digits, packed
from rtl.arith.packing import SIGN_MODES, pack, packing
from rtl.model.numerics import code_range


class Packer(wiring.Component):
    """``digits`` and ``packed`` alone."""

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
        values = digits(m, codes, self.is_signed)
        m.d.comb += self.o.eq(packed(values, self.spacing, len(self.o)))
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


@pytest.mark.parametrize(("act_bits", "length"), [(6, 1), (6, 2), (4, 4), (4, 8)])
def test_cascade_adds_products(act_bits, length):
    """Values, latency, one sum per cycle; operands come when ``skew`` says."""
    packs, choose = packing(4, act_bits, "dsp48e2"), random.Random(length)
    dut = Cascade(packs, length)
    assert dut.LATENCY == 2 + length
    assert [dut.skew(k) for k in range(length)] == [0, 0, 1, 2, 3, 4, 5, 6][:length]
    cycles = []
    for _ in range(40):
        w_signed, a_signed = choose.choice(SIGN_MODES)
        stages = [
            (
                [choose.randint(*code_range(4, w_signed)) for _ in range(2)],
                [choose.randint(*code_range(act_bits, a_signed)) for _ in range(2)],
            )
            for _ in range(length)
        ]
        cycles.append((w_signed or a_signed, stages))

    async def testbench(ctx):
        for now in range(len(cycles) + dut.LATENCY):
            for k in range(length):
                cycle = now - dut.skew(k)
                if 0 <= cycle < len(cycles):
                    weights, activations = cycles[cycle][1][k]
                    ctx.set(dut.weights[k], pack(weights, packs.weight_spacing))
                    ctx.set(dut.activations[k], pack(activations, packs.activation_spacing))
            if 0 <= now - 1 < len(cycles):
                ctx.set(dut.is_signed, cycles[now - 1][0])
            if now >= dut.LATENCY:
                signed, stages = cycles[now - dut.LATENCY]
                fields = [ctx.get(field) for field in dut.fields]
                for t in range(2):
                    for r in range(2):
                        expected = sum(w[r] * a[t] for w, a in stages) + 1024 * signed
                        assert fields[packs.field(t, r)] == expected
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_a_cascade_that_could_overflow_is_refused():
    with pytest.raises(ValueError, match="length must be between 1 and 2, not 3"):
        Cascade(packing(4, 6, "dsp48e2"), 3)
