"""Pixels, patch by patch, into the token lanes of their scratchpad."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.memory.load.writer import CutWriter
from rtl.memory.ports import ADDRESS, WritePort, pixel_write


class StripWriter(CutWriter):
    """Where the words of a strip go: patches side by side, picture row by picture row.

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
                with m.If(segment + 1 == operands.segments):  # next row of the picture
                    below = row + column + 1
                    m.d.sync += [
                        segment.eq(0), lane.eq(operands.lane_first), row.eq(below), tile.eq(below)
                    ]  # fmt: skip
        return m
