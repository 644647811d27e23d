"""Drain: the sums of a row tile become codes, scores or residual values in a scratchpad."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.requantize import Requantize, RequantizeScale
from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.isa.layouts import Completion
from rtl.lib.pipeline import delayed, history
from rtl.lib.streams import connect
from rtl.matmul.array import MultiplierArray
from rtl.matmul.beats import BeatSequence, Placement
from rtl.matmul.relocation import Relocation
from rtl.matmul.signals import (
    ACC,
    PAIR,
    QUAD,
    QUAD_INDEX,
    RowTile,
    goes_to,
    placement_layout,
    quads,
)
from rtl.matmul.writes import CodeWriter, ScoreWriter
from rtl.memory.ports import (
    READ_LATENCY,
    SCORE,
    TokenScale,
    WritePort,
    activation_write,
    array,
    drain_write,
    gelu_write,
    key_value_write,
    parameter_read,
    place_read,
    residual_read,
    score_write,
)
from rtl.vector.gelu import Gelu
from rtl.vector.residual import ResidualAdder


class LaneSelection(wiring.Component):
    """Pick the two token lanes of a beat, and the scale of each of their rows.

    Scales come from the row parameters, or, with ``token_scale``, from the slot's scales by token
    (without bias). Latency ``LATENCY`` cycles from the beat, no flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    place : In(placement_layout(config))
    quad : In(4 x row_lanes x signed(27))
        ``MultiplierArray.SELECT_LATENCY`` cycles after the beat.
    parameters : In(row_lanes x ParameterRecord)
        ``READ_LATENCY`` cycles after the beat.
    token_scales : In(score_slots x token_lanes x TokenScale)
    acc : Out(2 · row_lanes x signed(27))
        The first token's rows first.
    scales : Out(2 · row_lanes x RequantizeScale)
    """

    LATENCY = READ_LATENCY + 1

    def __init__(self, config: EngineConfig):
        self.config = config
        rows = config.row_lanes
        super().__init__(
            {
                "place": In(placement_layout(config)),
                "quad": In(array(QUAD, array(rows, ACC))),
                "parameters": In(parameter_read(config).members["data"].shape),
                "token_scales": In(
                    array(config.score_slots, array(config.token_lanes, TokenScale))
                ),
                "acc": Out(array(PAIR * rows, ACC)),
                "scales": Out(array(PAIR * rows, RequantizeScale)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        odd = delayed(m, self.place.beat.pair[0], MultiplierArray.SELECT_LATENCY, name="odd")
        pair = Signal(array(PAIR, self.quad[0].shape()), reset_less=True)
        m.d.sync += pair.eq(Mux(odd, self.quad[PAIR:].as_value(), self.quad[:PAIR].as_value()))

        by_token = self.place.beat.tile.dispatch.operands.token_scale
        by_token = delayed(m, by_token, READ_LATENCY, name="by_token")
        token_scales = self._token_scales(m)
        rows = self.config.row_lanes
        acc = Signal(self.acc.shape(), reset_less=True)
        scales = Signal(self.scales.shape(), reset_less=True)
        m.d.comb += [self.acc.eq(acc), self.scales.eq(scales)]
        for token in range(PAIR):
            for row, parameters in enumerate(self.parameters):
                scale = scales[token * rows + row]
                own = token_scales[token]
                m.d.sync += [
                    acc[token * rows + row].eq(pair[token][row]),
                    scale.bias.eq(Mux(by_token, 0, parameters.bias)),
                    scale.multiplier.eq(Mux(by_token, own.multiplier, parameters.multiplier)),
                    scale.shift.eq(Mux(by_token, own.shift, parameters.shift)),
                ]
        return m

    def _token_scales(self, m: Module) -> data.View:
        """Scales of the beat's two tokens, READ_LATENCY cycles after it."""
        tokens = self.config.token_lanes
        pairs = array(quads(tokens) * QUAD // PAIR, array(PAIR, TokenScale))
        padded = Signal(array(self.config.score_slots, pairs))
        for by_pair, by_token in zip(padded, self.token_scales, strict=True):
            m.d.comb += by_pair.as_value()[: tokens * TokenScale.as_shape().size].eq(by_token)
        slot = Signal(padded[0].shape(), reset_less=True)
        scales = Signal(padded[0][0].shape(), reset_less=True)
        pair = delayed(m, self.place.beat.pair, 1, name="pair")
        m.d.sync += [
            slot.eq(padded[self.place.beat.tile.dispatch.operands.slot]),
            scales.eq(slot[pair]),
        ]
        return scales


class DelayedBeats(NamedTuple):
    """Beats by age: element n belongs to the beat that was selected n cycles ago."""

    place: list[data.View]
    valid: list[Value]
    operands: list[data.View]


class Drain(wiring.Component):
    """Bring the sums of a row tile to their destination, one beat per cycle.

    ::

        tile ─► beats ─► placement ─┬─► select ═► quad ─┬─► scores ─► score_write, maxima
                                    │                   └─► lanes ─► requantize ─┬─► gelu
                                    └─► parameters ═════════► ▲                  └─► residual
        gelu, residual ─► writers ─► other writes, done

    Double arrows leave the drain and come back, from the array or a scratchpad.

    A beat is 2 tokens x ``row_lanes``, of raw scores 4 tokens. No flow control: the feed keeps row
    tiles apart, scratchpads never refuse, so nothing in here can stall. ``SELECT_LATENCY`` cycles
    from ``tile`` to its first beat's ``select``, when the sums must be there; ``LATENCY`` from
    ``select`` to ``done``.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    tile : In(RowTile)
    tile_valid : In(1)
    select : Out(QUAD_INDEX)
        Quad of token lanes.
    quad : In(4 x row_lanes x signed(27))
        ``MultiplierArray.SELECT_LATENCY`` cycles after ``select``.
    parameters, residual, places : Out
        Read ports; ``residual`` must never be refused. ``places`` only in engines that select
        tokens.
    scales : In(score_slots x token_lanes x TokenScale)
    gelu_write : In
        Write port of the GELU tables.
    activation_write, key_write, value_write, score_write, residual_write : Out
        Write ports.
    maxima : Out(score_slots x token_lanes x SCORE)
    done : Out(Completion)
    """

    SELECT_LATENCY = BeatSequence.LATENCY + Placement.LATENCY
    CODES_LATENCY = LaneSelection.LATENCY + Requantize.LATENCY
    WRITE_LATENCY = CODES_LATENCY + ResidualAdder.LATENCY
    LATENCY = WRITE_LATENCY + 1
    assert Gelu.LATENCY + CodeWriter.LATENCY == ResidualAdder.LATENCY  # both ways are equally long

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "tile": In(RowTile),
                "tile_valid": In(1),
                "select": Out(QUAD_INDEX),
                "quad": In(array(QUAD, array(config.row_lanes, ACC))),
                "parameters": Out(parameter_read(config)),
                "residual": Out(residual_read(config)),
                "scales": In(array(config.score_slots, array(config.token_lanes, TokenScale))),
                "gelu_write": In(WritePort(gelu_write(config))),
                "activation_write": Out(WritePort(activation_write(config))),
                "key_write": Out(WritePort(key_value_write(config, config.row_lanes))),
                "value_write": Out(WritePort(key_value_write(config, config.depth_lanes))),
                "score_write": Out(WritePort(score_write(config))),
                "residual_write": Out(WritePort(drain_write(config))),
                "maxima": Out(array(config.score_slots, array(config.token_lanes, SCORE))),
                "done": Out(Completion),
            }
            | ({"places": Out(place_read())} if config.select_tokens else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = PAIR * self.config.row_lanes
        m.submodules.beats = beats = BeatSequence()
        m.submodules.placement = placement = Placement(self.config)
        m.submodules.scores = scores = ScoreWriter(self.config)
        m.submodules.lanes = lanes = LaneSelection(self.config)
        m.submodules.requantize = requantize = Requantize(count, self.config.act_bits)
        m.submodules.gelu = gelu = Gelu(self.config, count)
        m.submodules.residual = residual = ResidualAdder(count)
        m.submodules.writers = writers = CodeWriter(self.config)

        delayed_beats = self._connect_beats(m, beats, placement)
        self._connect_scores(m, delayed_beats, scores)
        self._connect_codes(m, delayed_beats, lanes, requantize)
        self._connect_gelu(m, delayed_beats, requantize, gelu)
        self._connect_residual(m, delayed_beats, requantize, residual)
        codes = delayed(m, gelu.i, Gelu.LATENCY, name="codes")
        m.d.comb += [
            writers.place.eq(delayed_beats.place[-1]),
            writers.valid.eq(delayed_beats.valid[-1]),
            _choose(writers.activations, delayed_beats.operands[-1].gelu, gelu.o, codes),
            writers.codes.eq(codes),
            writers.residual.eq(residual.o),
            self.done.eq(writers.done),
        ]
        connect(
            m, producer=writers.activation_write, consumer=wiring.flipped(self.activation_write)
        )
        connect(m, producer=writers.key_write, consumer=wiring.flipped(self.key_write))
        connect(m, producer=writers.value_write, consumer=wiring.flipped(self.value_write))
        if self.config.select_tokens:
            self._connect_moved(m, delayed_beats, writers)
        else:
            connect(
                m, producer=writers.residual_write, consumer=wiring.flipped(self.residual_write)
            )
        return m

    def _connect_beats(self, m: Module, beats: BeatSequence, placement: Placement) -> DelayedBeats:
        """Row tiles in; each beat selects its sums and asks for its row parameters."""
        cycles = self.WRITE_LATENCY - CodeWriter.LATENCY
        place = history(m, placement.o, cycles, name="place")
        valid = history(m, placement.o_valid, cycles, name="valid", marker=True)
        operands = [old.beat.tile.dispatch.operands for old in place]
        m.d.comb += [
            beats.tile.eq(self.tile),
            beats.tile_valid.eq(self.tile_valid),
            placement.beat.eq(beats.beat),
            placement.valid.eq(beats.valid),
            self.select.eq(place[0].beat.pair >> 1),
            self.parameters.enable.eq(valid[0]),
            self.parameters.request.eq(operands[0].parameter_address + place[0].beat.tile.row_tile),
        ]
        return DelayedBeats(place, valid, operands)

    def _connect_scores(self, m: Module, beats: DelayedBeats, scores: ScoreWriter) -> None:
        """Raw scores leave four lanes at a time, and each lane's maximum."""
        m.d.comb += [
            scores.place.eq(beats.place[MultiplierArray.SELECT_LATENCY]),
            scores.valid.eq(beats.valid[MultiplierArray.SELECT_LATENCY]),
            scores.quad.eq(self.quad),
            self.maxima.eq(scores.maxima),
        ]
        connect(m, producer=scores.write, consumer=wiring.flipped(self.score_write))

    def _connect_codes(
        self, m: Module, beats: DelayedBeats, lanes: LaneSelection, requantize: Requantize
    ) -> None:
        """Sums of two lanes become codes, ``CODES_LATENCY`` cycles after the beat."""
        m.d.comb += [
            lanes.place.eq(beats.place[0]),
            lanes.quad.eq(self.quad),
            lanes.parameters.eq(self.parameters.data),
            lanes.token_scales.eq(self.scales),
            requantize.acc.eq(lanes.acc),
            requantize.scales.eq(lanes.scales),
            requantize.format.eq(beats.operands[LaneSelection.LATENCY].format),
        ]

    def _connect_gelu(
        self, m: Module, beats: DelayedBeats, requantize: Requantize, gelu: Gelu
    ) -> None:
        """The low bits of the codes are looked up in a table."""
        m.d.comb += [
            _truncate(gelu.i, requantize.codes),
            gelu.table.eq(beats.operands[self.CODES_LATENCY].gelu_table),
        ]
        connect(m, producer=wiring.flipped(self.gelu_write), consumer=gelu.write)

    def _connect_residual(
        self, m: Module, beats: DelayedBeats, requantize: Requantize, residual: ResidualAdder
    ) -> None:
        """Codes are added to residual words, requested ``READ_LATENCY`` cycles before."""
        add = self.CODES_LATENCY + ResidualAdder.RESIDUAL_LATENCY
        before = add - READ_LATENCY - 1  # a register in front of the request
        place, operands = beats.place[before], beats.operands[before]
        destined = goes_to(operands.destination, Destination.RESIDUAL, self.config)
        request = self.residual.request
        m.d.comb += [
            residual.y.eq(requantize.codes),
            residual.shift.eq(beats.operands[self.CODES_LATENCY].residual_shift),
            residual.residual.eq(self.residual.data),
            residual.accumulate.eq(beats.operands[add].accumulate),
        ]
        m.d.sync += [
            request.p.half.eq(place.token[1]),
            request.p.word.eq(place.word),
            request.valid.eq(beats.valid[before] & operands.accumulate & destined),
        ]

    def _connect_moved(self, m: Module, beats: DelayedBeats, writers: CodeWriter) -> None:
        """Residual values leave for where their tokens go."""
        m.submodules.relocation = relocation = Relocation()
        age = self.WRITE_LATENCY - relocation.LATENCY
        source, moved = writers.residual_write, self.residual_write
        connect(m, producer=relocation.places, consumer=wiring.flipped(self.places))
        place, operands, beat = beats.place[age], beats.operands[age], relocation.beat
        quad, odd = place.enable, place.beat.pair[0]
        m.d.comb += [
            relocation.kept.eq(beats.valid[age] & (operands.destination == Destination.KEPT)),
            relocation.pair.eq(operands.token[1:] + place.beat.pair),
            beat.half.eq(place.token[1]),
            beat.lanes.eq(Mux(odd, quad[PAIR:], quad[:PAIR])),
            beat.word.eq(place.word),
            beat.stride.eq(operands.destination_stride),
            moved.valid.eq(source.valid),
            moved.beat.halves.eq(relocation.halves),
            moved.beat.enable.eq(relocation.enable),
            moved.beat.word.eq(relocation.word),
            moved.beat.swap.eq(relocation.swap),
            moved.beat.values.eq(source.beat.values),
            moved.beat.number.eq(source.beat.number),
        ]


def _truncate(low: data.View, codes: data.View) -> list:
    """Assign the low bits of each code."""
    return [a.eq(b) for a, b in zip(low, codes, strict=True)]


def _choose(chosen: data.View, use_gelu: Value, hidden: data.View, codes: data.View) -> list:
    """Assign the GELU's codes or the low bits of the requantizers', lane by lane."""
    lanes = zip(chosen, hidden, codes, strict=True)
    return [o.eq(Mux(use_gelu, a, b[: len(o)])) for o, a, b in lanes]
