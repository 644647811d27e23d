"""Beats of the drain: which lanes of a row tile leave when, and where their values go."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.instructions import Destination
from rtl.lib.pipeline import delayed
from rtl.matmul.signals import QUAD, DrainBeat, RowTile, placement_layout
from rtl.memory.ports import ADDRESS

RESIDUAL_GROUP = 4  # tokens of a word address in the residual's four banks


class BeatSequence(wiring.Component):
    """Cut each row tile into beats, one per cycle: pairs of token lanes, for SCORES quads.

    No flow control: the feed keeps row tiles as far apart as their beats need. The first beat
    comes ``LATENCY`` cycles after its row tile.

    Members
    -------
    tile : In(RowTile)
    tile_valid : In(1)
    beat : Out(DrainBeat)
    valid : Out(1)
    """

    LATENCY = 1

    tile: In(RowTile)
    tile_valid: In(1)
    beat: Out(DrainBeat)
    valid: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tile = Signal(RowTile, reset_less=True)
        pair = Signal.like(self.beat.pair, reset_less=True)
        scores = tile.dispatch.operands.destination == Destination.SCORES
        last = Mux(scores, pair[1:] == tile.lane_last[2:], pair == tile.lane_last[1:])

        first = self.tile.dispatch.operands.lane_first
        whole_quads = self.tile.dispatch.operands.destination == Destination.SCORES
        with m.If(self.tile_valid):
            m.d.sync += [
                self.valid.eq(1),
                tile.eq(self.tile),
                pair.eq(Cat(first[1] & ~whole_quads, first[2:])),
            ]
        with m.Else():
            m.d.sync += [
                self.valid.eq(self.valid & ~last),
                pair.eq(pair + Mux(scores, 2, 1)),
            ]
        m.d.comb += [
            self.beat.tile.eq(tile),
            self.beat.pair.eq(pair),
            self.beat.done.eq(tile.final & last),
        ]
        return m


class Placement(wiring.Component):
    """Word address, lanes, granules and keys of each beat.

    ``word = destination_address + row_tile + stride · groups``. A *token group* is the tokens that
    share a word address, one in each bank: KEYS row_lanes of them, VALUES depth_lanes, RESIDUAL 4;
    of SCORES 4 lanes. ``groups`` counts from the group of ``token`` to the beat's.

    Latency ``LATENCY`` cycles, one beat per cycle, no flow control.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    beat : In(DrainBeat)
    valid : In(1)
    o : Out(placement_layout(config))
    o_valid : Out(1)
    """

    LATENCY = 5

    def __init__(self, config: EngineConfig):
        self.config = config
        self.group_bits = {
            Destination.KEYS: exact_log2(config.row_lanes),
            Destination.VALUES: exact_log2(config.depth_lanes),
            Destination.RESIDUAL: exact_log2(RESIDUAL_GROUP),
        }
        if config.select_tokens:
            self.group_bits[Destination.KEPT] = exact_log2(RESIDUAL_GROUP)
        layout = placement_layout(config)
        super().__init__(
            {"beat": In(DrainBeat), "valid": In(1), "o": Out(layout), "o_valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        token = self._token(m)
        m.d.comb += [
            self.o.beat.eq(delayed(m, self.beat, self.LATENCY, name="beat")),
            self.o_valid.eq(delayed(m, self.valid, self.LATENCY, name="valid", marker=True)),
            self.o.token.eq(delayed(m, token, self.LATENCY - 1, name="token")),
            self.o.enable.eq(delayed(m, self._lanes(), self.LATENCY, name="enable")),
            self.o.granules.eq(delayed(m, self._granules(m), self.LATENCY - 2, name="granules")),
            self.o.keys.eq(delayed(m, self._keys(m), self.LATENCY - 1, name="keys")),
            self.o.word.eq(self._word(m, token)),
        ]
        return m

    def _token(self, m: Module) -> Value:
        """Count tokens from the start of lane 0's token group to this pair; after 1 stage."""
        operands = self.beat.tile.dispatch.operands
        offset = Signal(6)
        with m.Switch(operands.destination):
            for destination, bits in self.group_bits.items():
                with m.Case(destination):
                    m.d.comb += offset.eq(operands.token[:bits])
        token = Signal(self.o.token.shape(), reset_less=True)
        m.d.sync += token.eq(offset + (self.beat.pair << 1))
        return token

    def _word(self, m: Module, token: Value) -> Value:
        """Compute the word address; after 5 stages. ``token`` comes after 1."""
        operands = self.beat.tile.dispatch.operands
        base = Signal(ADDRESS, reset_less=True)
        m.d.sync += base.eq(operands.destination_address + self.beat.tile.row_tile)
        base = delayed(m, base, 3, name="base")
        destination = delayed(m, operands.destination, 1, name="destination")
        stride = delayed(m, operands.destination_stride, 2, name="stride")

        groups = Signal(4, reset_less=True)
        with m.Switch(destination):
            with m.Case(Destination.ACTIVATIONS):
                m.d.sync += groups.eq(0)
            with m.Case(Destination.SCORES):
                m.d.sync += groups.eq(token >> exact_log2(QUAD))
            for case, bits in self.group_bits.items():
                with m.Case(case):
                    m.d.sync += groups.eq(token >> bits)
        shifted = [Mux(bit, stride << index, 0) for index, bit in enumerate(groups)]
        low, high = Signal(ADDRESS, reset_less=True), Signal(ADDRESS, reset_less=True)
        offset, word = Signal(ADDRESS, reset_less=True), Signal(ADDRESS, reset_less=True)
        m.d.sync += [
            low.eq(shifted[0] + shifted[1]),
            high.eq(shifted[2] + shifted[3]),
            offset.eq(low + high),
            word.eq(base + offset),
        ]
        return word

    def _lanes(self) -> Value:
        """Lanes of the beat's quad between ``lane_first`` and ``lane_last``."""
        tile, quad = self.beat.tile, self.beat.pair[1:]
        lanes = [Cat(Const(k, 2), quad) for k in range(QUAD)]
        return Cat(
            (tile.dispatch.operands.lane_first <= lane) & (lane <= tile.lane_last) for lane in lanes
        )

    def _granules(self, m: Module) -> Value:
        """Granules of the row tile inside the instruction's mask; after 2 stages."""
        operands, count = self.beat.tile.dispatch.operands, self.config.granules
        granules = Signal(count, reset_less=True)
        mask_count = delayed(m, operands.mask_count, 1, name="mask_count")
        for g in range(count):
            difference = self.beat.tile.row_tile * count + g - operands.mask_first
            past = Signal(difference.shape(), name=f"past_{g}", reset_less=True)
            m.d.sync += [past.eq(difference), granules[g].eq((past >= 0) & (past < mask_count))]
        return granules

    def _keys(self, m: Module) -> Value:
        """Rows of the row tile that are valid keys; after 1 stage."""
        rows = exact_log2(self.config.row_lanes)
        keys, row_tile = self.beat.tile.dispatch.operands.keys, self.beat.tile.row_tile
        valid = Signal(self.config.row_lanes, reset_less=True)
        inside, across = row_tile < keys[rows:], row_tile == keys[rows:]
        m.d.sync += valid.eq(
            Cat(inside | (across & (row < keys[:rows])) for row in range(len(valid)))
        )
        return valid
