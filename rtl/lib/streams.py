"""Streams between components: connections with checked payloads, fork, skid buffer, queue."""

from amaranth.hdl import Cat, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.lib.counts import count_flags
from rtl.lib.pipeline import COPY


def connect(m: Module, *, consumer: wiring.PureInterface, producer: wiring.PureInterface) -> None:
    """Connect two interfaces as :func:`amaranth.lib.wiring.connect` does, and check shapes too.

    Amaranth compares widths alone: a signed code would meet an unsigned one without a word.

    Parameters
    ----------
    m : Module
    consumer : interface
        The end that takes transfers, or answers requests.
    producer : interface
        The end that gives transfers, or makes requests. A component passes a port of its own as
        ``wiring.flipped(self.port)``: with the directions that the port has inside.

    Raises
    ------
    TypeError
        If a member has two shapes, or if producer and consumer are swapped; names both ends.
    """
    ends = {path: end for path, *end in consumer.signature.flatten(consumer)}
    is_first = True
    for path, member, value in producer.signature.flatten(producer):
        other, other_value = ends.get(path, (member, value))  # a missing one: wiring.connect's
        met = (
            f"producer's {_name(path, value)}, {member.shape!r}, "
            f"and consumer's {_name(path, other_value)}, {other.shape!r}"
        )
        if is_first and member.flow is In:
            raise TypeError(f"producer and consumer are swapped: {met}")
        if _comparable(member.shape) != _comparable(other.shape):
            raise TypeError(f"cannot connect {met}")
        is_first = False
    wiring.connect(m, consumer=consumer, producer=producer)


def _name(path: tuple, value: object) -> str:
    """The signal's name, as Verilog shows it; of a part of a signal, its path."""
    signal = Value.cast(value)
    return f"'{signal.name if isinstance(signal, Signal) else '__'.join(map(str, path))}'"


def _comparable(shape: ShapeLike) -> object:
    """Structures compare by their fields, numbers by width and sign, an enum as its number."""
    if isinstance(shape, type) and issubclass(shape, data.Struct | data.Union):
        return shape.as_shape()
    return shape if isinstance(shape, data.Layout) else Shape.cast(shape)


def fork(m: Module, source: wiring.PureInterface, *sinks: wiring.PureInterface) -> None:
    """Hand each transfer of ``source`` to all ``sinks`` in the same cycle, once all are ready.

    A sink gets those fields of the source's payload that its own payload has. No register; the
    ``ready`` of a sink must not depend on its ``valid``.
    """
    m.d.comb += source.ready.eq(Cat(sink.ready for sink in sinks).all())
    for sink in sinks:
        others = Cat(other.ready for other in sinks if other is not sink)
        m.d.comb += sink.valid.eq(source.valid & others.all())
        fields = data.Layout.cast(sink.p.shape())
        m.d.comb += [sink.p[name].eq(source.p[name]) for name, _ in fields]


class Skid(wiring.Component):
    """A skid buffer: cuts a stream's combinational paths in both directions.

    ``valid``, the payload and ``ready`` come from registers. One transfer per cycle, ``LATENCY``
    cycle. ``ready`` falls a cycle late, so a second register holds what comes meanwhile.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ready, free = Signal(init=1, attrs=COPY), Signal()
        direct = Signal(init=1, attrs=COPY)  # ready, for the payload's many loads
        spare = Signal.like(self.i.p, reset_less=True)  # in use while not ready
        m.d.comb += [self.i.ready.eq(ready), free.eq(~self.o.valid | self.o.ready)]
        with m.If(direct):
            m.d.sync += spare.eq(self.i.p)
        with m.If(free):
            m.d.sync += [
                self.o.p.eq(Mux(direct, self.i.p, spare)),
                self.o.valid.eq(self.i.valid | ~ready),
                Cat(ready, direct).eq(~0),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += Cat(ready, direct).eq(0)
        return m


class Queue(wiring.Component):
    """First in, first out: instructions in front of a unit, beats behind the memory port.

    Latency ``LATENCY`` cycles when empty, one transfer per cycle. ``ready``, ``valid`` and the
    payload come from registers.

    Parameters
    ----------
    shape : ShapeLike
        Shape of an entry.
    depth : int
        Number of entries, a power of two.

    Members
    -------
    i, o : streams of ``shape``
    level : Out(range(depth + 1))
        Number of entries inside.

    Raises
    ------
    ValueError
        If ``depth`` is not a power of two of at least 2.
    """

    LATENCY = 2

    def __init__(self, shape: ShapeLike, depth: int):
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
        inside = count_flags(m, writes, moves, most=self.depth - 1, name="inside")
        m.d.comb += [
            moves.eq(inside.not_empty & (~self.o.valid | self.o.ready)),
            write.en.eq(writes),
            write.data.eq(self.i.p),
            read.en.eq(moves),
            self.i.ready.eq(inside.not_full),
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
