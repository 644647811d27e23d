"""Drain: the sums of a row tile become codes, scores or residual values in a scratchpad."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.requantize import Requantize, Scale
from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.isa.layouts import Completion
from rtl.lib.pipeline import delayed, history
from rtl.lib.streams import connect
from rtl.matmul.array import Array
from rtl.matmul.beats import Beats, Placement, placement_layout
from rtl.matmul.signals import ACC, PAIR, QUAD, RowTile, quads
from rtl.matmul.writes import Scores, Writers
from rtl.memory.ports import (
    READ_LATENCY,
    SCORE,
    TokenScale,
    WritePort,
    activation_write,
    array,
    gelu_write,
    key_value_write,
    parameter_read,
    residual_read,
    residual_write,
    score_write,
)
from rtl.vector.gelu import Gelu
from rtl.vector.residual import Residual


class Lanes(wiring.Component):
    """Picks the two token lanes of a beat, and the scale of each of their rows.

    Scales come from the row parameters, or, with ``token_scale``, from the slot's scales by token
    (without bias). Free running, latency ``LATENCY`` from the beat.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    place : In(placement_layout(config))
    quad : In(4 x row_lanes x signed(27))
        ``Array.SELECT_LATENCY`` cycles after the beat.
    parameters : In(row_lanes x ParameterRecord)
        ``READ_LATENCY`` cycles after the beat.
    token_scales : In(score_slots x token_lanes x TokenScale)
    acc : Out(2 · row_lanes x signed(27))
        First token's rows first.
    scales : Out(2 · row_lanes x Scale)
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
                "scales": Out(array(PAIR * rows, Scale)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        odd = delayed(m, self.place.beat.pair[0], Array.SELECT_LATENCY, name="odd")
        pair = Signal(array(PAIR, self.quad[0].shape()), reset_less=True)
        m.d.sync += pair.eq(Mux(odd, self.quad[PAIR:].as_value(), self.quad[:PAIR].as_value()))

        by_token = self.place.beat.tile.work.operands.token_scale
        by_token = delayed(m, by_token, READ_LATENCY, name="by_token")
        token_scales = self._token_scales(m)
        rows = self.config.row_lanes
        for token in range(PAIR):
            for row, parameters in enumerate(self.parameters):
                scale = self.scales[token * rows + row]
                own = token_scales[token]
                m.d.sync += [
                    self.acc[token * rows + row].eq(pair[token][row]),
                    scale.bias.eq(Mux(by_token, 0, parameters.bias)),
                    scale.multiplier.eq(Mux(by_token, own.multiplier, parameters.multiplier)),
                    scale.shift.eq(Mux(by_token, own.shift, parameters.shift)),
                ]
        return m

    def _token_scales(self, m: Module) -> data.View:
        """The scales of the beat's two tokens, READ_LATENCY cycles after it."""
        tokens, groups = self.config.token_lanes, quads(self.config.token_lanes)
        pairs = array(groups * QUAD // PAIR, array(PAIR, TokenScale))
        padded = Signal(array(self.config.score_slots, pairs))
        for by_pair, by_token in zip(padded, self.token_scales, strict=True):
            m.d.comb += by_pair.as_value()[: tokens * TokenScale.as_shape().size].eq(by_token)
        slot = Signal(padded[0].shape(), reset_less=True)
        scales = Signal(padded[0][0].shape(), reset_less=True)
        pair = delayed(m, self.place.beat.pair, 1, name="pair")
        m.d.sync += [
            slot.eq(padded[self.place.beat.tile.work.operands.slot]),
            scales.eq(slot[pair]),
        ]
        return scales


class Line(NamedTuple):
    """Beats on their way, by age: element n is of the beat that was selected n cycles ago."""

    place: list[data.View]
    valid: list[Value]
    operands: list[data.View]


class Drain(wiring.Component):
    """From the sums of a row tile to its destination, one beat of 2 tokens x ``row_lanes`` (raw
    scores: 4 tokens) per cycle.

    Rigid: the feed keeps row tiles apart, scratchpads never refuse, so that nothing in here can
    stall. ``SELECT_LATENCY`` from ``tile`` to its first beat's ``select``, when the sums must be
    there; ``LATENCY`` from ``select`` to ``done``.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    tile : In(RowTile)
    tile_valid : In(1)
    select : Out(unsigned(3))
        Group of four token lanes.
    quad : In(4 x row_lanes x signed(27))
        ``Array.SELECT_LATENCY`` cycles after ``select``.
    parameters, residual : Out
        Read ports; ``residual`` must never be refused.
    scales : In(score_slots x token_lanes x TokenScale)
    gelu_write : In
        Write port of the GELU tables.
    activation_write, key_write, value_write, score_write, residual_write : Out
        Write ports.
    maxima : Out(score_slots x token_lanes x SCORE)
    done : Out(Completion)
    """

    SELECT_LATENCY = Beats.LATENCY + Placement.LATENCY
    CODES_LATENCY = Lanes.LATENCY + Requantize.LATENCY
    WRITE_LATENCY = CODES_LATENCY + Residual.LATENCY
    LATENCY = WRITE_LATENCY + 1
    assert Gelu.LATENCY + Writers.LATENCY == Residual.LATENCY  # both ways are equally long

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "tile": In(RowTile),
                "tile_valid": In(1),
                "select": Out(3),
                "quad": In(array(QUAD, array(config.row_lanes, ACC))),
                "parameters": Out(parameter_read(config)),
                "residual": Out(residual_read(config)),
                "scales": In(array(config.score_slots, array(config.token_lanes, TokenScale))),
                "gelu_write": In(WritePort(gelu_write(config))),
                "activation_write": Out(WritePort(activation_write(config))),
                "key_write": Out(WritePort(key_value_write(config, config.row_lanes))),
                "value_write": Out(WritePort(key_value_write(config, config.depth_lanes))),
                "score_write": Out(WritePort(score_write(config))),
                "residual_write": Out(WritePort(residual_write(config))),
                "maxima": Out(array(config.score_slots, array(config.token_lanes, SCORE))),
                "done": Out(Completion),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = PAIR * self.config.row_lanes
        m.submodules.beats = beats = Beats()
        m.submodules.placement = placement = Placement(self.config)
        m.submodules.scores = scores = Scores(self.config)
        m.submodules.lanes = lanes = Lanes(self.config)
        m.submodules.requantize = requantize = Requantize(count, self.config.act_bits)
        m.submodules.gelu = gelu = Gelu(self.config, count)
        m.submodules.residual = residual = Residual(count)
        m.submodules.writers = writers = Writers(self.config)

        line = self._connect_beats(m, beats, placement)
        self._connect_scores(m, line, scores)
        self._connect_codes(m, line, lanes, requantize)
        self._connect_gelu(m, line, requantize, gelu)
        self._connect_residual(m, line, requantize, residual)
        codes = delayed(m, gelu.i, Gelu.LATENCY, name="codes")
        m.d.comb += [
            writers.place.eq(line.place[-1]),
            writers.valid.eq(line.valid[-1]),
            _choose(writers.activations, line.operands[-1].gelu, gelu.o, codes),
            writers.codes.eq(codes),
            writers.residual.eq(residual.o),
            self.done.eq(writers.done),
        ]
        for name in ("activation_write", "key_write", "value_write", "residual_write"):
            connect(
                m, producer=getattr(writers, name), consumer=wiring.flipped(getattr(self, name))
            )
        return m

    def _connect_beats(self, m: Module, beats: Beats, placement: Placement) -> Line:
        """Row tiles in; each beat selects its sums and asks for its row parameters."""
        cycles = self.WRITE_LATENCY - Writers.LATENCY
        place = history(m, placement.o, cycles, name="place")
        valid = history(m, placement.o_valid, cycles, name="valid", marker=True)
        operands = [old.beat.tile.work.operands for old in place]
        m.d.comb += [
            beats.tile.eq(self.tile),
            beats.tile_valid.eq(self.tile_valid),
            placement.beat.eq(beats.beat),
            placement.valid.eq(beats.valid),
            self.select.eq(place[0].beat.pair >> 1),
            self.parameters.enable.eq(valid[0]),
            self.parameters.request.eq(operands[0].parameter_address + place[0].beat.tile.row_tile),
        ]
        return Line(place, valid, operands)

    def _connect_scores(self, m: Module, line: Line, scores: Scores) -> None:
        """Raw scores, four lanes at a time, and each lane's maximum."""
        m.d.comb += [
            scores.place.eq(line.place[Array.SELECT_LATENCY]),
            scores.valid.eq(line.valid[Array.SELECT_LATENCY]),
            scores.quad.eq(self.quad),
            self.maxima.eq(scores.maxima),
        ]
        connect(m, producer=scores.write, consumer=wiring.flipped(self.score_write))

    def _connect_codes(self, m: Module, line: Line, lanes: Lanes, requantize: Requantize) -> None:
        """Sums of two lanes into codes, ``CODES_LATENCY`` cycles after the beat."""
        m.d.comb += [
            lanes.place.eq(line.place[0]),
            lanes.quad.eq(self.quad),
            lanes.parameters.eq(self.parameters.data),
            lanes.token_scales.eq(self.scales),
            requantize.acc.eq(lanes.acc),
            requantize.scales.eq(lanes.scales),
            requantize.format.eq(line.operands[Lanes.LATENCY].format),
        ]

    def _connect_gelu(self, m: Module, line: Line, requantize: Requantize, gelu: Gelu) -> None:
        m.d.comb += [
            _truncated(gelu.i, requantize.codes),
            gelu.table.eq(line.operands[self.CODES_LATENCY].gelu_table),
        ]
        connect(m, producer=wiring.flipped(self.gelu_write), consumer=gelu.write)

    def _connect_residual(
        self, m: Module, line: Line, requantize: Requantize, residual: Residual
    ) -> None:
        """Codes onto the residual's words, which were asked for ``READ_LATENCY`` cycles before."""
        add = self.CODES_LATENCY + Residual.RESIDUAL_LATENCY
        before = add - READ_LATENCY - 1  # a register in front of the request
        place, operands = line.place[before], line.operands[before]
        destined = operands.destination == Destination.RESIDUAL
        request = self.residual.request
        m.d.comb += [
            residual.y.eq(requantize.codes),
            residual.shift.eq(line.operands[self.CODES_LATENCY].residual_shift),
            residual.residual.eq(self.residual.data),
            residual.accumulate.eq(line.operands[add].accumulate),
        ]
        m.d.sync += [
            request.p.half.eq(place.token[1]),
            request.p.word.eq(place.word),
            request.valid.eq(line.valid[before] & operands.accumulate & destined),
        ]


def _truncated(narrow: data.View, wide: data.View) -> list:
    return [a.eq(b) for a, b in zip(narrow, wide, strict=True)]


def _choose(chosen: data.View, hidden_wanted: Value, hidden: data.View, codes: data.View) -> list:
    """The GELU's codes or the requantizers', lane by lane; what does not fit is left out."""
    lanes = zip(chosen, hidden, codes, strict=True)
    return [o.eq(Mux(hidden_wanted, a, b[: len(o)])) for o, a, b in lanes]
