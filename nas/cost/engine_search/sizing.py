"""Sizes of an engine for a network: lanes from a grid, scratchpads as large as it needs them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from typing import Any

from rtl.board import Board
from rtl.build.synthesis import family_of
from rtl.compiler.lowering.layout import HEAD_GROUPS
from rtl.compiler.sizes import Plan
from rtl.compiler.tiles import divide_up
from rtl.config import SCRATCHPADS, SELECTED_TOKENS, EngineConfig
from rtl.model.shape import NetworkShape
from rtl.resources.memories import block_memories, ultra_rams

MULTIPLIERS = {"xilinx": "dsp48e2", "ecp5": "mult18x18"}  # by family of devices
TOKEN_LANES = range(2, 33, 2)
ROW_LANES = DEPTH_LANES = (4, 8, 16, 32, 64)
MEMORY_BYTES = (4, 8, 16, 32, 64)
MOST_WORDS, FEWEST_WORDS = 1 << 14, 2


@dataclass(frozen=True)
class LaneCounts:
    """Lanes of an engine, and in how many parts softmax and LayerNorm take a word.

    The fields are those of :class:`rtl.config.EngineConfig`.
    """

    token_lanes: int
    row_lanes: int
    depth_lanes: int
    softmax_parts: int
    norm_parts: int


@dataclass(frozen=True)
class Storage:
    """Storage of an engine: more of it is faster, or makes no difference.

    Parameters
    ----------
    score_slots : int
        As in :class:`rtl.config.EngineConfig`.
    ring_tiles : int
        Row tiles of the longest rows that the weight ring holds.
    head_groups : int
        Keys and values that are held: 1 for the fewest heads, 2 for two groups of heads.
    mlp_passes : int
        Passes over the weights of the MLP, each with a part of the hidden activations.
    pixel_passes : int
        Parts in which the pixels of an image are held, one after the other.
    queue_depth : int
        As in :class:`rtl.config.EngineConfig`.
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
"""Levels of each kind of storage, in rising order of what they take."""


def levels_within(ranges: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """Return :data:`LEVELS`; those that are sizes of an engine are moved into their ranges."""
    within = {
        name: tuple(dict.fromkeys(min(max(level, low), high) for level in LEVELS[name]))
        for name, (low, high) in ranges.items()
        if name in LEVELS
    }
    return LEVELS | within


def all_lanes() -> Iterator[LaneCounts]:
    """Yield the lanes of the grid."""
    for tokens, rows, depth in product(TOKEN_LANES, ROW_LANES, DEPTH_LANES):
        parts = [1 << i for i in range((rows // depth).bit_length())]
        for softmax, norm in product(parts, parts):
            yield LaneCounts(tokens, rows, depth, softmax, norm)


def with_most_words(
    lanes: LaneCounts, storage: Storage, board: Board, act_bits: int
) -> EngineConfig:
    """Build an engine for a board with as many words in each scratchpad as there can be."""
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
    lanes: LaneCounts,
    storage: Storage,
    largest: NetworkShape,
    board: Board,
    act_bits: int,
    selected: int = 0,
) -> EngineConfig:
    """Build an engine for a board with room for a network, and for those that are smaller.

    Parameters
    ----------
    lanes : LaneCounts
    storage : Storage
    largest : NetworkShape
        Its ``row_granularity`` is a multiple of the row lanes.
    board : Board
    act_bits : int
    selected : int
        Patches that some network selects from; 0 where none does.
    """
    select_tokens = next(
        (most for most in SELECTED_TOKENS if most >= selected), SELECTED_TOKENS[-1]
    )
    engine = with_most_words(lanes, storage, board, act_bits)
    engine = replace(engine, select_tokens=select_tokens)
    words: dict[str, Any] = {
        name: min(max(needed, FEWEST_WORDS), MOST_WORDS)
        for name, needed in _words(Plan(largest, engine), storage).items()
    }
    return in_ultraram(replace(engine, **words), board)


def in_ultraram(engine: EngineConfig, board: Board) -> EngineConfig:
    """Choose the scratchpads of an engine that lie in UltraRAM.

    Those after which the fuller one of block RAM and UltraRAM is as empty as can be, of their
    limits; among equals those that take the fewest UltraRAMs.
    """
    bram36, uram = board.limits.bram36, board.limits.uram
    if not uram or not bram36:
        return engine
    blocks = block_memories(engine, family_of(board.device))
    ultra = ultra_rams(replace(engine, uram=SCRATCHPADS))

    def fullness(names: tuple[str, ...]) -> tuple[float, int]:
        taken = sum(ultra[name] for name in names)
        left = sum(blocks.values()) - sum(blocks[name] for name in names)
        return max(left / bram36, taken / uram), taken

    choices = (combinations(SCRATCHPADS, count) for count in range(len(SCRATCHPADS) + 1))
    return replace(engine, uram=min(chain.from_iterable(choices), key=fullness))


def _memory_bytes(engine: EngineConfig, board: Board) -> int:
    """Return the widest beat that the ports of the board carry and the words of the engine fill."""
    most = min(board.memory.port_bytes_per_cycle, engine.narrowest_bytes)
    return max(width for width in MEMORY_BYTES if width <= max(most, engine.memory_bytes))


def _words(plan: Plan, storage: Storage) -> dict[str, int]:
    """Compute the words of each scratchpad."""
    blocks = range(len(plan.shape.blocks))
    layers = plan.all_layers.values()
    row_tiles = max(layer.row_tiles for layer in layers)
    longest = max(layer.ring_words(i) for layer in layers for i in range(layer.row_tiles))
    chains = divide_up(len(plan.patch_tiles), plan.chain_tiles)
    head_tiles = max(_head_tiles(plan, block, storage.head_groups) for block in blocks)
    mlp_tiles = divide_up(plan.tiles, storage.mlp_passes)
    hidden = max(
        max(
            plan.query_words(block) + storage.score_slots * plan.key_tiles(0),
            mlp_tiles * plan.hidden_tiles(block),
        )
        for block in blocks
    )
    return {
        "activation_words": plan.norm_words + hidden,
        "pixel_words": divide_up(chains, storage.pixel_passes) * plan.chain_words,
        "key_words": head_tiles * plan.key_tiles(0),
        "value_words": head_tiles * plan.value_depth(0),
        "score_words": storage.score_slots * plan.score_slot_words(0),
        "residual_words": max(plan.residual_words, plan.class_tiles),
        "weight_words": storage.ring_tiles * longest,
        "parameter_words": 2 * row_tiles,  # a block takes half of them
        "exponent_words": 2 * plan.width_tiles,
    }


def _head_tiles(plan: Plan, block: int, groups: int) -> int:
    """Count the row tiles of keys, as of values: of the fewest heads, or of two usual groups."""
    units = divide_up(plan.shape.blocks[block].heads, plan.unit_heads)
    return plan.unit_tiles(block) * (1 if groups == 1 else 2 * divide_up(units, HEAD_GROUPS))
