"""The multiplier array: every token lane with every row lane."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.arith.cascade import Cascade, digits, packed
from rtl.arith.packing import Packing, packing
from rtl.config import EngineConfig
from rtl.lib.emit import once
from rtl.lib.pipeline import choose, delayed, history
from rtl.matmul.signals import ACC, QUAD, Word
from rtl.matmul.tile import Tile
from rtl.memory.ports import array
from rtl.model import numerics


def array_packing(config: EngineConfig) -> Packing:
    return packing(numerics.ATOM_BITS, config.act_bits, config.multiplier)


class Operands(wiring.Component):
    """Packs the codes of one port of the array for all tiles at once, and staggers them.

    ``o[group][d]`` holds codes ``i[group · pack + 0 … pack - 1][d]``, packed, for depth lane d
    ``LATENCY + Cascade.skew(d mod cascade)`` cycles after ``i``. Registers hold each field's
    digit; its sign spreads over the field behind them.

    Parameters
    ----------
    lanes, depth_lanes, bits : int
        Shape of the port.
    pack, spacing, port_bits : int
        As in :class:`rtl.arith.packing.Packing`.
    cascade : int

    Members
    -------
    i : In(lanes x depth_lanes x unsigned(bits))
    is_signed : In(1)
    o : Out(lanes / pack x depth_lanes x signed(port_bits))
    """

    LATENCY = 2

    def __init__(
        self, lanes: int, depth_lanes: int, bits: int, *,
        pack: int, spacing: int, port_bits: int, cascade: int,
    ):  # fmt: skip
        self.pack, self.spacing, self.port_bits, self.cascade = pack, spacing, port_bits, cascade
        super().__init__(
            {
                "i": In(array(lanes, array(depth_lanes, unsigned(bits)))),
                "is_signed": In(1),
                "o": Out(array(lanes // pack, array(depth_lanes, signed(port_bits)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for group, operands in enumerate(self.o):
            lanes = [self.i[group * self.pack + n] for n in range(self.pack)]
            for d, operand in enumerate(operands):
                codes = [lane[d] for lane in lanes]
                cycles = self.LATENCY + Cascade.skew(d % self.cascade)
                values = [
                    delayed(m, digit, cycles, name=f"digit_{group}_{d}_{n}")
                    for n, digit in enumerate(digits(m, codes, self.is_signed))
                ]
                m.d.comb += operand.eq(packed(values, self.spacing, self.port_bits))
        return m


class Array(wiring.Component):
    """``token_lanes x row_lanes`` dot products over ``depth_lanes`` terms a cycle.

    ``sums[t, r] = Σ_words Σ_d activations[t, d] · weights[r, d]``, per row tile: from the word with
    ``first`` to the one with ``last``. The sums stand still, for ``select`` to read, while the
    next row tile accumulates. Free running: words without ``valid`` are bubbles, nothing stalls.

    ``LATENCY`` from the row tile's last word to its sums being selectable;
    ``SELECT_LATENCY`` from ``select`` to ``quad``.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    activations : In(token_lanes x depth_lanes x unsigned(act_bits))
    weights : In(row_lanes x depth_lanes x unsigned(4))
    word : In(Word)
        With the operands.
    select : In(unsigned(3))
        Group of four token lanes.
    quad : Out(4 x row_lanes x signed(27))
        Lanes beyond the last token hold anything.
    """

    SELECT_LATENCY = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        self.packing = array_packing(config)
        tokens, rows, depth = config.token_lanes, config.row_lanes, config.depth_lanes
        super().__init__(
            {
                "activations": In(array(tokens, array(depth, unsigned(config.act_bits)))),
                "weights": In(array(rows, array(depth, unsigned(numerics.ATOM_BITS)))),
                "word": In(Word),
                "select": In(unsigned(3)),
                "quad": Out(array(QUAD, array(rows, ACC))),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """``LATENCY`` of an engine's array."""
        return Operands.LATENCY + Tile.latency(config.depth_lanes, array_packing(config))

    @property
    def LATENCY(self) -> int:
        return self.latency(self.config)

    def _operands(self) -> tuple[Operands, Operands]:
        config, pack = self.config, self.packing
        cascade = min(pack.cascade, config.depth_lanes)
        activations = Operands(
            config.token_lanes, config.depth_lanes, config.act_bits, pack=pack.token_pack,
            spacing=pack.activation_spacing, port_bits=pack.activation_port_bits, cascade=cascade,
        )  # fmt: skip
        weights = Operands(
            config.row_lanes, config.depth_lanes, numerics.ATOM_BITS, pack=pack.row_pack,
            spacing=pack.weight_spacing, port_bits=pack.weight_port_bits, cascade=cascade,
        )  # fmt: skip
        return activations, weights

    def elaborate(self, platform):
        m = Module()
        m.submodules.activations, m.submodules.weights = activations, weights = self._operands()
        m.d.comb += [
            activations.i.eq(self.activations),
            activations.is_signed.eq(self.word.a_signed),
            weights.i.eq(self.weights),
            weights.is_signed.eq(self.word.w_signed),
        ]
        word_delay = Tile.word_delay(self.config.depth_lanes, self.packing)
        words = history(m, self.word, Operands.LATENCY + word_delay, name="word")
        with_operands = words[Operands.LATENCY]
        is_signed = with_operands.w_signed | with_operands.a_signed

        tokens, rows = self.config.token_lanes, self.config.row_lanes
        sums = [Signal(array(rows, ACC), name=f"sums_{token}") for token in range(tokens)]
        for i in range(tokens // self.packing.token_pack):
            for j in range(rows // self.packing.row_pack):
                tile = Tile(self.config.depth_lanes, self.packing)
                m.submodules[f"tile_{i}_{j}"] = once(tile, platform)
                m.d.comb += [
                    tile.activations.eq(activations.o[i]),
                    tile.weights.eq(weights.o[j]),
                    tile.is_signed.eq(is_signed),
                    tile.word.eq(words[-1]),
                ]
                for t, r in tile_indices(self.packing):
                    token, row = i * self.packing.token_pack + t, j * self.packing.row_pack + r
                    m.d.comb += sums[token][row].eq(tile.sums[t][r])

        for lane, chosen in enumerate(self.quad):
            groups = [token.as_value() for token in sums[lane::QUAD]]
            if groups:
                m.d.sync += chosen.eq(choose(groups, self.select[: ceil_log2(len(groups))]))
        return m


def tile_indices(packing: Packing) -> list[tuple[int, int]]:
    """All (token, row) of one tile."""
    return [(t, r) for t in range(packing.token_pack) for r in range(packing.row_pack)]
