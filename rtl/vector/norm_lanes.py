"""Channels of LayerNorm: one multiplier for both passes, and the code behind it."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.multiply import MultiplyAdd
from rtl.arith.rsqrt import RSQRT
from rtl.arith.shift import AMOUNT_BITS, SaturatingShift
from rtl.config import EngineConfig
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.memory.ports import RESIDUAL, activation_code, array
from rtl.model import numerics

WIDTH_BITS = numerics.MAX_WIDTH.bit_length() - 1  # a width is at most 2**WIDTH_BITS
FACTOR = unsigned(WIDTH_BITS + RSQRT.width)
OFFSET = signed(numerics.RESIDUAL_BITS + FACTOR.width)
TOTAL = signed(OFFSET.width + 1)
SQUARE = unsigned(2 * numerics.RESIDUAL_BITS - 1)
EXPONENT = unsigned(numerics.NORM_EXPONENT_BITS)


class NormScalar(data.Struct):
    """Scalars of a token for pass 2: A, B and s - 1 of docs/numerics.md, section 4."""

    factor: FACTOR
    offset: OFFSET
    shift: unsigned(AMOUNT_BITS)


def normal_shape(act_bits: int) -> Shape:
    """Shape in which adding the zero point saturates exactly where an endless value would."""
    return signed(act_bits + 3)


class NormLane(wiring.Component):
    """Multiplier of one channel of one token, for either pass.

    ``square = residual**2 + scalar.offset`` where ``squares``;
    ``normal = clip((residual * factor + offset) >> (shift + exponent))``, with one more fraction
    bit than the result, so that :class:`NormCode` can round

    Both use the same multiplier. Latency ``SQUARE_LATENCY`` and ``LATENCY`` cycles, one value per
    cycle, no flow control: the unit reads only what its output queue has room for.

    Parameters
    ----------
    act_bits : int
        Bits of a code.

    Members
    -------
    residual : In(signed(16))
    squares : In(1)
        Multiply the residual with itself, not with the factor.
    scalar : In(NormScalar)
    exponent : In(2)
        Exponent of the channel.
    square : Out(unsigned(31))
    normal : Out(signed(act_bits + 3))
    """

    SQUARE_LATENCY = MultiplyAdd.LATENCY
    LATENCY = MultiplyAdd.LATENCY + SaturatingShift.LATENCY

    def __init__(self, act_bits: int):
        self.act_bits = act_bits
        self.parameters = (act_bits,)
        super().__init__(
            {
                "residual": In(RESIDUAL),
                "squares": In(1),
                "scalar": In(NormScalar),
                "exponent": In(EXPONENT),
                "square": Out(SQUARE),
                "normal": Out(normal_shape(act_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiply = multiply = MultiplyAdd(signed(27), RESIDUAL, TOTAL, OFFSET)
        m.submodules.shift = shift = SaturatingShift(TOTAL.width, self.normal.shape().width)
        amount = Signal(AMOUNT_BITS, reset_less=True)
        m.d.sync += amount.eq(self.scalar.shift + self.exponent)
        m.d.comb += [
            multiply.a.eq(Mux(self.squares, self.residual, self.scalar.factor)),
            multiply.b.eq(self.residual),
            multiply.c.eq(self.scalar.offset),
            self.square.eq(multiply.o),
            shift.value.eq(multiply.o),
            shift.amount.eq(delayed(m, amount, multiply.LATENCY - 1, name="amount")),
            self.normal.eq(shift.o),
        ]
        return m


class NormCode(wiring.Component):
    """Round, add the zero point, clip to the code.

    ``code = clip(zero + ((normal + 1) >> 1))``

    Latency ``LATENCY`` cycles, no flow control.

    Parameters
    ----------
    act_bits : int
        Bits of a code.

    Members
    -------
    normal : In(signed(act_bits + 3))
    zero : In(8)
    signed : In(1)
        Clip to ``act_signed`` rather than ``act_unsigned``.
    code : Out(unsigned(act_bits))
        Raw bits of the code.
    """

    LATENCY = 2

    def __init__(self, act_bits: int):
        self.act_bits = act_bits
        self.parameters = (act_bits,)
        super().__init__(
            {
                "normal": In(normal_shape(act_bits)),
                "zero": In(8),
                "signed": In(1),
                "code": Out(unsigned(act_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.act_bits
        value = Signal(signed(max(bits + 3, 9) + 1), reset_less=True)
        is_signed = Signal(reset_less=True)
        code = Signal(bits, reset_less=True)
        m.d.sync += [
            value.eq((self.normal + (self.zero << 1) + 1) >> 1),
            is_signed.eq(self.signed),
        ]
        fits = Mux(is_signed, _is_copied(value[bits - 1 :]), ~value[bits:].any())
        lowest = Mux(is_signed, 1 << (bits - 1), 0)
        highest = Mux(is_signed, (1 << (bits - 1)) - 1, (1 << bits) - 1)
        m.d.sync += code.eq(Mux(fits, value[:bits], Mux(value[-1], lowest, highest)))
        m.d.comb += self.code.eq(code)
        return m


def _is_copied(bits: Value) -> Value:
    """Whether all bits are equal: copies of the sign."""
    return bits.all() | ~bits.any()


class NormLanes(wiring.Component):
    """Lanes of a beat, ``norm_lanes`` for each of 2 tokens; see :class:`NormLane`.

    Squares leave ``SQUARE_LATENCY`` cycles after a beat, codes ``LATENCY`` cycles, one beat per
    cycle, no flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    residuals : In(2 x norm_lanes x signed(16))
    squaring : In(1)
    scalars : In(2 x NormScalar)
        Scalars by token.
    exponents : In(norm_lanes x 2)
        Exponents by channel.
    zero : In(8)
    signed : In(1)
    squares : Out(2 x norm_lanes x unsigned(31))
    codes : Out(2 x norm_lanes x unsigned(act_bits))
    """

    SQUARE_LATENCY = NormLane.SQUARE_LATENCY
    LATENCY = NormLane.LATENCY + NormCode.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        lanes = config.norm_lanes
        super().__init__(
            {
                "residuals": In(array(2, array(lanes, RESIDUAL))),
                "squaring": In(1),
                "scalars": In(array(2, NormScalar)),
                "exponents": In(array(lanes, EXPONENT)),
                "zero": In(unsigned(8)),
                "signed": In(1),
                "squares": Out(array(2, array(lanes, SQUARE))),
                "codes": Out(array(2, array(lanes, activation_code(config)))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        zero = delayed(m, self.zero, NormLane.LATENCY, name="zero")
        is_signed = delayed(m, self.signed, NormLane.LATENCY, name="signed")
        for token in range(2):
            scalar = Signal(NormScalar, name=f"scalar_{token}")
            m.d.comb += scalar.eq(self.scalars[token])
            with m.If(self.squaring):
                m.d.comb += scalar.offset.eq(0)
            for row in range(self.config.norm_lanes):
                lane, code = NormLane(self.config.act_bits), NormCode(self.config.act_bits)
                m.submodules[f"lane_{token}_{row}"] = once(lane, platform)
                m.submodules[f"code_{token}_{row}"] = once(code, platform)
                m.d.comb += [
                    lane.residual.eq(self.residuals[token][row]),
                    lane.squares.eq(self.squaring),
                    lane.scalar.eq(scalar),
                    lane.exponent.eq(self.exponents[row]),
                    code.normal.eq(lane.normal),
                    code.zero.eq(zero),
                    code.signed.eq(is_signed),
                    self.squares[token][row].eq(lane.square),
                    self.codes[token][row].eq(code.code),
                ]
        return m
