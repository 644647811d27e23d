"""Cascades of hard multipliers that work on packed operands."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.packing import Packing


def packed(m: Module, codes: list[Value], is_signed: Value, spacing: int, port_bits: int) -> Value:
    """A packed operand, ``Σ codes[i] · 2^(i · spacing)``, as ``port_bits`` bits.

    Fields do not overlap, so that no wide adder is needed: each code is extended to its field and
    lowered by one where the field below it is negative.
    """
    fields, borrow = [], 0
    for index, code in enumerate(codes):
        top = index == len(codes) - 1
        field = Signal(port_bits - index * spacing if top else spacing, name="field")
        m.d.comb += field.eq(Cat(code, is_signed & code[-1]).as_signed() - borrow)
        fields.append(field)
        borrow = is_signed & field[-1]
    return Cat(fields)


class Cascade(wiring.Component):
    """A cascade of multipliers: ``total = Σ_k activations[k] · weights[k]``, all packed.

    Inferred variant: plain ``*`` and ``+``, with registers where a DSP has them (operands,
    product, sum). Free running: it sits inside the rigid array, where nothing can stall, so it has
    neither valid nor ready. Operand k must arrive k cycles after operand 0, because each stage
    adds the finished sum of the stage below.

    Latency ``LATENCY``, from operand 0 to ``total``.

    Parameters
    ----------
    packing : Packing
        Widths of the ports and of the sum.
    length : int
        Multipliers, 1 to ``packing.cascade``.

    Members
    -------
    activations : In(length x signed(packing.activation_port_bits))
    weights : In(length x signed(packing.weight_port_bits))
    total : Out(signed(packing.sum_bits))

    Raises
    ------
    ValueError
        If fields of a cascade of this length could overflow.
    """

    def __init__(self, packing: Packing, length: int):
        if not 1 <= length <= packing.cascade:
            raise ValueError(f"length must be between 1 and {packing.cascade}, not {length}")
        self.length = length
        self.sum_bits = packing.sum_bits
        activation, weight = packing.activation_port_bits, packing.weight_port_bits
        self.parameters = (length, activation, weight, packing.sum_bits)
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(activation), length)),
                "weights": In(data.ArrayLayout(signed(weight), length)),
                "total": Out(signed(packing.sum_bits)),
            }
        )

    @staticmethod
    def latency(length: int) -> int:
        """``LATENCY`` of a cascade of this length."""
        return 2 + length

    @property
    def LATENCY(self) -> int:
        return self.latency(self.length)

    def elaborate(self, platform):
        m = Module()
        below = 0
        for k, (activation, weight) in enumerate(zip(self.activations, self.weights, strict=True)):
            a = Signal.like(activation, name=f"a_{k}", reset_less=True)
            w = Signal.like(weight, name=f"w_{k}", reset_less=True)
            product = Signal(signed(len(a) + len(w)), name=f"product_{k}", reset_less=True)
            total = Signal(signed(self.sum_bits), name=f"total_{k}", reset_less=True)
            m.d.sync += [
                a.eq(activation),
                w.eq(weight),
                product.eq(a * w),
                total.eq(product + below),
            ]
            below = total
        m.d.comb += self.total.eq(below)
        return m
