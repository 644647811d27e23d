"""How the compiler cuts weights into blocks for the ring, for many matrices at once.

As :func:`rtl.compiler.runs.cut_into_blocks` does for one: row tiles in the order of their use, cut
group by group into blocks of about equal size, a part of the ring at most.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nas.cost.networks import Array
from nas.cost.sizes import Sizes, divide_up, per_block
from rtl.compiler.lowering.layers import RING_PARTS
from rtl.config import EngineConfig
from rtl.model.shape import LAYERS


@dataclass(frozen=True, eq=False)
class Cut:
    """Weight blocks in the order of their use; all arrays (matrices, blocks).

    Parameters
    ----------
    words : of the ring; 0 behind a matrix' last block
    group : number of the block's group
    part : of the group's words that the block has
    ends : whether it is the group's last one
    """

    words: Array
    group: Array
    part: Array
    ends: Array

    def __getitem__(self, chosen: Any) -> "Cut":
        """Some of the matrices, with as many places for blocks as they need."""
        most = self.blocks[chosen].max()
        return Cut(
            *(each[chosen, :most] for each in (self.words, self.group, self.part, self.ends))
        )

    @cached_property
    def blocks(self) -> Array:
        """(matrices,) blocks of each."""
        return (self.words > 0).sum(axis=-1)

    def repeated(self, times: Array) -> "Cut":
        """All blocks of each matrix so many times, each time a group of its own."""
        if (times <= 1).all():
            return self
        blocks = np.maximum(1, self.blocks)[:, None]
        index = np.arange(int((self.blocks * times).max()))
        time, place = np.divmod(index, blocks)

        def again(values: Array) -> Array:
            return np.take_along_axis(values, np.minimum(place, values.shape[1] - 1), axis=1)

        exists = time < times[:, None]
        return Cut(again(self.words) * exists, time, again(self.part) * exists, again(self.ends))


def cut(words: Array, group: Array, engine: EngineConfig) -> Cut:
    """Cut row tiles into blocks.

    Parameters
    ----------
    words, group : (matrices, tiles) int
        Words of the ring that each row tile takes, 0 if there is none; the number of its group.
        Groups follow each other.
    engine : EngineConfig
    """
    matrices, groups = len(words), int(group.max()) + 1
    total, tiles = (_summed(group, values, groups) for values in (words, words > 0))
    most_words, most_tiles = max(1, engine.weight_words // RING_PARTS), engine.parameter_words // 2
    blocks = np.maximum(divide_up(total, most_words), divide_up(tiles, most_tiles))
    target = divide_up(total, np.maximum(1, blocks))

    goal, group_by_tile = rows_of(_take(target, group)), rows_of(group)
    of_tile = np.zeros(words.shape[::-1], np.int64)  # its block
    block, in_group = np.zeros((2, matrices), np.int64)
    words_in, tiles_in, done = np.zeros((3, matrices), np.int64)  # the block, the block, the group
    for tile, more in enumerate(rows_of(words)):
        new = group_by_tile[tile] != group_by_tile[max(0, tile - 1)]
        done, in_group = np.where(new, 0, done), np.where(new, 0, in_group)
        full = (words_in + more > most_words) | (tiles_in == most_tiles)
        enough = done + more // 2 >= goal[tile] * (in_group + 1)
        begins = (more > 0) & (tiles_in > 0) & (new | full | enough)
        block, in_group = block + begins, in_group + (begins & ~new)
        words_in, tiles_in = np.where(begins, 0, words_in), np.where(begins, 0, tiles_in)
        words_in, tiles_in, done = words_in + more, tiles_in + (more > 0), done + more
        of_tile[tile] = block

    of_tile = rows_of(of_tile)
    of_block = _summed(of_tile, words, int(block.max()) + 1)
    group_of = np.zeros_like(of_block)
    np.put_along_axis(group_of, of_tile, group, axis=1)
    following = np.pad(group_of[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
    is_last = np.arange(of_block.shape[1]) == block[:, None]
    part = of_block / np.maximum(1, _take(total, group_of))
    return Cut(of_block, group_of, part, (group_of != following) | is_last)


def rows_of(values: Array) -> Array:
    """Columns as rows, each in one piece of memory."""
    return np.ascontiguousarray(values.T)


def _summed(places: Array, values: Array, count: int) -> Array:
    """(matrices, count) sums of the values with each place."""
    flat = places + np.arange(len(places))[:, None] * count
    sums = np.bincount(flat.ravel(), values.ravel(), len(places) * count)
    return sums.reshape(-1, count).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Cuts:
    """Of the matrices of a phase in many networks, most of which are like another's.

    Parameters
    ----------
    cut : Cut
        Of those that differ.
    which : (n,) int
        Which of them each network has.
    times : (n,) int
        How often each network loads its own.
    """

    cut: Cut
    which: Array
    times: Array

    def __getitem__(self, chosen: Any) -> Cut:
        """Of some of the networks, a row for each."""
        return self.cut[self.which[chosen]].repeated(self.times[chosen])


def all_cuts(sizes: Sizes) -> list[Cuts]:
    """Of every phase (:mod:`nas.cost.phases`): embedding, four for each block, head."""
    count, once = len(sizes.tiles), np.ones_like(sizes.mlp_groups)
    kinds = [
        (*projections(sizes), once),
        (*matrix(sizes, "proj", sizes.inner_depth), once),
        (*matrix(sizes, "fc1", per_block(sizes.width_depth)), sizes.mlp_groups),
        (*matrix(sizes, "fc2", sizes.hidden_depth), sizes.mlp_groups),
    ]
    blocks = [
        Cuts(cut, which[:, block], times[:, block])
        for block in range(once.shape[1])
        for cut, which, times in kinds
    ]
    first, last = (
        Cuts(cut, np.arange(count), np.ones(count, np.int64))
        for cut in (embedding(sizes), classifier(sizes))
    )
    return [first, *blocks, last]


def embedding(sizes: Sizes) -> Cut:
    """The embedding's, (n, blocks)."""
    tiles = _Tiles(sizes.networks.embed_wide, sizes.width_tiles, sizes.finer)
    return _alone(tiles.words(sizes.patch_words), sizes.engine)


