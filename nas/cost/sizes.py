"""Derived sizes of many networks on an engine, as arrays.

The compiler has the same for one network, ``Sizes`` and ``AttentionLayout``; a test holds the two
against each other.
"""

from functools import cached_property
from typing import Any

import numpy as np

from nas.cost.networks import Array, Networks
from rtl.compiler.lowering.layout import HEAD_GROUPS
from rtl.config import MIN_SCORE_SLOTS, EngineConfig


def divide_up(value: Any, by: Any) -> Any:
    """``value / by``, rounded up."""
    return -(-value // by)


def per_block(values: Array) -> Array:
    """(n,) to (n, 1): the same for all blocks."""
    return values[:, None]


class Sizes:
    """Sizes in tiles and words; of blocks (n, blocks), all others (n,).

    Parameters
    ----------
    networks : Networks
    engine : EngineConfig
    """

    def __init__(self, networks: Networks, engine: EngineConfig):
        self.networks, self.engine = networks, engine
        rows, depth, lanes = engine.row_lanes, engine.depth_lanes, engine.token_lanes
        tokens = networks.tokens
        self.pairs = lanes // 2  # lanes leave the drain in pairs, raw scores in fours
        self.quads = divide_up(lanes, 4)
        self.tiles = divide_up(tokens, lanes)
        self.patch_tiles = divide_up(networks.patches, lanes)
        self.width_tiles = divide_up(networks.width, rows)
        self.width_depth = divide_up(networks.width, depth)
        self.class_tiles = divide_up(networks.classes, rows)
        self.key_tiles = divide_up(tokens, rows)
        self.value_depth = divide_up(tokens, depth)
        self.head_rows = divide_up(networks.head_dim, depth) * depth
        segment_words = divide_up(networks.patch * networks.channels, depth)
        self.patch_words = networks.patch * segment_words

        places = np.arange(networks.blocks)
        self.exists = places < per_block(networks.depth)
        self.last = places == per_block(networks.depth - 1)
        final = np.where(networks.mean_pool, self.patch_tiles, 1)
        self.query_tiles = np.where(self.last, per_block(final), per_block(self.tiles))
        self.single = self.last & ~per_block(networks.mean_pool)  # the class token alone
        inner = networks.heads * per_block(self.head_rows)
        self.inner_tiles = divide_up(inner, rows)
        self.inner_depth = inner // depth
        self.hidden_tiles = divide_up(networks.hidden, rows)
        self.hidden_depth = divide_up(networks.hidden, depth)
        self.layer_tiles = (self.inner_tiles,) * 3 + (
            np.broadcast_to(per_block(self.width_tiles), inner.shape),
            self.hidden_tiles,
            np.broadcast_to(per_block(self.width_tiles), inner.shape),
        )  # of each layer, (n, blocks)
        self.norm_words = self.tiles * self.width_tiles
        self._group_heads()
        self._group_tiles()

    def _group_heads(self) -> None:
        """As :class:`rtl.compiler.lowering.layout.AttentionLayout`."""
        engine, heads = self.engine, np.maximum(self.networks.heads, 1)
        rows = engine.row_lanes
        unit = np.lcm(self.head_rows, rows) // self.head_rows
        banks = np.minimum(
            engine.key_words // self.key_tiles, engine.value_words // self.value_depth
        )
        unit_tiles = divide_up(np.minimum(per_block(unit), heads) * per_block(self.head_rows), rows)
        fit = per_block(banks) // unit_tiles
        units = divide_up(heads, per_block(unit))
        group = np.maximum(1, np.minimum(divide_up(units, HEAD_GROUPS), fit // 2))
        self.resident = fit >= 2 * group  # two groups at a time
        self.group_heads = np.minimum(group * per_block(unit), heads)
        self.groups = divide_up(heads, self.group_heads)
        self.last_heads = heads - (self.groups - 1) * self.group_heads  # of the last group
        room = (
            engine.activation_words
            - per_block(self.norm_words)
            - (per_block(self.tiles) * self.inner_tiles)
        )
        fit_slots = room // per_block(self.key_tiles)
        self.slots = np.clip(fit_slots, MIN_SCORE_SLOTS, engine.score_slots)

    def _group_tiles(self) -> None:
        """Token tiles of the MLP whose hidden activations find room together."""
        room = self.engine.activation_words - per_block(self.norm_words)
        tiles = np.minimum(self.query_tiles, room // np.maximum(self.hidden_tiles, 1))
        # Each group loads the weights again.
        self.mlp_groups = divide_up(self.query_tiles, np.maximum(1, tiles))

    @cached_property
    def finer(self) -> Array:
        """(n,) row tiles of the engine in one of the networks'."""
        return self.networks.row_granularity // self.engine.row_lanes

    @cached_property
    def wide(self) -> Array:
        """(n, blocks, layers) row tiles of the engine with 8-bit weights."""
        return self.wide_tiles(self.networks.wide, np.stack(self.layer_tiles, axis=-1))

    def wide_tiles(self, wide: Array, row_tiles: Array) -> Array:
        """(n, ...) row tiles of the engine with 8-bit weights.

        Parameters
        ----------
        wide : (n, ..., tiles) bool
            Of the networks' row tiles, which are as large or larger.
        row_tiles : (n, ...) int
            Of the engine.
        """
        finer = self.finer.reshape(-1, *[1] * (row_tiles.ndim - 1))
        last = np.maximum(divide_up(row_tiles, finer) - 1, 0)[..., None]
        spare = divide_up(row_tiles, finer) * finer - row_tiles  # of the last of them
        last_is_wide = np.take_along_axis(wide, last, axis=-1)[..., 0]
        return np.count_nonzero(wide, axis=-1) * finer - np.where(last_is_wide, spare, 0)

    def matrix(self, tiles: Any, row_tiles: Array, wide: Array, words: Array, beats: Any) -> Array:
        """Cycles of a matrix: a row tile takes its passes or the drain of the one before."""
        narrow = np.maximum(words, beats) * (row_tiles - wide)
        return tiles * (narrow + np.maximum(2 * words, beats) * wide)

    def weight_bytes(self, row_tiles: Array, wide: Array, words: Array) -> Array:
        """Bytes of a matrix' weights in memory."""
        return (row_tiles + wide) * words * self.engine.weight_word_bytes
