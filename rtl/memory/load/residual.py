"""Residual words into their scratchpad."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.lib.streams import connect
from rtl.memory.beats import Gearbox
from rtl.memory.load.loader import Loader
from rtl.memory.ports import ADDRESS, residual_write


class ResidualLoader(Loader):
    """Residual words, token by token, each one's ``row_words`` in order. One word per cycle.

    Takes the transfer a cycle after its last write.

    Members, beyond those of Loader
    -------------------------------
    residual : Out(stream of residual_write)
    """

    def __init__(self, config: EngineConfig):
        super().__init__(config, {"residual": Out(stream.Signature(residual_write(config)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, load = self.config, self.transfer.p.load
        m.submodules.words = words = Gearbox(config.memory_bytes, config.residual_word_bytes)
        connect(m, producer=wiring.flipped(self.beats), consumer=words.i)
        running = self.running(m)
        left = Signal.like(load.operands.bytes)
        token = Signal.like(load.operands.token)
        group = Signal(ADDRESS)  # first word of the token's group
        column = Signal.like(load.operands.row_words)
        write = self.residual.p
        moves = self.residual.valid & self.residual.ready
        finished = Signal()  # a register, which the scratchpad's ready does not go through
        m.d.comb += [
            self.residual.valid.eq(words.o.valid),
            words.o.ready.eq(self.residual.ready),
            words.clear.eq(~running),
            write.half.eq(token[1]),
            write.enable.eq(Mux(token[0], 0b10, 0b01)),
            write.word.eq(group + column),
            write.values.as_value().eq(words.o.p.data.replicate(2)),
            write.number.eq(load.number),
            self.transfer.ready.eq(finished),
        ]
        m.d.sync += finished.eq(moves & (left == 1))
        with m.If(~running):
            m.d.sync += [
                left.eq(load.operands.bytes >> exact_log2(config.residual_word_bytes)),
                token.eq(load.operands.token),
                group.eq(load.operands.destination),
                column.eq(0),
            ]
        with m.Elif(moves):
            m.d.sync += [left.eq(left - 1), column.eq(column + 1)]
            with m.If(column + 1 == load.operands.row_words):
                m.d.sync += [column.eq(0), token.eq(token + 1)]
                with m.If(token[:2] == 3):
                    m.d.sync += group.eq(group + load.operands.stride)
        return m
