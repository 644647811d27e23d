"""Scratchpads that the load unit fills: weights, parameters, exponents, pixels."""

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.memory.ports import (
    RECORD_BITS,
    STORED_RECORD_BITS,
    ReadPort,
    WritePort,
    exponent_read,
    parameter_read,
    part_write,
    pixel_read,
    pixel_write,
    weight_read,
)
from rtl.memory.scratchpads.bank import bank_of
from rtl.memory.scratchpads.scratchpad import Scratchpad
from rtl.model import numerics


class PartMemory(Scratchpad):
    """A memory of words that the load unit writes in parts, one memory beat at a time.

    Each kind states its name among :data:`rtl.config.SCRATCHPADS`.

    Parameters
    ----------
    config : EngineConfig
    read : ReadPort
        The port that the memory is read at.
    depth : int
        Number of words.
    unit : Unit
        The unit that reads.
    tap : bool
        Whether simulation sees the writes.

    Members
    -------
    write : In(WritePort(part_write))
    read : In(read)
    """

    SCRATCHPAD: str

    def __init__(self, config: EngineConfig, read: ReadPort, depth: int, unit: Unit, tap: bool):
        self.depth = depth
        self.unit = unit
        layout = part_write(config)
        ports = {"write": In(WritePort(layout)), "read": In(read)}
        super().__init__(config, ports, {"load": layout}, tap)

    def kept(self, beat: Value) -> Value:
        """Select the bits of a beat that are stored."""
        return beat

    def restored(self, word: Value) -> Value:
        """Make the word that a reader sees from the stored bits of its beats."""
        return word

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (write,) = self.guard_writes(m, {"load": self.write}, self.depth)
        self.report(m, write, self.guard_reads(m, self.read, self.depth, self.unit))
        beat, kept = write.o.beat, self.kept(write.o.beat.beat)
        parts = max(1, len(self.read.data.as_value()) // (8 * self.config.memory_bytes))
        bank = bank_of(self.config, self.SCRATCHPAD, self.depth, parts, len(kept))
        m.submodules.bank = bank
        m.d.comb += [
            bank.write_enable.eq(write.o.valid << beat.part),
            bank.write_word.eq(beat.word),
            bank.write_data.eq(kept.replicate(parts)),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(self.read.request),
            self.read.data.as_value().eq(self.restored(bank.read_data)),
        ]
        return m


class WeightMemory(PartMemory):
    """The weight ring."""

    SCRATCHPAD = "weights"

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, weight_read(config), config.weight_words, Unit.MATMUL, tap)


class ParameterMemory(PartMemory):
    """Row parameters; a record's padding is not stored where a beat holds whole records."""

    SCRATCHPAD = "parameters"

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        words = config.parameter_words
        super().__init__(config, parameter_read(config), words, Unit.MATMUL, tap)
        self.whole = 8 * config.memory_bytes >= RECORD_BITS

    def kept(self, beat: Value) -> Value:
        if not self.whole:
            return beat
        return Cat(beat[i : i + STORED_RECORD_BITS] for i in range(0, len(beat), RECORD_BITS))

    def restored(self, word: Value) -> Value:
        if not self.whole:
            return word
        padding = Const(0, RECORD_BITS - STORED_RECORD_BITS)
        records = range(0, len(word), STORED_RECORD_BITS)
        return Cat(Cat(word[i : i + STORED_RECORD_BITS], padding) for i in records)


class ExponentMemory(PartMemory):
    """Channel exponents of LayerNorm: the lowest bits of a beat, or of several."""

    SCRATCHPAD = "exponents"

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        super().__init__(config, exponent_read(config), config.exponent_words, Unit.NORM, tap)

    def kept(self, beat: Value) -> Value:
        return beat[: numerics.NORM_EXPONENT_BITS * self.config.row_lanes]


class PixelMemory(Scratchpad):
    """Pixels: one memory, a part per token lane.

    Members
    -------
    write : In(WritePort(pixel_write))
    read : In(pixel_read)
    """

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = pixel_write(config)
        ports = {"write": In(WritePort(layout)), "read": In(pixel_read(config))}
        super().__init__(config, ports, {"load": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, depth = self.config.token_lanes, self.config.pixel_words
        (write,) = self.guard_writes(m, {"load": self.write}, depth)
        self.report(m, write, self.guard_reads(m, self.read, depth, Unit.MATMUL))
        bits = 8 * self.config.depth_lanes
        m.submodules.bank = bank = bank_of(self.config, "pixels", depth, lanes, bits)
        beat = write.o.beat
        m.d.comb += [
            bank.write_enable.eq(write.o.valid << beat.lane),
            bank.write_word.eq(beat.word),
            bank.write_data.eq(beat.bytes.as_value().replicate(lanes)),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(self.read.request),
            self.read.data.as_value().eq(bank.read_data),
        ]
        return m
