"""A multiplier with an adder behind it, registered as a DSP block wants it."""

from amaranth.hdl import Module, Shape, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class MultiplyAdd(wiring.Component):
    """Multiply and add.

    ``o = a * b + c``, low bits where ``o`` is narrower

    Latency ``LATENCY`` cycles: operands, product and sum are registers, and none of them has a
    reset, so that all three fit into the DSP block. No flow control: it belongs inside rigid
    pipelines.

    Parameters
    ----------
    a, b : Shape
        Factors: 27 and 18 bits, signed, fill one DSP48E2.
    o : Shape
        Result.
    c : Shape
        Addend; none unless given.

    Members
    -------
    a : In(a)
    b : In(b)
    c : In(c)
    o : Out(o)
    """

    LATENCY = 3

    def __init__(self, a: Shape, b: Shape, o: Shape, c: Shape | None = None):
        addend = unsigned(0) if c is None else c
        super().__init__({"a": In(a), "b": In(b), "c": In(addend), "o": Out(o)})

    def elaborate(self, platform):
        m = Module()
        a = Signal.like(self.a, reset_less=True)
        b = Signal.like(self.b, reset_less=True)
        c = Signal.like(self.c, reset_less=True)
        product = Signal((a * b).shape(), reset_less=True)
        addend = Signal.like(self.c, reset_less=True)
        total = Signal.like(self.o, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), c.eq(self.c)]
        m.d.sync += [product.eq(a * b), addend.eq(c)]
        m.d.sync += total.eq(product + addend)
        m.d.comb += self.o.eq(total)
        return m
