"""One MATMUL instruction on NumPy scratchpads: what the unit must do, written from the contracts.

Sources: docs/design/0001-engine.md, docs/numerics.md.
"""

from dataclasses import dataclass, field

import numpy as np

from rtl.config import EngineConfig
from rtl.isa.instructions import Activations, Destination, Format, Weights
from rtl.model.numerics import code_range
from sim.golden import ops

LOWEST_SCORE = -(1 << 21)


@dataclass
class Scratchpads:
    """All memories around the matmul unit, as arrays of codes; filled with random ones."""

    config: EngineConfig
    seed: int = 0
    maxima: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        c, random = self.config, np.random.default_rng(self.seed)
        tokens, rows, depth, codes = c.token_lanes, c.row_lanes, c.depth_lanes, 1 << c.act_bits
        self.activations = random.integers(0, codes, (tokens, c.activation_words, rows))
        self.pixels = random.integers(0, 256, (tokens, c.pixel_words, depth))
        self.keys = random.integers(-128, 128, (rows, c.key_words, rows))
        self.values = random.integers(-128, 128, (depth, c.value_words, rows))
        self.scores = np.zeros((4, c.score_words, rows), np.int64)
        self.residual = random.integers(-(1 << 15), 1 << 15, (4, c.residual_words, rows))
        self.ring = random.integers(0, 16, (c.weight_words, rows, depth))
        self.bias = random.integers(-5000, 5000, (c.parameter_words, rows))
        self.multiplier = random.integers(0, 1 << 17, (c.parameter_words, rows))
        self.shift = random.integers(15, 30, (c.parameter_words, rows))
        self.gelu = random.integers(0, codes, (2, 256))
        self.maxima = np.zeros((c.score_slots, tokens), np.int64)
        self.scale_multiplier = random.integers(0, 1 << 17, (c.score_slots, tokens))
        self.scale_shift = random.integers(15, 28, (c.score_slots, tokens))

    def run(self, op: dict[str, int]) -> None:
        """Execute one instruction."""
        for row_tile in range(op["row_tiles"]):
            sums = self._tokens(op) @ self._rows(op, row_tile).T
            sums = _wrap(sums, 27)
            if op["destination"] == Destination.SCORES:
                self._write_scores(op, row_tile, sums)
            else:
                self._write(op, row_tile, sums)

    def _tokens(self, op: dict[str, int]) -> np.ndarray:
        """(token_lanes, depth_words · depth_lanes)."""
        c, first, count = self.config, op["activation_address"], op["depth_words"]
        if op["activations"] == Activations.PIXELS:
            return self.pixels[:, first : first + count].reshape(c.token_lanes, -1)
        granules = self.activations.reshape(c.token_lanes, -1, c.depth_lanes)
        codes = granules[:, first : first + count].reshape(c.token_lanes, -1)
        return _signed(codes, c.act_bits) if op["act_signed"] else codes

    def _rows(self, op: dict[str, int], row_tile: int) -> np.ndarray:
        """(row_lanes, depth_words · depth_lanes)."""
        c, first, count, step = (
            self.config, op["weight_address"], op["depth_words"], op["weight_step"],
        )  # fmt: skip
        if op["weights"] == Weights.KEYS:
            granules = self.keys.reshape(c.row_lanes, -1, c.depth_lanes)
            start = first + row_tile * step
            return granules[:, start : start + count].reshape(c.row_lanes, -1)
        if op["weights"] == Weights.VALUES:
            words = first + row_tile + step * np.arange(count)
            return self.values[:, words].transpose(2, 1, 0).reshape(c.row_lanes, -1)
        wide = [op["bits8"] >> tile & 1 for tile in range(row_tile + 1)]
        start = first + sum(count * (1 + w) for w in wide[:-1])

        def nibbles(begin: int) -> np.ndarray:
            words = self.ring[(begin + np.arange(count)) % c.weight_words]
            return words.transpose(1, 0, 2).reshape(c.row_lanes, -1)

        high = _signed(nibbles(start), 4)
        return 16 * high + nibbles(start + count) if wide[-1] else high

    def _lanes(self, op: dict[str, int]) -> range:
        return range(op["lane_first"], op["lane_first"] + op["lane_count"])

    def _write_scores(self, op: dict[str, int], row_tile: int, sums: np.ndarray) -> None:
        keys = op["keys"] - row_tile * self.config.row_lanes
        for lane in self._lanes(op):
            word = op["destination_address"] + row_tile + op["destination_stride"] * (lane // 4)
            self.scores[lane % 4, word] = scores = _wrap(sums[lane], 22)
            maximum = scores[: max(0, keys)].max(initial=LOWEST_SCORE)
            before = self.maxima[op["slot"], lane] if row_tile else LOWEST_SCORE
            self.maxima[op["slot"], lane] = max(before, maximum)

    def _write(self, op: dict[str, int], row_tile: int, sums: np.ndarray) -> None:
        c = self.config
        limits = {
            Format.ACT_SIGNED: code_range(c.act_bits, True),
            Format.ACT_UNSIGNED: code_range(c.act_bits, False),
            Format.INT8: ops.INT8,
            Format.INT16: ops.INT16,
        }[op["format"]]
        parameter = op["parameter_address"] + row_tile
        for lane in self._lanes(op):
            if op["token_scale"]:
                slot = op["slot"], lane
                scale = 0, self.scale_multiplier[slot], self.scale_shift[slot]
            else:
                scale = self.bias[parameter], self.multiplier[parameter], self.shift[parameter]
            codes = ops.requantize(sums[lane], *scale, *limits)
            if op["gelu"]:
                codes = ops.gelu(_signed(codes, 8), self.gelu[op["gelu_table"]])
            self._place(op, row_tile, lane, codes)

    def _place(self, op: dict[str, int], row_tile: int, lane: int, codes: np.ndarray) -> None:
        c, token, destination = self.config, op["token"] + lane, op["destination"]
        group = {
            Destination.KEYS: c.row_lanes,
            Destination.VALUES: c.depth_lanes,
            Destination.RESIDUAL: 4,
        }.get(destination, 1 << 20)
        groups = token // group - op["token"] // group
        word = op["destination_address"] + row_tile + op["destination_stride"] * groups
        if destination == Destination.ACTIVATIONS:
            granules = row_tile * c.granules + np.arange(c.granules)
            last = op["mask_first"] + op["mask_count"]
            written = (op["mask_first"] <= granules) & (granules < last)
            old = self.activations[lane, word]
            mask = np.repeat(written, c.depth_lanes)
            self.activations[lane, word] = np.where(mask, codes % (1 << c.act_bits), old)
        elif destination == Destination.RESIDUAL:
            old = self.residual[token % 4, word] if op["accumulate"] else 0
            self.residual[token % 4, word] = ops.add_residual(old, codes, op["residual_shift"])
        else:
            memory = self.keys if destination == Destination.KEYS else self.values
            memory[token % group, word] = _signed(codes, 8)


def _signed(codes: np.ndarray, bits: int) -> np.ndarray:
    return ((codes + (1 << bits - 1)) % (1 << bits)) - (1 << bits - 1)


_wrap = _signed
