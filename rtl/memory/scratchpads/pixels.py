"""Pixels: one writer, every token lane read at once."""

from amaranth.hdl import Module
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.isa.instructions import Unit
from rtl.memory.ports import WritePort, pixel_read, pixel_write
from rtl.memory.scratchpads.bank import Bank
from rtl.memory.scratchpads.scratchpad import Scratchpad


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
        (landing,) = self.land(m, {"load": self.write}, depth)
        self.report(m, landing, self.guard(m, self.read, depth, Unit.MATMUL))
        m.submodules.bank = bank = Bank(depth, lanes, 8 * self.config.depth_lanes)
        beat = landing.o.beat
        m.d.comb += [
            bank.write_enable.eq(landing.o.valid << beat.lane),
            bank.write_word.eq(beat.word),
            bank.write_data.eq(beat.bytes.as_value().replicate(lanes)),
            bank.read_enable.eq(self.read.enable),
            bank.read_word.eq(self.read.request),
            self.read.data.as_value().eq(bank.read_data),
        ]
        return m
