"""Search for the importance of the last patch that stays, a digit at a time."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.arith.adder_tree import AdderTree
from rtl.arith.packing import adder_terms
from rtl.config import EngineConfig
from rtl.lib.pipeline import choose, delayed
from rtl.memory.ports import (
    IMPORTANCE,
    READ_LATENCY,
    TOKEN,
    array,
    importance_read,
    selection_lanes,
)

DIGIT_BITS = 3
DIGITS = IMPORTANCE.width // DIGIT_BITS
COUNTS = (1 << DIGIT_BITS) - 1  # of the digits that are at least 1, 2, ...


class DigitCounter(wiring.Component):
    """Count, among the scores whose higher digits are the threshold's, those with a large digit.

    ``counts[v]`` is the number of scores of a pass with a digit of at least ``v + 1``,
    ``latency(config)`` cycles after its last scores. No flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    scores : In(selection_lanes x IMPORTANCE)
    valid : In(selection_lanes)
        Scores that count.
    first : In(1)
        These are the first scores of a pass.
    digit : In
        The digit that is looked at, 0 the lowest; constant within a pass, as the following.
    higher : In(8)
        A bit for each digit above it.
    threshold : In(IMPORTANCE)
    counts : Out(7 x TOKEN)
    """

    def __init__(self, config: EngineConfig):
        self.lanes = selection_lanes(config)
        self.terms = adder_terms(config.multiplier)
        super().__init__(
            {
                "scores": In(array(self.lanes, IMPORTANCE)),
                "valid": In(self.lanes),
                "first": In(1),
                "digit": In(range(DIGITS)),
                "higher": In(DIGITS),
                "threshold": In(IMPORTANCE),
                "counts": Out(array(COUNTS, TOKEN)),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Cycles from scores to counts: comparison, adder tree, counter."""
        return 1 + AdderTree.latency(selection_lanes(config), adder_terms(config.multiplier)) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active, digits = Signal(self.lanes, reset_less=True), []
        for lane, score in enumerate(self.scores):
            parts = [score[at : at + DIGIT_BITS] for at in range(0, len(score), DIGIT_BITS)]
            digit = Signal(DIGIT_BITS, name=f"digit_{lane}", reset_less=True)
            m.d.sync += digit.eq(choose(parts, self.digit))
            digits.append(digit)
            equal = [
                ~higher | (part == self.threshold.word_select(index, DIGIT_BITS))
                for index, (part, higher) in enumerate(zip(parts, self.higher, strict=True))
            ]
            m.d.sync += active[lane].eq(self.valid[lane] & Cat(equal).all())
        tree_cycles = AdderTree.latency(self.lanes, self.terms)
        first = delayed(m, self.first, 1 + tree_cycles, name="first")
        for index in range(COUNTS):
            tree = AdderTree(self.lanes, unsigned(1), self.terms)
            m.submodules[f"tree_{index}"] = tree
            large = [on & (digit > index) for on, digit in zip(active, digits, strict=True)]
            count = Signal(TOKEN, name=f"count_{index}", reset_less=True)
            m.d.comb += [tree.i.as_value().eq(Cat(large)), self.counts[index].eq(count)]
            with m.If(first):
                m.d.sync += count.eq(tree.o)
            with m.Else():
                m.d.sync += count.eq(count + tree.o)
        return m


