# amaranth: UnusedElaboratable=no
"""Packed operands and cascades."""

import random

import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout

from rtl.arith.cascade import Cascade, digits, packed
from rtl.arith.packing import SIGN_MODES, PackedOperand, pack, packing
from rtl.model.numerics import code_range
from tests.rtl.simulation import simulate


class Packer(wiring.Component):
    """``digits`` and ``packed`` alone."""

    def __init__(self, operand: PackedOperand):
        self.operand = operand
        codes = ArrayLayout(unsigned(operand.bits), operand.count)
        super().__init__(
            {
                "codes": wiring.In(codes),
                "is_signed": wiring.In(1),
                "o": wiring.Out(operand.port_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = digits(m, list(self.codes), self.is_signed)
        m.d.comb += self.o.eq(packed(values, self.operand))
        return m


@pytest.mark.parametrize(("bits", "spacing", "port"), [(4, 22, 27), (6, 11, 18)])
def test_packed_operands_exhaustively(bits, spacing, port):
    dut = Packer(PackedOperand(bits, 2, spacing, port))

    async def testbench(ctx):
        for is_signed in (False, True):
            low, high = code_range(bits, is_signed)
            for first in range(low, high + 1):
                for second in range(low, high + 1):
                    ctx.set(dut.codes, [first & high - low, second & high - low])
                    ctx.set(dut.is_signed, is_signed)
                    expected = pack([first, second], spacing) & ((1 << port) - 1)
                    assert ctx.get(dut.o) == expected

    simulate(dut, testbench)


@pytest.mark.parametrize(("act_bits", "length"), [(6, 1), (6, 2), (4, 4), (4, 8)])
def test_cascade_adds_products(act_bits, length):
    """Values, latency, one sum per cycle; operands come when ``skew`` says."""
    packs, choose = packing(4, act_bits, "dsp48e2"), random.Random(length)
    dut = Cascade(packs, length)
    latency = Cascade.latency(length)
    assert latency == 2 + length
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
        for now in range(len(cycles) + latency):
            for k in range(length):
                cycle = now - dut.skew(k)
                if 0 <= cycle < len(cycles):
                    weights, activations = cycles[cycle][1][k]
                    ctx.set(dut.weights[k], pack(weights, packs.weight.spacing))
                    ctx.set(dut.activations[k], pack(activations, packs.activation.spacing))
            if 0 <= now - 1 < len(cycles):
                ctx.set(dut.is_signed, cycles[now - 1][0])
            if now >= latency:
                signed, stages = cycles[now - latency]
                fields = [ctx.get(field) for field in dut.fields]
                for t in range(2):
                    for r in range(2):
                        expected = sum(w[r] * a[t] for w, a in stages) + 1024 * signed
                        assert fields[packs.field(t, r)] == expected
            await ctx.tick()

    simulate(dut, testbench)


def test_a_cascade_that_could_overflow_is_refused():
    with pytest.raises(ValueError, match="length must be between 1 and 2, not 3"):
        Cascade(packing(4, 6, "dsp48e2"), 3)
