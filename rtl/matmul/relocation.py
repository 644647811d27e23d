"""Places of the residual's words: those of the tokens themselves, or where tokens that stay go."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.lib.pipeline import delayed
from rtl.matmul.signals import PAIR, placement_layout
from rtl.memory.ports import ADDRESS, READ_LATENCY, array, place_read

HALVES = 2


class Relocation(wiring.Component):
    """Half, lane and word of each of a beat's two tokens in the residual's scratchpad.

    A pair that stays and begins at an odd place goes to both halves, the second token at an even
    lane: the two swap lanes. So each half is written at most once. Latency ``LATENCY`` cycles, no
    flow control. Only in engines that select tokens.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    place : In(placement_layout(config))
    valid : In(1)
    places : Out(place_read())
    enable : Out(2 x 2)
        By half: lanes that are written.
    word : Out(2 x ADDRESS)
        By half.
    swap : Out(1)
        The beat's first token goes to an odd lane, or would.
    """

    LATENCY = 1 + READ_LATENCY + 2

    def __init__(self, config: EngineConfig):
        super().__init__(
            {
                "place": In(placement_layout(config)),
                "valid": In(1),
                "places": Out(place_read()),
                "enable": Out(array(HALVES, PAIR)),
                "word": Out(array(HALVES, ADDRESS)),
                "swap": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.place.beat
        operands = beat.tile.dispatch.operands
        kept = operands.destination == Destination.KEPT
        m.d.sync += [
            self.places.enable.eq(self.valid & kept),
            self.places.request.eq(operands.token[1:] + beat.pair),
        ]
        cycles = 1 + READ_LATENCY
        kept = delayed(m, kept, cycles, name="kept")
        place = delayed(m, self.place, cycles, name="place")
        lanes = Mux(place.beat.pair[0], place.enable[PAIR:], place.enable[:PAIR])
        stride = delayed(m, place.beat.tile.dispatch.operands.destination_stride, 1, name="stride")

        found = self.places.data
        index, stays = Signal(2, reset_less=True), Signal(PAIR, reset_less=True)
        first, word = Signal(reset_less=True), Signal(ADDRESS, reset_less=True)
        m.d.sync += [
            index.eq(Mux(kept, found.index, Cat(0, place.token[1]))),
            first.eq(~kept | found.kept[0]),
            stays.eq(lanes & Mux(kept, found.kept, ~0)),
            word.eq(place.word - Mux(kept, found.down, 0)),
        ]
        second = (index + first)[:2]
        for half in range(HALVES):
            for lane in range(PAIR):
                at = 2 * half + lane
                own = (stays[0] & (index == at)) | (stays[1] & (second == at))
                m.d.sync += self.enable[half][lane].eq(own)
        m.d.sync += [
            self.swap.eq(~(index[0] ^ first)),
            self.word[1].eq(word),
            self.word[0].eq(word + Mux(first & (index == 3), stride, 0)),
        ]
        return m
