"""Reciprocal of a sum of attention weights."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.shift import Normalize
from rtl.lib.pipeline import delayed
from rtl.model import numerics


class Reciprocal(wiring.Component):
    """Exact reciprocal, normalised to 17 bits.

    ``reciprocal = 2**(15 + length) // total``, ``length = bitlen(total)``

    A restoring divider, one quotient bit per stage: as ``total`` is normalised first, the dividend
    is a constant and every stage is the same. Latency ``LATENCY`` cycles, one value per cycle, no
    flow control.

    Members
    -------
    total : In(unsigned(18))
        Sum of attention weights, at least 1.
    reciprocal : Out(unsigned(17))
        2**15 + 1 to 2**16.
    length : Out(range(19))

    Source: docs/numerics.md, section 5: E, R and L. Reference: sim.golden.ops.context_scale.
    """

    TOTAL_BITS = numerics.MAX_TOKENS.bit_length() - 1 + max(numerics.ACT_BITS)
    QUOTIENT_BITS = numerics.RECIPROCAL_BITS
    LATENCY = Normalize.latency(TOTAL_BITS) + QUOTIENT_BITS

    total: In(unsigned(TOTAL_BITS))
    reciprocal: Out(unsigned(QUOTIENT_BITS))
    length: Out(range(TOTAL_BITS + 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.normalize = normalize = Normalize(self.TOTAL_BITS, 1)
        m.d.comb += normalize.value.eq(self.total)
        divisor = normalize.mantissa
        remainder, quotient = 1 << (self.TOTAL_BITS - 1), []
        for bit in reversed(range(self.QUOTIENT_BITS)):
            difference = Signal(self.TOTAL_BITS + 2, name=f"difference_{bit}")
            below = difference[-1]
            left = Signal(self.TOTAL_BITS + 1, name=f"remainder_{bit}", reset_less=True)
            m.d.comb += difference.eq(remainder - divisor)
            m.d.sync += left.eq(Mux(below, remainder, difference) << 1)
            quotient.append(delayed(m, ~below, bit + 1, name=f"quotient_{bit}"))
            remainder, divisor = left, delayed(m, divisor, 1, name=f"divisor_{bit}")
        zeros = delayed(m, normalize.zeros, self.QUOTIENT_BITS - 1, name="zeros")
        m.d.sync += self.length.eq(self.TOTAL_BITS - zeros)
        m.d.comb += self.reciprocal.eq(Cat(reversed(quotient)))
        return m
