"""The residual stream: reads and writes that take turns."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Unit
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.memory.ports import (
    ADDRESS,
    READ_LATENCY,
    WritePort,
    drain_write,
    moved_write,
    residual_read,
    residual_write,
)
from rtl.memory.scratchpads.bank import Bank, bank_of
from rtl.memory.scratchpads.scratchpad import ReadGuard, Scratchpad


class ResidualMemory(Scratchpad):
    """The residual stream: a bank for each half (pair of tokens) of a group of four.

    Each half takes one read per cycle, the drain's before norm's before store's, and one write,
    the drain's before load's. Where the engine selects tokens, the drain may write both halves.

    Members
    -------
    drain_read, norm_read, store_read : In(residual_read)
        The drain's is never refused.
    drain : In(WritePort(drain_write))
    load : In(stream of residual_write)
    """

    HALVES = 2

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = residual_write(config)
        self.moves = config.select_tokens > 0
        read = In(residual_read(config))
        ports = {
            "drain_read": read,
            "norm_read": read,
            "store_read": read,
            "drain": In(WritePort(drain_write(config))),
            "load": In(stream.Signature(layout)),
        }
        drains = [f"drain_{half}" for half in range(self.HALVES)] if self.moves else ["drain"]
        super().__init__(config, ports, dict.fromkeys([*drains, "load"], layout), tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.residual_words
        drain, load = self.drain, self.load
        loaded = WritePort(load.p.shape()).create(path=("loaded",))
        if self.moves:
            taken = drain.beat.halves.bit_select(load.p.half, 1)
        else:
            taken = drain.beat.half == load.p.half
        m.d.comb += [
            load.ready.eq(~(drain.valid & taken)),
            loaded.valid.eq(load.valid & load.ready),
            loaded.beat.eq(load.p),
        ]
        writers = {"load": wiring.flipped(loaded)} | ({} if self.moves else {"drain": drain})
        writes = self.guard_writes(m, dict(sorted(writers.items())), depth)
        m.submodules.reads = reads = ResidualReads(self.config)
        connect(m, producer=wiring.flipped(self.drain_read), consumer=reads.drain)
        connect(m, producer=wiring.flipped(self.norm_read), consumer=reads.norm)
        connect(m, producer=wiring.flipped(self.store_read), consumer=reads.store)
        guards = self._guards(m, depth)
        moved = self._guard_moved(m, depth) if self.moves else None
        self.report(m, *([] if moved is None else [moved]), *writes, *guards)
        for half in range(self.HALVES):
            bank = bank_of(self.config, "residual", depth, 2, 8 * self.config.residual_word_bytes)
            m.submodules[f"half_{half}"] = once(bank, platform)
            m.d.comb += [
                bank.read_enable.eq(reads.enable[half]),
                bank.read_word.eq(reads.word[half]),
                reads.words[half].eq(bank.read_data),
            ]
            if moved is not None:
                self._write_moved(m, moved, half, bank)
            for write in writes:
                beat = write.o.beat
                with m.If(write.o.valid & (beat.half == half)):
                    m.d.comb += [
                        bank.write_enable.eq(beat.enable),
                        bank.write_word.eq(beat.word),
                        bank.write_data.eq(beat.values),
                    ]
        return m

    def _guard_moved(self, m: Module, depth: int) -> "MovedWriteGuard":
        """Guard the drain's writes to both halves, and show them as writes of one half each."""
        m.submodules.drain_write_guard = guard = MovedWriteGuard(self.config, depth)
        connect(m, producer=wiring.flipped(self.drain), consumer=guard.i)
        if self._tap:
            beat = guard.o.beat
            for half in range(self.HALVES):
                tap = getattr(self.tap, f"drain_{half}")
                m.d.comb += [
                    tap.valid.eq(guard.o.valid & beat.enable[half].any()),
                    tap.beat.half.eq(half),
                    tap.beat.enable.eq(beat.enable[half]),
                    tap.beat.word.eq(beat.word[half]),
                    tap.beat.values.eq(_lanes(beat)),
                    tap.beat.number.eq(beat.number),
                ]
        return guard

    def _write_moved(self, m: Module, guard: "MovedWriteGuard", half: int, bank: Bank) -> None:
        """Write a half's words of the drain, where there are any."""
        beat = guard.o.beat
        with m.If(guard.o.valid & beat.enable[half].any()):
            m.d.comb += [
                bank.write_enable.eq(beat.enable[half]),
                bank.write_word.eq(beat.word[half]),
                bank.write_data.eq(_lanes(beat)),
            ]

    def _guards(self, m: Module, depth: int) -> list[ReadGuard]:
        """Norm's and store's reads; what the drain reads, it also writes."""
        guards = []
        for read, unit in ((self.norm_read, Unit.NORM), (self.store_read, Unit.STORE)):
            guard = ReadGuard(depth, unit)
            m.submodules[f"{unit.name.lower()}_read_guard"] = guard
            m.d.comb += [
                guard.enable.eq(read.request.valid & read.request.ready),
                guard.word.eq(read.request.p.word),
            ]
            guards.append(guard)
        return guards


