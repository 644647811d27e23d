"""Keys, values and raw scores: written by the drain, read by matmul and softmax."""

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.lib.emit import once
from rtl.lib.pipeline import choose, delayed
from rtl.memory.ports import (
    READ_LATENCY,
    ReadPort,
    WritePort,
    key_read,
    key_value_write,
    score_read,
    score_write,
    value_read,
)
from rtl.memory.scratchpads.bank import Bank, bank_of, granules_of, split_granule
from rtl.memory.scratchpads.scratchpad import ReadGuard, Scratchpad, WriteGuard
from rtl.model import numerics


class PairedMemory(Scratchpad):
    """Keys or values: a bank for each pair of neighbouring keys.

    Members
    -------
    write : In(WritePort(key_value_write))
    read : In(read)
    """

    SCRATCHPAD: str

    def __init__(self, config: EngineConfig, read: ReadPort, keys: int, depth: int, tap: bool):
        self.keys = keys
        self.depth = depth
        layout = key_value_write(config, keys)
        ports = {"write": In(WritePort(layout)), "read": In(read)}
        super().__init__(config, ports, {"drain": layout}, tap)

    def banks(self, m: Module, platform: object, write: WriteGuard, word: Value) -> list[Bank]:
        """The banks, written by ``write``, read at ``word``."""
        beat = write.o.beat
        banks = []
        for pair in range(self.keys // 2):
            bits = numerics.KV_BITS * self.config.row_lanes
            bank = bank_of(self.config, self.SCRATCHPAD, self.depth, 2, bits)
            m.submodules[f"bank_{pair}"] = once(bank, platform)
            chosen = write.o.valid & (beat.pair == pair)
            m.d.comb += [
                bank.write_enable.eq(Mux(chosen, beat.enable, 0)),
                bank.write_word.eq(beat.word),
                bank.write_data.eq(beat.codes),
                bank.read_enable.eq(self.read.enable),
                bank.read_word.eq(word),
            ]
            banks.append(bank)
        return banks


class KeyMemory(PairedMemory):
    """Keys: a word is a key's ``row_lanes`` rows, of which a granule is read. Shallow."""

    SCRATCHPAD = "keys"

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, key_read(config), config.row_lanes, config.key_words, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (write,) = self.guard_writes(m, {"drain": self.write}, self.depth)
        guard = self.guard_reads(m, self.read, self.depth * self.config.granules, Unit.MATMUL)
        self.report(m, write, guard)
        word, granule = split_granule(self.config, self.read.request)
        late = delayed(m, granule, READ_LATENCY, name="granule")
        for pair, bank in enumerate(self.banks(m, platform, write, word)):
            keys = granules_of(bank.read_data, self.config, numerics.KV_BITS, late)
            for i, key in enumerate(keys):
                m.d.comb += self.read.data[2 * pair + i].as_value().eq(key)
        return m


class ValueMemory(PairedMemory):
    """Values: a word is ``row_lanes`` rows of one key."""

    SCRATCHPAD = "values"

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, value_read(config), config.depth_lanes, config.value_words, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (write,) = self.guard_writes(m, {"drain": self.write}, self.depth)
        self.report(m, write, self.guard_reads(m, self.read, self.depth, Unit.MATMUL))
        banks = self.banks(m, platform, write, self.read.request)
        words = Cat(bank.read_data for bank in banks)
        m.d.comb += self.read.data.as_value().eq(words)
        return m


class ScoreMemory(Scratchpad):
    """Raw scores: one memory of four lanes, of which one is read.

    Members
    -------
    write : In(WritePort(score_write))
    read : In(score_read)
    """

    LANES = 4

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = score_write(config)
        ports = {"write": In(WritePort(layout)), "read": In(score_read(config))}
        super().__init__(config, ports, {"drain": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, bits = self.config.score_words, numerics.SCORE_BITS * self.config.row_lanes
        (write,) = self.guard_writes(m, {"drain": self.write}, depth)
        m.submodules.read_guard = guard = ReadGuard(depth, Unit.SOFTMAX)
        self.report(m, write, guard)
        m.submodules.bank = bank = bank_of(self.config, "scores", depth, self.LANES, bits)
        request = self.read.request
        late = delayed(m, request.bank, READ_LATENCY, name="lane")
        lanes = [bank.read_data[lane * bits : (lane + 1) * bits] for lane in range(self.LANES)]
        m.d.comb += [
            guard.enable.eq(self.read.enable),
            guard.word.eq(request.word),
            bank.write_enable.eq(Mux(write.o.valid, write.o.beat.enable, 0)),
            bank.write_word.eq(write.o.beat.word),
            bank.write_data.eq(write.o.beat.scores),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(request.word),
            self.read.data.as_value().eq(choose(lanes, late)),
        ]
        return m
