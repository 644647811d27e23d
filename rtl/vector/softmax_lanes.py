"""Attention weights of a beat's keys, their sum, and the scale that the sum calls for."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.arith.adder_tree import AdderTree
from rtl.arith.exp2 import Exp2, exact_weight
from rtl.arith.multiply import MultiplyAdd
from rtl.arith.packing import adder_terms
from rtl.arith.reciprocal import Reciprocal
from rtl.config import EngineConfig
from rtl.lib.emit import once
from rtl.lib.pipeline import delayed
from rtl.memory.ports import SCORE, TokenScale, activation_code, array
from rtl.model import numerics
from rtl.vector.softmax_reads import DITHER, KEYS

CONTEXT_MULTIPLIER = unsigned(16)
CONTEXT_SHIFT = unsigned(6)


class SoftmaxLanes(wiring.Component):
    """Attention weights of ``softmax_lanes`` keys, side by side.

    Latency ``LATENCY`` cycles, one beat per cycle, no flow control: the unit reads only what its
    output queue has room for.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    scores : In(softmax_lanes x signed(22))
    maximum : In(signed(22))
    multiplier : In(17)
    shift : In(6)
    keys_left : In(12)
        How many keys from the first on are valid.
    dither : In(8)
        Dither of the first key.
    weights : Out(softmax_lanes x unsigned(act_bits))
    exact : Out(softmax_lanes x exact_weight(act_bits))
        Only where the engine selects tokens: before dither and rounding.
    """

    LATENCY = Exp2.LATENCY

    def __init__(self, config: EngineConfig):
        self.config = config
        self.selection = config.select_tokens > 0
        weight = exact_weight(config.act_bits)
        exact = {"exact": Out(array(config.softmax_lanes, weight))} if self.selection else {}
        super().__init__(
            {
                "scores": In(array(config.softmax_lanes, SCORE)),
                "maximum": In(SCORE),
                "multiplier": In(unsigned(numerics.MULTIPLIER_BITS)),
                "shift": In(unsigned(numerics.SHIFT_BITS)),
                "keys_left": In(KEYS),
                "dither": In(DITHER),
                "weights": Out(array(config.softmax_lanes, activation_code(config))),
            }
            | exact
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for row in range(self.config.softmax_lanes):
            lane = Exp2(self.config.act_bits, self.selection)
            m.submodules[f"lane_{row}"] = once(lane, platform)
            m.d.comb += [
                lane.score.eq(self.scores[row]),
                lane.maximum.eq(self.maximum),
                lane.multiplier.eq(self.multiplier),
                lane.shift.eq(self.shift),
                lane.dither.eq(self.dither + numerics.dither(row)),
                lane.valid.eq(self.keys_left > row),
                self.weights[row].eq(lane.weight),
            ]
            if self.selection:
                m.d.comb += self.exact[row].eq(lane.exact)
        return m


class WeightSum(wiring.Component):
    """Sum of a token's attention weights, ``softmax_lanes`` of them per cycle.

    ``total`` holds the sum up to a beat ``latency(config)`` cycles after it, until the next beat.
    No flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    valid : In(1)
        A beat enters.
    first : In(1)
        The beat is its token's first.
    weights : In(softmax_lanes x unsigned(act_bits))
    total : Out(unsigned(18))
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "weights": In(array(config.softmax_lanes, activation_code(config))),
                "total": Out(unsigned(Reciprocal.TOTAL_BITS)),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Cycles from a beat to its sum: adder tree, accumulator."""
        return AdderTree.latency(config.softmax_lanes, adder_terms(config.multiplier)) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, terms = self.config.softmax_lanes, adder_terms(self.config.multiplier)
        m.submodules.tree = tree = AdderTree(lanes, activation_code(self.config), terms)
        tree_cycles = AdderTree.latency(lanes, terms)
        valid = delayed(m, self.valid, tree_cycles, name="valid", marker=True)
        first = delayed(m, self.first, tree_cycles, name="first")
        total = Signal.like(self.total, reset_less=True)
        m.d.comb += [tree.i.eq(self.weights), self.total.eq(total)]
        with m.If(valid):
            m.d.sync += total.eq(tree.o + Mux(first, 0, total))
        return m


class ContextScale(wiring.Component):
    """Scale of a token's context, which is divided by the sum of its attention weights.

    ``scale.multiplier = (R * multiplier) >> 15``, ``scale.shift = L + shift``, with R and L of
    :class:`rtl.arith.reciprocal.Reciprocal`

    Latency ``LATENCY`` cycles, one token per cycle, no flow control: every token has a register
    for its scale.

    Parameters
    ----------
    selection : bool
        The engine selects tokens.

    Members
    -------
    total : In(unsigned(18))
        Sum of attention weights, at least 1.
    multiplier : In(16)
    shift : In(6)
        Scale of the head: C and S'.
    scale : Out(TokenScale)
    reciprocal : Out(unsigned(17))
    length : Out(range(19))
        Only with ``selection``: R and L of this token.

    Source: docs/numerics.md, section 5: M and S. Reference: sim.golden.ops.context_scale.
    """

    LATENCY = Reciprocal.LATENCY + MultiplyAdd.LATENCY

    def __init__(self, selection: bool = False):
        self.selection = selection
        parts = {
            "reciprocal": Out(unsigned(Reciprocal.QUOTIENT_BITS)),
            "length": Out(range(Reciprocal.TOTAL_BITS + 1)),
        }
        super().__init__(
            {
                "total": In(unsigned(Reciprocal.TOTAL_BITS)),
                "multiplier": In(CONTEXT_MULTIPLIER),
                "shift": In(CONTEXT_SHIFT),
                "scale": Out(TokenScale),
            }
            | (parts if selection else {})
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reciprocal = reciprocal = Reciprocal()
        product = unsigned(numerics.RECIPROCAL_BITS + CONTEXT_MULTIPLIER.width)
        m.submodules.multiply = multiply = MultiplyAdd(
            unsigned(numerics.RECIPROCAL_BITS), CONTEXT_MULTIPLIER, product
        )
        head = delayed(m, self.multiplier, reciprocal.LATENCY, name="multiplier")
        shift = delayed(m, self.shift, reciprocal.LATENCY, name="shift")
        length = delayed(m, reciprocal.length + shift, multiply.LATENCY, name="length")
        m.d.comb += [
            reciprocal.total.eq(self.total),
            multiply.a.eq(reciprocal.reciprocal),
            multiply.b.eq(head),
            self.scale.multiplier.eq(multiply.o >> 15),
            self.scale.shift.eq(length),
        ]
        if self.selection:
            for name in ("reciprocal", "length"):
                part = delayed(m, getattr(reciprocal, name), multiply.LATENCY, name=f"own_{name}")
                m.d.comb += getattr(self, name).eq(part)
        return m
