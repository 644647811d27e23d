"""Importance of keys, and places of tokens that stay: only in engines that select tokens."""

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.lib.emit import once
from rtl.memory.ports import (
    IMPORTANCE,
    IMPORTANCE_LANES,
    PairPlace,
    WritePort,
    importance_read,
    importance_write,
    place_read,
    place_write,
    selection_lanes,
)
from rtl.memory.scratchpads.bank import bank_of
from rtl.memory.scratchpads.scratchpad import Scratchpad


class ImportanceMemory(Scratchpad):
    """Importance of ``select_tokens`` keys: a bank for every four keys of a word.

    Members
    -------
    write : In(WritePort(importance_write))
    read : In(importance_read)
    """

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = importance_write()
        ports = {"write": In(WritePort(layout)), "read": In(importance_read(config))}
        super().__init__(config, ports, {"softmax": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = selection_lanes(self.config) // IMPORTANCE_LANES
        depth = self.config.select_tokens // selection_lanes(self.config)
        (write,) = self.guard_writes(m, {"softmax": self.write}, depth * banks)
        guard = self.guard_reads(m, self.read, depth, Unit.SOFTMAX)
        self.report(m, write, guard)
        beat, outputs, bits = write.o.beat, [], exact_log2(banks)
        for index in range(banks):
            width = IMPORTANCE_LANES * IMPORTANCE.width
            bank = bank_of(self.config, "importance", depth, 1, width)
            m.submodules[f"bank_{index}"] = once(bank, platform)
            m.d.comb += [
                bank.write_enable.eq(write.o.valid & (beat.word[:bits] == index)),
                bank.write_word.eq(beat.word[bits:]),
                bank.write_data.eq(beat.scores),
                bank.read_enable.eq(self.read.enable),
                bank.read_word.eq(self.read.request),
            ]
            outputs.append(bank.read_data)
        m.d.comb += self.read.data.eq(Cat(outputs))
        return m


class PlaceMemory(Scratchpad):
    """Places of pairs of tokens: of patches, and of as many tokens behind them.

    Members
    -------
    write : In(WritePort(place_write))
    read : In(place_read)
    """

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = place_write()
        ports = {"write": In(WritePort(layout)), "read": In(place_read())}
        super().__init__(config, ports, {"softmax": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.select_tokens
        (write,) = self.guard_writes(m, {"softmax": self.write}, depth)
        guard = self.guard_reads(m, self.read, depth, Unit.MATMUL)
        self.report(m, write, guard)
        bank = bank_of(self.config, "places", depth, 1, PairPlace.as_shape().size)
        m.submodules.bank = once(bank, platform)
        m.d.comb += [
            bank.write_enable.eq(write.o.valid),
            bank.write_word.eq(write.o.beat.word),
            bank.write_data.eq(write.o.beat.place),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(self.read.request),
            self.read.data.eq(bank.read_data),
        ]
        return m
