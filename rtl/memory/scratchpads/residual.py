"""The residual stream: reads and writes that take turns."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.memory.ports import ADDRESS, READ_LATENCY, WritePort, residual_read, residual_write
from rtl.memory.scratchpads.bank import bank_of
from rtl.memory.scratchpads.scratchpad import ReadGuard, Scratchpad


class ResidualMemory(Scratchpad):
    """The residual stream: a bank for each half (pair of tokens) of a group of four.

    Each half takes one read per cycle, the drain's before norm's before store's, and one write,
    the drain's before load's.

    Members
    -------
    drain_read, norm_read, store_read : In(residual_read)
        The drain's is never refused.
    drain : In(WritePort(residual_write))
    load : In(stream of residual_write)
    """

    HALVES = 2

    def __init__(self, config: EngineConfig, *, tap: bool = False):
        layout = residual_write(config)
        read = In(residual_read(config))
        ports = {
            "drain_read": read,
            "norm_read": read,
            "store_read": read,
            "drain": In(WritePort(layout)),
            "load": In(stream.Signature(layout)),
        }
        super().__init__(config, ports, {"drain": layout, "load": layout}, tap)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.config.residual_words
        drain, load = self.drain, self.load
        loaded = WritePort(load.p.shape()).create(path=("loaded",))
        m.d.comb += [
            load.ready.eq(~(drain.valid & (drain.beat.half == load.p.half))),
            loaded.valid.eq(load.valid & load.ready),
            loaded.beat.eq(load.p),
        ]
        writes = self.guard_writes(m, {"drain": drain, "load": wiring.flipped(loaded)}, depth)
        m.submodules.reads = reads = ResidualReads(self.config)
        connect(m, producer=wiring.flipped(self.drain_read), consumer=reads.drain)
        connect(m, producer=wiring.flipped(self.norm_read), consumer=reads.norm)
        connect(m, producer=wiring.flipped(self.store_read), consumer=reads.store)
        guards = self._guards(m, depth)
        self.report(m, *writes, *guards)
        for half in range(self.HALVES):
            bank = bank_of(self.config, "residual", depth, 2, 8 * self.config.residual_word_bytes)
            m.submodules[f"half_{half}"] = once(bank, platform)
            m.d.comb += [
                bank.read_enable.eq(reads.enable[half]),
                bank.read_word.eq(reads.word[half]),
                reads.words[half].eq(bank.read_data),
            ]
            for write in writes:
                beat = write.o.beat
                with m.If(write.o.valid & (beat.half == half)):
                    m.d.comb += [
                        bank.write_enable.eq(beat.enable),
                        bank.write_word.eq(beat.word),
                        bank.write_data.eq(beat.values),
                    ]
        return m

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
