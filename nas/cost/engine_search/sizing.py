"""Engines made to measure: lanes from a grid, scratchpads as large as a network wants them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from rtl.board import Board
from rtl.build.synthesis import family_of
from rtl.compiler.lowering.layout import HEAD_GROUPS
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import divide_up
from rtl.config import EngineConfig
from rtl.model.shape import NetworkShape

MULTIPLIERS = {"xilinx": "dsp48e2", "ecp5": "mult18x18"}  # by family of devices
TOKEN_LANES = range(2, 33, 2)
ROW_LANES = DEPTH_LANES = (4, 8, 16, 32, 64)
MEMORY_BYTES = (4, 8, 16, 32, 64)
MOST_WORDS, FEWEST_WORDS = 1 << 14, 2


@dataclass(frozen=True)
class Lanes:
    """Lanes of an engine, and the parts in which softmax and LayerNorm take a word."""

    token_lanes: int
    row_lanes: int
    depth_lanes: int
    softmax_parts: int
    norm_parts: int


@dataclass(frozen=True)
class Storage:
    """How much an engine holds at a time; more is faster, or makes no difference.

    Parameters
    ----------
    score_slots : int
    ring_tiles : int
        Row tiles of the longest rows that the weight ring holds.
    head_groups : int
        1: the keys and values of the fewest heads; 2: of two groups of heads.
    mlp_passes : int
        The MLP's hidden activations of all token tiles, over those that are held.
    pixel_passes : int
        The image's pixels over those that are held.
    queue_depth : int
    """

    score_slots: int
    ring_tiles: int
    head_groups: int
    mlp_passes: int
    pixel_passes: int
    queue_depth: int


LEVELS = {
    "ring_tiles": (2, 4, 8),
    "head_groups": (1, 2),
    "mlp_passes": (2, 1),
    "score_slots": (2, 3, 4),
    "pixel_passes": (2, 1),
    "queue_depth": (16, 128),
}
"""Of each storage, from the least to the most."""


def levels_within(ranges: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """:data:`LEVELS`, those that are sizes of an engine moved into their ranges."""
    within = {
        name: tuple(dict.fromkeys(min(max(level, low), high) for level in LEVELS[name]))
        for name, (low, high) in ranges.items()
        if name in LEVELS
    }
    return LEVELS | within


def all_lanes() -> Iterator[Lanes]:
    """The grid of lanes."""
    for tokens, rows, depth in product(TOKEN_LANES, ROW_LANES, DEPTH_LANES):
        parts = [1 << i for i in range((rows // depth).bit_length())]
        for softmax, norm in product(parts, parts):
            yield Lanes(tokens, rows, depth, softmax, norm)


def boundless(lanes: Lanes, storage: Storage, board: Board, act_bits: int) -> EngineConfig:
    """An engine for a board with as many words in each scratchpad as there can be."""
    words = [name for name in EngineConfig.__dataclass_fields__ if name.endswith("_words")]
    sizes: dict[str, Any] = vars(lanes) | dict.fromkeys(words, MOST_WORDS)
    engine = EngineConfig(
        name=f"free_{lanes.token_lanes}x{lanes.row_lanes}x{lanes.depth_lanes}",
        act_bits=act_bits,
        multiplier=MULTIPLIERS[family_of(board.device)],
        score_slots=storage.score_slots,
        queue_depth=storage.queue_depth,
        memory_bytes=lanes.depth_lanes,  # the least
        **sizes,
    )
    return replace(engine, memory_bytes=_memory_bytes(engine, board))


def engine_for(
    lanes: Lanes, storage: Storage, largest: NetworkShape, board: Board, act_bits: int
) -> EngineConfig:
    """An engine for a board with room for a network, and for those that are smaller.

    Parameters
    ----------
    lanes : Lanes
    storage : Storage
    largest : NetworkShape
        Its ``row_granularity`` is a multiple of the row lanes.
    board : Board
    act_bits : int
    """
    engine = boundless(lanes, storage, board, act_bits)
    words: dict[str, Any] = {
        name: min(max(needed, FEWEST_WORDS), MOST_WORDS)
        for name, needed in _words(Plan(largest, engine), storage).items()
    }
    return replace(engine, **words)


def _memory_bytes(engine: EngineConfig, board: Board) -> int:
    """The widest beat that the board's ports carry, if the engine's words are as wide."""
    most = min(board.memory.port_bytes_per_cycle, engine.narrowest_bytes)
    return max(width for width in MEMORY_BYTES if width <= max(most, engine.memory_bytes))


def _words(sizes: Plan, storage: Storage) -> dict[str, int]:
    """Words of each scratchpad."""
    blocks = range(len(sizes.shape.blocks))
    layers = sizes.all_layers.values()
    row_tiles = max(layer.row_tiles for layer in layers)
    longest = max(layer.ring_words(i) for layer in layers for i in range(layer.row_tiles))
    chains = divide_up(len(sizes.patch_tiles), sizes.chain_tiles)
    head_tiles = max(_head_tiles(sizes, block, storage.head_groups) for block in blocks)
    mlp_tiles = divide_up(sizes.tiles, storage.mlp_passes)
    hidden = max(
        max(
            sizes.query_words(block) + storage.score_slots * sizes.key_tiles,
            mlp_tiles * sizes.hidden_tiles(block),
        )
        for block in blocks
    )
    return {
        "activation_words": sizes.norm_words + hidden,
        "pixel_words": divide_up(chains, storage.pixel_passes) * sizes.chain_words,
        "key_words": head_tiles * sizes.key_tiles,
        "value_words": head_tiles * sizes.value_depth,
        "score_words": storage.score_slots * sizes.score_slot_words,
        "residual_words": max(sizes.residual_words, sizes.class_tiles),
        "weight_words": storage.ring_tiles * longest,
        "parameter_words": 2 * row_tiles,  # a block takes half of them
        "exponent_words": 2 * sizes.width_tiles,
    }


def _head_tiles(sizes: Plan, block: int, groups: int) -> int:
    """Row tiles of keys, as of values, of the fewest heads or of two of the usual groups."""
    units = divide_up(sizes.shape.blocks[block].heads, sizes.unit_heads)
    return sizes.unit_tiles(block) * (1 if groups == 1 else 2 * divide_up(units, HEAD_GROUPS))
