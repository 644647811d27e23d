"""A queue between two streams."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.lib.flags import tally


class Queue(wiring.Component):
    """First in, first out: instructions in front of a unit, beats behind the memory port.

    Latency ``LATENCY`` cycles when empty, one transfer per cycle. ``ready``, ``valid`` and the
    payload come from registers.

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
        m.submodules.entries = entries = Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = entries.write_port(), entries.read_port()
        writes = self.i.valid & self.i.ready
        moves = Signal()  # an entry from memory to the output, which holds one more
        inside = tally(m, writes, moves, most=self.depth - 1, name="inside")
        m.d.comb += [
            moves.eq(inside.some & (~self.o.valid | self.o.ready)),
            write.en.eq(writes),
            write.data.eq(self.i.p),
            read.en.eq(moves),
            self.i.ready.eq(inside.room),
            self.o.p.eq(read.data),
            self.level.eq(inside.count + self.o.valid),
        ]
        with m.If(writes):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(moves):
            m.d.sync += [self.o.valid.eq(1), read.addr.eq(read.addr + 1)]
        return m
