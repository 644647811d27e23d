"""Memory beats into words: wider, narrower, or cut at any byte."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.memory.clients import beat_layout
from rtl.memory.ports import array


class Gearbox(wiring.Component):
    """Whole words of ``word_bytes`` from beats of ``beat_bytes``, both powers of two.

    Wider words gather beats, lowest bytes first; narrower ones split a beat. A word comes a cycle
    after its last beat; one beat or one word per cycle, whichever is less.

    Parameters
    ----------
    beat_bytes, word_bytes : int

    Members
    -------
    i : In(stream of beat_layout(beat_bytes))
    o : Out(stream of beat_layout(word_bytes))
        ``error`` if one of the word's beats had it; ``last`` on the word with the last byte.
    clear : In(1)
        Drop what is inside.
    """

    def __init__(self, beat_bytes: int, word_bytes: int):
        self.beat_bytes = beat_bytes
        self.word_bytes = word_bytes
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(beat_bytes))),
                "o": Out(stream.Signature(beat_layout(word_bytes))),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.word_bytes >= self.beat_bytes:
            self._gather(m, self.word_bytes // self.beat_bytes)
        else:
            self._split(m, self.beat_bytes // self.word_bytes)
        return m

    def _gather(self, m: Module, beats: int) -> None:
        count = Signal(range(max(2, beats)))
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            gathered = Cat(self.o.p.data, self.i.p.data)[8 * self.beat_bytes :]
            m.d.sync += [
                self.o.p.data.eq(gathered),
                self.o.p.last.eq(self.i.p.last),
                self.o.p.error.eq(self.i.p.error | (self.o.p.error & (count != 0))),
                self.o.valid.eq(count == beats - 1),
                count.eq(Mux(count == beats - 1, 0, count + 1)),
            ]
        with m.If(self.clear):
            m.d.sync += [self.o.valid.eq(0), count.eq(0)]

    def _split(self, m: Module, words: int) -> None:
        index = Signal(range(words))
        held = Signal(beat_layout(self.beat_bytes))
        final = index == words - 1
        m.d.comb += [
            self.o.p.data.eq(held.data),
            self.o.p.error.eq(held.error),
            self.o.p.last.eq(held.last & final),
            self.i.ready.eq(~self.o.valid | (self.o.ready & final)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [index.eq(index + 1), held.data.eq(held.data >> 8 * self.word_bytes)]
            with m.If(final):
                m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.p), self.o.valid.eq(1), index.eq(0)]
        with m.If(self.clear):
            m.d.sync += self.o.valid.eq(0)


class Cutter(wiring.Component):
    """Cuts a stream of bytes, which begins anywhere in its first beat, into segments of words.

    A segment has ``segment_bytes``; its words have ``word_bytes`` each, the last one filled up
    with zeros. One word per cycle. Holds two beats, so that a word may straddle them.

    Parameters
    ----------
    beat_bytes, word_bytes : int
        Powers of two, ``word_bytes`` at most ``beat_bytes``.

    Members
    -------
    start : In(1)
        Begin: ``first`` is the first byte's place in the first beat. Drops what is inside.
    first : In(range(beat_bytes))
    segment_bytes : In(8)
        Constant from ``start`` on.
    i : In(stream of beat_layout)
        Those of one command.
    o : Out(stream of bytes, used, last)
        ``used`` of the bytes count; ``last`` of the segment.

    Raises
    ------
    ValueError
        If a word could lie in three beats.
    """

    def __init__(self, beat_bytes: int, word_bytes: int):
        if word_bytes > beat_bytes:
            raise ValueError(
                f"word_bytes must be at most beat_bytes = {beat_bytes}, not {word_bytes}"
            )
        self.beat_bytes = beat_bytes
        self.word_bytes = word_bytes
        word = data.StructLayout(
            {
                "bytes": array(word_bytes, unsigned(8)),
                "used": range(word_bytes + 1),
                "last": unsigned(1),
            }
        )
        super().__init__(
            {
                "start": In(1),
                "first": In(exact_log2(beat_bytes)),
                "segment_bytes": In(8),
                "i": In(stream.Signature(beat_layout(beat_bytes))),
                "o": Out(stream.Signature(word)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats = [Signal(8 * self.beat_bytes, name=f"beat_{i}") for i in range(2)]
        held = Signal(range(3))
        position = Signal(range(self.beat_bytes))
        left = Signal(8)  # bytes of the segment
        ended = Signal()
        end = position + self.o.p.used
        moves = self.o.valid & self.o.ready
        retires = moves & (end >= self.beat_bytes)
        fits = (end <= self.beat_bytes) | ended
        m.d.comb += [
            self.o.p.used.eq(Mux(self.o.p.last, left, self.word_bytes)),
            self.o.p.last.eq(left <= self.word_bytes),
            self.o.valid.eq((held == 2) | ((held == 1) & fits)),
            self.i.ready.eq((held < 2) | retires),
        ]
        self._select(m, beats, position)

        accepts = self.i.valid & self.i.ready
        m.d.sync += held.eq(held + accepts - retires)
        with m.If(accepts):
            m.d.sync += ended.eq(self.i.p.last)
        with m.If(moves):
            m.d.sync += [
                position.eq(end),
                left.eq(Mux(self.o.p.last, self.segment_bytes, left - self.word_bytes)),
            ]
        with m.If(retires):
            m.d.sync += beats[0].eq(beats[1])
        with m.If(accepts), m.Switch(held - retires):
            with m.Case(0):
                m.d.sync += beats[0].eq(self.i.p.data)
            with m.Default():
                m.d.sync += beats[1].eq(self.i.p.data)
        with m.If(self.start):
            m.d.sync += [
                held.eq(0), ended.eq(0), position.eq(self.first), left.eq(self.segment_bytes)
            ]  # fmt: skip
        return m

    def _select(self, m: Module, beats: list[Signal], position: Signal) -> None:
        """The word at ``position``, zero beyond ``used``."""
        window = Cat(*beats) >> Cat(Const(0, 3), position)
        for byte, value in enumerate(self.o.p.bytes):
            used = byte < self.o.p.used
            m.d.comb += value.eq(Mux(used, window.word_select(byte, 8), 0))
