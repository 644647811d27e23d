"""Reciprocal square root of a variance."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.multiply import MultiplyAdd
from rtl.arith.shift import Normalize
from rtl.lib.pipeline import delayed
from rtl.model import numerics

MANTISSA_BITS = numerics.RSQRT_MANTISSA_BITS
EXPONENT_MAX = (numerics.VARIANCE_BITS + 1) // 2
ESTIMATE = unsigned(17)
RSQRT = unsigned(16)
CORRECTION = unsigned(22)


class Rsqrt(wiring.Component):
    """Reciprocal square root by a table and one Newton step.

    ``k = min(2**16 - 1, (y0 * (3 * 2**20 - ((m * ((y0 * y0) >> 17)) >> 21))) >> 22)``, about
    ``2**(15 + e) / sqrt(V)``, with ``e = (bitlen(V) + 1) >> 1``, the mantissa m = V / 4**e in 26
    bits and ``y0 = RSQRT_TABLE[(m >> 18) - 64]``

    Latency ``LATENCY`` cycles, one value per cycle, no flow control: the caller knows when.

    Members
    -------
    variance : In(unsigned(52))
        V, from 1 to 2**51 - 1; other values give an undefined result and do no harm.
    k : Out(unsigned(16))
    e : Out(range(27))

    Source: docs/numerics.md, section 4. Reference: sim.golden.ops.rsqrt.
    """

    DIGITS = EXPONENT_MAX
    NORMALIZE_LATENCY = Normalize.latency(DIGITS)
    # The table; y0 squared, the error; the correction; the product, the limit.
    LATENCY = NORMALIZE_LATENCY + 1 + 2 * MultiplyAdd.LATENCY + 1 + MultiplyAdd.LATENCY + 1

    variance: In(unsigned(2 * DIGITS))
    k: Out(RSQRT)
    e: Out(range(DIGITS + 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.normalize = normalize = Normalize(self.DIGITS, 2)
        m.submodules.table = table = memory.Memory(
            shape=ESTIMATE, depth=numerics.RSQRT_ENTRIES, init=numerics.rsqrt_table()
        )
        m.submodules.square = square = MultiplyAdd(ESTIMATE, ESTIMATE, unsigned(34))
        m.submodules.error = error = MultiplyAdd(
            unsigned(MANTISSA_BITS), ESTIMATE, unsigned(MANTISSA_BITS + 17)
        )
        m.submodules.newton = newton = MultiplyAdd(CORRECTION, ESTIMATE, unsigned(39))
        estimate = table.read_port()
        mantissa = normalize.mantissa[-MANTISSA_BITS:]
        correction = Signal(CORRECTION, reset_less=True)
        m.d.comb += [
            normalize.value.eq(self.variance),
            estimate.addr.eq(mantissa[numerics.RSQRT_INDEX_SHIFT :] - numerics.RSQRT_INDEX_OFFSET),
            square.a.eq(estimate.data),
            square.b.eq(estimate.data),
            error.a.eq(delayed(m, mantissa, 1 + square.LATENCY, name="mantissa")),
            error.b.eq(square.o >> 17),
            newton.a.eq(correction),
            newton.b.eq(
                delayed(m, estimate.data, square.LATENCY + error.LATENCY + 1, name="estimate")
            ),
        ]
        m.d.sync += [
            correction.eq((3 << 20) - (error.o >> 21)),
            self.k.eq(Mux((newton.o >> 38).any(), (1 << 16) - 1, newton.o >> 22)),
        ]
        after_normalize = self.LATENCY - self.NORMALIZE_LATENCY
        zeros = delayed(m, normalize.zeros, after_normalize - 1, name="zeros")
        m.d.sync += self.e.eq(self.DIGITS - zeros)
        return m
