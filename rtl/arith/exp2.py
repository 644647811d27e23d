"""Attention weight of one key, from its score's distance to the maximum."""

from amaranth.hdl import Module, Mux, Shape, Signal, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.multiply import MultiplyAdd
from rtl.arith.shift import SaturatingShift
from rtl.lib.pipeline import delayed
from rtl.model import numerics

DISTANCE = unsigned(numerics.SCORE_BITS)
PRODUCT_BITS = numerics.SCORE_BITS + numerics.MULTIPLIER_BITS
OCTAVE_BITS = numerics.EXP2_MAX.bit_length()  # a distance in octaves, and its fraction


def exact_weight(act_bits: int) -> Shape:
    """An attention weight before dither and rounding: docs/numerics.md, w."""
    return unsigned(act_bits + numerics.EXP2_FRACTION_BITS)


class Exp2(wiring.Component):
    """One lane of softmax: the attention weight of a key.

    ``weight = ((EXP2_TABLE[u & 255] >> (u >> 8)) + dither) >> 8``,
    ``u = min(4095, ((maximum - score) * multiplier) >> shift)``; 0 where ``valid`` is low

    Latency ``LATENCY`` cycles: three of the product, three of the shift, table, octaves, weight.
    One score per cycle, no flow control: the unit takes only as many words as it has room for.

    Parameters
    ----------
    act_bits : int
        Bits of an attention weight.
    selection : bool
        The engine selects tokens.

    Members
    -------
    score : In(signed(22))
    maximum : In(signed(22))
        Not below ``score`` where ``valid``.
    multiplier : In(unsigned(17))
    shift : In(unsigned(6))
    dither : In(unsigned(8))
    valid : In(1)
        The key counts; padding and masked keys do not.
    weight : Out(unsigned(act_bits))
    exact : Out(exact_weight(act_bits))
        Only with ``selection``: before dither and rounding, whether ``valid`` or not.

    Source: docs/numerics.md, section 5. Reference: sim.golden.ops.softmax_weights.
    """

    LATENCY = MultiplyAdd.LATENCY + SaturatingShift.LATENCY + 3

    def __init__(self, act_bits: int, selection: bool = False):
        self.act_bits = act_bits
        self.selection = selection
        self.parameters = (act_bits, "selection") if selection else (act_bits,)
        exact = {"exact": Out(exact_weight(act_bits))} if selection else {}
        super().__init__(
            {
                "score": In(signed(numerics.SCORE_BITS)),
                "maximum": In(signed(numerics.SCORE_BITS)),
                "multiplier": In(unsigned(numerics.MULTIPLIER_BITS)),
                "shift": In(unsigned(numerics.SHIFT_BITS)),
                "dither": In(unsigned(8)),
                "valid": In(1),
                "weight": Out(unsigned(act_bits)),
            }
            | exact
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.octaves = octaves = SaturatingShift(PRODUCT_BITS + 1, OCTAVE_BITS + 1)
        m.submodules.table = table = memory.Memory(
            shape=unsigned(self.act_bits + 8),
            depth=numerics.EXP2_ENTRIES,
            init=numerics.exp2_table(self.act_bits),
        )
        m.submodules.multiply = multiply = MultiplyAdd(
            DISTANCE, self.multiplier.shape(), unsigned(PRODUCT_BITS)
        )
        power = table.read_port()
        whole = delayed(m, octaves.o[numerics.EXP2_FRACTION_BITS : OCTAVE_BITS], 1, name="whole")
        scaled = Signal(self.act_bits + 8, reset_less=True)
        dither = delayed(m, self.dither, self.LATENCY - 1, name="dither")
        valid = delayed(m, self.valid, self.LATENCY - 1, name="valid")
        m.d.comb += [
            multiply.a.eq(self.maximum - self.score),
            multiply.b.eq(self.multiplier),
            octaves.value.eq(multiply.o),
            octaves.amount.eq(delayed(m, self.shift, multiply.LATENCY, name="shift")),
            power.addr.eq(octaves.o[: numerics.EXP2_FRACTION_BITS]),
        ]
        m.d.sync += scaled.eq(power.data >> whole)
        m.d.sync += self.weight.eq(Mux(valid, (scaled + dither) >> 8, 0))
        if self.selection:
            m.d.comb += self.exact.eq(delayed(m, scaled, 1, name="exact"))
        return m
