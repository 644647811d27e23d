"""The matmul unit: feed, array, drain."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Opcode
from rtl.isa.unit_port import UnitPort
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.matmul.array import Array
from rtl.matmul.drain import Drain
from rtl.matmul.feed import Feed
from rtl.memory.ports import (
    SCORE,
    TokenScale,
    WritePort,
    activation_read,
    activation_write,
    array,
    gelu_write,
    key_read,
    key_value_write,
    parameter_read,
    pixel_read,
    residual_read,
    residual_write,
    score_write,
    value_read,
    weight_read,
)

READS = {
    "activations": activation_read,
    "pixels": pixel_read,
    "weights": weight_read,
    "keys": key_read,
    "values": value_read,
}
IN_FLIGHT_BITS = 7  # instructions accepted and not yet done, far below 128


class MatmulUnit(wiring.Component):
    """Executes MATMUL: ``token_lanes`` tokens by up to 32 row tiles, drained to any scratchpad.

    ::

        i ─► feed ──words──► array ──sums──► drain ─► writes, maxima, done
              └────────row tiles (delayed)────▲

    Rigid from the feed's first step to the scratchpads: no flow control, because no scratchpad
    ever refuses the drain. Only the feed stalls, for the beats of the drain (*stall_drain*).

    Timing, in cycles, of a sequence of row tiles k, each with n_k = passes · depth_words words and
    b_k beats of the drain::

        last_k = max(last_{k-1} + n_k, last_{k-1} + b_{k-1})
        done   = last_k + b_k + FINISH_CYCLES        of the instruction's last row tile k

    with ``last_{-1} = accepted + START_CYCLES - 1`` in an idle unit, instructions behind one
    another without a gap. ``last_k`` counts from the step to its tile's last word.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(WORK))
    done : Out(Completion)
        One cycle after the instruction's last write.
    activations, pixels, weights, keys, values, parameters, residual : Out
        Read ports; ``residual`` must never be refused.
    activation_write, key_write, value_write, score_write, residual_write : Out
        Write ports.
    gelu_write : In
        Write port of the GELU tables.
    maxima : Out(score_slots x token_lanes x SCORE)
        Largest valid score of each lane.
    scales : In(score_slots x token_lanes x TokenScale)
    idle : Out(1)
        No instruction is inside.
    busy : Out(1)
        The feed issues a word.
    stall_drain : Out(1)
        The feed holds a word back for the drain.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                **UnitPort(Opcode.MATMUL).members,
                **{name: Out(port(config)) for name, port in READS.items()},
                "parameters": Out(parameter_read(config)),
                "residual": Out(residual_read(config)),
                "activation_write": Out(WritePort(activation_write(config))),
                "key_write": Out(WritePort(key_value_write(config, config.row_lanes))),
                "value_write": Out(WritePort(key_value_write(config, config.depth_lanes))),
                "score_write": Out(WritePort(score_write(config))),
                "residual_write": Out(WritePort(residual_write(config))),
                "gelu_write": In(WritePort(gelu_write(config))),
                "maxima": Out(array(config.score_slots, array(config.token_lanes, SCORE))),
                "scales": In(array(config.score_slots, array(config.token_lanes, TokenScale))),
                "stall_drain": Out(1),
            }
        )

    START_CYCLES = Feed.START_CYCLES

    @staticmethod
    def sums_cycles(config: EngineConfig) -> int:
        """From a row tile's last step to its sums being selectable."""
        return Feed.LATENCY + Array.latency(config)

    @staticmethod
    def finish_cycles(config: EngineConfig) -> int:
        """``FINISH_CYCLES`` of an engine's matmul unit."""
        return MatmulUnit.sums_cycles(config) + Drain.LATENCY - 1

    @property
    def FINISH_CYCLES(self) -> int:
        return self.finish_cycles(self.config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.feed = feed = Feed(self.config)
        m.submodules.array = products = Array(self.config)
        m.submodules.drain = drain = Drain(self.config)

        connect(m, producer=wiring.flipped(self.i), consumer=feed.i)
        for name in READS:
            connect(m, producer=getattr(feed, name), consumer=wiring.flipped(getattr(self, name)))
        m.d.comb += [
            products.activations.eq(feed.activation_words),
            products.weights.eq(feed.weight_words),
            products.word.eq(feed.word),
            self.busy.eq(feed.busy),
            self.stall_drain.eq(feed.stall_drain),
        ]

        cycles = self.sums_cycles(self.config) - Drain.SELECT_LATENCY
        m.d.comb += [
            drain.tile.eq(delayed(m, feed.tile, cycles, name="tile")),
            drain.tile_valid.eq(delayed(m, feed.tile_valid, cycles, name="valid", marker=True)),
            products.select.eq(drain.select),
            drain.quad.eq(products.quad),
            drain.scales.eq(self.scales),
            self.maxima.eq(drain.maxima),
            self.done.eq(drain.done),
        ]
        for name in DRAIN_PORTS:
            connect(m, producer=getattr(drain, name), consumer=wiring.flipped(getattr(self, name)))
        connect(m, producer=wiring.flipped(self.gelu_write), consumer=drain.gelu_write)
        self._count_instructions(m)
        return m

    def _count_instructions(self, m: Module) -> None:
        """``idle``: every instruction that was accepted is done."""
        inside = Signal(IN_FLIGHT_BITS)
        accepted = self.i.valid & self.i.ready
        m.d.sync += inside.eq(inside + accepted - self.done.valid)
        m.d.comb += self.idle.eq(inside == 0)


DRAIN_PORTS = (
    "parameters",
    "residual",
    "activation_write",
    "key_write",
    "value_write",
    "score_write",
    "residual_write",
)
