"""Pixels and GELU tables: bytes from anywhere in memory, cut into words."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.lib.streams import connect
from rtl.memory.beats import Cutter
from rtl.memory.load.loader import Loader
from rtl.memory.load.pixels import StripWriter
from rtl.memory.load.tables import TableWriter
from rtl.memory.ports import WritePort, gelu_write, pixel_write


class CutLoader(Loader):
    """Pixels and tables, which share a cutter. One word per cycle.

    Members, beyond those of Loader
    -------------------------------
    pixels : Out(WritePort(pixel_write))
    gelu : Out(WritePort(gelu_write))
    """

    def __init__(self, config: EngineConfig):
        writes = {
            "pixels": Out(WritePort(pixel_write(config))),
            "gelu": Out(WritePort(gelu_write(config))),
        }
        super().__init__(config, writes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cutter = cutter = Cutter(self.config.memory_bytes, self.config.depth_lanes)
        m.submodules.strips = strips = StripWriter(self.config)
        m.submodules.tables = tables = TableWriter(self.config)
        load, running = self.transfer.p.load, self.running(m)
        is_table = load.operands.target == Target.GELU
        connect(m, producer=wiring.flipped(self.beats), consumer=cutter.i)
        connect(m, producer=strips.pixels, consumer=wiring.flipped(self.pixels))
        connect(m, producer=tables.gelu, consumer=wiring.flipped(self.gelu))
        m.d.comb += [
            cutter.start.eq(~running),
            cutter.first.eq(self.transfer.p.first),
            cutter.segment_bytes.eq(Mux(is_table, 1, load.operands.segment_bytes)),
            cutter.bytes.eq(load.operands.bytes),
            cutter.o.ready.eq(1),
            self.transfer.ready.eq(cutter.o.valid & cutter.o.p.final),
            strips.valid.eq(cutter.o.valid & ~is_table),
            tables.valid.eq(cutter.o.valid & is_table),
        ]
        for writer in (strips, tables):
            m.d.comb += [
                writer.start.eq(~running),
                writer.load.eq(load),
                writer.word.eq(cutter.o.p),
            ]
        return m
