"""What divides a token's context by the sum of its attention weights."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.multiply import MultiplyAdd
from rtl.arith.reciprocal import Reciprocal
from rtl.lib.pipeline import delayed
from rtl.memory.ports import TokenScale
from rtl.model import numerics

MULTIPLIER = unsigned(16)
SHIFT = unsigned(6)


class ContextScale(wiring.Component):
    """Requantization of a token's context.

    ``scale.multiplier = (R * multiplier) >> 15``, ``scale.shift = L + shift``, with R and L of
    :class:`rtl.arith.reciprocal.Reciprocal`

    Latency ``LATENCY`` cycles, one token per cycle, no flow control: every token has a register
    that takes its scale.

    Members
    -------
    total : In(unsigned(18))
        Sum of attention weights, at least 1.
    multiplier : In(16)
    shift : In(6)
        Of the head.
    scale : Out(TokenScale)

    Source: docs/numerics.md, section 5: M and S. Reference: sim.golden.ops.context_scale.
    """

    LATENCY = Reciprocal.LATENCY + MultiplyAdd.LATENCY

    def __init__(self):
        super().__init__(
            {
                "total": In(unsigned(Reciprocal.TOTAL_BITS)),
                "multiplier": In(MULTIPLIER),
                "shift": In(SHIFT),
                "scale": Out(TokenScale),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reciprocal = reciprocal = Reciprocal()
        product = unsigned(numerics.RECIPROCAL_BITS + MULTIPLIER.width)
        m.submodules.multiply = multiply = MultiplyAdd(
            unsigned(numerics.RECIPROCAL_BITS), MULTIPLIER, product
        )
        head = delayed(m, self.multiplier, reciprocal.LATENCY, name="multiplier")
        shift = delayed(m, self.shift, reciprocal.LATENCY, name="shift")
        length = delayed(m, reciprocal.length + shift, multiply.LATENCY, name="length")
        m.d.comb += [
            reciprocal.total.eq(self.total),
            multiply.a.eq(reciprocal.reciprocal),
            multiply.b.eq(head),
            self.scale.multiplier.eq(multiply.o >> 15),
            self.scale.shift.eq(length),
        ]
        return m
