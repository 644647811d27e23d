"""GELU tables into the drain."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.memory.beats import word_layout
from rtl.memory.load.transfer import LOAD
from rtl.memory.ports import WritePort, gelu_write


class TableWriter(wiring.Component):
    """Where a table's codes go, a byte each; ``destination`` is the table. No register.

    Members
    -------
    start : In(1)
        High before the first word.
    load : In(LOAD)
        Constant from ``start`` on.
    valid : In(1)
    word : In(word_layout(depth_lanes))
    gelu : Out(WritePort(gelu_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(
            {
                "start": In(1),
                "load": In(LOAD),
                "valid": In(1),
                "word": In(word_layout(config.depth_lanes)),
                "gelu": Out(WritePort(gelu_write(config))),
            }
        )

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
