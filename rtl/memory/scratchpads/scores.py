"""Raw scores: four lanes written at once, one read."""

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.lib.pipeline import choose, delayed
from rtl.memory.ports import READ_LATENCY, WritePort, score_read, score_write
from rtl.memory.scratchpads.bank import Bank
from rtl.memory.scratchpads.guard import ReadGuard
from rtl.memory.scratchpads.scratchpad import Scratchpad
from rtl.model import numerics


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
        (landing,) = self.land(m, {"drain": self.write}, depth)
        m.submodules.guard = guard = ReadGuard(depth, Unit.SOFTMAX)
        self.report(m, landing, guard)
        m.submodules.bank = bank = Bank(depth, self.LANES, bits)
        request = self.read.request
        late = delayed(m, request.bank, READ_LATENCY, name="lane")
        lanes = [bank.read_data[lane * bits : (lane + 1) * bits] for lane in range(self.LANES)]
        m.d.comb += [
            guard.enable.eq(self.read.enable),
            guard.word.eq(request.word),
            bank.write_enable.eq(Mux(landing.o.valid, landing.o.beat.enable, 0)),
            bank.write_word.eq(landing.o.beat.word),
            bank.write_data.eq(landing.o.beat.scores),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(request.word),
            self.read.data.as_value().eq(choose(lanes, late)),
        ]
        return m