class MovedWriteGuard(wiring.Component):
    """A register before the banks, as :class:`rtl.memory.scratchpads.scratchpad.WriteGuard` is.

    Parameters
    ----------
    config : EngineConfig
    depth : int
        Number of words of a bank.

    Members
    -------
    i : In(WritePort(moved_write(config)))
    o : Out(WritePort(moved_write(config)))
        The write, a cycle later, if all its words exist.
    fault : Out(Fault)
    """

    def __init__(self, config: EngineConfig, depth: int):
        self.depth = depth
        port = WritePort(moved_write(config))
        super().__init__({"i": In(port), "o": Out(port), "fault": Out(Fault)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.i.beat
        outside = Signal()
        m.d.comb += outside.eq(
            Cat(
                enable.any() & (word >= self.depth)
                for enable, word in zip(beat.enable, beat.word, strict=True)
            ).any()
        )
        m.d.sync += [
            self.o.valid.eq(self.i.valid & ~outside),
            self.o.beat.eq(beat),
            self.fault.eq(
                fault(self.i.valid & outside, FaultCode.ADDRESS, Unit.MATMUL, beat.number)
            ),
        ]
        return m


def _lanes(beat: data.View) -> Value:
    """The words of a write, as they lie in their lanes."""
    return Mux(beat.swap, Cat(beat.values[1], beat.values[0]), Cat(*beat.values))


class ResidualReads(wiring.Component):
    """Gives each half of the residual to one reader per cycle, and each reader its half's data.

    Members
    -------
    drain, norm, store : In(residual_read)
    enable : Out(2)
        A bit per half.
    word : Out(address) x 2
    words : In(pair of words) x 2
        READ_LATENCY cycles after ``enable``.
    """

    def __init__(self, config: EngineConfig):
        read = residual_read(config)
        bits = 2 * 8 * config.residual_word_bytes
        super().__init__(
            {
                "drain": In(read),
                "norm": In(read),
                "store": In(read),
                "enable": Out(2),
                "word": Out(ADDRESS).array(2),
                "words": In(bits).array(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        earlier = []
        for reader in (self.drain, self.norm, self.store):
            request = reader.request
            taken = Signal(name="taken")
            m.d.comb += taken.eq(Cat(r.valid & (r.p.half == request.p.half) for r in earlier).any())
            m.d.comb += request.ready.eq(~taken)
            for half in range(2):
                with m.If(request.valid & ~taken & (request.p.half == half)):
                    m.d.comb += [self.enable[half].eq(1), self.word[half].eq(request.p.word)]
            half = delayed(m, request.p.half, READ_LATENCY, name="half")
            m.d.comb += reader.data.as_value().eq(Mux(half, self.words[1], self.words[0]))
            earlier.append(request)
        return m
