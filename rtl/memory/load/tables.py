"""GELU tables into the drain."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.memory.load.writer import CutWriter
from rtl.memory.ports import WritePort, gelu_write


class TableWriter(CutWriter):
    """Where a table's codes go, a byte each; ``destination`` is the table.

    Members, beyond those of CutWriter
    ----------------------------------
    gelu : Out(WritePort(gelu_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"gelu": Out(WritePort(gelu_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index = Signal(8)
        m.d.comb += [
            self.gelu.valid.eq(self.valid),
            self.gelu.beat.table.eq(self.load.operands.destination),
            self.gelu.beat.index.eq(index),
            self.gelu.beat.code.eq(self.word.bytes[0]),
            self.gelu.beat.number.eq(self.load.number),
        ]
        with m.If(self.start):
            m.d.sync += index.eq(0)
        with m.Elif(self.valid):
            m.d.sync += index.eq(index + 1)
        return m
