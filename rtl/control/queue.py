"""A queue between two streams."""

from amaranth.hdl import Module, Shape
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out


class Queue(wiring.Component):
    """First in, first out: instructions in front of a unit, beats behind the memory port.

    Latency ``LATENCY`` cycles when empty, one transfer per cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of an entry.
    depth : int
        Entries, a power of two.

    Members
    -------
    i, o : streams of ``shape``
    level : Out(range(depth + 1))

    Raises
    ------
    ValueError
        If ``depth`` is not a power of two of at least 2.
    """

    LATENCY = 2

    def __init__(self, shape: object, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, at least 2, not {depth}")
        self.shape = shape
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = Shape.cast(self.shape).width
        m.submodules.fifo = entries = fifo.SyncFIFOBuffered(width=width, depth=self.depth)
        m.d.comb += [
            entries.w_data.eq(self.i.payload),
            entries.w_en.eq(self.i.valid),
            self.i.ready.eq(entries.w_rdy),
            self.o.p.eq(entries.r_data),
            self.o.valid.eq(entries.r_rdy),
            entries.r_en.eq(self.o.ready),
            self.level.eq(entries.level),
        ]
        return m
