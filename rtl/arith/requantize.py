"""Accumulators to codes: bias, multiplier, rounding shift, clip."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.multiply import AddMultiply
from rtl.arith.shift import SaturatingShift
from rtl.isa.instructions import Format
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.model import numerics

ACC = signed(numerics.ACC_BITS)
PRODUCT = signed(numerics.ACC_BITS + numerics.MULTIPLIER_BITS)
CODE = signed(numerics.RESIDUAL_BITS)  # holds every format's codes


class RequantizeScale(data.Struct):
    """Operands of one lane beside the accumulator."""

    bias: signed(numerics.BIAS_BITS)
    multiplier: unsigned(numerics.MULTIPLIER_BITS)
    shift: unsigned(numerics.SHIFT_BITS)


def format_bits(act_bits: int) -> dict[Format, tuple[int, bool]]:
    """Code of each format as ``(bits, signed)``."""
    return {
        Format.ACT_SIGNED: (act_bits, True),
        Format.ACT_UNSIGNED: (act_bits, False),
        Format.INT8: (numerics.KV_BITS, True),
        Format.INT16: (numerics.RESIDUAL_BITS, True),
    }


class RequantizeLane(wiring.Component):
    """Rescale one accumulator per cycle.

    ``code = clip(((acc + bias) · multiplier + half) >> shift, lo, hi)`` with
    ``half = 1 << (shift - 1)``, shift 1 to 47, lo and hi the limits of the format. All ranges end
    at powers of two, so clipping looks at whether the upper bits are all equal. One multiplier of
    27 x 18 bits, which adds the bias as well. The shift is by one less, so that adding 1 to the
    last bit, and dropping it, rounds; it saturates just beyond the widest format.

    Latency ``LATENCY`` cycles, no flow control: the drain that it belongs to is never refused.

    Parameters
    ----------
    act_bits : int
        Bits of ACT_SIGNED and ACT_UNSIGNED.

    Members
    -------
    acc : In(signed(27))
    scale : In(RequantizeScale)
    format : In(Format)
    code : Out(signed(16))
        The code; for ACT_UNSIGNED from 0 to 2^act_bits − 1.

    Source: docs/numerics.md, section 2. Reference: sim.golden.ops.requantize.
    """

    LATENCY = AddMultiply.LATENCY + SaturatingShift.LATENCY + 3

    def __init__(self, act_bits: int):
        self.act_bits = act_bits
        self.parameters = (act_bits,)
        super().__init__(
            {
                "acc": In(ACC),
                "scale": In(RequantizeScale),
                "format": In(unsigned(2)),
                "code": Out(CODE),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiply = multiply = AddMultiply(
            self.acc.shape(), unsigned(numerics.MULTIPLIER_BITS), PRODUCT
        )
        # A bit more on either side: the one that rounds, and the one that shows what is too large.
        m.submodules.shift = shift = SaturatingShift(PRODUCT.width, CODE.width + 1)
        amount = Signal(numerics.SHIFT_BITS, reset_less=True)
        value = Signal(signed(CODE.width + 1), reset_less=True)
        m.d.sync += [
            amount.eq(self.scale.shift - 1),
            value.eq((shift.o >> 1) + shift.o[0]),
        ]
        m.d.comb += [
            multiply.a.eq(self.acc),
            multiply.d.eq(self.scale.bias),
            multiply.b.eq(self.scale.multiplier),
            shift.value.eq(multiply.o),
            shift.amount.eq(delayed(m, amount, multiply.LATENCY - 1, name="amount")),
        ]
        format_ = delayed(m, self.format, self.LATENCY - 2, name="format")
        low = delayed(m, value[: len(self.code)], 1, name="low")
        negative, fits = self._inspect(m, value, format_)
        clipped = self._limits(m, delayed(m, format_, 1, name="format_clip"), negative)
        m.d.sync += self.code.eq(Mux(fits, low, clipped))
        return m

    def _inspect(self, m: Module, value: Value, format_: Value) -> tuple[Value, Value]:
        """Find the sign of ``value``, and whether it lies in its format's range."""
        negative = Signal(reset_less=True)
        fits = Signal(reset_less=True)
        m.d.sync += negative.eq(value[-1])
        with m.Switch(format_):
            for code_format, (bits, is_signed) in format_bits(self.act_bits).items():
                upper = value[bits - 1 :] if is_signed else value[bits:]
                with m.Case(code_format):
                    zeros, ones = ~upper.any(), upper.all() if is_signed else 0
                    m.d.sync += fits.eq(zeros | ones)
        return negative, fits

    def _limits(self, m: Module, format_: Value, negative: Value) -> Value:
        """End of the format's range that a value beyond it is clipped to."""
        limit = Signal(CODE)
        with m.Switch(format_):
            for code_format, (bits, is_signed) in format_bits(self.act_bits).items():
                lowest, highest = numerics.code_range(bits, is_signed)
                with m.Case(code_format):
                    m.d.comb += limit.eq(Mux(negative, lowest, highest))
        return limit


class Requantize(wiring.Component):
    """Requantizers side by side, one vector of ``lanes`` codes per cycle.

    Latency ``LATENCY`` cycles, no flow control.

    Parameters
    ----------
    lanes : int
    act_bits : int

    Members
    -------
    acc : In(lanes x signed(27))
    scales : In(lanes x RequantizeScale)
    format : In(Format)
    codes : Out(lanes x signed(16))
    """

    LATENCY = RequantizeLane.LATENCY

    def __init__(self, lanes: int, act_bits: int):
        self.lanes, self.act_bits = lanes, act_bits
        super().__init__(
            {
                "acc": In(data.ArrayLayout(ACC, lanes)),
                "scales": In(data.ArrayLayout(RequantizeScale, lanes)),
                "format": In(unsigned(2)),
                "codes": Out(data.ArrayLayout(CODE, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index in range(self.lanes):
            lane = RequantizeLane(self.act_bits)
            m.submodules[f"lane_{index}"] = once(lane, platform)
            m.d.comb += [
                lane.acc.eq(self.acc[index]),
                lane.scale.eq(self.scales[index]),
                lane.format.eq(self.format),
                self.codes[index].eq(lane.code),
            ]
        return m
