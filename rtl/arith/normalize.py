"""Shift a number until its leading digit is in front."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.lib.pipeline import delayed


class Normalize(wiring.Component):
    """Remove the leading zero digits of a number in base ``2**digit_bits``.

    ``mantissa = value << (digit_bits * zeros)``, its top digit is not 0

    Latency ``LATENCY`` cycles, one value per cycle, no flow control. Each stage looks at half as
    many leading digits as the one before. A value of 0 gives mantissa 0.

    Parameters
    ----------
    digits : int
        Digits of the value.
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
        self.LATENCY = ceil_log2(digits)
        width = unsigned(digits * digit_bits)
        super().__init__({"value": In(width), "mantissa": Out(width), "zeros": Out(range(digits))})

    def elaborate(self, platform):
        m = Module()
        mantissa = self.value
        zeros = []
        for stage in reversed(range(self.LATENCY)):
            shift = self.digit_bits << stage
            empty = mantissa[-shift:] == 0
            shifted = Signal(self.value.shape(), name=f"shifted_{stage}", reset_less=True)
            m.d.sync += shifted.eq(Mux(empty, mantissa << shift, mantissa))
            zeros.append(delayed(m, empty, stage + 1, name=f"empty_{stage}"))
            mantissa = shifted
        m.d.comb += [self.mantissa.eq(mantissa), self.zeros.eq(Cat(reversed(zeros)))]
        return m
