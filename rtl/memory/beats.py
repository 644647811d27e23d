"""Memory beats into words that are larger, smaller, or cut at any byte."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.memory.clients import beat_layout
from rtl.memory.ports import array

SIZE_BITS = 24  # of a LOAD's bytes


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
        Drop what is inside and take nothing.
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
        m.d.comb += self.i.ready.eq(~self.clear & (~self.o.valid | self.o.ready))
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
            self.i.ready.eq(~self.clear & (~self.o.valid | (self.o.ready & final))),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [index.eq(index + 1), held.data.eq(held.data >> 8 * self.word_bytes)]
            with m.If(final):
                m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.eq(self.i.p), self.o.valid.eq(1), index.eq(0)]
        with m.If(self.clear):
            m.d.sync += self.o.valid.eq(0)


def cut_layout(beat_bytes: int, word_bytes: int) -> data.StructLayout:
    """The place of a word in two beats, and whether it uses them up."""
    return data.StructLayout(
        {
            "position": range(beat_bytes),
            "used": range(word_bytes + 1),
            "last": unsigned(1),  # of its segment
            "final": unsigned(1),  # of all
            "retires": unsigned(1),  # it uses the first beat up
            "straddles": unsigned(1),  # it needs the second one
        }
    )


def word_layout(word_bytes: int) -> data.StructLayout:
    """A word that was cut: ``used`` of its bytes count."""
    return data.StructLayout(
        {
            "bytes": array(word_bytes, unsigned(8)),
            "used": range(word_bytes + 1),
            "last": unsigned(1),  # of its segment
            "final": unsigned(1),  # of all
        }
    )


class CutPlaces(wiring.Component):
    """The places of a cutter's words, one after another, each known a cycle ahead.

    The first one comes a cycle after ``start``, then one per cycle, up to the final one.

    Members
    -------
    start, first, segment_bytes, bytes : In
        The members of :class:`Cutter` with these names.
    o : Out(stream of cut_layout)
    """

    def __init__(self, beat_bytes: int, word_bytes: int):
        self.beat_bytes = beat_bytes
        self.word_bytes = word_bytes
        super().__init__(
            {
                **cutter_members(beat_bytes),
                "o": Out(stream.Signature(cut_layout(beat_bytes, word_bytes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Of the next word: what is left of its segment and of all bytes, itself included.
        position, used, last = Signal(range(self.beat_bytes)), Signal.like(self.o.p.used), Signal()
        segment_left, left, over = Signal(8), Signal.like(self.bytes), Signal()
        end = Signal(range(2 * self.beat_bytes))
        following = Signal(8)  # segment_left of the word after it
        m.d.comb += [
            end.eq(position + used),
            following.eq(
                Mux(self.start | last, self.segment_bytes, segment_left - self.word_bytes)
            ),
        ]
        goes = ~self.o.valid | self.o.ready
        with m.If(self.start | goes):
            is_last = following <= self.word_bytes
            m.d.sync += [
                segment_left.eq(following),
                last.eq(is_last),
                used.eq(Mux(is_last, following, self.word_bytes)),
                position.eq(Mux(self.start, self.first, end)),
                left.eq(Mux(self.start, self.bytes, left - used)),
            ]
        with m.If(goes):
            final = left <= used
            m.d.sync += [
                self.o.valid.eq(~over),
                over.eq(over | final),
                self.o.p.position.eq(position),
                self.o.p.used.eq(used),
                self.o.p.last.eq(last),
                self.o.p.final.eq(final),
                self.o.p.retires.eq(end >= self.beat_bytes),
                self.o.p.straddles.eq(end > self.beat_bytes),
            ]
        with m.If(self.start):
            m.d.sync += [self.o.valid.eq(0), over.eq(0)]
        return m


def cutter_members(beat_bytes: int) -> dict[str, wiring.Member]:
    """Members by which a cutter is told what to cut."""
    return {
        "start": In(1),
        "first": In(exact_log2(beat_bytes)),
        "segment_bytes": In(8),
        "bytes": In(SIZE_BITS),
    }


class Cutter(wiring.Component):
    """Cuts a stream of bytes, which begins anywhere in its first beat, into segments of words.

    A segment has ``segment_bytes``; its words have ``word_bytes`` each, the last one filled up
    with zeros. One word per cycle, the first ``LATENCY`` cycles after its last beat. Holds two
    beats, so that a word may straddle them.

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
    bytes : In(24)
        Number of bytes of all segments together.
    i : In(stream of beat_layout)
        Beats of one command.
    o : Out(stream of word_layout)

    Raises
    ------
    ValueError
        If a word could lie in three beats.
    """

    LATENCY = 2

    def __init__(self, beat_bytes: int, word_bytes: int):
        if word_bytes > beat_bytes:
            raise ValueError(
                f"word_bytes must be at most beat_bytes = {beat_bytes}, not {word_bytes}"
            )
        self.beat_bytes = beat_bytes
        self.word_bytes = word_bytes
        super().__init__(
            {
                **cutter_members(beat_bytes),
                "i": In(stream.Signature(beat_layout(beat_bytes))),
                "o": Out(stream.Signature(word_layout(word_bytes))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cuts = cuts = CutPlaces(self.beat_bytes, self.word_bytes)
        beats = [Signal(8 * self.beat_bytes, name=f"beat_{i}") for i in range(2)]
        held, ended = Signal(range(3)), Signal()
        accepts, goes, retires = Signal(), Signal(), Signal()
        cut = cuts.o.p
        there = (held == 2) | ((held == 1) & (~cut.straddles | ended))
        m.d.comb += [
            cuts.start.eq(self.start),
            cuts.first.eq(self.first),
            cuts.segment_bytes.eq(self.segment_bytes),
            cuts.bytes.eq(self.bytes),
            cuts.o.ready.eq(there & (~self.o.valid | self.o.ready)),
            goes.eq(cuts.o.valid & cuts.o.ready),
            retires.eq(goes & cut.retires),
            self.i.ready.eq(~self.start & ((held != 2) | retires)),
            accepts.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += held.eq(held + accepts - retires)
        with m.If(accepts):
            m.d.sync += [ended.eq(self.i.p.last), beats[1].eq(self.i.p.data)]
        with m.If(retires | (held == 0)):
            m.d.sync += beats[0].eq(Mux(held == 2, beats[1], self.i.p.data))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(goes):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.p.used.eq(cut.used),
                self.o.p.last.eq(cut.last),
                self.o.p.final.eq(cut.final),
                *self._select(beats, cut),
            ]
        with m.If(self.start):
            m.d.sync += [held.eq(0), ended.eq(0), self.o.valid.eq(0)]
        return m

    def _select(self, beats: list[Signal], cut: data.View) -> list:
        """The word at a cut's position, zero beyond ``used``."""
        window = Cat(*beats) >> Cat(Const(0, 3), cut.position)
        return [
            value.eq(Mux(byte < cut.used, window.word_select(byte, 8), 0))
            for byte, value in enumerate(self.o.p.bytes)
        ]
