"""Shifts by a variable amount: saturating to the right, or until the leading digit is in front."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.lib.pipeline import delayed

AMOUNT_BITS = 6
STAGES = ((16, 15), (4, 3), (1, 0))
"""Stages as (unit, spare): shift by 0 to 3 units; how far the stages behind can still shift."""


class SaturatingShift(wiring.Component):
    """Shift right, saturate to ``out_bits``.

    ``o = clip(value >> amount, signed(out_bits))``

    Latency ``LATENCY`` cycles, one value per cycle, no flow control. Each stage keeps only the bits
    that later stages can still bring into the result, and whether the others held more than copies
    of the sign. ``o`` is one multiplexer behind the last register.

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

    LATENCY = len(STAGES)

    def __init__(self, width: int, out_bits: int):
        self.out_bits = out_bits
        super().__init__(
            {
                "value": In(signed(width)),
                "amount": In(unsigned(AMOUNT_BITS)),
                "o": Out(signed(out_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        value, lost = self.value, 0
        for stage, (unit, spare) in enumerate(STAGES):
            amount = delayed(m, self.amount, stage, name=f"amount_{stage}")
            kept_bits = self.out_bits + spare
            kept = Signal(signed(kept_bits), name=f"kept_{stage}", reset_less=True)
            exceeds = Signal(name=f"exceeds_{stage}", reset_less=True)
            with m.Switch(amount.word_select(len(STAGES) - 1 - stage, 2)):
                for units in range(4):
                    shifted = value >> (units * unit)
                    above = shifted[kept_bits - 1 :]
                    with m.Case(units):
                        m.d.sync += [
                            kept.eq(shifted),
                            exceeds.eq(lost | (above.any() & ~above.all())),
                        ]
            value, lost = kept, exceeds
        negative = delayed(m, self.value[-1], self.LATENCY, name="negative")
        high = (1 << (self.out_bits - 1)) - 1
        m.d.comb += self.o.eq(Mux(lost, Mux(negative, -high - 1, high), value))
        return m


class Normalize(wiring.Component):
    """Remove the leading zero digits of a number in base ``2**digit_bits``.

    ``mantissa = value << (digit_bits * zeros)``, its top digit is not 0

    Latency ``latency(digits)`` cycles, one value per cycle, no flow control. Each stage looks at
    half as many leading digits as the one before. A value of 0 gives mantissa 0.

    Parameters
    ----------
    digits : int
        Number of digits of the value.
    digit_bits : int
        1, or 2 where the exponent has to stay even, as for a square root.

    Members
    -------
    value : In(digits * digit_bits)
    mantissa : Out(digits * digit_bits)
    zeros : Out(range(digits))
        Leading zero digits.
    """

    def __init__(self, digits: int, digit_bits: int):
        self.digits = digits
        self.digit_bits = digit_bits
        width = unsigned(digits * digit_bits)
        super().__init__({"value": In(width), "mantissa": Out(width), "zeros": Out(range(digits))})

    @staticmethod
    def latency(digits: int) -> int:
        """Cycles from the value to its mantissa: one for each power of two."""
        return ceil_log2(digits)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mantissa = self.value
        zeros = []
        for stage in reversed(range(self.latency(self.digits))):
            shift = self.digit_bits << stage
            empty = mantissa[-shift:] == 0
            shifted = Signal(self.value.shape(), name=f"shifted_{stage}", reset_less=True)
            m.d.sync += shifted.eq(Mux(empty, mantissa << shift, mantissa))
            zeros.append(delayed(m, empty, stage + 1, name=f"empty_{stage}"))
            mantissa = shifted
        m.d.comb += [self.mantissa.eq(mantissa), self.zeros.eq(Cat(reversed(zeros)))]
        return m
