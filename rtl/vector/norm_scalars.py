"""From a token's sums to what pass 2 needs of it."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.multiply import MultiplyAdd
from rtl.arith.rsqrt import Rsqrt
from rtl.lib.pipeline import delayed
from rtl.model import numerics
from rtl.vector.norm_lane import FACTOR, OFFSET, NormScalar
from rtl.vector.norm_sums import NormTotals

WIDTH = unsigned(numerics.MAX_WIDTH.bit_length())
SQUARES_LOW = 24  # the 41-bit sum of squares is multiplied in two parts
VALUES_LOW = 17  # and so is the sum of values with itself

NormParameters = data.StructLayout(
    {"width": WIDTH, "epsilon": unsigned(32), "gain": unsigned(16), "shift": unsigned(4)}
)
"""D, the epsilon, G and s0 of docs/numerics.md, section 4."""


class NormVariance(wiring.Component):
    """Variance of a token, times the square of its width.

    ``variance = width * totals.squares - totals.values**2 + epsilon``, modulo 2**52

    Latency ``LATENCY`` cycles, one token per cycle, no flow control. Both products are wider than
    a DSP block takes; each is the sum of two.

    Members
    -------
    totals : In(NormTotals)
    width : In(11)
    epsilon : In(32)
    variance : Out(unsigned(52))
    """

    LATENCY = MultiplyAdd.LATENCY + 2

    def __init__(self):
        super().__init__(
            {
                "totals": In(NormTotals),
                "width": In(WIDTH),
                "epsilon": In(unsigned(32)),
                "variance": Out(unsigned(2 * Rsqrt.DIGITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        values, squares = self.totals.values, self.totals.squares
        part = unsigned(SQUARES_LOW + WIDTH.width + 1)
        m.submodules.low = low = MultiplyAdd(unsigned(SQUARES_LOW), WIDTH, part, unsigned(32))
        m.submodules.high = high = MultiplyAdd(unsigned(SQUARES_LOW), WIDTH, part)
        m.submodules.low_square = low_square = MultiplyAdd(
            values.shape(), unsigned(VALUES_LOW), signed(44)
        )
        m.submodules.high_square = high_square = MultiplyAdd(
            values.shape(), signed(len(values) - VALUES_LOW), signed(36)
        )
        added = Signal(self.variance.shape(), reset_less=True)
        subtracted = Signal(self.variance.shape(), reset_less=True)
        m.d.comb += [
            low.a.eq(squares[:SQUARES_LOW]),
            low.b.eq(self.width),
            low.c.eq(self.epsilon),
            high.a.eq(squares[SQUARES_LOW:]),
            high.b.eq(self.width),
            low_square.a.eq(values),
            low_square.b.eq(values[:VALUES_LOW]),
            high_square.a.eq(values),
            high_square.b.eq(values[VALUES_LOW:]),
        ]
        m.d.sync += [
            added.eq((high.o << SQUARES_LOW) + low.o),
            subtracted.eq((high_square.o << VALUES_LOW) + low_square.o),
            self.variance.eq(added - subtracted),
        ]
        return m


class NormScalars(wiring.Component):
    """Factor, offset and shift of a token.

    ``k' = (rsqrt(V) * gain) >> 16``; ``scalar.factor = width * k'``,
    ``scalar.offset = -totals.values * k'``, ``scalar.shift = e + shift - 1``

    Latency ``LATENCY`` cycles, one token per cycle, no flow control: the unit takes only as many
    pairs of tokens as it has room for.

    Members
    -------
    totals : In(NormTotals)
    parameters : In(NormParameters)
    scalar : Out(NormScalar)

    Source: docs/numerics.md, section 4. Reference: sim.golden.ops.layer_norm.
    """

    LATENCY = NormVariance.LATENCY + Rsqrt.LATENCY + 2 * MultiplyAdd.LATENCY

    def __init__(self):
        super().__init__(
            {
                "totals": In(NormTotals),
                "parameters": In(NormParameters),
                "scalar": Out(NormScalar),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.variance = variance = NormVariance()
        m.submodules.rsqrt = rsqrt = Rsqrt()
        m.submodules.gain = gain = MultiplyAdd(unsigned(16), unsigned(16), unsigned(32))
        m.submodules.factor = factor = MultiplyAdd(WIDTH, unsigned(16), FACTOR)
        minus = signed(len(self.totals.values) + 1)
        m.submodules.offset = offset = MultiplyAdd(minus, unsigned(16), OFFSET)

        until_rsqrt = variance.LATENCY + rsqrt.LATENCY
        until_gain = until_rsqrt + gain.LATENCY
        parameters = self.parameters
        negated = Signal(minus, reset_less=True)
        shift = Signal(self.scalar.shift.shape(), reset_less=True)
        m.d.sync += negated.eq(-self.totals.values)
        m.d.sync += shift.eq(rsqrt.e + delayed(m, parameters.shift, until_rsqrt, name="shift") - 1)
        m.d.comb += [
            variance.totals.eq(self.totals),
            variance.width.eq(parameters.width),
            variance.epsilon.eq(parameters.epsilon),
            rsqrt.variance.eq(variance.variance),
            gain.a.eq(rsqrt.k),
            gain.b.eq(delayed(m, parameters.gain, until_rsqrt, name="gain")),
            factor.a.eq(delayed(m, parameters.width, until_gain, name="width")),
            factor.b.eq(gain.o >> 16),
            offset.a.eq(delayed(m, negated, until_gain - 1, name="negated")),
            offset.b.eq(gain.o >> 16),
            self.scalar.factor.eq(factor.o),
            self.scalar.offset.eq(offset.o),
            self.scalar.shift.eq(delayed(m, shift, gain.LATENCY + offset.LATENCY - 1, name="e")),
        ]
        return m
