"""Reads of softmax: the order in which it takes raw scores."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.isa.instructions import Opcode
from rtl.isa.layouts import dispatch_layout, operands_layout
from rtl.memory.ports import ADDRESS, split_position
from rtl.model import numerics

OPERANDS = operands_layout(Opcode.SOFTMAX)
LANE = unsigned(5)
KEYS = OPERANDS["keys"].shape
DITHER = unsigned(8)


def softmax_beat(parts: int, selection: bool = False) -> data.StructLayout:
    """One read of scores, a word or one of its ``parts``.

    With ``selection`` of tokens, a SELECT is a beat that reads nothing.
    """
    fields: dict[str, ShapeLike] = {
        "word": ADDRESS,
        "lane": LANE,
        "position": OPERANDS["key_words"].shape.width + exact_log2(parts),  # word, part
        "keys_left": KEYS,  # valid keys in this beat and behind it
        "dither": DITHER,  # of its first key
        "first": unsigned(1),  # of its lane
        "last": unsigned(1),  # of its lane
        "final": unsigned(1),  # of the instruction
        "dispatch": dispatch_layout(Opcode.SOFTMAX, selection),
    }
    return data.StructLayout(fields | ({"important": unsigned(1)} if selection else {}))


class SoftmaxAddressGenerator(wiring.Component):
    """Generate one beat per cycle: lane by lane, the words of each lane, the parts of each word.

    A quad of lanes that lies before the first lane costs a cycle without a beat. Between two
    instructions there is one such cycle too.

    Parameters
    ----------
    keys : int
        Keys per beat.
    parts : int
        Beats per word.
    selection : bool
        The engine selects tokens.

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.SOFTMAX, selection)))
    o : Out(stream.Signature(softmax_beat(parts, selection)))
    """

    def __init__(self, keys: int, parts: int, selection: bool = False):
        self.keys = keys
        self.parts = parts
        self.selection = selection
        self.dispatch = dispatch_layout(Opcode.SOFTMAX, selection)
        beat = softmax_beat(parts, selection)
        super().__init__(
            {"i": In(stream.Signature(self.dispatch)), "o": Out(stream.Signature(beat))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.o.payload
        operands = beat.dispatch.operands
        dispatch = Signal(self.dispatch)
        idle = Signal(init=1)
        lane, lane_last = Signal(LANE), Signal(LANE)
        skip = Signal(LANE.width - 2)  # quads before the first lane
        base = Signal(ADDRESS)
        position, keys_left = Signal.like(beat.position), Signal(KEYS)
        single, before_last = Signal(), Signal.like(position)  # beats == 1, beats - 2
        dither = Signal(DITHER)
        m.d.comb += [
            self.i.ready.eq(idle),
            beat.dispatch.eq(dispatch),
            beat.word.eq(base + split_position(position, self.parts)[0]),
            beat.lane.eq(lane),
            beat.position.eq(position),
            beat.keys_left.eq(keys_left),
            beat.dither.eq(dither),
            beat.final.eq(beat.last & (lane == lane_last)),
        ]
        next_operands = self.i.payload.operands
        beats = next_operands.key_words << exact_log2(self.parts)
        with m.If(self.i.valid & idle):
            m.d.sync += [
                idle.eq(0),
                self.o.valid.eq(next_operands.lane_first[2:] == 0),
                dispatch.eq(self.i.payload),
                lane.eq(next_operands.lane_first),
                lane_last.eq(next_operands.lane_first + next_operands.lane_count - 1),
                skip.eq(next_operands.lane_first[2:]),
                base.eq(next_operands.source_address),
                position.eq(0),
                single.eq(beats == 1),
                before_last.eq(beats - 2),
                beat.first.eq(1),
                beat.last.eq(beats == 1),
                keys_left.eq(next_operands.keys),
                dither.eq(0),
            ]
        if self.selection:
            self._connect_selection(m, idle, lane, lane_last)
        next_quad = base + operands.source_stride
        with m.If(~idle & ~self.o.valid):
            m.d.sync += [skip.eq(skip - 1), self.o.valid.eq(skip == 1), base.eq(next_quad)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                position.eq(position + 1),
                beat.first.eq(beat.last),
                beat.last.eq(Mux(beat.last, single, position == before_last)),
                keys_left.eq(Mux(keys_left < self.keys, 0, keys_left - self.keys)),
                dither.eq(dither + numerics.dither(self.keys)),
            ]
            with m.If(beat.last):
                m.d.sync += [lane.eq(lane + 1), base.eq(Mux(lane[:2] == 3, next_quad, base))]
                m.d.sync += [position.eq(0), keys_left.eq(operands.keys), dither.eq(0)]
            with m.If(beat.final):
                m.d.sync += [self.o.valid.eq(0), idle.eq(1)]
        return m

    def _connect_selection(self, m: Module, idle: Value, lane: Signal, lane_last: Signal) -> None:
        """The beat of a SELECT, whose operands mean nothing here; beats of the class token."""
        beat = self.o.p
        with m.If(self.i.valid & idle & self.i.p.select):
            m.d.sync += [self.o.valid.eq(1), lane.eq(0), lane_last.eq(0), beat.last.eq(1)]
        flagged = beat.dispatch.operands.importance & ~beat.dispatch.select
        m.d.comb += beat.important.eq(flagged & (lane == lane_last))
