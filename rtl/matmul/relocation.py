"""Places of the residual's words: those of the tokens themselves, or where tokens that stay go."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.lib.pipeline import delayed
from rtl.matmul.signals import PAIR
from rtl.memory.ports import ADDRESS, READ_LATENCY, array, place_read

HALVES = 2


class RelocatedBeat(data.Struct):
    """Place of a beat's two tokens as if all stayed."""

    half: unsigned(1)
    lanes: unsigned(PAIR)  # that take part
    word: ADDRESS
    stride: unsigned(12)  # words from one group of 4 tokens to the next


class Relocation(wiring.Component):
    """Half, lane and word of each of a beat's two tokens in the residual's scratchpad.

    A pair that stays and begins at an odd place goes to both halves, the second token at an even
    lane: the two swap lanes. So each half is written at most once. Latency ``LATENCY`` cycles, no
    flow control. Only in engines that select tokens.

    Members
    -------
    kept : In(1)
        The beat is one of a MATMUL to KEPT.
    pair : In(ADDRESS)
        Number of the pair of tokens.
    beat : In(RelocatedBeat)
    places : Out(place_read())
    halves : Out(2)
        Halves that the beat may write, a bit each, whatever the places are.
    enable : Out(2 x 2)
        By half: lanes that are written.
    word : Out(2 x ADDRESS)
        By half.
    swap : Out(1)
        The beat's first token goes to an odd lane, or would.
    """

    LATENCY = 1 + READ_LATENCY + 2

    def __init__(self) -> None:
        super().__init__(
            {
                "kept": In(1),
                "pair": In(ADDRESS),
                "beat": In(RelocatedBeat),
                "places": Out(place_read()),
                "halves": Out(HALVES),
                "enable": Out(array(HALVES, PAIR)),
                "word": Out(array(HALVES, ADDRESS)),
                "swap": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += [self.places.enable.eq(self.kept), self.places.request.eq(self.pair)]
        cycles = 1 + READ_LATENCY
        kept = delayed(m, self.kept, cycles, name="kept")
        beat = delayed(m, self.beat, cycles, name="beat")
        stride = delayed(m, beat.stride, 1, name="stride")
        own = Cat(~beat.half, beat.half)
        m.d.comb += self.halves.eq(delayed(m, own | kept.replicate(HALVES), 2, name="halves"))

        found = self.places.data
        index, stays = Signal(2, reset_less=True), Signal(PAIR, reset_less=True)
        first, word = Signal(reset_less=True), Signal(ADDRESS, reset_less=True)
        m.d.sync += [
            index.eq(Mux(kept, found.index, Cat(0, beat.half))),
            first.eq(~kept | found.kept[0]),
            stays.eq(beat.lanes & Mux(kept, found.kept, ~0)),
            word.eq(beat.word - Mux(kept, found.down, 0)),
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
