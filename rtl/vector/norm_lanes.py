"""The channels of two tokens, side by side."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.memory.ports import RESIDUAL, activation_code, array
from rtl.vector.norm_lane import EXPONENT, SQUARE, NormCode, NormLane, NormScalar


class NormLanes(wiring.Component):
    """``2 x norm_lanes`` lanes of LayerNorm; see :class:`rtl.vector.norm_lane.NormLane`.

    Rigid: a beat enters in each cycle. Squares leave ``SQUARE_LATENCY`` cycles later, codes
    ``LATENCY`` cycles later.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    residuals : In(2 x norm_lanes x signed(16))
    squaring : In(1)
    scalars : In(2 x NormScalar)
        By token.
    exponents : In(norm_lanes x 2)
        By channel.
    zero : In(8)
    signed : In(1)
    squares : Out(2 x norm_lanes x unsigned(31))
    codes : Out(2 x norm_lanes x unsigned(act_bits))
    """

    SQUARE_LATENCY = NormLane.SQUARE_LATENCY
    LATENCY = NormLane.LATENCY + NormCode.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        lanes = config.norm_lanes
        super().__init__(
            {
                "residuals": In(array(2, array(lanes, RESIDUAL))),
                "squaring": In(1),
                "scalars": In(array(2, NormScalar)),
                "exponents": In(array(lanes, EXPONENT)),
                "zero": In(unsigned(8)),
                "signed": In(1),
                "squares": Out(array(2, array(lanes, SQUARE))),
                "codes": Out(array(2, array(lanes, activation_code(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        zero = delayed(m, self.zero, NormLane.LATENCY, name="zero")
        is_signed = delayed(m, self.signed, NormLane.LATENCY, name="signed")
        for token in range(2):
            scalar = Signal(NormScalar, name=f"scalar_{token}")
            m.d.comb += scalar.eq(self.scalars[token])
            with m.If(self.squaring):
                m.d.comb += scalar.offset.eq(0)
            for row in range(self.config.norm_lanes):
                lane, code = NormLane(self.config.act_bits), NormCode(self.config.act_bits)
                m.submodules[f"lane_{token}_{row}"] = once(lane, platform)
                m.submodules[f"code_{token}_{row}"] = once(code, platform)
                m.d.comb += [
                    lane.residual.eq(self.residuals[token][row]),
                    lane.squares.eq(self.squaring),
                    lane.scalar.eq(scalar),
                    lane.exponent.eq(self.exponents[row]),
                    code.normal.eq(lane.normal),
                    code.zero.eq(zero),
                    code.signed.eq(is_signed),
                    self.squares[token][row].eq(lane.square),
                    self.codes[token][row].eq(code.code),
                ]
        return m
