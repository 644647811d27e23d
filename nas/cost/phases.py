"""What each phase of a network asks of the engine: array cycles, words from memory, instructions.

A network is a row of *phases*: the embedding, then per block attention, proj, fc1 and fc2, then the
head. Arrays here have the shape (networks, phases); a phase that a network does not have, because
another one of the batch is deeper, costs nothing. Padding and grouping are the compiler's
(:mod:`rtl.compiler.lowering`); :mod:`nas.cost.latency` says who waits for whom.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.cost.networks import Array
from nas.cost.sizes import Sizes, divide_up, per_block
from rtl import numerics
from rtl.compiler.lowering.layers import RING_PARTS
from rtl.compiler.runs import most_row_tiles
from rtl.control.isa import INSTRUCTION_BYTES
from rtl.shape import LAYERS

BLOCK_PHASES = 4  # attention, proj, fc1, fc2
ATTENTION, PROJ, FC1, FC2 = range(BLOCK_PHASES)
GELU_BYTES = 1 << numerics.KV_BITS  # the table has a byte for each 8-bit input
Q, K, V = (LAYERS.index(name) for name in "qkv")


@dataclass(frozen=True, eq=False)
class Phases:
    """Work by phase; all arrays (networks, phases), cycles and bytes as floats.

    Parameters
    ----------
    exists : bool
    compute : cycles of the matmul unit if it never waits for another unit
    tile_compute : cycles of one token tile in one weight block
    tiles : token tiles
    weight_blocks : parts that the weights are loaded in, one after the other
    bytes : that LOADs read
    writes : cycles that the loaders need to write them
    tables : cycles of ``writes`` that belong to the GELU table, at the beginning
    loads, matmuls, instructions : their numbers
    """

    exists: Array
    compute: Array
    tile_compute: Array
    tiles: Array
    weight_blocks: Array
    bytes: Array
    writes: Array
    tables: Array
    loads: Array
    matmuls: Array
    instructions: Array

    @property
    def program_bytes(self) -> Array:
        """Of the instructions."""
        return self.instructions * INSTRUCTION_BYTES


@dataclass(frozen=True, eq=False)
class Embedding:
    """What only the first phase has: the image and the position, group by group of token tiles.

    Parameters
    ----------
    groups : (n,) int
        Groups of tiles for which the weights are loaded again.
    tiles : (n,) float
        Token tiles of a group.
    serial : (n,) bool
        Whether a group's pixels can only come when the one before is done.
    bytes, writes : (n,) float
        Of pixels and position: bytes in memory, cycles of the loaders.
    """

    groups: Array
    tiles: Array
    serial: Array
    bytes: Array
    writes: Array


class Attention:
    """A block's attention: projections by group of heads, then one item per head and token tile.

    An item is scores, softmax and context. All shapes (n, blocks).

    Parameters
    ----------
    sizes : Sizes
    chain_latency : float
        Cycles from the last score to the first context of an item, without the softmax's own.

    Attributes
    ----------
    projections : cycles of Q, K and V
    item : cycles of the array for an item
    items : of the block
    """

    def __init__(self, sizes: Sizes, chain_latency: float):
        self.sizes = sizes
        networks, words = sizes.networks, per_block(sizes.width_depth)
        all_tiles, rows = per_block(sizes.tiles), sizes.inner_tiles
        pairs = np.where(sizes.single, 1, sizes.pairs)
        self.projections = sum(
            sizes.matrix(tiles, rows, sizes.wide(layer), words, beats)
            for layer, tiles, beats in (
                (K, all_tiles, sizes.pairs), (V, all_tiles, sizes.pairs),
                (Q, sizes.query_tiles, pairs),
            )
        )  # fmt: skip
        head_depth = sizes.head_rows // sizes.engine.depth_lanes
        fours = np.where(sizes.single, 1, sizes.quads)
        scores = per_block(sizes.key_tiles) * np.maximum(2 * per_block(head_depth), fours)
        row_tiles = divide_up(sizes.head_rows, sizes.engine.row_lanes)
        context = per_block(row_tiles) * np.maximum(2 * per_block(sizes.value_depth), pairs)
        lanes = np.where(sizes.single, 1, per_block(networks.tokens / sizes.tiles))
        self.softmax = lanes * per_block(sizes.key_tiles) * sizes.engine.softmax_parts
        self.item = scores + context
        self.items = networks.heads * sizes.query_tiles
        self.wait = self.softmax + chain_latency

    def cycles(self) -> Array:
        """Of the whole block: the array, softmax, or the way from scores to context decides.

        While a group's heads attend, the array also has the next group's projections, if the
        banks hold both. The last group may have fewer heads.
        """
        sizes, heads = self.sizes, np.maximum(self.sizes.networks.heads, 1)
        groups, group = sizes.groups, sizes.group_heads
        rest = heads - (groups - 1) * group
        whole, last = self.projections * group / heads, self.projections * rest / heads
        pipelined = (
            whole
            + np.maximum(0, groups - 2) * self._filled(group, whole)
            + np.where(groups > 1, self._filled(group, last), 0)
            + self._alone(rest)
        )
        in_turn = (groups - 1) * (whole + self._alone(group)) + last + self._alone(rest)
        return np.where(sizes.resident, pipelined, in_turn)

    def _filled(self, heads: Array, more: Array) -> Array:
        """Items of so many heads, between them ``more`` cycles of projections."""
        items = heads * self.sizes.query_tiles
        array, chain = items * self.item + more, items * (self.item + self.wait) / self.sizes.slots
        return np.maximum.reduce([array, items * self.softmax, chain])

    def _alone(self, heads: Array) -> Array:
        """Items of so many heads and nothing else, to the last context."""
        items = heads * self.sizes.query_tiles
        turns = np.ceil(items / self.sizes.slots)
        chain = turns * (self.item + self.wait)
        return np.maximum(np.maximum(items * self.item, items * self.softmax) + self.wait, chain)


def phases_of(sizes: Sizes, attention: Attention, start_of_items: float) -> Phases:
    """All phases of the networks.

    Parameters
    ----------
    sizes : Sizes
    attention : Attention
    start_of_items : float
        Cycles from the projection of a single query tile to its first scores.
    """
    return _Builder(sizes, attention, start_of_items).phases()


class _Builder:
    """Puts the phases' work together, kind by kind."""

    def __init__(self, sizes: Sizes, attention: Attention, start_of_items: float):
        self.sizes, self.attention = sizes, attention
        self.start_of_items = start_of_items
        networks, engine = sizes.networks, sizes.engine
        self.pixel_passes = 1 if engine.act_bits == 8 else 2
        self.parameter_bytes = engine.parameter_word_bytes
        room = engine.activation_words - per_block(sizes.norm_words)
        tiles = np.maximum(
            1, np.minimum(sizes.query_tiles, room // np.maximum(sizes.hidden_tiles, 1))
        )
        self.mlp_groups = divide_up(sizes.query_tiles, tiles)  # each loads the weights again
        width_tiles, width_depth = per_block(sizes.width_tiles), per_block(sizes.width_depth)
        self.matrices = {  # row tiles, wide, words, times that the weights are loaded
            PROJ: (width_tiles, sizes.wide(3), sizes.inner_depth, 1),
            FC1: (sizes.hidden_tiles, sizes.wide(4), width_depth, self.mlp_groups),
            FC2: (width_tiles, sizes.wide(5), sizes.hidden_depth, self.mlp_groups),
        }
        self.embed_wide = networks.embed_wide * sizes.finer
        self.head_wide = networks.head_wide * sizes.finer

    def row(self, embed: Any, blocks: Mapping[int, Any], head: Any) -> Array:
        """(n, phases) from (n,), (n, blocks) by phase, and (n,)."""
        sizes = self.sizes
        count, places = sizes.exists.shape
        result = np.zeros((count, BLOCK_PHASES * places + 2))
        result[:, 0] = embed
        for phase, values in blocks.items():
            result[:, 1 + phase : -1 : BLOCK_PHASES] = np.where(sizes.exists, values, 0)
        result[:, -1] = head
        return result

    def phases(self) -> Phases:
        sizes, attention = self.sizes, self.attention
        queries, everywhere = sizes.query_tiles, per_block(sizes.tiles)
        exists = self.row(1, dict.fromkeys(range(BLOCK_PHASES), sizes.exists), 1) > 0
        tiles = self.row(
            sizes.tiles,
            {ATTENTION: everywhere, PROJ: queries, FC1: queries, FC2: queries},
            1,
        )
        compute = self._compute()
        weights, more = self._weights(), self._parameters()
        ring_part = sizes.engine.weight_words // RING_PARTS * sizes.engine.weight_word_bytes
        parts = np.maximum(1, np.ceil(weights / ring_part))
        groups = self.row(1, {ATTENTION: sizes.groups}, 1)
        weight_blocks = np.maximum(parts, groups)
        matmuls = self._matmuls(parts)
        tables = self.row(0, {FC1: np.full_like(queries, GELU_BYTES)}, 0)
        loads = 2 * weight_blocks * exists + self.row(0, dict.fromkeys((PROJ, FC1, FC2), 1), 0)
        others = self.row(
            2 * sizes.tiles + sizes.networks.rows,  # preloads, LayerNorms, strips
            {ATTENTION: attention.items, PROJ: queries, FC1: 0 * queries, FC2: queries},
            1,
        )
        total = weights + more + tables
        beats = total / sizes.engine.memory_bytes
        step = compute / np.maximum(weight_blocks * tiles, 1)
        projections = self.row(0, {ATTENTION: attention.projections}, 0)
        shared = weight_blocks * np.maximum(tiles, 1)
        return Phases(
            exists=exists,
            compute=compute,
            tile_compute=np.where(projections > 0, projections / shared, step),
            tiles=tiles,
            weight_blocks=weight_blocks,
            bytes=total,
            writes=beats + tables,
            tables=tables,
            loads=loads,
            matmuls=matmuls,
            instructions=matmuls + loads + others,
        )

    def _compute(self) -> Array:
        sizes, queries = self.sizes, self.sizes.query_tiles
        pairs = np.where(sizes.single, 1, sizes.pairs)
        blocks = {
            phase: sizes.matrix(queries, rows, wide, words, pairs)
            for phase, (rows, wide, words, _) in self.matrices.items()
        }
        late = np.where(sizes.single, self.start_of_items, 0)
        blocks[ATTENTION] = self.attention.cycles() + late
        embed = sizes.matrix(
            sizes.patch_tiles, sizes.width_tiles, self.embed_wide,
            self.pixel_passes * sizes.patch_words, sizes.pairs,
        )  # fmt: skip
        head = sizes.matrix(1, sizes.class_tiles, self.head_wide, sizes.width_depth, 1)
        return self.row(embed, blocks, head)

    def _weights(self) -> Array:
        sizes = self.sizes
        blocks = {
            phase: sizes.weight_bytes(rows, wide, words) * times
            for phase, (rows, wide, words, times) in self.matrices.items()
        }
        rows, words = sizes.inner_tiles, per_block(sizes.width_depth)
        blocks[ATTENTION] = sum(sizes.weight_bytes(rows, sizes.wide(x), words) for x in (Q, K, V))
        embed = sizes.weight_bytes(sizes.width_tiles, self.embed_wide, sizes.patch_words)
        head = sizes.weight_bytes(sizes.class_tiles, self.head_wide, sizes.width_depth)
        return self.row(embed, blocks, head)

    def _parameters(self) -> Array:
        sizes = self.sizes
        blocks = {
            phase: rows * times * self.parameter_bytes
            for phase, (rows, _, _, times) in self.matrices.items()
        }
        blocks[ATTENTION] = 3 * sizes.inner_tiles * self.parameter_bytes
        return self.row(
            sizes.width_tiles * self.parameter_bytes,
            blocks,
            sizes.class_tiles * self.parameter_bytes,
        )

    def _matmuls(self, parts: Array) -> Array:
        """Instructions of the matmul unit: one per weight block, token tile and layer in it."""
        sizes, queries = self.sizes, self.sizes.query_tiles
        attention = parts[:, 1:-1:BLOCK_PHASES]
        by_layer = sizes.groups * (2 * per_block(sizes.tiles) + queries)
        cut = np.maximum(0, attention - sizes.groups) * per_block(sizes.tiles)
        runs = divide_up(sizes.hidden_tiles, most_row_tiles(sizes.engine))
        fc1 = np.maximum(parts[:, 1 + FC1 : -1 : BLOCK_PHASES], runs)
        return self.row(
            parts[:, 0] * sizes.tiles,
            {
                ATTENTION: by_layer + cut + 2 * self.attention.items,
                PROJ: parts[:, 1 + PROJ : -1 : BLOCK_PHASES] * queries,
                FC1: fc1 * queries,
                FC2: parts[:, 1 + FC2 : -1 : BLOCK_PHASES] * queries,
            },
            parts[:, -1],
        )


def embedding_of(sizes: Sizes) -> Embedding:
    """What the first phase takes beside its weights."""
    networks, engine = sizes.networks, sizes.engine
    chain = np.lcm(networks.columns, engine.token_lanes) // engine.token_lanes
    places = np.minimum(chain, sizes.patch_tiles)
    chains = engine.pixel_words // (places * sizes.patch_words)
    all_fit = chains >= divide_up(sizes.patch_tiles, chain)
    step = np.where(all_fit, sizes.patch_tiles, chain * np.maximum(1, chains // 2))
    groups = divide_up(sizes.patch_tiles, np.maximum(step, 1))
    position_words = networks.tokens * sizes.width_tiles
    beats = max(1.0, engine.residual_word_bytes / engine.memory_bytes)
    pixels = networks.patches * networks.patch**2 * networks.channels
    return Embedding(
        groups=groups,
        tiles=sizes.patch_tiles / groups,
        serial=(chains <= 1) & (groups > 1),
        bytes=position_words * engine.residual_word_bytes + pixels,
        writes=position_words * beats + networks.patches * sizes.patch_words,
    )
