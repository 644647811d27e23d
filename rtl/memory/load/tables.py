"""GELU tables into the drain."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.memory.load.loader import CutLoader
from rtl.memory.ports import WritePort, gelu_write


class TableLoader(CutLoader):
    """A GELU table: a byte per code, ``destination`` is the table. One code per cycle.

    Members, beyond those of Loader
    -------------------------------
    gelu : Out(WritePort(gelu_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"gelu": Out(WritePort(gelu_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load = self.transfer.p.load
        cutter, running = self.cut(m, 1)
        index = Signal(8)
        m.d.comb += [
            self.gelu.valid.eq(running & cutter.o.valid),
            self.gelu.beat.table.eq(load.operands.destination),
            self.gelu.beat.index.eq(index),
            self.gelu.beat.code.eq(cutter.o.p.bytes[0]),
            self.gelu.beat.number.eq(load.number),
        ]
        with m.If(~running):
            m.d.sync += index.eq(0)
        with m.Elif(cutter.o.valid):
            m.d.sync += index.eq(index + 1)
        return m
