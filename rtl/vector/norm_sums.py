"""Sums over a token's channels."""

from amaranth.hdl import Module, Mux, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.adder_tree import AdderTree
from rtl.arith.packing import adder_terms
from rtl.config import EngineConfig
from rtl.lib.pipeline import delayed
from rtl.memory.ports import RESIDUAL, array
from rtl.model import numerics
from rtl.vector.norm_lane import SQUARE, NormLane

WIDTH_BITS = numerics.MAX_WIDTH.bit_length() - 1
NormTotals = data.StructLayout(
    {
        "values": signed(numerics.RESIDUAL_BITS + WIDTH_BITS),
        "squares": unsigned(2 * numerics.RESIDUAL_BITS - 1 + WIDTH_BITS),
    }
)
"""S1 and S2 of docs/numerics.md, section 4."""


class NormSums(wiring.Component):
    """Sum of a token's channels and of their squares, ``norm_lanes`` of them per cycle.

    ``totals.values = sum(r)``, ``totals.squares = sum(r**2)``

    Rigid: a beat may enter in each cycle. ``totals`` hold the sums up to a beat ``LATENCY`` cycles
    after it, until the next beat.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    valid : In(1)
        A beat enters.
    first : In(1)
        It is its token's first.
    values : In(norm_lanes x signed(16))
    squares : In(norm_lanes x unsigned(31))
        Of the values that entered ``NormLane.SQUARE_LATENCY`` cycles before.
    totals : Out(NormTotals)
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        self.LATENCY = self.latency(config)
        lanes = config.norm_lanes
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "values": In(array(lanes, RESIDUAL)),
                "squares": In(array(lanes, SQUARE)),
                "totals": Out(NormTotals),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Squares, adder tree, accumulator."""
        tree = AdderTree.latency(config.norm_lanes, adder_terms(config.multiplier))
        return NormLane.SQUARE_LATENCY + tree + 1

    def elaborate(self, platform):
        m = Module()
        lanes, terms = self.config.norm_lanes, adder_terms(self.config.multiplier)
        m.submodules.values = values = AdderTree(lanes, RESIDUAL, terms)
        m.submodules.squares = squares = AdderTree(lanes, SQUARE, terms)
        valid = delayed(m, self.valid, self.LATENCY - 1, name="valid", marker=True)
        first = delayed(m, self.first, self.LATENCY - 1, name="first")
        sum_of_values = delayed(m, values.o, NormLane.SQUARE_LATENCY, name="sum_of_values")
        m.d.comb += [values.i.eq(self.values), squares.i.eq(self.squares)]
        with m.If(valid):
            m.d.sync += [
                self.totals.values.eq(sum_of_values + Mux(first, 0, self.totals.values)),
                self.totals.squares.eq(squares.o + Mux(first, 0, self.totals.squares)),
            ]
        return m
