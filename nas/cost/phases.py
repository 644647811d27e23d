"""What each phase of a network asks of the engine: array cycles, words from memory, instructions.

A network is a row of *phases*: the embedding, then per block attention, proj, fc1 and fc2, then the
head. Arrays here have the shape (networks, phases); a phase that a network does not have, because
another one of the batch is deeper, costs nothing. Padding and grouping are the compiler's
(:mod:`rtl.compiler.lowering`); :mod:`nas.cost.latency` says who waits for whom.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from nas.cost.cutting import Cut
from nas.cost.networks import Array
from nas.cost.sizes import Sizes, divide_up, per_block
from rtl.compiler.runs import most_row_tiles
from rtl.isa.instructions import INSTRUCTION_BYTES
from rtl.model import numerics
from rtl.model.shape import LAYERS

BLOCK_PHASES = 4  # attention, proj, fc1, fc2
ATTENTION, PROJ, FC1, FC2 = range(BLOCK_PHASES)
GELU_BYTES = 1 << numerics.KV_BITS  # the table has a byte for each 8-bit input
Q, K, V = (LAYERS.index(name) for name in "qkv")


@dataclass(frozen=True, eq=False)
class Steps:
    """Cycles of the matmul unit by group of weights, if it never waits for another unit.

    Parameters
    ----------
    first, middle, last : of the first group, of each that follows, of the last of several
    between : from a group's last use to the next group's first one
    behind : from the last group's last use to the phase's end
    """

    first: Array
    middle: Array
    last: Array
    between: Array
    behind: Array

    def total(self, groups: Array) -> Array:
        """Of so many groups."""
        return (
            self.first
            + np.maximum(0, groups - 2) * self.middle
            + (groups > 1) * self.last
            + np.maximum(0, groups - 1) * self.between
            + self.behind
        )


@dataclass(frozen=True, eq=False)
class Phases:
    """Work by phase; all arrays (networks, phases), cycles and bytes as floats.

    Parameters
    ----------
    exists : bool
    steps : cycles of the matmul unit if it never waits for another unit
    tile_compute : cycles of one token tile in one weight block
    tiles : token tiles
    groups : times that weights are loaded for: of heads, or of token tiles
    cuts : weight blocks of each phase, a list of phases
    bytes : that LOADs read
    tables : cycles that the loaders need to write the GELU table, behind the first weight block
    other_loads : LOADs beside the two of each weight block
    matmuls, instructions : their numbers
    """

    exists: Array
    steps: Steps
    tile_compute: Array
    tiles: Array
    groups: Array
    cuts: list[Cut]
    bytes: Array
    tables: Array
    other_loads: Array
    matmuls: Array
    instructions: Array

    @cached_property
    def compute(self) -> Array:
        """Cycles of the matmul unit if it never waits for another unit."""
        return self.steps.total(self.groups)

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
    tail : float
        The same beyond it of the first and the last item of a block where softmax decides.

    Attributes
    ----------
    projections : cycles of Q, K and V
    item : cycles of the array for an item
    items : of the block
    """

    def __init__(self, sizes: Sizes, chain_latency: float, tail: float = 0.0):
        self.sizes = sizes
        networks, words = sizes.networks, per_block(sizes.width_depth)
        all_tiles, rows = per_block(sizes.tiles), sizes.inner_tiles
        pairs = np.where(sizes.single, 1, sizes.pairs)
        self.projections = sum(
            sizes.matrix(tiles, rows, sizes.wide[..., layer], words, beats)
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
        self.context, self.item = context, scores + context
        self.items = networks.heads * sizes.query_tiles
        self.latency, self.tail = chain_latency, tail
        self.wait = self.softmax + chain_latency

    def steps(self) -> Steps:
        """Of the groups of heads: the array, softmax, or the way from scores to context decides.

        While a group's heads attend, the array also has the next group's projections, if the
        banks hold both. The last group may have fewer heads.
        """
        sizes, heads = self.sizes, np.maximum(self.sizes.networks.heads, 1)
        group, rest = sizes.group_heads, sizes.last_heads
        whole, last = self.projections * group / heads, self.projections * rest / heads
        pending = np.minimum(sizes.slots - 1, group * sizes.query_tiles) * self.context
        return Steps(
            first=whole,
            middle=np.where(sizes.resident, self._filled(group, whole), whole),
            last=np.where(sizes.resident, self._filled(group, last, pending), last),
            between=np.where(sizes.resident, 0, self._alone(group)),
            behind=self._alone(rest, np.where(sizes.resident & (sizes.groups > 1), pending, 0)),
        )

    def _filled(self, heads: Array, more: Array, pending: Any = 0) -> Array:
        """Items of so many heads, between them ``more`` cycles of projections.

        ``pending`` cycles of contexts are left for what follows.
        """
        items = heads * self.sizes.query_tiles
        array = items * self.item + more - pending
        chain = items * (self.item + self.wait) / self.sizes.slots
        return np.maximum.reduce([array, items * self.softmax, chain])

    def _alone(self, heads: Array, pending: Any = 0) -> Array:
        """Items of so many heads and nothing else but ``pending``, to the last context.

        The array ends with the contexts of the last slots; the last one waits for softmax.
        """
        items = heads * self.sizes.query_tiles
        others = (np.minimum(self.sizes.slots, items) - 2).clip(0) * self.context
        array = items * self.item + pending + np.maximum(0, self.wait - others)
        softmax = items * self.softmax + self.item + self.latency + self.tail
        chain = np.ceil(items / self.sizes.slots) * (self.item + self.wait)
        return np.maximum.reduce([array, softmax, chain])


def phases_of(sizes: Sizes, cuts: list[Cut], attention: Attention, start_of_items: float) -> Phases:
    """All phases of the networks.

    Parameters
    ----------
    sizes : Sizes
    cuts : list of Cut
        Of all phases: :func:`nas.cost.cutting.all_cuts`.
    attention : Attention
    start_of_items : float
        Cycles from the projection of a single query tile to its first scores.
    """
    return _Builder(sizes, cuts, attention, start_of_items).phases()


class _Builder:
    """Puts the phases' work together, kind by kind."""

    def __init__(self, sizes: Sizes, cuts: list[Cut], attention: Attention, start_of_items: float):
        self.sizes, self.cuts, self.attention = sizes, cuts, attention
        self.start_of_items = start_of_items
        networks, engine = sizes.networks, sizes.engine
        self.pixel_passes = 1 if engine.act_bits == 8 else 2
        width_tiles, width_depth = per_block(sizes.width_tiles), per_block(sizes.width_depth)
        self.matrices = {  # row tiles, wide, words, times that the weights are loaded
            PROJ: (width_tiles, sizes.wide[..., 3], sizes.inner_depth, 1),
            FC1: (sizes.hidden_tiles, sizes.wide[..., 4], width_depth, sizes.mlp_groups),
            FC2: (width_tiles, sizes.wide[..., 5], sizes.hidden_depth, sizes.mlp_groups),
        }
        self.embed_wide = sizes.wide_tiles(networks.embed_wide, sizes.width_tiles)
        self.head_wide = sizes.wide_tiles(networks.head_wide, sizes.class_tiles)

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
        sizes, attention, mlp = self.sizes, self.attention, self.sizes.mlp_groups
        networks, engine = sizes.networks, sizes.engine
        queries, everywhere = sizes.query_tiles, per_block(sizes.tiles)
        exists = self.row(1, dict.fromkeys(range(BLOCK_PHASES), sizes.exists), 1) > 0
        tiles = self.row(
            sizes.tiles,
            {ATTENTION: everywhere, PROJ: queries, FC1: queries, FC2: queries},
            1,
        )
        weights, row_tiles = self._weights(), self._row_tiles()
        groups = self.row(1, {ATTENTION: sizes.groups, PROJ: 1, FC1: mlp, FC2: mlp}, 1)
        weight_blocks = np.stack([each.blocks for each in self.cuts], axis=1)
        matmuls = self._matmuls(weight_blocks)
        tables = self.row(0, {FC1: np.full_like(queries, GELU_BYTES)}, 0)
        other_loads = self.row(0, dict.fromkeys((PROJ, FC1, FC2), 1), 0)
        others = self.row(
            2 * sizes.tiles + networks.rows,  # preloads, LayerNorms, strips
            {ATTENTION: attention.items, PROJ: queries, FC1: 0 * queries, FC2: queries},
            1,
        )
        total = weights + row_tiles * engine.parameter_word_bytes + tables
        steps = self._steps(groups)
        projections = self.row(0, {ATTENTION: attention.projections}, 0)
        by_tile = np.where(projections > 0, projections, steps.total(groups))
        return Phases(
            exists=exists,
            steps=steps,
            tile_compute=by_tile / np.maximum(1, weight_blocks * tiles),
            tiles=tiles,
            groups=groups,
            cuts=self.cuts,
            bytes=total,
            tables=tables,
            other_loads=other_loads,
            matmuls=matmuls,
            instructions=matmuls + 2 * weight_blocks + other_loads + others,
        )

    def _steps(self, groups: Array) -> Steps:
        sizes, queries = self.sizes, self.sizes.query_tiles
        pairs = np.where(sizes.single, 1, sizes.pairs)
        blocks = {
            phase: sizes.matrix(queries, rows, wide, words, pairs)
            for phase, (rows, wide, words, _) in self.matrices.items()
        }
        blocks[ATTENTION] = np.zeros_like(sizes.query_tiles)
        embed = sizes.matrix(
            sizes.patch_tiles, sizes.width_tiles, self.embed_wide,
            self.pixel_passes * sizes.patch_words, sizes.pairs,
        )  # fmt: skip
        head = sizes.matrix(1, sizes.class_tiles, self.head_wide, sizes.width_depth, 1)
        each = self.row(embed, blocks, head) / np.maximum(groups, 1)
        attention = self.attention.steps()
        late = np.where(sizes.single, self.start_of_items, 0)
        attention = replace(attention, behind=attention.behind + late)
        others = Steps(first=each, middle=each, last=each, between=0 * each, behind=0 * each)
        return Steps(
            **{
                field.name: getattr(others, field.name)
                + self.row(0, {ATTENTION: getattr(attention, field.name)}, 0)
                for field in fields(Steps)
            }
        )

    def _weights(self) -> Array:
        sizes = self.sizes
        blocks = {
            phase: sizes.weight_bytes(rows, wide, words) * times
            for phase, (rows, wide, words, times) in self.matrices.items()
        }
        rows, words = sizes.inner_tiles, per_block(sizes.width_depth)
        blocks[ATTENTION] = sum(
            sizes.weight_bytes(rows, sizes.wide[..., x], words) for x in (Q, K, V)
        )
        embed = sizes.weight_bytes(sizes.width_tiles, self.embed_wide, sizes.patch_words)
        head = sizes.weight_bytes(sizes.class_tiles, self.head_wide, sizes.width_depth)
        return self.row(embed, blocks, head)

    def _row_tiles(self) -> Array:
        """Row tiles that are loaded."""
        sizes = self.sizes
        blocks = {phase: rows * times for phase, (rows, _, _, times) in self.matrices.items()}
        blocks[ATTENTION] = 3 * sizes.inner_tiles
        return self.row(sizes.width_tiles, blocks, sizes.class_tiles)

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
