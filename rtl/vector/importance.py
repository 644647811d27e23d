"""Importance of each key: the class token's attention weights, over all heads."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.arith.exp2 import exact_weight
from rtl.arith.multiply import MultiplyAdd
from rtl.arith.reciprocal import Reciprocal
from rtl.config import EngineConfig
from rtl.lib.pipeline import choose, delayed
from rtl.lib.streams import Queue
from rtl.memory.ports import (
    IMPORTANCE,
    IMPORTANCE_LANES,
    NUMBER,
    READ_LATENCY,
    TOKEN,
    WritePort,
    array,
    importance_read,
    importance_write,
    part_of,
)
from rtl.memory.scratchpads.scratchpad import WRITE_LATENCY
from rtl.model import numerics
from rtl.vector.softmax_reads import softmax_beat

ROWS = 2  # of the class token that may wait: one is added up while the next one's weights come
TERM = unsigned(numerics.IMPORTANCE_TERM_MAX.bit_length())
KEPT_BITS = TERM.width + 3  # behind the first shift, which leaves up to three bits to shift


class ClassRow(data.Struct):
    """Row of the class token in a head: what is known of it when its weights are there."""

    reciprocal: unsigned(Reciprocal.QUOTIENT_BITS)  # docs/numerics.md: R
    length: unsigned(Reciprocal.TOTAL_BITS.bit_length())  # docs/numerics.md: L
    keys: TOKEN
    first: unsigned(1)  # head: the importance before counts as 0
    number: NUMBER


def weight_beat(config: EngineConfig) -> data.StructLayout:
    """Weights of ``softmax_lanes`` keys of the class token, before dither and rounding."""
    return data.StructLayout(
        {
            "weights": array(config.softmax_lanes, exact_weight(config.act_bits)),
            "position": softmax_beat(config.softmax_parts)["position"].shape,
            "last": unsigned(1),
        }
    )


class WeightBuffer(wiring.Component):
    """Hold ``ROWS`` rows of weights: written as they come, read four keys at a time.

    A read answers ``LATENCY`` cycles later. Weights beyond ``select_tokens`` are dropped.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    write : In(WritePort(weight_beat(config)))
        Beats of one row after the other.
    row : In(1)
        The row to read: rows are 0, 1, 0, ...
    word : In
        Number of the four keys.
    weights : Out(4 x exact_weight)
    """

    LATENCY = 2

    def __init__(self, config: EngineConfig):
        self.beat = weight_beat(config)
        self.depth = config.select_tokens // config.softmax_lanes
        self.parts = config.softmax_lanes // IMPORTANCE_LANES
        weight = exact_weight(config.act_bits)
        super().__init__(
            {
                "write": In(WritePort(self.beat)),
                "row": In(1),
                "word": In(exact_log2(config.select_tokens // IMPORTANCE_LANES)),
                "weights": Out(array(IMPORTANCE_LANES, weight)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        weights, beat = self.beat["weights"].shape, self.write.beat
        m.submodules.rows = rows = memory.Memory(shape=weights, depth=ROWS * self.depth, init=[])
        write, read = rows.write_port(), rows.read_port()
        bits, part_bits = exact_log2(self.depth), exact_log2(self.parts)
        row = Signal()  # that is written
        part = delayed(m, self.word[:part_bits], 1, name="part")
        four = Signal.like(self.weights, reset_less=True)
        m.d.comb += [
            write.en.eq(self.write.valid & (beat.position < self.depth)),
            write.addr.eq(Cat(beat.position[:bits], row)),
            write.data.eq(beat.weights),
            read.addr.eq(Cat(self.word[part_bits:], self.row)),
            self.weights.eq(four),
        ]
        m.d.sync += four.as_value().eq(part_of(read.data, self.parts, part))
        with m.If(self.write.valid & beat.last):
            m.d.sync += row.eq(~row)
        return m


class ImportanceAdder(wiring.Component):
    """Add the weights of four keys, divided by their row's sum, to their importance.

    ``o = old + ((weight * reciprocal) >> (length + 7))``, ``old`` 0 in the first head

    Latency ``LATENCY`` cycles, four keys per cycle, no flow control; ``old`` comes ``OLD_LATENCY``
    cycles after the weights. ``row`` is constant.

    Parameters
    ----------
    act_bits : int

    Members
    -------
    weights : In(4 x exact_weight)
    row : In(ClassRow)
    old, o : In, Out(4 x IMPORTANCE)

    Source: docs/numerics.md, section 5. Reference: sim.golden.ops.importance_terms.
    """

    OLD_LATENCY = MultiplyAdd.LATENCY + 2
    LATENCY = OLD_LATENCY + 1

    def __init__(self, act_bits: int):
        self.weight = exact_weight(act_bits)
        four = array(IMPORTANCE_LANES, IMPORTANCE)
        super().__init__(
            {
                "weights": In(array(IMPORTANCE_LANES, self.weight)),
                "row": In(ClassRow),
                "old": In(four),
                "o": Out(four),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        reciprocal = unsigned(Reciprocal.QUOTIENT_BITS)
        fours = Cat(Const(0, 2), self.row.length[2:])
        for lane in range(IMPORTANCE_LANES):
            product = unsigned(self.weight.width + reciprocal.width)
            multiply = MultiplyAdd(self.weight, reciprocal, product)
            m.submodules[f"multiply_{lane}"] = multiply
            coarse = Signal(KEPT_BITS, name=f"coarse_{lane}", reset_less=True)
            term = Signal(TERM, name=f"term_{lane}", reset_less=True)
            total = Signal(IMPORTANCE, name=f"total_{lane}", reset_less=True)
            m.d.comb += [
                multiply.a.eq(self.weights[lane]),
                multiply.b.eq(self.row.reciprocal),
                self.o[lane].eq(total),
            ]
            m.d.sync += [
                coarse.eq((multiply.o >> 7) >> fours),
                term.eq(coarse >> self.row.length[:2]),
                total.eq(term + Mux(self.row.first, 0, self.old[lane])),
            ]
        return m


class ImportanceRows(wiring.Component):
    """Keep the class token's weights, and add them to the importance memory once R is known.

    Four keys per cycle, one row after the other: ``cycles(config, keys)`` from ``row_valid`` to
    ``done``, if no row is before it. At most ``ROWS`` rows may be under way, from the first of
    their weights on.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    write : In(WritePort(weight_beat(config)))
    row : In(ClassRow)
    row_valid : In(1)
        A row's last weight was written.
    read : Out(importance_read(config))
    sums : Out(WritePort(importance_write()))
    done : Out(1)
        A row is in the importance memory.
    """

    START_CYCLES = Queue.LATENCY + 2  # from a row to its first read
    READ_CYCLES = WeightBuffer.LATENCY + ImportanceAdder.OLD_LATENCY - READ_LATENCY
    SUM_CYCLES = WeightBuffer.LATENCY + ImportanceAdder.LATENCY
    DONE_CYCLES = SUM_CYCLES + WRITE_LATENCY  # from a read until its sum can be read

    @classmethod
    def cycles(cls, config: EngineConfig, keys: int) -> int:
        """Cycles from a row of ``keys`` keys to its ``done``."""
        words = -(-min(keys, config.select_tokens) // IMPORTANCE_LANES)
        return cls.START_CYCLES + words - 1 + cls.DONE_CYCLES

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "write": In(WritePort(weight_beat(config))),
                "row": In(ClassRow),
                "row_valid": In(1),
                "read": Out(importance_read(config)),
                "sums": Out(WritePort(importance_write())),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rows = rows = Queue(ClassRow, ROWS)
        m.submodules.weights = weights = WeightBuffer(self.config)
        m.submodules.adder = adder = ImportanceAdder(self.config.act_bits)
        row, index = rows.o.p, Signal()
        reads, last, word = self._words(m, rows.o)
        four = delayed(m, word, self.READ_CYCLES, name="four")
        bits = exact_log2(len(self.read.data) // IMPORTANCE_LANES)
        chosen = delayed(m, four[:bits], READ_LATENCY, name="chosen")
        olds = self.read.data.as_value()
        width = IMPORTANCE_LANES * IMPORTANCE.width
        parts = [olds[at : at + width] for at in range(0, len(olds), width)]
        m.d.comb += [
            rows.i.valid.eq(self.row_valid),
            rows.i.p.eq(self.row),
            rows.o.ready.eq(self.done),
            weights.write.valid.eq(self.write.valid),
            weights.write.beat.eq(self.write.beat),
            weights.row.eq(index),
            weights.word.eq(word),
            adder.weights.eq(weights.weights),
            adder.row.eq(row),
            adder.old.eq(choose(parts, chosen)),
            self.read.enable.eq(delayed(m, reads, self.READ_CYCLES, name="old", marker=True)),
            self.read.request.eq(four[bits:]),
            self.sums.valid.eq(delayed(m, reads, self.SUM_CYCLES, name="sum", marker=True)),
            self.sums.beat.word.eq(delayed(m, four, self.SUM_CYCLES - self.READ_CYCLES, name="at")),
            self.sums.beat.scores.eq(adder.o),
            self.sums.beat.number.eq(row.number),
            self.done.eq(delayed(m, last, self.DONE_CYCLES, name="done", marker=True)),
        ]
        with m.If(self.done):
            m.d.sync += index.eq(~index)
        return m

    def _words(self, m: Module, rows: stream.Interface) -> tuple[Signal, Signal, Signal]:
        """Whether four keys of the row are read in this cycle, the last ones, and which."""
        most = self.config.select_tokens
        reads, last, begun = Signal(), Signal(), Signal()
        word = Signal(range(most // IMPORTANCE_LANES))
        key, final = Signal(TOKEN), Signal.like(word)  # the last key, the last four
        m.d.sync += [
            key.eq(rows.p.keys - 1),
            final.eq(Mux(key >= most, ~0, key >> exact_log2(IMPORTANCE_LANES))),
        ]
        known = delayed(m, rows.valid & ~begun, 1, name="known", marker=True)
        m.d.comb += last.eq(reads & (word == final))
        with m.If(self.done):
            m.d.sync += begun.eq(0)
        with m.Elif(known & ~begun):
            m.d.sync += [begun.eq(1), reads.eq(1), word.eq(0)]
        with m.Elif(reads):
            m.d.sync += [word.eq(word + 1), reads.eq(~last)]
        return reads, last, word
