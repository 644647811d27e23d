"""Pixels, patch by patch, into the token lanes of their scratchpad."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.memory.load.loader import CutLoader
from rtl.memory.ports import ADDRESS, WritePort, pixel_write


class StripLoader(CutLoader):
    """Pixels: a strip of patches side by side, picture row by picture row. One word per cycle.

    Members, beyond those of Loader
    -------------------------------
    pixels : Out(WritePort(pixel_write))
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"pixels": Out(WritePort(pixel_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load = self.transfer.p.load
        operands = load.operands
        cutter, running = self.cut(m, operands.segment_bytes)
        lane = Signal.like(self.pixels.beat.lane)
        segment = Signal.like(operands.segments)
        row, tile, column = Signal(ADDRESS), Signal(ADDRESS), Signal(8)
        m.d.comb += [
            self.pixels.valid.eq(running & cutter.o.valid),
            self.pixels.beat.lane.eq(lane),
            self.pixels.beat.word.eq(tile + column),
            self.pixels.beat.bytes.eq(cutter.o.p.bytes),
            self.pixels.beat.number.eq(load.number),
        ]
        with m.If(~running):
            m.d.sync += [
                lane.eq(operands.lane_first),
                segment.eq(0),
                column.eq(0),
                row.eq(operands.destination),
                tile.eq(operands.destination),
            ]
        with m.Elif(cutter.o.valid):
            m.d.sync += column.eq(column + 1)
            with m.If(cutter.o.p.last):
                m.d.sync += [column.eq(0), segment.eq(segment + 1), lane.eq(lane + 1)]
                with m.If(lane == self.config.token_lanes - 1):
                    m.d.sync += [lane.eq(0), tile.eq(tile + operands.stride)]
                with m.If(segment + 1 == operands.segments):  # next row of the picture
                    below = row + column + 1
                    m.d.sync += [
                        segment.eq(0), lane.eq(operands.lane_first), row.eq(below), tile.eq(below)
                    ]  # fmt: skip
        return m
