"""The order in which LayerNorm reads the residual stream."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.control.isa import Opcode
from rtl.control.layout import dispatch_layout
from rtl.control.queue import Queue
from rtl.control.retire import Retire
from rtl.credits import Credits
from rtl.fork import fork
from rtl.memory.ports import ADDRESS

DISPATCH = dispatch_layout(Opcode.NORM)
PAIR = unsigned(4)  # of token lanes: at most 32
COLUMN = DISPATCH["operands"].shape["row_words"].shape

NormBeat = data.StructLayout(
    {
        "half": unsigned(1),
        "word": ADDRESS,
        "pair": PAIR,
        "enable": unsigned(2),
        "column": COLUMN,
        "first": unsigned(1),
        "last": unsigned(1),
        "final": unsigned(1),
        "dispatch": DISPATCH,
    }
)
"""One read: where, whose (``pair``, lanes in ``enable``), which word of these tokens (``column``:
the ``first``, the ``last``), the instruction, and whether it is the instruction's ``final`` one."""

TaggedBeat = data.StructLayout({"codes": unsigned(1), "beat": NormBeat})
"""A beat of pass 2 (``codes``) or of pass 1."""


class NormWalk(wiring.Component):
    """The beats of one pass: pairs of token lanes, and the words of each pair.

    A pair that lies before the first lane costs a cycle without a beat: it only moves the address.
    Between two instructions there is one such cycle too.

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.NORM)))
        ``token`` must be even.
    o : Out(stream.Signature(NormBeat))
    """

    def __init__(self):
        super().__init__(
            {"i": In(stream.Signature(DISPATCH)), "o": Out(stream.Signature(NormBeat))}
        )

    def elaborate(self, platform):
        m = Module()
        beat = self.o.payload
        operands = beat.dispatch.operands
        dispatch = Signal(DISPATCH)
        active = Signal()
        lane_end = Signal(PAIR.width + 2)  # the last lane that takes part
        first_pair, last_pair = operands.lane_first[1:], lane_end[1:]
        pair, column = Signal(PAIR), Signal(COLUMN)
        half, base = Signal(), Signal(ADDRESS)
        skipped = pair < first_pair
        m.d.comb += [
            self.i.ready.eq(~active),
            self.o.valid.eq(active & ~skipped),
            beat.dispatch.eq(dispatch),
            beat.half.eq(half),
            beat.word.eq(base + column),
            beat.pair.eq(pair),
            beat.enable[0].eq((pair != first_pair) | ~operands.lane_first[0]),
            beat.enable[1].eq((pair != last_pair) | lane_end[0]),
            beat.column.eq(column),
            beat.first.eq(column == 0),
            beat.last.eq(column == operands.row_words - 1),
            beat.final.eq(beat.last & (pair == last_pair)),
        ]
        with m.If(self.i.valid & self.i.ready):
            started = self.i.payload.operands
            m.d.sync += [
                active.eq(1),
                dispatch.eq(self.i.payload),
                lane_end.eq(started.lane_first + started.lane_count - 1),
                half.eq(started.token[1]),
                base.eq(started.source_address),
                pair.eq(0),
                column.eq(0),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += column.eq(Mux(beat.last, 0, column + 1))
            with m.If(beat.final):
                m.d.sync += active.eq(0)
        with m.If(active & (skipped | (self.o.ready & beat.last))):
            m.d.sync += [
                pair.eq(pair + 1),
                half.eq(~half),
                base.eq(Mux(half, base + operands.source_stride, base)),
            ]
        return m


class NormArbiter(wiring.Component):
    """A beat of pass 2 goes before one of pass 1: what is old is finished first.

    Latency 1 cycle: ``o`` comes from a register, because a request must not change while it waits.

    Members
    -------
    sums, codes : In(stream.Signature(NormBeat))
    o : Out(stream.Signature(TaggedBeat))
    """

    def __init__(self):
        beats = In(stream.Signature(NormBeat))
        super().__init__({"sums": beats, "codes": beats, "o": Out(stream.Signature(TaggedBeat))})

    def elaborate(self, platform):
        m = Module()
        free = Signal()
        m.d.comb += [
            free.eq(self.o.ready | ~self.o.valid),
            self.codes.ready.eq(free),
            self.sums.ready.eq(free & ~self.codes.valid),
        ]
        with m.If(free):
            m.d.sync += [
                self.o.valid.eq(self.codes.valid | self.sums.valid),
                self.o.payload.codes.eq(self.codes.valid),
                self.o.payload.beat.eq(
                    Mux(self.codes.valid, self.codes.payload, self.sums.payload)
                ),
            ]
        return m


class NormIssue(wiring.Component):
    """Read requests of both passes, at most one per cycle.

    Each pass walks over its instruction on its own, pass 1 ahead of pass 2, over the border
    between instructions too. A pair's pass 2 waits for the pair's scalars, and for room in the
    output queue; pass 1 waits for room where scalars are kept.

    Parameters
    ----------
    pairs : int
        Pairs of tokens whose scalars may be under way.
    beats : int
        Beats of codes that may be under way.

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.NORM)))
    o : Out(stream.Signature(TaggedBeat))
        Beats to be read.
    pair_ready, pair_used : In(1)
        The scalars of a pair are there; its last beat has used them.
    beat_written : In(1)
        A beat of codes has left the output queue.
    """

    def __init__(self, pairs: int, beats: int):
        self.pairs = pairs
        self.beats = beats
        super().__init__(
            {
                "i": In(stream.Signature(DISPATCH)),
                "o": Out(stream.Signature(TaggedBeat)),
                "pair_ready": In(1),
                "pair_used": In(1),
                "beat_written": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sums = sums = NormWalk()
        m.submodules.waiting = waiting = Queue(DISPATCH, Retire.DEPTH)
        m.submodules.codes = codes = NormWalk()
        m.submodules.arbiter = arbiter = NormArbiter()
        m.submodules.pair_credits = pair_credits = Credits(self.pairs)
        m.submodules.beat_credits = beat_credits = Credits(self.beats)
        fork(m, self.i, sums.i, waiting.i)
        wiring.connect(m, waiting.o, codes.i)
        wiring.connect(m, arbiter.o, wiring.flipped(self.o))

        ready = Signal(range(self.pairs + 1))  # pairs whose scalars are there, for pass 2 to begin
        # The two tokens of a pair share the way to the scalars, so pairs must not end in successive
        # cycles: a pair of one beat does not follow while the end of another waits to be read.
        ending = self.o.valid & ~self.o.payload.codes & self.o.payload.beat.last
        single = sums.o.payload.first & sums.o.payload.last
        sums_may = pair_credits.available & ~(ending & single)
        codes_may = beat_credits.available & (ready != 0)
        sums_go, codes_go = Signal(), Signal()
        m.d.comb += [
            arbiter.sums.payload.eq(sums.o.payload),
            arbiter.sums.valid.eq(sums.o.valid & sums_may),
            sums.o.ready.eq(arbiter.sums.ready & sums_may),
            arbiter.codes.payload.eq(codes.o.payload),
            arbiter.codes.valid.eq(codes.o.valid & codes_may),
            codes.o.ready.eq(arbiter.codes.ready & codes_may),
            sums_go.eq(sums.o.valid & sums.o.ready & sums.o.payload.last),
            codes_go.eq(codes.o.valid & codes.o.ready),
            pair_credits.take.eq(sums_go),
            pair_credits.give.eq(self.pair_used),
            beat_credits.take.eq(codes_go),
            beat_credits.give.eq(self.beat_written),
        ]
        m.d.sync += ready.eq(ready + self.pair_ready - (codes_go & codes.o.payload.last))
        return m
