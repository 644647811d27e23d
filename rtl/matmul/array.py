"""Multiplier array: every token lane with every row lane."""

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from rtl.arith.cascade import Cascade, digits, packed
from rtl.arith.packing import PackedOperand, Packing, packing
from rtl.config import EngineConfig
from rtl.lib.emit import once
from rtl.lib.pipeline import choose, delayed, history
from rtl.matmul.signals import ACC, QUAD, QUAD_INDEX, WordFlags
from rtl.matmul.tile import ArrayTile
from rtl.memory.ports import array
from rtl.model import numerics


def array_packing(config: EngineConfig) -> Packing:
    """Packing of an engine's array: weights and activations on its kind of multiplier."""
    return packing(numerics.ATOM_BITS, config.act_bits, config.multiplier)


class OperandPacker(wiring.Component):
    """Pack the codes of one port of the array for all tiles at once, and stagger them.

    ``o[k][d]`` holds codes ``i[k · count + 0 … count - 1][d]``, packed, for depth lane d
    ``LATENCY + Cascade.skew(d mod cascade)`` cycles after ``i``. Registers hold each field's
    digit; its sign spreads over the field behind them.

    Parameters
    ----------
    lanes, depth_lanes : int
        Shape of the port.
    operand : PackedOperand
        Packing of ``operand.count`` lanes.
    cascade : int
        Multipliers in a cascade of the array.

    Members
    -------
    i : In(lanes x depth_lanes x unsigned(operand.bits))
    is_signed : In(1)
    o : Out(lanes / count x depth_lanes x signed(operand.port_bits))
    """

    LATENCY = 2

    def __init__(self, lanes: int, depth_lanes: int, operand: PackedOperand, cascade: int):
        self.operand, self.cascade = operand, cascade
        packed_lanes = array(depth_lanes, signed(operand.port_bits))
        super().__init__(
            {
                "i": In(array(lanes, array(depth_lanes, unsigned(operand.bits)))),
                "is_signed": In(1),
                "o": Out(array(lanes // operand.count, packed_lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = self.operand.count
        for k, operands in enumerate(self.o):
            lanes = [self.i[k * count + n] for n in range(count)]
            for d, operand in enumerate(operands):
                codes = [lane[d] for lane in lanes]
                cycles = self.LATENCY + Cascade.skew(d % self.cascade)
                values = [
                    delayed(m, digit, cycles, name=f"digit_{k}_{d}_{n}")
                    for n, digit in enumerate(digits(m, codes, self.is_signed))
                ]
                m.d.comb += operand.eq(packed(values, self.operand))
        return m


class MultiplierArray(wiring.Component):
    """``token_lanes x row_lanes`` dot products over ``depth_lanes`` terms a cycle.

    ``sums[t, r] = Σ_words Σ_d activations[t, d] · weights[r, d]``, per row tile: from the word with
    ``first`` to the one with ``last``. The sums stand still, for ``select`` to read, while the
    next row tile accumulates. No flow control: words without ``valid`` are bubbles, nothing stalls.

    ``latency(config)`` cycles from the row tile's last word to its sums being selectable;
    ``SELECT_LATENCY`` from ``select`` to ``quad``.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    activations : In(token_lanes x depth_lanes x unsigned(act_bits))
    weights : In(row_lanes x depth_lanes x unsigned(4))
    word : In(WordFlags)
        Arrives with the operands.
    select : In(QUAD_INDEX)
        Quad of token lanes.
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
                "word": In(WordFlags),
                "select": In(QUAD_INDEX),
                "quad": Out(array(QUAD, array(rows, ACC))),
            }
        )

    @staticmethod
    def latency(config: EngineConfig) -> int:
        """Cycles from a row tile's last word to its sums being selectable."""
        return OperandPacker.LATENCY + ArrayTile.latency(config.depth_lanes, array_packing(config))

    def _packers(self) -> tuple[OperandPacker, OperandPacker]:
        config, pack = self.config, self.packing
        depth, cascade = config.depth_lanes, min(pack.cascade, config.depth_lanes)
        return (
            OperandPacker(config.token_lanes, depth, pack.activation, cascade),
            OperandPacker(config.row_lanes, depth, pack.weight, cascade),
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.activations, m.submodules.weights = activations, weights = self._packers()
        m.d.comb += [
            activations.i.eq(self.activations),
            activations.is_signed.eq(self.word.a_signed),
            weights.i.eq(self.weights),
            weights.is_signed.eq(self.word.w_signed),
        ]
        word_delay = ArrayTile.word_delay(self.config.depth_lanes, self.packing)
        words = history(m, self.word, OperandPacker.LATENCY + word_delay, name="word")
        with_operands = words[OperandPacker.LATENCY]
        is_signed = with_operands.w_signed | with_operands.a_signed

        tokens, rows = self.config.token_lanes, self.config.row_lanes
        sums = [Signal(array(rows, ACC), name=f"sums_{token}") for token in range(tokens)]
        for i in range(tokens // self.packing.token_pack):
            for j in range(rows // self.packing.row_pack):
                tile = ArrayTile(self.config.depth_lanes, self.packing)
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
            choices = [token.as_value() for token in sums[lane::QUAD]]
            if choices:
                m.d.sync += chosen.eq(choose(choices, self.select[: ceil_log2(len(choices))]))
        return m


def tile_indices(packing: Packing) -> list[tuple[int, int]]:
    """Pairs (token, row) of one tile."""
    return [(t, r) for t in range(packing.token_pack) for r in range(packing.row_pack)]