def classifier(sizes: Sizes) -> Cut:
    """The head's, (n, blocks)."""
    tiles = _Tiles(sizes.networks.head_wide, sizes.class_tiles, sizes.finer)
    return _alone(tiles.words(sizes.width_depth), sizes.engine)


def matrix(sizes: Sizes, layer: str, depth_words: Array) -> tuple[Cut, Array]:
    """A layer's, of those that differ; which of them each block of a network has, (n, blocks)."""
    index = LAYERS.index(layer)
    rows, first = _distinct(
        sizes.networks.wide[:, :, index], sizes.layer_tiles[index], per_block(sizes.finer),
        depth_words,
    )  # fmt: skip
    wide, tiles, finer, depth = first
    return _alone(_Tiles(wide, tiles, finer).words(depth), sizes.engine), rows


def projections(sizes: Sizes) -> tuple[Cut, Array]:
    """K's, V's and Q's: group by group of heads, K before V before Q; as :func:`matrix`."""
    layers = [LAYERS.index(name) for name in "kvq"]
    rows, first = _distinct(
        *(sizes.networks.wide[:, :, layer] for layer in layers),
        sizes.inner_tiles, per_block(sizes.finer), per_block(sizes.width_depth),
        sizes.group_heads * per_block(sizes.head_rows),
    )  # fmt: skip
    *wide, tiles, finer, depth, group_rows = first
    words = np.stack([_Tiles(each, tiles, finer).words(depth) for each in wide], axis=1)
    group_tiles = np.maximum(1, divide_up(group_rows, sizes.engine.row_lanes))[:, None]
    return cut(*_group_by_group(words, tiles[:, None], group_tiles), sizes.engine), rows


def _group_by_group(words: Array, tiles: Array, group_tiles: Array) -> tuple[Array, Array]:
    """Row tiles of several layers in the order of their use, and their groups' numbers.

    Parameters
    ----------
    words : (matrices, layers, tiles) int
    tiles, group_tiles : (matrices, 1) int
        Of a layer; of each of its groups but the last.
    """
    matrices, layers, most = words.shape
    place = np.arange(layers * most)
    group = np.minimum(place // (layers * group_tiles), divide_up(tiles, group_tiles) - 1).clip(0)
    first = group * group_tiles
    layer, tile = np.divmod(place - layers * first, np.minimum(group_tiles, tiles - first).clip(1))
    exists = place < layers * tiles
    source = np.where(exists, layer * most + first + tile, 0)
    return _take(words.reshape(matrices, -1), source) * exists, group


class _Tiles:
    """Row tiles of the engine: (matrices, tiles).

    Parameters
    ----------
    wide : (matrices, tiles) bool
        By row tiles of the networks.
    row_tiles, finer : (matrices,) int
        Of the engine; of these in one of the networks'.
    """

    def __init__(self, wide: Array, row_tiles: Array, finer: Array):
        tile = np.arange(max(1, row_tiles.max()))
        self.exists = tile < row_tiles[:, None]
        source = np.minimum(tile // finer[:, None], wide.shape[1] - 1)
        self.wide = _take(wide, source) & self.exists

    def words(self, depth_words: Array) -> Array:
        """Of the ring; an 8-bit row tile takes twice as many as a 4-bit one."""
        return depth_words[:, None] * (self.exists.astype(np.int64) + self.wide)


def _distinct(*values: Array) -> tuple[Array, list[Array]]:
    """Matrices that differ: most blocks of a space's subnets have some like them.

    Parameters
    ----------
    *values : (n, blocks) int or (n, blocks, tiles) bool

    Returns
    -------
    which : (n, blocks) int
        Which of those that differ each matrix is.
    first : list of (matrices,) int or (matrices, tiles) bool
        Values of each that differs.
    """
    shape = np.broadcast_shapes(*(each.shape[:2] for each in values))
    flat = [np.broadcast_to(each, shape + each.shape[2:]) for each in values]
    flat = [each.reshape(-1, *each.shape[2:]) for each in flat]
    draws = np.random.default_rng(0)  # random multipliers: equal sums are equal values
    keys = np.zeros(len(flat[0]), np.int64)
    for each in flat:
        columns = _packed(each) if each.ndim == 2 else each[:, None]
        for column in columns.T:
            keys += column * draws.integers(np.iinfo(np.int64).max)
    _, index, which = np.unique(keys, return_index=True, return_inverse=True)
    return which.reshape(shape), [each[index] for each in flat]


def _packed(flags: Array) -> Array:
    """(rows, words) int64 from (rows, flags) bool."""
    packed = np.packbits(flags, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.int64)


def _alone(words: Array, engine: EngineConfig) -> Cut:
    """Matrices of one group each."""
    return cut(words, np.zeros(words.shape, np.int64), engine)


def _take(values: Array, places: Array) -> Array:
    return np.take_along_axis(values, places, axis=1)
