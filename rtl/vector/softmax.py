"""Softmax of a tile of tokens, one head."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.control.completion import Retire
from rtl.isa.instructions import Opcode
from rtl.isa.unit_port import UnitPort
from rtl.lib.counts import Credits
from rtl.lib.pipeline import delayed, history
from rtl.lib.streams import connect, fork
from rtl.memory import ports
from rtl.memory.ports import in_every_part, part_mask, part_of, split_position
from rtl.memory.write_queue import WriteQueue
from rtl.vector.selection import TokenSelection
from rtl.vector.softmax_lanes import ContextScale, SoftmaxLanes, WeightSum
from rtl.vector.softmax_reads import SoftmaxAddressGenerator

MAXIMUM_CYCLES = 2  # to choose a maximum among all slots and lanes


class SoftmaxUnit(wiring.Component):
    """Execute SOFTMAX: attention weights relative to each token's maximum, and their scale.

    ::

        i ─► addresses ─► scores' scratchpad ─► lanes ─► output ─► activations
         └─► retire                               └─► sum ─► scale ─► scales

    ``softmax_lanes`` keys of one token per cycle, token after token without gaps: a word, or the
    parts of a word one after the other, for each of which it is read. From the read to the output
    queue the unit is rigid; a word is read only where the queue has room (``credits``).

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(dispatch_layout(Opcode.SOFTMAX)))
        At most ``Retire.DEPTH`` instructions are under way.
    done : Out(Completion)
        Comes after the last write was taken and the last scale is in its register.
    idle, busy : Out(1)
    scores : Out(score_read(config))
    maxima : In(score_slots x token_lanes x SCORE)
        Largest score by slot and lane; constant while an instruction of the slot is under way.
    activations : Out(stream.Signature(activation_write(config)))
        Attention weights, one lane of a pair at a time.
    scales : Out(score_slots x token_lanes x TokenScale)
        Requantization of the context by slot and lane.
    stall_write : Out(1)
        A write was refused in the cycle before.

    Where the engine selects tokens, :class:`rtl.vector.selection.TokenSelection` takes the class
    token's weights and executes SELECT. In here, a SELECT is a beat without data: it is ``done``
    when that is through, and the places follow. Further members:

    importance_read, importance_write, place_write : Out
        Ports of the memories of importance and of places.
    selecting : Out(1)
        From the cycle after a SELECT was taken until its places were written.

    Timing, unstalled, for a model: an instruction taken in cycle t issues its first beat in cycle
    t + 1 + lane_first // 4, then one per cycle, ``softmax_parts`` for each word; ``done`` is
    ``done_cycles(config)`` after the issue of the last. The next instruction is taken in the cycle
    after that issue. A SELECT is taken as if it had one beat, and its selection begins
    ``landed_cycles(config)`` after the issue of that beat, or as soon as importance is added.

    Source: docs/numerics.md, section 5. Reference: sim.golden.ops.softmax_weights, context_scale.
    """

    BEATS = 32
    DATA_CYCLES = 1 + ports.READ_LATENCY + 1  # from a beat's issue until the lanes have its data

    def __init__(self, config: EngineConfig):
        self.config = config
        self.selection = config.select_tokens > 0
        lanes, slots = config.token_lanes, config.score_slots
        selected = {
            "importance_read": Out(ports.importance_read(config)),
            "importance_write": Out(ports.WritePort(ports.importance_write())),
            "place_write": Out(ports.WritePort(ports.place_write())),
            "selecting": Out(1),
        }
        super().__init__(
            {
                **UnitPort(Opcode.SOFTMAX, self.selection).members,
                "scores": Out(ports.score_read(config)),
                "maxima": In(ports.array(slots, ports.array(lanes, ports.SCORE))),
                "activations": Out(stream.Signature(ports.activation_write(config))),
                "scales": Out(ports.array(slots, ports.array(lanes, ports.TokenScale))),
                "stall_write": Out(1),
            }
            | (selected if self.selection else {})
        )

    @classmethod
    def done_cycles(cls, config: EngineConfig) -> int:
        """Cycles from the issue of an instruction's last beat to ``done``: its scale lands last."""
        return cls.landed_cycles(config) + Retire.LATENCY

    @classmethod
    def landed_cycles(cls, config: EngineConfig) -> int:
        """Cycles from the issue of a lane's last beat until its scale enters its register."""
        scale = WeightSum.latency(config) + ContextScale.LATENCY
        return cls.DATA_CYCLES + SoftmaxLanes.LATENCY + scale

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.retire = retire = Retire(2)
        m.submodules.addresses = addresses = SoftmaxAddressGenerator(
            self.config.softmax_lanes, self.config.softmax_parts, self.selection
        )
        m.submodules.credits = credits = Credits(self.BEATS)
        m.submodules.lanes = lanes = SoftmaxLanes(self.config)
        m.submodules.sum = total = WeightSum(self.config)
        m.submodules.scale = scale = ContextScale(self.selection)
        m.submodules.output = output = WriteQueue(self.config, self.BEATS)

        selection = TokenSelection(self.config) if self.selection else None
        if selection is not None:
            m.submodules.selection = selection
        self._connect_control(m, retire, addresses, output, selection)
        valid, beat = self._connect_reads(m, addresses, credits, lanes)

        valid = delayed(m, valid, lanes.LATENCY, name="weights_valid", marker=True)
        beat = delayed(m, beat, lanes.LATENCY, name="weights_beat")
        m.d.comb += [total.valid.eq(valid), total.first.eq(beat.first)]
        m.d.comb += total.weights.eq(lanes.weights)
        self._connect_writes(m, valid, beat, lanes, output)
        if selection is not None:
            self._connect_weights(m, selection, lanes, valid, beat)
        m.d.comb += [credits.give.eq(output.taken), retire.ended[0].eq(output.ended)]

        sum_cycles = WeightSum.latency(self.config)
        complete = delayed(m, valid & beat.last, sum_cycles, name="complete", marker=True)
        beat = delayed(m, beat, sum_cycles, name="complete_beat")
        m.d.comb += [
            scale.total.eq(total.total),
            scale.multiplier.eq(beat.dispatch.operands.context_multiplier),
            scale.shift.eq(beat.dispatch.operands.context_shift),
        ]
        landed = delayed(m, complete, scale.LATENCY, name="landed", marker=True)
        beat = delayed(m, beat, scale.LATENCY, name="landed_beat")
        ended = landed
        if selection is not None:
            self._connect_row(m, selection, scale, landed, beat)
            landed = landed & ~beat.dispatch.select
        with m.If(landed):
            slot = self.scales[beat.dispatch.operands.slot]
            m.d.sync += slot[beat.lane].eq(scale.scale)
        m.d.comb += retire.ended[1].eq(ended & beat.final)
        return m

    def _connect_control(
        self,
        m: Module,
        retire: Retire,
        addresses: SoftmaxAddressGenerator,
        output: WriteQueue,
        selection: TokenSelection | None,
    ) -> None:
        """Instructions in, completions and weights out."""
        if selection is None:
            fork(m, self.i, retire.i, addresses.i)
            connect(m, producer=output.o, consumer=wiring.flipped(self.activations))
        else:
            fork(m, self._admitted(m, selection), retire.i, addresses.i)
            self._connect_output(m, output)
        m.d.comb += [
            self.done.eq(retire.done),
            self.idle.eq(retire.idle),
            self.busy.eq(~retire.idle),
            self.stall_write.eq(output.stall),
        ]

    def _admitted(self, m: Module, selection: TokenSelection) -> stream.Interface:
        """Instructions that ``selection`` does not refuse now."""
        admitted = stream.Signature(self.i.p.shape()).create(path=("admitted",))
        select, row = self.i.p.select, self.i.p.operands.importance & ~self.i.p.select
        refused = (select & selection.refuse_select) | (row & selection.refuse_row)
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            admitted.valid.eq(self.i.valid & ~refused),
            admitted.p.eq(self.i.p),
            self.i.ready.eq(admitted.ready & ~refused),
            selection.takes_select.eq(taken & select),
            selection.takes_row.eq(taken & row),
            selection.select.eq(self.i.p.operands.as_value()[: selection.select.shape().size]),
            selection.number.eq(self.i.p.number),
            self.selecting.eq(selection.selecting),
        ]
        return admitted

    def _connect_output(self, m: Module, output: WriteQueue) -> None:
        """Weights out; the beat of a SELECT leaves the queue unseen.

        In the queue, ``enable`` tells whether there are weights, and which lane they are for.
        """
        weights, odd = output.o.p.enable
        m.d.comb += [
            self.activations.valid.eq(output.o.valid & weights),
            self.activations.p.eq(output.o.p),
            self.activations.p.enable.eq(Cat(~odd, odd)),
            output.o.ready.eq(self.activations.ready | ~weights),
        ]

    def _connect_weights(
        self,
        m: Module,
        selection: TokenSelection,
        lanes: SoftmaxLanes,
        valid: Value,
        beat: data.View,
    ) -> None:
        """The class token's weights, as they are before dither; what is made of them."""
        weights = selection.weights
        m.d.comb += [
            weights.valid.eq(valid & beat.important),
            weights.beat.weights.eq(lanes.exact),
            weights.beat.position.eq(beat.position),
            weights.beat.last.eq(beat.last),
        ]
        for inner, outer in (
            (selection.read, self.importance_read),
            (selection.sums, self.importance_write),
            (selection.places, self.place_write),
        ):
            connect(m, producer=inner, consumer=wiring.flipped(outer))

    def _connect_row(
        self,
        m: Module,
        selection: TokenSelection,
        scale: ContextScale,
        landed: Value,
        beat: data.View,
    ) -> None:
        """The class token's row when its sum is known, and SELECTs behind it."""
        operands, row = beat.dispatch.operands, selection.row
        m.d.comb += [
            selection.row_valid.eq(landed & beat.last & beat.important),
            row.reciprocal.eq(scale.reciprocal),
            row.length.eq(scale.length),
            row.keys.eq(operands.keys),
            row.first.eq(operands.importance_first),
            row.number.eq(beat.dispatch.number),
            selection.select_valid.eq(landed & beat.dispatch.select),
        ]

    def _connect_reads(
        self,
        m: Module,
        addresses: SoftmaxAddressGenerator,
        credits: Credits,
        lanes: SoftmaxLanes,
    ) -> tuple[Value, data.View]:
        """Requests out, scores in; returns whether the lanes have scores now, and their beat."""
        issue = Signal()
        scores = Signal.like(lanes.scores, reset_less=True)
        m.d.comb += [
            addresses.o.ready.eq(credits.available),
            issue.eq(addresses.o.valid & credits.available),
            credits.take.eq(issue),
        ]
        requested = delayed(m, issue, 1, name="requested", marker=True)
        beat = delayed(m, addresses.o.payload, 1, name="requested_beat")
        reads = requested & ~beat.dispatch.select if self.selection else requested
        m.d.comb += [
            self.scores.enable.eq(reads),
            self.scores.request.bank.eq(beat.lane[:2]),
            self.scores.request.word.eq(beat.word),
        ]
        cycles = ports.READ_LATENCY + 1
        valid = delayed(m, requested, cycles, name="valid", marker=True)
        early = delayed(m, beat, cycles - MAXIMUM_CYCLES, name="early_beat")
        *_, answered, beat = history(m, early, MAXIMUM_CYCLES, name="beat")
        parts = self.config.softmax_parts
        _, part = split_position(answered.position, parts)
        m.d.sync += scores.as_value().eq(part_of(self.scores.data, parts, part))
        m.d.comb += [
            lanes.scores.eq(scores),
            lanes.maximum.eq(self._maximum(m, early)),
            lanes.multiplier.eq(beat.dispatch.operands.multiplier),
            lanes.shift.eq(beat.dispatch.operands.shift),
            lanes.keys_left.eq(beat.keys_left),
            lanes.dither.eq(beat.dither),
        ]
        return valid, beat

    def _maximum(self, m: Module, beat: data.View) -> Signal:
        """Maximum of a beat's lane, ``MAXIMUM_CYCLES`` after the beat."""
        by_slot = Signal(ports.array(self.config.score_slots, ports.SCORE), reset_less=True)
        maximum = Signal(ports.SCORE, reset_less=True)
        slot = delayed(m, beat.dispatch.operands.slot, 1, name="slot")
        m.d.sync += [
            *(own.eq(lanes[beat.lane]) for own, lanes in zip(by_slot, self.maxima, strict=True)),
            maximum.eq(by_slot[slot]),
        ]
        return maximum

    def _connect_writes(
        self, m: Module, valid: Value, beat: data.View, lanes: SoftmaxLanes, output: WriteQueue
    ) -> None:
        """Weights enter the output queue."""
        write, parts = output.write.beat, self.config.softmax_parts
        column, part = split_position(beat.position, parts)
        m.d.comb += [
            output.write.valid.eq(valid),
            output.final.eq(beat.final),
            write.pair.eq(beat.lane >> 1),
            write.enable.eq(1 << beat.lane[0]),
            write.word.eq(beat.dispatch.operands.destination_address + column),
            write.mask.eq(part_mask(self.config, parts, part)),
            write.number.eq(beat.dispatch.number),
        ]
        if self.selection:
            m.d.comb += write.enable.eq(Cat(~beat.dispatch.select, beat.lane[0]))
        word = in_every_part(lanes.weights, parts)
        m.d.comb += [codes.as_value().eq(word) for codes in write.codes]
