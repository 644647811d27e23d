"""Cascades of hard multipliers that work on packed operands."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith import ultrascale
from rtl.arith.packing import PackedOperand, Packing
from rtl.lib.emit import Primitives, primitives
from rtl.lib.pipeline import delayed


def digits(m: Module, codes: list[Value], is_signed: Value) -> list[Value]:
    """Digits that the fields of a packed operand hold: one bit more than each code.

    Fields do not overlap, so that no long adder is needed: each code is extended, and lowered by
    one where the field below it is negative.
    """
    values, borrow = [], 0
    for code in codes:
        value = Signal(signed(len(code) + 1), name="digit")
        m.d.comb += value.eq(Cat(code, is_signed & code[-1]).as_signed() - borrow)
        values.append(value)
        borrow = value[-1]
    return values


def packed(values: list[Value], operand: PackedOperand) -> Value:
    """Packed ``operand`` of :func:`digits`, each extended to its field."""
    spacing, below = operand.spacing, len(values) - 1
    sizes = [spacing] * below + [operand.port_bits - spacing * below]
    return Cat(
        Cat(value, value[-1].replicate(size - len(value)))
        for value, size in zip(values, sizes, strict=True)
    )


class Cascade(wiring.Component):
    """Cascade of multipliers: ``fields = Σ_k activations[k] · weights[k] + zero_points``, packed.

    The packing's ``zero_points`` are added where ``is_signed``: no field is ever negative.

    No flow control: it sits inside the rigid array, where nothing can stall, so it has neither
    valid nor ready. Two variants with the same values in the same cycles: of DSP48E2, with all
    registers, cascaded sums and the zero points in the block; or inferred, plain ``*`` and ``+``.
    Each stage adds the finished sum of the stage below, so operand k has to wait k cycles: one in
    a second operand register, the others outside (:meth:`skew`).

    ``latency(length)`` cycles from operand 0 to ``fields``, one sum per cycle.

    Parameters
    ----------
    packing : Packing
        Widths of ports and fields.
    length : int
        Number of multipliers, 1 to ``packing.cascade``.

    Members
    -------
    activations : In(length x signed(packing.activation_port_bits))
        Operand k comes ``skew(k)`` cycles after operand 0.
    weights : In(length x signed(packing.weight_port_bits))
        Arrive with the activations.
    is_signed : In(1)
        Weights or activations, and so the fields, are signed. Comes one cycle after operand 0.
    fields : Out(packing.products x unsigned(packing.field_bits))

    Raises
    ------
    ValueError
        If fields of a cascade of this length could overflow.
    """

    def __init__(self, packing: Packing, length: int):
        if not 1 <= length <= packing.cascade:
            raise ValueError(f"length must be between 1 and {packing.cascade}, not {length}")
        self.packing = packing
        self.length = length
        activation, weight = packing.activation_port_bits, packing.weight_port_bits
        fields = data.ArrayLayout(unsigned(packing.field_bits), packing.products)
        self.parameters = (length, activation, weight, packing.products, packing.field_bits)
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(activation), length)),
                "weights": In(data.ArrayLayout(signed(weight), length)),
                "is_signed": In(1),
                "fields": Out(fields),
            }
        )

    @staticmethod
    def latency(length: int) -> int:
        """Cycles from operand 0 to ``fields``."""
        return 2 + length

    @staticmethod
    def skew(k: int) -> int:
        """Cycles from operand 0 to operand k, beside the two operand registers of all but 0."""
        return max(0, k - 1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        is_ultrascale = primitives(platform) is Primitives.ULTRASCALE
        shapes = self.activations[0].shape(), self.weights[0].shape()
        if is_ultrascale and ultrascale.fits(*shapes, unsigned(self.fields.shape().size)):
            self._use_dsp48e2(m)
        else:
            self._infer(m)
        return m

    def _use_dsp48e2(self, m: Module) -> None:
        total = None
        for k, (activation, weight) in enumerate(zip(self.activations, self.weights, strict=True)):
            first = {"constant": self.packing.zero_points, "add_constant": self.is_signed}
            above = {"below": total and total.above, "operand_registers": 2}
            options = above if k else first
            total = ultrascale.dsp48e2(m, f"dsp_{k}", activation, weight, **options)
        m.d.comb += self.fields.eq(total.p)

    def _infer(self, m: Module) -> None:
        is_signed = delayed(m, self.is_signed, 1, name="is_signed")
        below = Mux(is_signed, self.packing.zero_points, 0)
        for k, (activation, weight) in enumerate(zip(self.activations, self.weights, strict=True)):
            a = delayed(m, activation, 1 + (k > 0), name=f"a_{k}")
            w = delayed(m, weight, 1 + (k > 0), name=f"w_{k}")
            product = Signal(signed(len(a) + len(w)), name=f"product_{k}", reset_less=True)
            total = Signal(self.fields.shape().size, name=f"total_{k}", reset_less=True)
            m.d.sync += [product.eq(a * w), total.eq(product + below)]
            below = total
        m.d.comb += self.fields.eq(below)
