"""Pixels and GELU tables: bytes from anywhere in memory, cut into words and placed."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.lib.streams import connect
from rtl.memory.beats import Cutter, word_layout
from rtl.memory.load.check import LOAD
from rtl.memory.load.loaders import Loader
from rtl.memory.ports import ADDRESS, WritePort, gelu_write, pixel_write


class CutWriter(wiring.Component):
    """Gives the words of a cutter, one by one, their places in a scratchpad.

    No register between a word and its write.

    Members
    -------
    start : In(1)
        High before the first word.
    load : In(LOAD)
        Constant from ``start`` on.
    valid : In(1)
    word : In(word_layout(depth_lanes))
    """

    def __init__(self, config: EngineConfig, writes: dict[str, wiring.Member]):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "load": In(LOAD),
                "valid": In(1),
                "word": In(word_layout(config.depth_lanes)),
                **writes,
            }
        )


class StripWriter(CutWriter):
    """Places the words of a strip: patches side by side, image row by image row.

    Members, beyond those of CutWriter
    ----------------------------------
    pixels : Out(WritePort(pixel_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"pixels": Out(WritePort(pixel_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands = self.load.operands
        lane = Signal.like(self.pixels.beat.lane)
        segment = Signal.like(operands.segments)
        row, tile, column = Signal(ADDRESS), Signal(ADDRESS), Signal(8)
        m.d.comb += [
            self.pixels.valid.eq(self.valid),
            self.pixels.beat.lane.eq(lane),
            self.pixels.beat.word.eq(tile + column),
            self.pixels.beat.bytes.eq(self.word.bytes),
            self.pixels.beat.number.eq(self.load.number),
        ]
        with m.If(self.start):
            m.d.sync += [
                lane.eq(operands.lane_first),
                segment.eq(0),
                column.eq(0),
                row.eq(operands.destination),
                tile.eq(operands.destination),
            ]
        with m.Elif(self.valid):
            m.d.sync += column.eq(column + 1)
            with m.If(self.word.last):
                m.d.sync += [column.eq(0), segment.eq(segment + 1), lane.eq(lane + 1)]
                with m.If(lane == self.config.token_lanes - 1):
                    m.d.sync += [lane.eq(0), tile.eq(tile + operands.stride)]
                with m.If(segment + 1 == operands.segments):  # next row of the image
                    below = row + column + 1
                    m.d.sync += [segment.eq(0), lane.eq(operands.lane_first)]
                    m.d.sync += [row.eq(below), tile.eq(below)]
        return m


class TableWriter(CutWriter):
    """Places the codes of a GELU table, a byte each; ``destination`` is the table.

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
