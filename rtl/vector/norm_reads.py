"""Reads of LayerNorm: the order in which both passes take the residual stream."""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.control.completion import Retire
from rtl.isa.instructions import Opcode
from rtl.isa.layouts import dispatch_layout
from rtl.lib.counts import Credits
from rtl.lib.streams import Queue, Skid, connect
from rtl.memory.ports import ADDRESS, split_position

DISPATCH = dispatch_layout(Opcode.NORM)
PAIR_INDEX = unsigned(4)  # at most 32 token lanes
COLUMN = DISPATCH["operands"].shape["row_words"].shape


def norm_beat(parts: int) -> data.StructLayout:
    """One read of a pair of tokens, of a word or one of its ``parts``."""
    return data.StructLayout(
        {
            "half": unsigned(1),
            "word": ADDRESS,
            "pair": PAIR_INDEX,
            "enable": unsigned(2),  # lanes of the pair that take part
            "position": COLUMN.width + exact_log2(parts),  # word, part
            "first": unsigned(1),  # of its pair
            "last": unsigned(1),  # of its pair
            "final": unsigned(1),  # of the instruction
            "dispatch": DISPATCH,
        }
    )


def tagged_beat(parts: int) -> data.StructLayout:
    """A beat, and whether it is one of pass 2 (``codes``) or of pass 1."""
    return data.StructLayout({"codes": unsigned(1), "beat": norm_beat(parts)})