class ThresholdSearch(wiring.Component):
    """Find the ``keep``-th largest of the patches' scores of importance.

    Every digit takes a pass through all scores, the highest digit first. The threshold's digit is
    the largest that enough scores have or exceed; those that exceed it stay in any case.

    ``done`` comes ``cycles(config, patches)`` cycles after ``start``, whatever the scores are.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    start : In(1)
    patches, keep : In(12)
        At least 1, constant until the result was used.
    read : Out(importance_read(config))
    done : Out(1)
    threshold : Out(IMPORTANCE)
    ties : Out(12)
        How many of the scores that are equal to the threshold stay, at least 1.
    """

    START_CYCLES = 2  # to the first read
    DECIDE_CYCLES = 2  # from a pass's counts to its digit
    NEED_CYCLES = 2  # from the last digit to ``ties``

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "patches": In(TOKEN),
                "keep": In(TOKEN),
                "read": Out(importance_read(config)),
                "done": Out(1),
                "threshold": Out(IMPORTANCE),
                "ties": Out(TOKEN),
            }
        )

    @classmethod
    def digit_cycles(cls, config: EngineConfig) -> int:
        """Cycles from the last read of a pass to its digit, when the next pass reads."""
        return READ_LATENCY + DigitCounter.latency(config) + cls.DECIDE_CYCLES

    @classmethod
    def cycles(cls, config: EngineConfig, patches: int) -> int:
        """Cycles from ``start`` to ``done``."""
        words = -(-patches // selection_lanes(config))
        passes = DIGITS * (words - 1 + cls.digit_cycles(config))
        return cls.START_CYCLES + passes + cls.NEED_CYCLES

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = counter = DigitCounter(self.config)
        digit, higher = Signal(range(DIGITS)), Signal(DIGITS)
        threshold, need = Signal.like(self.threshold), Signal(TOKEN)
        enough = Signal(COUNTS, reset_less=True)
        chosen, above = Signal(DIGIT_BITS, reset_less=True), Signal(TOKEN, reset_less=True)
        decide, again, starts = Signal(), Signal(), Signal()
        last = self._reads(m, counter, starts | again)
        cycles = self.digit_cycles(self.config) - 1
        m.d.comb += [
            counter.scores.eq(self.read.data),
            counter.digit.eq(digit),
            counter.higher.eq(higher),
            counter.threshold.eq(threshold),
            decide.eq(delayed(m, last, cycles, name="decide", marker=True)),
            again.eq(decide & (digit != 0)),
            self.threshold.eq(threshold),
            self.ties.eq(need),
        ]
        m.d.sync += [
            starts.eq(self.start),
            enough.eq(Cat(count >= need for count in counter.counts)),
            chosen.eq(sum(enough)),
            above.eq(choose([*counter.counts], chosen)),
        ]
        late = delayed(m, decide, 2, name="late", marker=True)
        ended = delayed(m, decide & (digit == 0), 1 + self.NEED_CYCLES, name="ended", marker=True)
        m.d.comb += self.done.eq(ended)
        with m.If(self.start):
            m.d.sync += [digit.eq(DIGITS - 1), higher.eq(0), threshold.eq(0), need.eq(self.keep)]
        with m.Elif(decide):
            m.d.sync += [
                digit.eq(digit - 1),
                higher.bit_select(digit, 1).eq(1),
                threshold.word_select(digit, DIGIT_BITS).eq(sum(enough)),
            ]
        with m.Elif(late):
            m.d.sync += need.eq(need - above)
        return m

    def _reads(self, m: Module, counter: DigitCounter, starts: Signal) -> Signal:
        """Read all words of the patches after ``starts``; returns whether this is the last."""
        lanes = selection_lanes(self.config)
        word, final = Signal(TOKEN.width - exact_log2(lanes)), Signal.like(self.patches)
        reads, first, left = Signal(), Signal(), Signal(TOKEN)
        last = Signal()
        m.d.sync += final.eq((self.patches - 1) >> exact_log2(lanes))
        m.d.comb += [
            last.eq(reads & (word == final)),
            self.read.enable.eq(reads),
            self.read.request.eq(word),
        ]
        with m.If(starts):
            m.d.sync += [reads.eq(1), first.eq(1), word.eq(0), left.eq(self.patches)]
        with m.Elif(reads):
            m.d.sync += [
                reads.eq(~last),
                first.eq(0),
                word.eq(word + 1),
                left.eq(left - lanes),
            ]
        within = Signal(lanes)
        m.d.sync += within.eq(Cat(reads & (left > lane) for lane in range(lanes)))
        m.d.comb += [
            counter.valid.eq(delayed(m, within, READ_LATENCY - 1, name="within", marker=True)),
            counter.first.eq(delayed(m, first, READ_LATENCY, name="first")),
        ]
        return last
