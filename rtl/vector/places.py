"""Places of the tokens that stay, from the threshold of importance."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.instructions import Opcode
from rtl.isa.layouts import operands_layout
from rtl.lib.pipeline import choose, delayed
from rtl.memory.ports import (
    ADDRESS,
    IMPORTANCE,
    NUMBER,
    READ_LATENCY,
    TOKEN,
    PairPlace,
    WritePort,
    array,
    importance_read,
    place_write,
    selection_lanes,
)

PAIR = 2
HALF_BITS = IMPORTANCE.width // 2


class StayTest(wiring.Component):
    """Tell which of two neighbouring tokens stay.

    Latency ``LATENCY`` cycles, one pair per cycle, no flow control. Patches stay above the
    threshold, and the first ``ties`` of those that equal it; other tokens always.

    Members
    -------
    start : In(1)
        No tie was seen yet.
    scores : In(2 x IMPORTANCE)
    patch, other : In(2)
        What the tokens are; a token beyond the last one is neither.
    threshold : In(IMPORTANCE)
    ties : In(12)
    stays : Out(2)
    """

    LATENCY = 5

    start: In(1)
    scores: In(array(PAIR, IMPORTANCE))
    patch: In(PAIR)
    other: In(PAIR)
    threshold: In(IMPORTANCE)
    ties: In(TOKEN)
    stays: Out(PAIR)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        larger, equal = Signal(PAIR, reset_less=True), Signal(PAIR, reset_less=True)
        patch = delayed(m, self.patch, 1, name="patch")
        for token, score in enumerate(self.scores):
            above, same = Signal(2, reset_less=True), Signal(2, reset_less=True)  # by half
            for half in range(2):
                own, limit = (
                    value[half * HALF_BITS : (half + 1) * HALF_BITS]
                    for value in (score, self.threshold)
                )
                m.d.sync += [above[half].eq(own > limit), same[half].eq(own == limit)]
            m.d.sync += [
                larger[token].eq(patch[token] & (above[1] | (same[1] & above[0]))),
                equal[token].eq(patch[token] & same.all()),
            ]
        seen = Signal(TOKEN)  # ties among the patches before
        before = Signal(array(PAIR, TOKEN), reset_less=True)
        early = Signal(PAIR, reset_less=True)
        m.d.sync += [before[0].eq(seen), before[1].eq(seen + equal[0])]
        m.d.sync += [early[token].eq(before[token] < self.ties) for token in range(PAIR)]
        with m.If(self.start):
            m.d.sync += seen.eq(0)
        with m.Else():
            m.d.sync += seen.eq(seen + equal[0] + equal[1])
        sure = delayed(m, self.other, 2, name="other") | larger
        sure, equal = delayed(m, sure, 2, name="sure"), delayed(m, equal, 2, name="equal")
        m.d.sync += self.stays.eq(sure | (equal & early))
        return m


class PlaceCounter(wiring.Component):
    """Count the tokens that stay, and how far each pair goes down. Latency ``LATENCY`` cycles.

    Members
    -------
    start : In(1)
        The next pair is the first.
    valid : In(1)
    stays : In(2)
    stride : In(12)
        Residual words from one group of 4 tokens to the next.
    place : Out(PairPlace)
    first : Out(12)
        PairPlace of the first token that stays.
    """

    LATENCY = 1

    start: In(1)
    valid: In(1)
    stays: In(PAIR)
    stride: In(operands_layout(Opcode.SELECT)["stride"].shape)
    place: Out(PairPlace)
    first: Out(TOKEN)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        odd = Signal()  # the group's second pair
        count, down = Signal(TOKEN), Signal(ADDRESS)
        total = count[:2] + self.stays[0] + self.stays[1]
        crosses = total[2]  # the next token that stays lies in the next group
        m.d.sync += [
            self.place.kept.eq(self.stays),
            self.place.index.eq(count[:2]),
            self.place.down.eq(down),
            self.first.eq(count),
        ]
        with m.If(self.start):
            m.d.sync += [odd.eq(0), count.eq(0), down.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += [odd.eq(~odd), count.eq(count + self.stays[0] + self.stays[1])]
            with m.If(odd & ~crosses):
                m.d.sync += down.eq(down + self.stride)
            with m.Elif(~odd & crosses):
                m.d.sync += down.eq(down - self.stride)
        return m


class PlaceWriter(wiring.Component):
    """Write the place of every token, a pair per cycle.

    ``done`` comes ``cycles(tokens)`` cycles after ``start``, with the last write.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)
    patches, tokens : In(12)
        Constant until ``done``, as the following; at least 1.
    stride : In(12)
    threshold : In(IMPORTANCE)
    ties : In(12)
    number : In(NUMBER)
        Of the instruction.
    read : Out(importance_read(config))
    write : Out(WritePort(place_write()))
    done : Out(1)
    """

    CHOICE_CYCLES = READ_LATENCY + 1  # from a request until the pair's scores are chosen
    STAY_CYCLES = CHOICE_CYCLES + StayTest.LATENCY
    WRITE_CYCLES = 1 + STAY_CYCLES + PlaceCounter.LATENCY  # from a pair to its write

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "patches": In(TOKEN),
                "tokens": In(TOKEN),
                "stride": In(operands_layout(Opcode.SELECT)["stride"].shape),
                "threshold": In(IMPORTANCE),
                "ties": In(TOKEN),
                "number": In(NUMBER),
                "read": Out(importance_read(config)),
                "write": Out(WritePort(place_write())),
                "done": Out(1),
            }
        )

    @classmethod
    def cycles(cls, tokens: int) -> int:
        """Cycles from ``start`` to ``done``."""
        return -(-tokens // PAIR) + cls.WRITE_CYCLES

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.test = test = StayTest()
        m.submodules.counter = counter = PlaceCounter()
        pair, runs, last = Signal(TOKEN.width - 1), Signal(), Signal()
        final = Signal.like(pair)
        m.d.sync += final.eq((self.tokens - 1) >> 1)
        m.d.comb += last.eq(runs & (pair == final))
        with m.If(self.start):
            m.d.sync += [runs.eq(1), pair.eq(0)]
        with m.Elif(runs):
            m.d.sync += [runs.eq(~last), pair.eq(pair + 1)]
        patch, other = self._read(m, pair, runs, test)
        valid = delayed(m, runs, 1 + self.STAY_CYCLES, name="valid", marker=True)
        place = self.write.beat
        m.d.comb += [
            test.start.eq(self.start),
            test.patch.eq(patch),
            test.other.eq(other),
            test.threshold.eq(self.threshold),
            test.ties.eq(self.ties),
            counter.start.eq(self.start),
            counter.valid.eq(valid),
            counter.stays.eq(test.stays),
            counter.stride.eq(self.stride),
            self.write.valid.eq(delayed(m, valid, 1, name="write", marker=True)),
            place.word.eq(delayed(m, pair, self.WRITE_CYCLES, name="word")),
            place.place.eq(counter.place),
            place.first.eq(counter.first),
            place.number.eq(self.number),
            self.done.eq(delayed(m, last, self.WRITE_CYCLES, name="done", marker=True)),
        ]
        return m

    def _read(self, m: Module, pair: Signal, runs: Signal, test: StayTest) -> tuple[Value, Value]:
        """Read a pair's scores; returns which of the pair are patches, and which other tokens."""
        pairs = selection_lanes(self.config) // PAIR
        patch, other = Signal(PAIR), Signal(PAIR)
        for token in range(PAIR):
            index = Cat(token, pair)
            m.d.sync += [
                patch[token].eq(runs & (index < self.patches)),
                other[token].eq(runs & (index >= self.patches) & (index < self.tokens)),
            ]
        requested = delayed(m, pair, 1, name="pair")
        m.d.comb += [
            self.read.enable.eq(patch[0]),
            self.read.request.eq(requested >> exact_log2(pairs)),
        ]
        chosen = delayed(m, requested[: exact_log2(pairs)], READ_LATENCY, name="chosen")
        scores = Signal(test.scores.shape(), reset_less=True)
        words = self.read.data.as_value()
        width = PAIR * IMPORTANCE.width
        parts = [words[at : at + width] for at in range(0, len(words), width)]
        m.d.sync += scores.as_value().eq(choose(parts, chosen))
        m.d.comb += test.scores.eq(scores)
        cycles = self.CHOICE_CYCLES
        return (
            delayed(m, patch, cycles, name="patch", marker=True),
            delayed(m, other, cycles, name="other", marker=True),
        )
