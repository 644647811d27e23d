"""LayerNorm of a tile of tokens: the norm unit."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from rtl.config import EngineConfig
from rtl.control.completion import Retire
from rtl.isa.instructions import Opcode
from rtl.isa.unit_port import UnitPort
from rtl.lib.pipeline import delayed, history
from rtl.lib.streams import connect, fork
from rtl.memory import ports
from rtl.memory.ports import in_every_part, part_mask, part_of, split_position
from rtl.memory.write_queue import WriteQueue
from rtl.vector.norm_lanes import NormLanes
from rtl.vector.norm_reads import NormIssue
from rtl.vector.norm_statistics import NormStatistics


class NormUnit(wiring.Component):
    """Execute NORM: normalise the channels of each token, the residual stream in, codes out.

    ::

        i ─► issue ─► residual's scratchpad ─► lanes ─┬─► output ─► activations     (pass 2)
         │     ▲                                 ▲    └─► statistics                (pass 1)
         │     └── a pair's scalars are ready ───┴──────────────┘
         └─► retire

    Pass 1 reads the tokens for their sums, pass 2 for their codes, 2 tokens x ``norm_lanes``
    channels per beat, one beat per cycle over both passes: a word of each token, or the parts of a
    word one after the other, for each of which it is read. Pass 2 of a pair of tokens begins
    as soon as the pair's scalars are there, pass 1 of the next instruction meanwhile. From the
    read to the output queue the unit is rigid; only requests stall.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.NORM)))
        ``token`` is even; at most ``Retire.DEPTH`` instructions are under way.
    done : Out(Completion)
        Comes after the last write was taken.
    idle, busy : Out(1)
    residual : Out(residual_read(config))
    exponents : Out(exponent_read(config))
    activations : Out(stream.Signature(activation_write(config)))
    stall_read, stall_write : Out(1)
        A request, or a write, was refused in the cycle before.

    Timing, unstalled, for a model: an instruction taken in cycle t issues its first beat of pass 1
    in cycle t + 1 + lane_first // 2, then one per cycle, unless a beat of pass 2 goes first. Pass 2
    of a pair may issue ``pair_cycles(config)`` after the last beat of its pass 1; ``done`` is
    ``DONE_CYCLES`` after the issue of the last beat. Between two instructions each pass leaves at
    least one cycle to the other; with one beat per token pass 1 issues in every second cycle.

    Source: docs/numerics.md, section 4. Reference: sim.golden.ops.layer_norm.
    """

    PAIRS = 32
    BEATS = 32
    DATA_CYCLES = 1 + ports.READ_LATENCY + 1  # from a beat's issue until the lanes have its data
    TOLD_CYCLES = WriteQueue.LATENCY + WriteQueue.TOLD_LATENCY  # from a beat's codes to its end
    DONE_CYCLES = DATA_CYCLES + NormLanes.LATENCY + TOLD_CYCLES + Retire.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                **UnitPort(Opcode.NORM).members,
                "residual": Out(ports.residual_read(config)),
                "exponents": Out(ports.exponent_read(config)),
                "activations": Out(stream.Signature(ports.activation_write(config))),
                "stall_read": Out(1),
                "stall_write": Out(1),
            }
        )

    @classmethod
    def pair_cycles(cls, config: EngineConfig) -> int:
        """Cycles from the issue of a pair's last beat of pass 1 until its pass 2 may issue."""
        return cls.DATA_CYCLES + NormStatistics.latency(config) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.retire = retire = Retire(1)
        m.submodules.issue = issue = NormIssue(self.PAIRS, self.BEATS, self.config.norm_parts)
        m.submodules.lanes = lanes = NormLanes(self.config)
        m.submodules.statistics = statistics = NormStatistics(self.config, self.PAIRS)
        m.submodules.output = output = WriteQueue(self.config, self.BEATS)

        self._connect_control(m, retire, issue, output)
        beat, sums, codes = self._connect_reads(m, issue, lanes)
        operands = beat.dispatch.operands
        m.d.comb += [
            lanes.squaring.eq(sums),
            lanes.scalars.eq(statistics.pairs.payload),
            lanes.zero.eq(operands.zero),
            lanes.signed.eq(operands.signed),
            statistics.valid.eq(sums),
            statistics.first.eq(beat.first),
            statistics.last.eq(beat.last),
            statistics.values.eq(lanes.residuals),
            statistics.squares.eq(lanes.squares),
            statistics.pairs.ready.eq(codes & beat.last),
            issue.pair_ready.eq(statistics.ready),
            issue.pair_used.eq(codes & beat.last),
        ]
        m.d.comb += [
            statistics.parameters.width.eq(operands.width),
            statistics.parameters.epsilon.eq(operands.epsilon),
            statistics.parameters.gain.eq(operands.gain),
            statistics.parameters.shift.eq(operands.shift),
        ]

        valid = delayed(m, codes, lanes.LATENCY, name="code_valid", marker=True)
        beat = delayed(m, beat, lanes.LATENCY, name="written")
        self._connect_writes(m, valid, beat, lanes, output)
        return m

    def _connect_control(
        self, m: Module, retire: Retire, issue: NormIssue, output: WriteQueue
    ) -> None:
        """Instructions in, completions and codes out."""
        fork(m, self.i, retire.i, issue.i)
        connect(m, producer=output.o, consumer=wiring.flipped(self.activations))
        m.d.comb += [
            issue.beat_written.eq(output.taken),
            retire.ended.eq(output.ended),
            self.done.eq(retire.done),
            self.idle.eq(retire.idle),
            self.busy.eq(~retire.idle),
            self.stall_write.eq(output.stall),
        ]
        request = self.residual.request
        m.d.sync += self.stall_read.eq(request.valid & ~request.ready)

    def _connect_reads(
        self, m: Module, issue: NormIssue, lanes: NormLanes
    ) -> tuple[data.View, Value, Value]:
        """Requests out, words in; returns the beat that the lanes have now, and whether it is one
        of pass 1 or of pass 2."""
        request = self.residual.request
        tagged, operands = issue.o.payload, issue.o.payload.beat.dispatch.operands
        taken, parts = Signal(), self.config.norm_parts
        column, _ = split_position(tagged.beat.position, parts)
        residuals = Signal.like(lanes.residuals, reset_less=True)
        exponents = Signal.like(lanes.exponents, reset_less=True)
        m.d.comb += [
            request.valid.eq(issue.o.valid),
            request.payload.half.eq(tagged.beat.half),
            request.payload.word.eq(tagged.beat.word),
            issue.o.ready.eq(request.ready),
            taken.eq(request.valid & request.ready),
            self.exponents.enable.eq(taken & tagged.codes),
            self.exponents.request.eq(operands.exponent_address + column),
            lanes.residuals.eq(residuals),
            lanes.exponents.eq(exponents),
        ]
        passes = Cat(taken & ~tagged.codes, taken & tagged.codes)
        cycles = ports.READ_LATENCY + 1
        *_, answered, beat = history(m, tagged.beat, cycles, name="beat")
        _, part = split_position(answered.position, parts)
        m.d.sync += exponents.as_value().eq(part_of(self.exponents.data, parts, part))
        for own, word in zip(residuals, self.residual.data, strict=True):
            m.d.sync += own.as_value().eq(part_of(word, parts, part))
        sums, codes = delayed(m, passes, cycles, name="passes", marker=True)
        return beat, sums, codes

    def _connect_writes(
        self, m: Module, valid: Value, beat: data.View, lanes: NormLanes, output: WriteQueue
    ) -> None:
        """Codes enter the output queue."""
        write, parts = output.write.beat, self.config.norm_parts
        column, part = split_position(beat.position, parts)
        m.d.comb += [
            output.write.valid.eq(valid),
            output.final.eq(beat.final),
            write.pair.eq(beat.pair),
            write.enable.eq(beat.enable),
            write.word.eq(beat.dispatch.operands.destination_address + column),
            write.mask.eq(part_mask(self.config, parts, part)),
            write.number.eq(beat.dispatch.number),
        ]
        for word, codes in zip(write.codes, lanes.codes, strict=True):
            m.d.comb += word.as_value().eq(in_every_part(codes, parts))
