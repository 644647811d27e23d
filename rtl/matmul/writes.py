"""Writes of the drain: raw scores with their maxima, codes and residual values."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.arith.requantize import CODE
from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.isa.layouts import Completion
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed, halves
from rtl.matmul.signals import ACC, PAIR, QUAD, goes_to, placement_layout
from rtl.memory.ports import (
    KEY_VALUE,
    SCORE,
    WritePort,
    activation_code,
    activation_write,
    array,
    key_value_write,
    residual_write,
    score_write,
)
from rtl.model import numerics


class RowMaximum(wiring.Component):
    """Largest of ``rows`` scores.

    Latency ``latency(rows)`` cycles, one row per cycle, no flow control.

    Parameters
    ----------
    rows : int
        A power of two.

    Members
    -------
    scores : In(rows x SCORE)
    valid : In(rows)
        Scores that count.
    maximum : Out(SCORE)
        The lowest possible score if none counts.
    """

    def __init__(self, rows: int):
        self.rows = rows
        self.parameters = (rows,)
        super().__init__(
            {"scores": In(array(rows, SCORE)), "valid": In(rows), "maximum": Out(SCORE)}
        )

    @staticmethod
    def latency(rows: int) -> int:
        """Cycles from the scores to their maximum."""
        return exact_log2(rows) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        scores, valid = list(self.scores), list(self.valid)
        for level in range(exact_log2(self.rows)):
            pairs = list(zip(halves(scores), halves(valid), strict=True))
            scores, valid = [], []
            for k, ((a, b), (a_valid, b_valid)) in enumerate(pairs):
                larger = Signal(SCORE, name=f"larger_{level}_{k}", reset_less=True)
                counts = Signal(name=f"counts_{level}_{k}", reset_less=True)
                m.d.sync += [
                    larger.eq(Mux(b_valid & (~a_valid | (b > a)), b, a)),
                    counts.eq(a_valid | b_valid),
                ]
                scores.append(larger)
                valid.append(counts)
        lowest, _ = numerics.code_range(numerics.SCORE_BITS, signed=True)
        m.d.sync += self.maximum.eq(Mux(valid[0], scores[0], Const(lowest, SCORE)))
        return m


class ScoreWriter(wiring.Component):
    """Write beats of 4 x ``row_lanes`` raw scores and keep each query's largest one.

    ``maxima[slot][lane] = max over row tiles and valid keys``, started afresh at an instruction's
    first row tile. ``LATENCY`` cycles from a beat to its write; no flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    quad : In(4 x row_lanes x signed(27))
    place : In(placement_layout(config))
        Arrives with ``quad``.
    valid : In(1)
    write : Out(WritePort(score_write(config)))
    maxima : Out(score_slots x token_lanes x SCORE)
    """

    LATENCY = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "quad": In(array(QUAD, array(config.row_lanes, ACC))),
                "place": In(placement_layout(config)),
                "valid": In(1),
                "write": Out(WritePort(score_write(config))),
                "maxima": Out(array(config.score_slots, array(config.token_lanes, SCORE))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dispatch, beat = self.place.beat.tile.dispatch, self.write.beat
        valid = self.valid & (dispatch.operands.destination == Destination.SCORES)
        m.d.sync += [
            self.write.valid.eq(valid),
            beat.enable.eq(self.place.enable),
            beat.word.eq(self.place.word),
            beat.number.eq(dispatch.number),
        ]
        keys = delayed(m, self.place.keys, self.LATENCY, name="keys")
        rows = [RowMaximum(self.config.row_lanes) for _ in range(QUAD)]
        for k, row in enumerate(rows):
            m.submodules[f"row_{k}"] = once(row, platform)
            scores = Signal(beat.scores[k].shape(), name=f"scores_{k}", reset_less=True)
            m.d.comb += beat.scores[k].eq(scores)
            m.d.sync += [score.eq(sums) for score, sums in zip(scores, self.quad[k], strict=True)]
            m.d.comb += [row.scores.eq(beat.scores[k]), row.valid.eq(keys)]

        cycles = self.LATENCY + RowMaximum.latency(self.config.row_lanes)
        place = delayed(m, self.place, cycles, name="place")
        self._update(m, place, delayed(m, valid, cycles, name="valid", marker=True), rows)
        return m

    def _update(self, m: Module, place: data.View, valid: Signal, rows: list[RowMaximum]) -> None:
        tile = place.beat.tile
        for lane in range(self.config.token_lanes):
            quad, k = divmod(lane, QUAD)
            running = Signal(SCORE, name=f"running_{lane}", reset_less=True)
            keep = (tile.row_tile != 0) & (running > rows[k].maximum)
            with m.If(valid & (place.beat.pair[1:] == quad) & place.enable[k] & ~keep):
                m.d.sync += running.eq(rows[k].maximum)
                for slot, maxima in enumerate(self.maxima):
                    with m.If(tile.dispatch.operands.slot == slot):
                        m.d.sync += maxima[lane].eq(rows[k].maximum)


class CodeWriter(wiring.Component):
    """Send the values of each beat to the scratchpad of its destination.

    Writes come ``LATENCY`` cycles after ``place``, ``done`` one cycle later, when the
    instruction's last write has landed. No flow control: scratchpads never refuse.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    place : In(placement_layout(config))
    valid : In(1)
    activations : In(2 · row_lanes x unsigned(act_bits))
    codes : In(2 · row_lanes x signed(8))
        Codes of keys or of values.
    residual : In(2 · row_lanes x signed(16))
        ``LATENCY`` cycles after ``place``.
    enable, word, swap : In
        Only in engines that select tokens: places of the residual's words, of
        :class:`rtl.matmul.relocation.Relocation`, ``LATENCY`` cycles after ``place``.
    activation_write, key_write, value_write, residual_write : Out
        Write ports.
    done : Out(Completion)
    """

    LATENCY = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        lanes = PAIR * config.row_lanes
        super().__init__(
            {
                "place": In(placement_layout(config)),
                "valid": In(1),
                "activations": In(array(lanes, activation_code(config))),
                "codes": In(array(lanes, KEY_VALUE)),
                "residual": In(array(lanes, CODE)),
                "activation_write": Out(WritePort(activation_write(config))),
                "key_write": Out(WritePort(key_value_write(config, config.row_lanes))),
                "value_write": Out(WritePort(key_value_write(config, config.depth_lanes))),
                "residual_write": Out(WritePort(residual_write(config))),
                "done": Out(Completion),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place = delayed(m, self.place, self.LATENCY, name="place")
        valid = delayed(m, self.valid, self.LATENCY, name="valid", marker=True)
        activations = delayed(m, self.activations, self.LATENCY, name="activations")
        codes = delayed(m, self.codes, self.LATENCY, name="codes")
        dispatch = place.beat.tile.dispatch
        ports = {
            Destination.ACTIVATIONS: self.activation_write,
            Destination.KEYS: self.key_write,
            Destination.VALUES: self.value_write,
            Destination.RESIDUAL: self.residual_write,
        }
        for destination, port in ports.items():
            own = self.place.beat.tile.dispatch.operands.destination
            m.d.sync += port.valid.eq(self.valid & goes_to(own, destination, self.config))
            m.d.comb += [
                port.beat.enable.eq(_of_pair(place.enable, place.beat.pair[0])),
                port.beat.word.eq(place.word),
                port.beat.number.eq(dispatch.number),
            ]
        m.d.comb += [
            self.activation_write.beat.pair.eq(place.beat.pair),
            self.activation_write.beat.mask.eq(place.granules),
            self.key_write.beat.pair.eq(place.token[1:]),
            self.value_write.beat.pair.eq(place.token[1:]),
            self.residual_write.beat.half.eq(place.token[1]),
            _assign_tokens(self.activation_write.beat.codes, activations),
            _assign_tokens(self.key_write.beat.codes, codes),
            _assign_tokens(self.value_write.beat.codes, codes),
            _assign_tokens(self.residual_write.beat.values, self.residual),
        ]
        m.d.sync += [
            self.done.valid.eq(valid & place.beat.done),
            self.done.signal.eq(dispatch.signal),
            self.done.number.eq(dispatch.number),
        ]
        return m


def _of_pair(lanes: Value, odd: Value) -> Value:
    """The two lanes of a quad that a beat holds."""
    return Mux(odd, lanes[PAIR:], lanes[:PAIR])


def _assign_tokens(words: data.View, values: data.View) -> list:
    """Assign ``values``, the first token's rows first, to two words."""
    rows = len(values) // PAIR
    return [
        words[token][row].eq(values[token * rows + row])
        for token in range(PAIR)
        for row in range(rows)
    ]
