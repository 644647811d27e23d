"""The plan of a network on an engine: tiles, padded sizes, words of every scratchpad.

Every later pass takes its numbers from here. Padding rules: docs/design/0001-engine.md, *Lanes*.
"""

from dataclasses import dataclass
from functools import cached_property
from math import lcm

from rtl.compiler.runs import RowTiles
from rtl.compiler.tiles import (
    TiledMatrix,
    TokenTile,
    divide_up,
    evenly,
    padded_tile_flags,
    tile_flags,
    token_tiles,
)
from rtl.config import MIN_SCORE_SLOTS, EngineConfig
from rtl.isa.instructions import INSTRUCTIONS, Opcode
from rtl.matmul.beats import RESIDUAL_GROUP
from rtl.memory.scratchpads.attention import ScoreMemory
from rtl.model.shape import NetworkShape

MAX_ROW_WORDS = next(
    (1 << field.bits) - 1 for field in INSTRUCTIONS[Opcode.STORE] if field.name == "row_words"
)  # of a STORE


@dataclass(frozen=True, eq=False)
class Plan:
    """A network laid out on an engine.

    :func:`rtl.compiler.plan.plan` makes one and refuses what does not fit; the constructor checks
    nothing.

    Parameters
    ----------
    shape : NetworkShape
    engine : EngineConfig
    """

    shape: NetworkShape
    engine: EngineConfig

    # ------------------------------------------------------------ tensors in tiles and words

    @cached_property
    def tokens(self) -> int:
        return self.shape.tokens

    @cached_property
    def tiles(self) -> int:
        """Token tiles that hold all tokens."""
        return divide_up(self.tokens, self.engine.token_lanes)

    def tokens_in(self, block: int) -> int:
        """Tokens that enter a block; ``last + 1``: that leave the last one."""
        return self._tokens_in[block]

    @cached_property
    def _tokens_in(self) -> tuple[int, ...]:
        return tuple(map(self.shape.tokens_in, range(self.last + 2)))

    @cached_property
    def width_tiles(self) -> int:
        """The embedding width in words of ``row_lanes`` channels."""
        return divide_up(self.shape.width, self.engine.row_lanes)

    @cached_property
    def token_words(self) -> int:
        """Residual words of a token: those of its channels, and one for its index if it has one.

        No layer reads the index: it is a channel more, in a word of its own.
        """
        return self.width_tiles + self.shape.indexed

    @property
    def index_column(self) -> int | None:
        """Column of a token's residual values that holds its index; None where none does."""
        return self.width_tiles * self.engine.row_lanes if self.shape.indexed else None

    @cached_property
    def width_depth(self) -> int:
        """The embedding width in words of ``depth_lanes`` channels."""
        return divide_up(self.shape.width, self.engine.depth_lanes)

    def key_tiles(self, block: int) -> int:
        """A block's tokens as keys, in words of ``row_lanes``."""
        return divide_up(self.tokens_in(block), self.engine.row_lanes)

    def value_depth(self, block: int) -> int:
        """A block's tokens as values, in words of ``depth_lanes``."""
        return divide_up(self.tokens_in(block), self.engine.depth_lanes)

    @cached_property
    def class_tiles(self) -> int:
        """The logits in words of ``row_lanes``."""
        return divide_up(self.shape.classes, self.engine.row_lanes)

    @cached_property
    def output_bytes(self) -> int:
        """Bytes in memory of an image's logits, or of its tokens: whole beats."""
        if not self.shape.dense:
            return self.class_tiles * self.engine.logit_word_bytes
        beat = self.engine.memory_bytes
        return divide_up(len(self.shape.final_tokens) * self.token_bytes, beat) * beat

    @cached_property
    def token_bytes(self) -> int:
        """Bytes of a token's residual words in memory: positions, and tokens that are stored."""
        return self.token_words * self.engine.residual_word_bytes

    @cached_property
    def head_rows(self) -> int:
        """Rows of a head with padding."""
        depth = self.engine.depth_lanes
        return divide_up(self.shape.head_dim, depth) * depth

    @cached_property
    def head_depth(self) -> int:
        """A padded head in words of ``depth_lanes``."""
        return self.head_rows // self.engine.depth_lanes

    @cached_property
    def unit_heads(self) -> int:
        """The fewest heads that fill whole row tiles."""
        return lcm(self.head_rows, self.engine.row_lanes) // self.head_rows

    @cached_property
    def segment_bytes(self) -> int:
        """One row of pixels of a patch, all channels."""
        return self.shape.patch * self.shape.image[2]

    @cached_property
    def patch_row_words(self) -> int:
        """Pixel words of one row of a patch."""
        return divide_up(self.segment_bytes, self.engine.depth_lanes)

    @cached_property
    def patch_words(self) -> int:
        """Pixel words of a patch."""
        return self.shape.patch * self.patch_row_words

    @cached_property
    def chain_tiles(self) -> int:
        """The fewest token tiles that end where a row of patches ends."""
        lanes = self.engine.token_lanes
        return lcm(self.shape.grid[1], lanes) // lanes

    # ------------------------------------------------------------ token tiles

    @property
    def all_tiles(self) -> tuple[TokenTile, ...]:
        """All tokens, as they are in front of the blocks."""
        return self.tiles_in(0)

    def tiles_in(self, block: int) -> tuple[TokenTile, ...]:
        """All tokens that enter a block; ``last + 1``: that leave the last one."""
        return self._tiles_in[block]

    @cached_property
    def _tiles_in(self) -> tuple[tuple[TokenTile, ...], ...]:
        return tuple(token_tiles(count, self.engine.token_lanes) for count in self._tokens_in)

    @cached_property
    def head_tile(self) -> TokenTile:
        """The last token alone in its lane: the class token, or where the mean is put."""
        index, lane = divmod(self.tokens_in(self.last + 1) - 1, self.engine.token_lanes)
        return TokenTile(index, index * self.engine.token_lanes, lane, 1)

    @cached_property
    def patch_tiles(self) -> tuple[TokenTile, ...]:
        """All tiles that hold patches, without the tokens behind them."""
        whole = (tile._replace(lane_count=self._patches_of(tile)) for tile in self.all_tiles)
        return tuple(tile for tile in whole if tile.lane_count > 0)

    def _patches_of(self, tile: TokenTile) -> int:
        return min(tile.lane_count, self.shape.patches - tile.token)

    def query_tiles(self, block: int) -> tuple[TokenTile, ...]:
        """Token tiles that attend in a block: in the last one only what the output needs.

        Its keys and values still come from all tokens.
        """
        tiles = self.tiles_in(block)
        if not self.is_last(block) or len(self.shape.final_tokens) == self.tokens_in(block):
            return tiles
        return self.patch_tiles if self.shape.mean_pool else (self.head_tile,)

    def output_tiles(self, block: int) -> tuple[TokenTile, ...]:
        """Token tiles of a block's MLP: those that attended, or what stays of their tokens."""
        return self.query_tiles(block) if self.is_last(block) else self.tiles_in(block + 1)

    @cached_property
    def last(self) -> int:
        """Number of the last block."""
        return len(self.shape.blocks) - 1

    def is_last(self, block: int) -> bool:
        return block == self.last

    # ------------------------------------------------------------ matrices

    @cached_property
    def embed(self) -> TiledMatrix:
        shape = self.shape
        flags = self._flags(shape.embed_bits8, shape.width)
        return TiledMatrix("embed", -1, shape.width, shape.patch_values, self.patch_words, flags)

    @cached_property
    def front(self) -> TiledMatrix | None:
        """The matrix between the patch embedding and the blocks, if there is one."""
        shape = self.shape
        if shape.front_bits8 is None:
            return None
        flags = self._flags(shape.front_bits8, shape.width)
        return TiledMatrix("front", -1, shape.width, shape.width, self.width_depth, flags)

    @cached_property
    def head(self) -> TiledMatrix:
        shape = self.shape
        flags = self._flags(shape.head_bits8, shape.classes)
        return TiledMatrix("head", -1, shape.classes, shape.width, self.width_depth, flags)

    def layers(self, block: int) -> dict[str, TiledMatrix]:
        """Matrices of a block by their name within it: ``q``, ``k``, ``v``, ``proj``, ..."""
        return self._layers[block]

    @cached_property
    def _layers(self) -> tuple[dict[str, TiledMatrix], ...]:
        return tuple(map(self._layers_of, range(len(self.shape.blocks))))

    def _layers_of(self, block: int) -> dict[str, TiledMatrix]:
        flags = dict(self.shape.blocks[block].bits8)
        tiles = {name: self._head_flags if name in "qkv" else self._flags for name in flags}
        words = {"proj": self.inner_depth(block), "fc2": self.hidden_depth(block)}
        if self.shape.pools(block):
            words["q"] = 1  # of zeros: what is computed is the bias
        moves_index = self.shape.indexed and self.shape.blocks[block].keep is not None
        padding = {"proj": (False,)} if moves_index else {}  # a row tile of zeros, which adds 0
        return {
            name: TiledMatrix(
                f"blocks.{block}.{name}",
                block,
                rows,
                depth,
                words.get(name, self.width_depth),
                tiles[name](flags[name], rows) + padding.get(name, ()),
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
        rows, depth = self.engine.row_lanes, self.engine.depth_lanes
        width, tokens, channels = self.shape.width, self.tokens, self.width_tiles
        keys, values = self.key_tiles(self.last), self.value_depth(self.last)
        layers = (
            TiledMatrix("pool.values", -1, width, rows, self.engine.granules, (False,) * channels),
            TiledMatrix("pool.weights", -1, tokens, depth, 1, (False,) * keys),
            TiledMatrix("pool", -1, width, tokens, values, (True,) * channels),
        )
        return {layer.name: layer for layer in layers}

    @cached_property
    def all_layers(self) -> dict[str, TiledMatrix]:
        """Every matrix by its name."""
        inner = (layer for layers in self._layers for layer in layers.values())
        fronts = () if self.front is None else (self.front,)
        heads = () if self.shape.dense else (self.head,)
        layers = (self.embed, *fronts, *inner, *self.pool_layers.values(), *heads)
        return {layer.name: layer for layer in layers}

    def _flags(self, flags: tuple[bool, ...], rows: int) -> tuple[bool, ...]:
        return tile_flags(flags, self.shape.row_granularity, self.engine.row_lanes, rows)

    def _head_flags(self, flags: tuple[bool, ...], rows: int) -> tuple[bool, ...]:
        """Flags of Q, K and V, whose heads may be padded."""
        granularity, dim = self.shape.row_granularity, self.shape.head_dim
        if self.head_rows == dim:
            return self._flags(flags, rows)
        lanes = self.engine.row_lanes
        return padded_tile_flags(flags, granularity, lanes, rows, dim, self.head_rows)

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

    def expansion_parts(self, block: int) -> list[RowTiles]:
        """The row tiles of fc1, those of each GELU table."""
        layer = self.layers(block)["fc1"]
        units = self.shape.blocks[block].first_table_units
        first = layer.row_tiles if units is None else units // self.engine.row_lanes
        parts = RowTiles(layer, 0, first), RowTiles(layer, first, layer.row_tiles - first)
        return [part for part in parts if part.count]

    @cached_property
    def logit_parts(self) -> list[RowTiles]:
        """The row tiles of the head, those of each STORE: as few parts as may be."""
        count = divide_up(self.class_tiles, min(MAX_ROW_WORDS, self.engine.residual_words))
        parts = evenly(range(self.class_tiles), count)
        return [RowTiles(self.head, part[0], len(part)) for part in parts]

    # ------------------------------------------------------------ scratchpads

    @cached_property
    def residual_words(self) -> int:
        """Words per bank that the residual stream takes."""
        return divide_up(self.tokens, RESIDUAL_GROUP) * self.token_words

    def residual_word(self, token: int) -> int:
        """First residual word of a token: the address is shared by a group of four."""
        return token // RESIDUAL_GROUP * self.token_words

    def score_slot_words(self, block: int) -> int:
        """Words per bank that the scores of one token tile take."""
        return divide_up(self.engine.token_lanes, ScoreMemory.LANES) * self.key_tiles(block)

    @cached_property
    def norm_words(self) -> int:
        """The lower part of the activations: LayerNorm outputs of all tiles."""
        return self.tiles * self.width_tiles

    def attention_slots(self, block: int) -> int:
        """Slots that are used of the engine's: those that have room for their attention weights."""
        room = self.engine.activation_words - self.norm_words - self.query_words(block)
        return max(MIN_SCORE_SLOTS, min(self.engine.score_slots, room // self.key_tiles(block)))

    def query_words(self, block: int) -> int:
        """Activation words of Q, which the context overwrites head by head."""
        return len(self.tiles_in(block)) * self.inner_tiles(block)

    def attention_words(self, block: int) -> int:
        """Activation words of Q, and of a tile of attention weights in each slot."""
        return self.query_words(block) + self.attention_slots(block) * self.key_tiles(block)

    @cached_property
    def pool_words(self) -> int:
        """Activation words of the mean's weights and of the mean."""
        return self.key_tiles(self.last) + self.width_tiles

    def mlp_tiles(self, block: int) -> int:
        """Token tiles whose hidden activations fit at a time; 0 if not even one does."""
        fit = (self.engine.activation_words - self.norm_words) // self.hidden_tiles(block)
        return max(0, min(len(self.output_tiles(block)), fit))

    def key_value_tiles(self, block: int) -> int:
        """Row tiles of K, and as many of V, that the banks hold at a time."""
        keys = self.engine.key_words // self.key_tiles(block)
        return min(keys, self.engine.value_words // self.value_depth(block))

    def unit_tiles(self, block: int) -> int:
        """Row tiles of the fewest heads that fill whole row tiles."""
        heads = min(self.unit_heads, self.shape.blocks[block].heads)
        return divide_up(heads * self.head_rows, self.engine.row_lanes)

    @cached_property
    def chain_words(self) -> int:
        """Pixel words of ``chain_tiles`` token tiles, or of all if they are fewer."""
        tiles = min(self.chain_tiles, len(self.patch_tiles))
        return tiles * self.patch_words
