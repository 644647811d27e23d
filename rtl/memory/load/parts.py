"""Weights, row parameters and channel exponents into their scratchpads."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.memory.load.loader import Loader
from rtl.memory.ports import ADDRESS, WritePort, part_write
from rtl.model import numerics


def exponent_beats(config: EngineConfig) -> int:
    """Beats in memory of a word of channel exponents, which fills the lowest bits."""
    word_bits = config.row_lanes * numerics.NORM_EXPONENT_BITS
    return -(-word_bits // (8 * config.memory_bytes))


class PartLoader(Loader):
    """Weights, parameters, exponents: each memory beat is one part of a word. One per cycle.

    Members, beyond those of Loader
    -------------------------------
    weights, parameters, exponents : Out(WritePort(part_write))
    """

    def __init__(self, config: EngineConfig):
        port = Out(WritePort(part_write(config)))
        super().__init__(config, {"weights": port, "parameters": port, "exponents": port})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        load, beat_bytes = self.transfer.p.load, self.config.memory_bytes
        running = self.running(m)
        word, part, last_part = Signal(ADDRESS), Signal(8), Signal(8)
        parts = {
            Target.WEIGHTS: self.config.weight_word_bytes // beat_bytes,
            Target.PARAMETERS: self.config.parameter_word_bytes // beat_bytes,
            Target.EXPONENTS: exponent_beats(self.config),
        }
        for target, count in parts.items():
            port, chosen = getattr(self, target.name.lower()), Signal(name=target.name.lower())
            m.d.sync += chosen.eq(load.operands.target == target)
            with m.If(chosen):
                m.d.comb += last_part.eq(count - 1)
            beat = port.beat
            m.d.comb += [
                port.valid.eq(chosen & running & self.beats.valid),
                beat.word.eq(word),
                beat.part.eq(part),
                beat.beat.eq(self.beats.p.data),
                beat.number.eq(load.number),
            ]
        wraps = (load.operands.target == Target.WEIGHTS) & (word == self.config.weight_words - 1)
        moves = running & self.beats.valid
        m.d.comb += [
            self.beats.ready.eq(running),
            self.transfer.ready.eq(moves & self.beats.p.last),
        ]
        with m.If(~running):
            m.d.sync += [word.eq(load.operands.destination), part.eq(0)]
        with m.Elif(moves):
            m.d.sync += part.eq(part + 1)
            with m.If(part == last_part):
                m.d.sync += [part.eq(0), word.eq(Mux(wraps, 0, word + 1))]
        return m
