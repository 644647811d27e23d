"""Loaders of whole memory beats (weights, parameters, exponents) and of residual words."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.instructions import Target
from rtl.lib.streams import connect
from rtl.memory.beats import Gearbox
from rtl.memory.clients import beat_layout
from rtl.memory.load.check import transfer_layout
from rtl.memory.ports import ADDRESS, WritePort, part_write, residual_write
from rtl.model import numerics


class Loader(wiring.Component):
    """The base of the loaders: a transfer, its beats, and the scratchpads that get them.

    A loader takes the transfer when it has made the last of its writes. It is ready for beats while
    the transfer is running, and only then.

    Members
    -------
    transfer : In(stream of transfer_layout)
    beats : In(stream of beat_layout)
        The beats of the transfer, no more.
    """

    def __init__(self, config: EngineConfig, writes: dict[str, wiring.Member]):
        self.config = config
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "beats": In(stream.Signature(beat_layout(config.memory_bytes))),
                **writes,
            }
        )

    def running(self, m: Module) -> Signal:
        """Make a signal that is low in the cycle in which a transfer's counters are set."""
        running = Signal()
        m.d.sync += running.eq(self.transfer.valid & ~(running & self.transfer.ready))
        return running


def exponent_beats(config: EngineConfig) -> int:
    """Number of memory beats of a word of channel exponents, which fills the lowest bits."""
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
        parts = (
            (Target.WEIGHTS, self.weights, self.config.weight_word_bytes // beat_bytes),
            (Target.PARAMETERS, self.parameters, self.config.parameter_word_bytes // beat_bytes),
            (Target.EXPONENTS, self.exponents, exponent_beats(self.config)),
        )
        for target, port, count in parts:
            chosen = Signal(name=target.name.lower())
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
