"""Arithmetic right shift by a variable amount, with saturation."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.pipeline import delayed

AMOUNT_BITS = 6


class SaturatingShift(wiring.Component):
    """Shift right, saturate to ``out_bits``.

    ``o = clip(value >> amount, signed(out_bits))``

    Latency ``LATENCY`` cycles, one value per cycle, no flow control. Three stages shift by 16, 4
    and 1; each keeps only the bits that later stages can still bring into the result, and whether
    the others were more than copies of the sign.

    Parameters
    ----------
    width : int
        Bits of the value, at most 64.
    out_bits : int
        Bits of the result.

    Members
    -------
    value : In(signed(width))
    amount : In(6)
    o : Out(signed(out_bits))
    """

    LATENCY = 3

    def __init__(self, width: int, out_bits: int):
        self.out_bits = out_bits
        super().__init__(
            {
                "value": In(signed(width)),
                "amount": In(unsigned(AMOUNT_BITS)),
                "o": Out(signed(out_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        value, overflow = self.value, 0
        for stage, (step, still) in enumerate(((16, 15), (4, 3), (1, 0))):
            amount = delayed(m, self.amount, stage, name="amount").word_select(2 - stage, 2)
            shifted = Signal(signed(max(len(value), self.out_bits + still)), name=f"shifted_{stage}")
            with m.Switch(amount):
                for steps in range(4):
                    with m.Case(steps):
                        m.d.comb += shifted.eq(value >> (steps * step))
            kept = Signal(signed(self.out_bits + still), name=f"kept_{stage}", reset_less=True)
            lost = Signal(name=f"lost_{stage}", reset_less=True)
            rest = shifted[len(kept) - 1 :]
            exceeds = overflow | ~(rest.all() | ~rest.any())
            if still:
                m.d.sync += [kept.eq(shifted), lost.eq(exceeds)]
            value, overflow = kept, lost
        negative = delayed(m, self.value[-1], 2, name="negative")
        limit = Mux(negative, -(1 << (self.out_bits - 1)), (1 << (self.out_bits - 1)) - 1)
        m.d.sync += kept.eq(Mux(exceeds, limit, shifted))
        m.d.comb += self.o.eq(kept)
        return m
