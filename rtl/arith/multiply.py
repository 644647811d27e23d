"""Multipliers with an adder before or behind them, with the registers of a DSP block."""

from itertools import product

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.arith import ultrascale
from rtl.lib.emit import Primitives, primitives
from rtl.lib.pipeline import delayed

ECP5_BITS = 18  # of a factor of MULT18X18D, signed


class MultiplyAdd(wiring.Component):
    """Multiply and add.

    ``o = a * b + c``, low bits where ``o`` is narrower

    Latency ``LATENCY`` cycles: operands, product and sum are registers, and none of them has a
    reset, so that all three fit into the DSP block. No flow control: it belongs inside rigid
    pipelines. A DSP48E2 where the device has them and it fits one, else inferred.

    Parameters
    ----------
    a, b : Shape
        Factors: 27 and 18 bits, signed, fill one DSP48E2.
    o : Shape
        Result.
    c : Shape
        Addend; without it there is none.

    Members
    -------
    a : In(a)
    b : In(b)
    c : In(c)
        Only with an addend.
    o : Out(o)
    """

    LATENCY = 3

    def __init__(self, a: Shape, b: Shape, o: Shape, c: Shape | None = None):
        self.has_addend = c is not None
        addend = {"c": In(c)} if c is not None else {}
        super().__init__({"a": In(a), "b": In(b), "o": Out(o)} | addend)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        c = delayed(m, self.c, 1, name="c") if self.has_addend else None
        if _uses_dsp48e2(platform, self.a, self.b, self.o):
            m.d.comb += self.o.eq(ultrascale.dsp48e2(m, "dsp", self.a, self.b, c=c).p)
            return m
        a, b = delayed(m, self.a, 1, name="a"), delayed(m, self.b, 1, name="b")
        addend = delayed(m, c, 1, name="addend") if self.has_addend else 0
        total = Signal.like(self.o, reset_less=True)
        m.d.sync += total.eq(_product(m, platform, a, b) + addend)
        m.d.comb += self.o.eq(total)
        return m


class AddMultiply(wiring.Component):
    """Add and multiply.

    ``o = (a + d) * b``, where the sum wraps at the width of ``a``

    Latency ``LATENCY`` cycles: operands, sum, product, result; else as :class:`MultiplyAdd`.

    Parameters
    ----------
    a : Shape
        Both terms, at most ``signed(27)`` for a DSP48E2.
    b : Shape
        Factor, at most ``signed(18)`` for a DSP48E2.
    o : Shape
        Result.

    Members
    -------
    a, d : In(a)
    b : In(b)
    o : Out(o)
    """

    LATENCY = 4

    def __init__(self, a: Shape, b: Shape, o: Shape):
        super().__init__({"a": In(a), "d": In(a), "b": In(b), "o": Out(o)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Only a sum of the whole port's width wraps where the port does.
        is_whole = len(self.a) == ultrascale.A_BITS
        if is_whole and _uses_dsp48e2(platform, self.a, self.b, self.o):
            m.d.comb += self.o.eq(ultrascale.dsp48e2(m, "dsp", self.a, self.b, d=self.d).p)
            return m
        a, d = delayed(m, self.a, 1, name="a"), delayed(m, self.d, 1, name="d")
        b = delayed(m, self.b, 2, name="b")
        total = Signal.like(self.a, reset_less=True)
        m.d.sync += total.eq(a + d)
        m.d.comb += self.o.eq(delayed(m, _product(m, platform, total, b), 1, name="product"))
        return m


def _product(m: Module, platform: object, a: Value, b: Value) -> Value:
    """``a * b`` a cycle later; on an ECP5 a sum of products that one multiplier each makes.

    Their registers can be the multipliers' own, and the sum has the next cycle to itself.
    Elsewhere a wide product is left to synthesis.
    """
    cut = _digits if primitives(platform) is Primitives.ECP5 else _whole
    terms = []
    for (x, low_x), (y, low_y) in product(cut(a), cut(b)):
        term = Signal((x * y).shape(), name=f"product_{low_x}_{low_y}", reset_less=True)
        m.d.sync += term.eq(x * y)
        terms.append(term << low_x + low_y)
    return sum(terms[1:], terms[0])


def _whole(value: Value) -> list[tuple[Value, int]]:
    return [(value, 0)]


def _digits(value: Value) -> list[tuple[Value, int]]:
    """Parts of a number that fit a MULT18X18D, a signed one, and the weight of each: its bits."""
    shape, digit = value.shape(), ECP5_BITS - 1
    if shape.width <= digit + shape.signed:
        return [(value, 0)]
    rest = value[digit:].as_signed() if shape.signed else value[digit:]
    return [(value[:digit], 0)] + [(part, low + digit) for part, low in _digits(rest)]


def _uses_dsp48e2(platform: object, a: Value, b: Value, o: Value) -> bool:
    is_ultrascale = primitives(platform) is Primitives.ULTRASCALE
    return is_ultrascale and ultrascale.fits(a.shape(), b.shape(), o.shape())
