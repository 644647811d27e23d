"""The drain's first step: the lanes of a beat, each with its scale."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.requantize import Scale
from rtl.config import EngineConfig
from rtl.lib.pipeline import delayed
from rtl.matmul.array import PAIR, QUAD, Array, quads
from rtl.matmul.beats import placement_layout
from rtl.matmul.signals import ACC
from rtl.memory.ports import READ_LATENCY, TokenScale, array, parameter_read


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
    parameters : In(row_lanes x RowParameters)
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
            m.d.comb += by_pair.as_value()[: tokens * TokenScale.size].eq(by_token)
        slot = Signal(padded[0].shape(), reset_less=True)
        scales = Signal(padded[0][0].shape(), reset_less=True)
        pair = delayed(m, self.place.beat.pair, 1, name="pair")
        m.d.sync += [
            slot.eq(padded[self.place.beat.tile.work.operands.slot]),
            scales.eq(slot[pair]),
        ]
        return scales
