"""Cascades of hard multipliers that work on packed operands."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith import ultrascale
from rtl.arith.packing import Packing
from rtl.lib.emit import Primitives, primitives
from rtl.lib.pipeline import delayed


def digits(m: Module, codes: list[Value], is_signed: Value) -> list[Value]:
    """What the fields of a packed operand hold: one bit more than each code.

    Fields do not overlap, so that no wide adder is needed: each code is extended, and lowered by
    one where the field below it is negative.
    """
    values, borrow = [], 0
    for code in codes:
        value = Signal(signed(len(code) + 1), name="digit")
        m.d.comb += value.eq(Cat(code, is_signed & code[-1]).as_signed() - borrow)
        values.append(value)
        borrow = value[-1]
    return values


def packed(values: list[Value], spacing: int, port_bits: int) -> Value:
    """The packed operand of :func:`digits`, each extended to its field, as ``port_bits`` bits."""
    sizes = [spacing] * (len(values) - 1) + [port_bits - spacing * (len(values) - 1)]
    return Cat(
        Cat(value, value[-1].replicate(size - len(value)))
        for value, size in zip(values, sizes, strict=True)
    )


class Cascade(wiring.Component):
    """A cascade of multipliers: ``fields = lift + Σ_k activations[k] · weights[k]``, all packed.

    ``lift`` is the packing's where ``is_signed``, else 0: no field is ever negative.

    Free running: it sits inside the rigid array, where nothing can stall, so it has neither valid
    nor ready. Two variants with the same values in the same cycles: of DSP48E2, with all
    registers, cascaded sums and the lift in the block; or inferred, plain ``*`` and ``+``. Each
    stage adds the finished sum of the stage below, so that operand k has to wait k cycles: one in
    a second operand register, the others outside (:meth:`skew`).

    Latency ``LATENCY``, from operand 0 to ``fields``.

    Parameters
    ----------
    packing : Packing
        Widths of ports and fields.
    length : int
        Multipliers, 1 to ``packing.cascade``.

    Members
    -------
    activations : In(length x signed(packing.activation_port_bits))
        Operand k comes ``skew(k)`` cycles after operand 0.
    weights : In(length x signed(packing.weight_port_bits))
        With the activations.
    is_signed : In(1)
        One cycle after operand 0. Fields are signed: an operand is.
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
        """``LATENCY`` of a cascade of this length."""
        return 2 + length

    @staticmethod
    def skew(k: int) -> int:
        """Cycles from operand 0 to operand k, beside the two operand registers of all but 0."""
        return max(0, k - 1)

    @property
    def LATENCY(self) -> int:
        return self.latency(self.length)

    def elaborate(self, platform):
        m = Module()
        is_ultrascale = primitives(platform) is Primitives.ULTRASCALE
        shapes = self.activations[0].shape(), self.weights[0].shape()
        if is_ultrascale and ultrascale.fits(*shapes, unsigned(self.fields.shape().size)):
            self._of_dsp48e2(m)
        else:
            self._inferred(m)
        return m

    def _of_dsp48e2(self, m: Module) -> None:
        total = None
        for k, (activation, weight) in enumerate(zip(self.activations, self.weights, strict=True)):
            first = {"constant": self.packing.lift, "add_constant": self.is_signed}
            above = {"below": total and total.above, "operand_registers": 2}
            options = above if k else first
            total = ultrascale.dsp48e2(m, f"dsp_{k}", activation, weight, **options)
        m.d.comb += self.fields.eq(total.p)

    def _inferred(self, m: Module) -> None:
        is_signed = delayed(m, self.is_signed, 1, name="is_signed")
        below = Mux(is_signed, self.packing.lift, 0)
        for k, (activation, weight) in enumerate(zip(self.activations, self.weights, strict=True)):
            a = delayed(m, activation, 1 + (k > 0), name=f"a_{k}")
            w = delayed(m, weight, 1 + (k > 0), name=f"w_{k}")
            product = Signal(signed(len(a) + len(w)), name=f"product_{k}", reset_less=True)
            total = Signal(self.fields.shape().size, name=f"total_{k}", reset_less=True)
            m.d.sync += [product.eq(a * w), total.eq(product + below)]
            below = total
        m.d.comb += self.fields.eq(below)
