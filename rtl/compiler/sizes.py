"""What a network of some shape measures on an engine: tiles, padded plan, words.

Every other part of the compiler takes its numbers from here. Padding rules:
docs/design/0001-engine.md, *Lanes*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from math import lcm
from typing import NamedTuple, TypeVar

from rtl.config import MIN_SCORE_SLOTS, EngineConfig
from rtl.model.shape import NetworkShape

RESIDUAL_BANKS = 4  # a group of 4 tokens lies side by side, at the same address
SCORE_BANKS = 4  # so does a group of 4 lanes

Item = TypeVar("Item")


class TokenTile(NamedTuple):
    """One token tile (``token_lanes`` tokens), or the part of it that an instruction works on."""

    index: int
    token: int  # in lane 0
    lane_first: int
    lane_count: int

    @property
    def tokens(self) -> range:
        """Tokens of the lanes that take part."""
        first = self.token + self.lane_first
        return range(first, first + self.lane_count)


@dataclass(frozen=True)
class TiledMatrix:
    """A matrix in row tiles (``row_lanes`` rows) and depth words (``depth_lanes`` columns).

    Parameters
    ----------
    name : str
        As in docs/format.md: ``embed``, ``blocks.0.q``, ..., ``head``.
    block : int
        -1 outside of blocks.
    rows, depth : int
        Without padding.
    depth_words : int
        Words of the reduction, padded.
    wide : tuple of bool
        Per row tile of the engine: whether it holds 8-bit weights.
    """

    name: str
    block: int
    rows: int
    depth: int
    depth_words: int
    wide: tuple[bool, ...]

    @property
    def row_tiles(self) -> int:
        return len(self.wide)

    def ring_words(self, tile: int) -> int:
        """Words of the weight ring that row tile ``tile`` takes."""
        return self.depth_words * (1 + self.wide[tile])


def divide_up(value: int, by: int) -> int:
    """``value / by``, rounded up."""
    return -(-value // by)


def evenly(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    """``items`` in order, cut into ``parts`` whose lengths differ by one at most."""
    cuts = [len(items) * i // parts for i in range(parts + 1)]
    return [items[start:stop] for start, stop in pairwise(cuts)]


class Plan:
    """Derived sizes of ``shape`` on ``engine``; nothing is checked, see :mod:`.limits`.

    Parameters
    ----------
    shape : NetworkShape
    engine : EngineConfig

    Attributes
    ----------
    tokens, tiles : int
        Tokens, and token tiles that hold them.
    width_tiles, width_depth : int
        The embedding width in words of ``row_lanes`` and of ``depth_lanes`` channels.
    key_tiles, value_depth : int
        The tokens as keys, in words of ``row_lanes`` and of ``depth_lanes``.
    class_tiles : int
        The logits in words of ``row_lanes``.
    residual_words, score_slot_words : int
        Words per bank that the residual stream and the scores of one token tile take.
    head_rows, head_depth : int
        Padded dimensions of a head, and the words of ``depth_lanes`` that they make.
    unit_heads : int
        The fewest heads that fill whole row tiles.
    segment_bytes : int
        One row of pixels of a patch, all channels.
    patch_row_words, patch_words : int
        Pixel words of such a row and of a patch.
    chain_tiles : int
        The fewest token tiles that end where a row of patches ends.
    """

    def __init__(self, shape: NetworkShape, engine: EngineConfig):
        self.shape = shape
        self.engine = engine
        rows, depth, tokens = engine.row_lanes, engine.depth_lanes, shape.tokens
        self.tokens = tokens
        self.tiles = divide_up(tokens, engine.token_lanes)
        self.width_tiles = divide_up(shape.width, rows)
        self.width_depth = divide_up(shape.width, depth)
        self.key_tiles = divide_up(tokens, rows)
        self.value_depth = divide_up(tokens, depth)
        self.class_tiles = divide_up(shape.classes, rows)
        self.residual_words = divide_up(tokens, RESIDUAL_BANKS) * self.width_tiles
        self.score_slot_words = divide_up(engine.token_lanes, SCORE_BANKS) * self.key_tiles

        self.head_rows = divide_up(shape.head_dim, depth) * depth
        self.head_depth = self.head_rows // depth
        self.unit_heads = lcm(self.head_rows, rows) // self.head_rows

        self.segment_bytes = shape.patch * shape.image[2]
        self.patch_row_words = divide_up(self.segment_bytes, depth)
        self.patch_words = shape.patch * self.patch_row_words
        self.chain_tiles = lcm(shape.grid[1], engine.token_lanes) // engine.token_lanes

    # ------------------------------------------------------------ token tiles

    def tile(self, index: int) -> TokenTile:
        """All tokens of a tile."""
        token = index * self.engine.token_lanes
        return TokenTile(index, token, 0, min(self.engine.token_lanes, self.tokens - token))

    @cached_property
    def all_tiles(self) -> tuple[TokenTile, ...]:
        return tuple(self.tile(index) for index in range(self.tiles))

    @cached_property
    def head_tile(self) -> TokenTile:
        """The last token alone in its lane: the class token, or where the mean is put."""
        index, lane = divmod(self.tokens - 1, self.engine.token_lanes)
        return TokenTile(index, index * self.engine.token_lanes, lane, 1)

    @cached_property
    def patch_tiles(self) -> tuple[TokenTile, ...]:
        """All tiles without the class token; if that is alone in a tile, one tile less."""
        whole = (tile._replace(lane_count=self.patches_of(tile)) for tile in self.all_tiles)
        return tuple(tile for tile in whole if tile.lane_count)

    def patches_of(self, tile: TokenTile) -> int:
        return min(tile.lane_count, self.shape.patches - tile.token)

    def query_tiles(self, block: int) -> tuple[TokenTile, ...]:
        """Token tiles that a block computes: in the last block only what the head needs.

        Its keys and values still come from all tokens.
        """
        if not self.is_last(block):
            return self.all_tiles
        return self.patch_tiles if self.shape.mean_pool else (self.head_tile,)

    def is_last(self, block: int) -> bool:
        return block == len(self.shape.blocks) - 1

    # ------------------------------------------------------------ layers

    @cached_property
    def embed(self) -> TiledMatrix:
        shape = self.shape
        flags = self._wide(shape.embed_wide, shape.width)
        return TiledMatrix("embed", -1, shape.width, shape.patch_values, self.patch_words, flags)

    @cached_property
    def head(self) -> TiledMatrix:
        shape = self.shape
        flags = self._wide(shape.head_wide, shape.classes)
        return TiledMatrix("head", -1, shape.classes, shape.width, self.width_depth, flags)

    def layers(self, block: int) -> dict[str, TiledMatrix]:
        """Matrices of a block by their name within it: ``q``, ``k``, ``v``, ``proj``, ..."""
        flags = dict(self.shape.blocks[block].wide)
        tiles = {name: self._head_wide if name in "qkv" else self._wide for name in flags}
        words = {"proj": self.inner_depth(block), "fc2": self.hidden_depth(block)}
        return {
            name: TiledMatrix(
                f"blocks.{block}.{name}",
                block,
                rows,
                depth,
                words.get(name, self.width_depth),
                tiles[name](flags[name], rows),
            )
            for name, (rows, depth) in self.shape.layer_sizes(block).items()
        }

    @cached_property
    def pool_layers(self) -> dict[str, TiledMatrix]:
        """Products of mean pooling by name (docs/design/0008-mean-pooling.md); none without.

        Every row tile of ``pool.values`` is the same identity, of its own channels.
        """
        if not self.shape.mean_pool:
            return {}
        rows, depth, width, tokens = (
            self.engine.row_lanes, self.engine.depth_lanes, self.shape.width, self.tokens
        )  # fmt: skip
        channels = self.width_tiles
        layers = (
            TiledMatrix("pool.values", -1, width, rows, self.engine.granules, (False,) * channels),
            TiledMatrix("pool.weights", -1, tokens, depth, 1, (False,) * self.key_tiles),
            TiledMatrix("pool", -1, width, tokens, self.value_depth, (True,) * channels),
        )
        return {layer.name: layer for layer in layers}

    @cached_property
    def all_layers(self) -> dict[str, TiledMatrix]:
        """Every matrix by its name."""
        blocks = range(len(self.shape.blocks))
        inner = (layer for block in blocks for layer in self.layers(block).values())
        layers = (self.embed, *inner, *self.pool_layers.values(), self.head)
        return {layer.name: layer for layer in layers}

    def _wide(self, flags: tuple[bool, ...], rows: int) -> tuple[bool, ...]:
        return _tile_flags(flags, self.shape.row_granularity, self.engine.row_lanes, rows)

    def _head_wide(self, flags: tuple[bool, ...], rows: int) -> tuple[bool, ...]:
        """Row tiles of Q, K, V: where heads are padded, a tile is wide if any of its rows is."""
        if self.head_rows == self.shape.head_dim:
            return self._wide(flags, rows)
        return _padded_flags(
            flags,
            self.shape.row_granularity,
            self.engine.row_lanes,
            rows,
            self.shape.head_dim,
            self.head_rows,
        )

    # ------------------------------------------------------------ sizes of a block

    def inner_rows(self, block: int) -> int:
        """Rows of Q, K and V with padded heads."""
        return self.shape.blocks[block].heads * self.head_rows

    def inner_tiles(self, block: int) -> int:
        return divide_up(self.inner_rows(block), self.engine.row_lanes)

    def inner_depth(self, block: int) -> int:
        return self.inner_rows(block) // self.engine.depth_lanes

    def hidden_tiles(self, block: int) -> int:
        return divide_up(self.shape.blocks[block].hidden, self.engine.row_lanes)

    def hidden_depth(self, block: int) -> int:
        return divide_up(self.shape.blocks[block].hidden, self.engine.depth_lanes)

    # ------------------------------------------------------------ scratchpads

    def residual_word(self, token: int) -> int:
        """First residual word of a token: the address is shared by a group of four."""
        return token // RESIDUAL_BANKS * self.width_tiles

    @property
    def norm_words(self) -> int:
        """The lower part of the activations: LayerNorm outputs of all tiles."""
        return self.tiles * self.width_tiles

    def attention_slots(self, block: int) -> int:
        """Slots that are used of the engine's: those that have room for their attention weights."""
        room = self.engine.activation_words - self.norm_words - self.query_words(block)
        return max(MIN_SCORE_SLOTS, min(self.engine.score_slots, room // self.key_tiles))

    def query_words(self, block: int) -> int:
        """Q, which the context overwrites head by head."""
        return self.tiles * self.inner_tiles(block)

    def attention_words(self, block: int) -> int:
        """Q, and a tile of attention weights in each slot."""
        return self.query_words(block) + self.attention_slots(block) * self.key_tiles

    @property
    def pool_words(self) -> int:
        """The weights of the mean, and the mean."""
        return self.key_tiles + self.width_tiles

    def mlp_tiles(self, block: int) -> int:
        """Token tiles whose hidden activations fit at a time; 0 if not even one does."""
        fit = (self.engine.activation_words - self.norm_words) // self.hidden_tiles(block)
        return max(0, min(len(self.query_tiles(block)), fit))

    def key_value_tiles(self) -> int:
        """Row tiles of K, and as many of V, that the banks hold at a time."""
        engine = self.engine
        return min(engine.key_words // self.key_tiles, engine.value_words // self.value_depth)

    def unit_tiles(self, block: int) -> int:
        """Row tiles of the fewest heads that fill whole row tiles."""
        heads = min(self.unit_heads, self.shape.blocks[block].heads)
        return divide_up(heads * self.head_rows, self.engine.row_lanes)

    @property
    def chain_words(self) -> int:
        """Pixel words of ``chain_tiles`` token tiles, or of all if they are fewer."""
        tiles = min(self.chain_tiles, len(self.patch_tiles))
        return tiles * self.patch_words


@cache
def _tile_flags(
    flags: tuple[bool, ...], granularity: int, row_lanes: int, rows: int
) -> tuple[bool, ...]:
    """Flags per ``granularity`` rows to flags per ``row_lanes`` rows."""
    return tuple(flags[first // granularity] for first in range(0, rows, row_lanes))


@cache
def _padded_flags(
    flags: tuple[bool, ...], granularity: int, row_lanes: int, rows: int, dim: int, padded: int
) -> tuple[bool, ...]:
    """The same for heads of ``dim`` rows that are padded to ``padded``."""
    tiles = [False] * divide_up(rows // dim * padded, row_lanes)
    for row in range(rows):
        head, within = divmod(row, dim)
        tiles[(head * padded + within) // row_lanes] |= flags[row // granularity]
    return tuple(tiles)
