"""A skid buffer: cuts a stream's combinational paths in both directions."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Skid(wiring.Component):
    """A register in a stream, of which ``valid``, the payload and ``ready`` come from registers.

    One transfer per cycle, ``LATENCY`` cycle. ``ready`` falls a cycle late, so a second register
    holds what comes meanwhile.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    LATENCY = 1

    def __init__(self, shape: ShapeLike):
        super().__init__(
            {"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))},
        )

    def elaborate(self, platform):
        m = Module()
        ready, free = Signal(init=1), Signal()
        spare = Signal.like(self.i.p, reset_less=True)  # in use while not ready
        m.d.comb += [self.i.ready.eq(ready), free.eq(~self.o.valid | self.o.ready)]
        with m.If(ready):
            m.d.sync += spare.eq(self.i.p)
        with m.If(free):
            m.d.sync += [
                self.o.p.eq(Mux(ready, self.i.p, spare)),
                self.o.valid.eq(self.i.valid | ~ready),
                ready.eq(1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += ready.eq(0)
        return m
