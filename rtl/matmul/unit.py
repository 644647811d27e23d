"""Matmul unit: feed, array, drain."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.instructions import Destination, Opcode
from rtl.isa.unit_port import UnitPort
from rtl.lib.pipeline import delayed
from rtl.lib.streams import connect
from rtl.matmul.array import MultiplierArray
from rtl.matmul.drain import Drain
from rtl.matmul.feed import Feed
from rtl.memory.ports import (
    SCORE,
    TokenScale,
    WritePort,
    activation_read,
    activation_write,
    array,
    drain_write,
    gelu_write,
    key_read,
    key_value_write,
    parameter_read,
    pixel_read,
    place_read,
    residual_read,
    score_write,
    value_read,
    weight_read,
)

IN_FLIGHT_BITS = 7  # instructions accepted and not yet done, far below 128


class MatmulUnit(wiring.Component):
    """Execute MATMUL: ``token_lanes`` tokens by up to 32 row tiles, drained to any scratchpad.

    ::

        i ─► feed ──words──► array ──sums──► drain ─► writes, maxima, done
              └────────row tiles (delayed)────▲

    Rigid from the feed's first step to the scratchpads: no flow control, because no scratchpad
    ever refuses the drain. Only the feed stalls, for the beats of the drain (``stall_drain``).

    Timing, in cycles, of a sequence of row tiles k, each with n_k = passes · depth_words words and
    b_k beats of the drain::

        last_k = max(last_{k-1} + n_k, last_{k-1} + b_{k-1})
        done   = last_k + b_k + finish_cycles        of the instruction's last row tile k

    with ``last_{-1} = accepted + START_CYCLES - 1`` in an idle unit, instructions behind one
    another without a gap. ``last_k`` counts from the step to its tile's last word.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream.Signature(DISPATCH))
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
    places : Out(place_read())
    selecting : In(1)
        Only in engines that select tokens: no MATMUL to KEPT is taken while ``selecting``.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                **UnitPort(Opcode.MATMUL).members,
                "activations": Out(activation_read(config)),
                "pixels": Out(pixel_read(config)),
                "weights": Out(weight_read(config)),
                "keys": Out(key_read(config)),
                "values": Out(value_read(config)),
                "parameters": Out(parameter_read(config)),
                "residual": Out(residual_read(config)),
                "activation_write": Out(WritePort(activation_write(config))),
                "key_write": Out(WritePort(key_value_write(config, config.row_lanes))),
                "value_write": Out(WritePort(key_value_write(config, config.depth_lanes))),
                "score_write": Out(WritePort(score_write(config))),
                "residual_write": Out(WritePort(drain_write(config))),
                "gelu_write": In(WritePort(gelu_write(config))),
                "maxima": Out(array(config.score_slots, array(config.token_lanes, SCORE))),
                "scales": In(array(config.score_slots, array(config.token_lanes, TokenScale))),
                "stall_drain": Out(1),
            }
            | ({"places": Out(place_read()), "selecting": In(1)} if config.select_tokens else {})
        )

    START_CYCLES = Feed.START_CYCLES

    @staticmethod
    def sums_cycles(config: EngineConfig) -> int:
        """Cycles from a row tile's last step to its sums being selectable."""
        return Feed.LATENCY + MultiplierArray.latency(config)

    @staticmethod
    def finish_cycles(config: EngineConfig) -> int:
        """Cycles from the last beat of an instruction's last row tile to ``done``."""
        return MatmulUnit.sums_cycles(config) + Drain.LATENCY - 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.feed = feed = Feed(self.config)
        m.submodules.array = products = MultiplierArray(self.config)
        m.submodules.drain = drain = Drain(self.config)
        self._connect_feed(m, feed, products)
        self._connect_sums(m, feed, products, drain)
        self._connect_drain(m, drain)
        self._count_instructions(m)
        return m

    def _connect_feed(self, m: Module, feed: Feed, products: MultiplierArray) -> None:
        """Instructions and operands in, words to the array."""
        if self.config.select_tokens:
            refused = self.selecting & (self.i.p.operands.destination == Destination.KEPT)
            m.d.comb += [
                feed.i.valid.eq(self.i.valid & ~refused),
                feed.i.p.eq(self.i.p),
                self.i.ready.eq(feed.i.ready & ~refused),
            ]
        else:
            connect(m, producer=wiring.flipped(self.i), consumer=feed.i)
        connect(m, producer=feed.activations, consumer=wiring.flipped(self.activations))
        connect(m, producer=feed.pixels, consumer=wiring.flipped(self.pixels))
        connect(m, producer=feed.weights, consumer=wiring.flipped(self.weights))
        connect(m, producer=feed.keys, consumer=wiring.flipped(self.keys))
        connect(m, producer=feed.values, consumer=wiring.flipped(self.values))
        m.d.comb += [
            products.activations.eq(feed.activation_words),
            products.weights.eq(feed.weight_words),
            products.word.eq(feed.word),
            self.busy.eq(feed.busy),
            self.stall_drain.eq(feed.stall_drain),
        ]

    def _connect_sums(self, m: Module, feed: Feed, products: MultiplierArray, drain: Drain) -> None:
        """Row tiles reach the drain when it has to select their sums."""
        cycles = self.sums_cycles(self.config) - Drain.SELECT_LATENCY
        m.d.comb += [
            drain.tile.eq(delayed(m, feed.tile, cycles, name="tile")),
            drain.tile_valid.eq(delayed(m, feed.tile_valid, cycles, name="valid", marker=True)),
            products.select.eq(drain.select),
            drain.quad.eq(products.quad),
        ]

    def _connect_drain(self, m: Module, drain: Drain) -> None:
        """Parameters in, values and completions out."""
        connect(m, producer=drain.parameters, consumer=wiring.flipped(self.parameters))
        connect(m, producer=drain.residual, consumer=wiring.flipped(self.residual))
        connect(m, producer=drain.activation_write, consumer=wiring.flipped(self.activation_write))
        connect(m, producer=drain.key_write, consumer=wiring.flipped(self.key_write))
        connect(m, producer=drain.value_write, consumer=wiring.flipped(self.value_write))
        connect(m, producer=drain.score_write, consumer=wiring.flipped(self.score_write))
        connect(m, producer=drain.residual_write, consumer=wiring.flipped(self.residual_write))
        connect(m, producer=wiring.flipped(self.gelu_write), consumer=drain.gelu_write)
        if self.config.select_tokens:
            connect(m, producer=drain.places, consumer=wiring.flipped(self.places))
        m.d.comb += [
            drain.scales.eq(self.scales),
            self.maxima.eq(drain.maxima),
            self.done.eq(drain.done),
        ]

    def _count_instructions(self, m: Module) -> None:
        """The unit is idle when every accepted instruction is done."""
        inside = Signal(IN_FLIGHT_BITS)
        accepted = self.i.valid & self.i.ready
        m.d.sync += inside.eq(inside + accepted - self.done.valid)
        m.d.comb += self.idle.eq(inside == 0)