class NormAddressGenerator(wiring.Component):
    """Generate the beats of one pass: pair by pair, the words of each pair, the parts of each word.

    A pair that lies before the first lane costs a cycle without a beat: it only moves the address.
    Between two instructions there is one such cycle too.

    Parameters
    ----------
    parts : int
        Beats per word.

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.NORM)))
        ``token`` must be even.
    o : Out(stream.Signature(norm_beat(parts)))
    """

    def __init__(self, parts: int):
        self.parts = parts
        super().__init__(
            {"i": In(stream.Signature(DISPATCH)), "o": Out(stream.Signature(norm_beat(parts)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.o.payload
        operands = beat.dispatch.operands
        dispatch = Signal(DISPATCH)
        idle, skip = Signal(init=1), Signal(PAIR_INDEX)  # pairs before the first lane
        lane_last = Signal(PAIR_INDEX.width + 2)  # the last lane that takes part
        first_pair, last_pair = Signal(), lane_last[1:]
        pair, position = Signal(PAIR_INDEX), Signal.like(beat.position)
        single, before_last = Signal(), Signal.like(position)  # beats == 1, beats - 2
        half, base = Signal(), Signal(ADDRESS)
        column, _ = split_position(position, self.parts)
        m.d.comb += [
            self.i.ready.eq(idle),
            beat.dispatch.eq(dispatch),
            beat.half.eq(half),
            beat.word.eq(base + column),
            beat.pair.eq(pair),
            beat.enable[0].eq(~first_pair | ~operands.lane_first[0]),
            beat.enable[1].eq((pair != last_pair) | lane_last[0]),
            beat.position.eq(position),
            beat.final.eq(beat.last & (pair == last_pair)),
        ]
        next_operands = self.i.payload.operands
        beats = next_operands.row_words << exact_log2(self.parts)
        with m.If(self.i.valid & idle):
            m.d.sync += [
                idle.eq(0),
                self.o.valid.eq(next_operands.lane_first[1:] == 0),
                dispatch.eq(self.i.payload),
                skip.eq(next_operands.lane_first[1:]),
                lane_last.eq(next_operands.lane_first + next_operands.lane_count - 1),
                half.eq(next_operands.token[1]),
                base.eq(next_operands.source_address),
                pair.eq(0),
                position.eq(0),
                single.eq(beats == 1),
                before_last.eq(beats - 2),
                Cat(first_pair, beat.first).eq(~0),
                beat.last.eq(beats == 1),
            ]
        skips, moves = ~idle & ~self.o.valid, self.o.valid & self.o.ready
        with m.If(skips):
            m.d.sync += [skip.eq(skip - 1), self.o.valid.eq(skip == 1)]
        with m.If(moves):
            m.d.sync += [
                position.eq(Mux(beat.last, 0, position + 1)),
                beat.first.eq(beat.last),
                beat.last.eq(Mux(beat.last, single, position == before_last)),
            ]
            with m.If(beat.final):
                m.d.sync += [self.o.valid.eq(0), idle.eq(1)]
        with m.If(skips | (moves & beat.last)):
            m.d.sync += [pair.eq(pair + 1), first_pair.eq(skips), half.eq(~half)]
            m.d.sync += base.eq(Mux(half, base + operands.source_stride, base))
        return m


class NormArbiter(wiring.Component):
    """Choose the pass whose beat goes: pass 2 before pass 1, so that older work finishes first.

    Without a register. A module of its own, so that synthesis keeps it as shallow as it is.

    Members
    -------
    free : In(1)
        A beat may go.
    codes : In(3)
        There is a beat of pass 2, there are its pair's scalars, there is room in the output queue.
    sums : In(2)
        There is a beat of pass 1, there is room for its pair's scalars.
    single : In(1)
        The beat of pass 1 is its pair's only one.
    ending : In(1)
        The last beat of another pair waits to be read.
    codes_go, sums_go : Out(1)
        A beat of pass 2, or of pass 1, goes.
    """

    free: In(1)
    codes: In(3)
    sums: In(2)
    single: In(1)
    ending: In(1)
    codes_go: Out(1)
    sums_go: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        codes, sums = self.codes.all(), self.sums.all() & ~(self.single & self.ending)
        m.d.comb += [
            self.codes_go.eq(self.free & codes),
            self.sums_go.eq(self.free & sums & ~codes),
        ]
        return m


class NormIssue(wiring.Component):
    """Issue the read requests of both passes, at most one per cycle.

    ::

        i ─┬─► sums (pass 1) ─────────────► arbiter ─► requests ─► o
           └─► waiting ─► codes (pass 2) ──────▲

    Each pass has its own addresses, pass 1 ahead of pass 2, across instructions too. A pair's
    pass 2 waits for the pair's scalars, and for room in the output queue; pass 1 waits for room
    where scalars are kept.

    Parameters
    ----------
    pairs : int
        How many pairs of tokens may have their scalars under way.
    beats : int
        How many beats of codes may be under way.
    parts : int
        Beats per word.

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.NORM)))
        At most ``Retire.DEPTH`` instructions are under way.
    o : Out(stream.Signature(tagged_beat(parts)))
        Beats to be read.
    pair_ready : In(1)
        The scalars of a pair are there.
    pair_used : In(1)
        The last beat of a pair has used its scalars.
    beat_written : In(1)
        A beat of codes has left the output queue.
    """

    def __init__(self, pairs: int, beats: int, parts: int):
        self.pairs = pairs
        self.beats = beats
        self.parts = parts
        super().__init__(
            {
                "i": In(stream.Signature(DISPATCH)),
                "o": Out(stream.Signature(tagged_beat(parts))),
                "pair_ready": In(1),
                "pair_used": In(1),
                "beat_written": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sums = sums = NormAddressGenerator(self.parts)
        m.submodules.waiting = waiting = Queue(DISPATCH, Retire.DEPTH)
        m.submodules.codes = codes = NormAddressGenerator(self.parts)
        m.submodules.arbiter = arbiter = NormArbiter()
        # A request must not change while it waits.
        m.submodules.requests = requests = Skid(tagged_beat(self.parts))
        m.submodules.pair_credits = pair_credits = Credits(self.pairs)
        m.submodules.beat_credits = beat_credits = Credits(self.beats)
        connect(m, producer=wiring.flipped(self.i), consumer=sums.i)
        connect(m, producer=waiting.o, consumer=codes.i)
        connect(m, producer=requests.o, consumer=wiring.flipped(self.o))

        # Pairs whose scalars are there, for pass 2 to begin; whether there is one.
        ready, any_ready = Signal(range(self.pairs + 1)), Signal()
        # The two tokens of a pair share the way to the scalars, so pairs must not end in successive
        # cycles: a pair of one beat does not follow while the end of another waits to be read.
        endings = Signal(range(3))
        beat, last = sums.o.p, codes.o.p.last
        m.d.comb += [
            waiting.i.p.eq(self.i.p),
            waiting.i.valid.eq(self.i.valid & self.i.ready),
            arbiter.free.eq(requests.i.ready),
            arbiter.codes.eq(Cat(codes.o.valid, any_ready, beat_credits.available)),
            arbiter.sums.eq(Cat(sums.o.valid, pair_credits.available)),
            arbiter.single.eq(beat.first & beat.last),
            arbiter.ending.eq(endings.any()),
            codes.o.ready.eq(arbiter.codes_go),
            sums.o.ready.eq(arbiter.sums_go),
            requests.i.valid.eq(arbiter.codes_go | arbiter.sums_go),
            # Not codes_go: where nothing may go, the payload has no meaning.
            requests.i.p.codes.eq(arbiter.codes.all()),
            requests.i.p.beat.eq(Mux(arbiter.codes.all(), codes.o.p, sums.o.p)),
            pair_credits.take.eq(arbiter.sums_go & beat.last),
            pair_credits.give.eq(self.pair_used),
            beat_credits.take.eq(arbiter.codes_go),
            beat_credits.give.eq(self.beat_written),
        ]
        ends = self.o.valid & self.o.ready & ~self.o.p.codes & self.o.p.beat.last
        more, begun = ready + self.pair_ready, arbiter.codes_go & last
        m.d.sync += [
            Assert(~waiting.i.valid | waiting.i.ready),  # no more are under way
            ready.eq(more - begun),
            any_ready.eq(Mux(begun, more > 1, more != 0)),
            endings.eq(endings + pair_credits.take - ends),
        ]
        return m
