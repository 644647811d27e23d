"""Random engines of sizes around a board's own: to fit a resource model to, and to check it on."""

import random
from dataclasses import fields, replace

from rtl import config
from rtl.board import Board
from rtl.config import MAX_SCORE_SLOTS, MIN_SCORE_SLOTS, EngineConfig
from rtl.errors import UserError
from rtl.model import numerics

WORDS_STEP = 8  # words of a scratchpad are a multiple of it
PARTS = (1, 1, 2)  # of words in softmax and LayerNorm
NARROWEST_WORDS, WIDEST_WORDS = -1.0, 1.0  # powers of two from the default engine's


Ranges = dict[str, tuple[int, ...]]
"""Sizes that random engines may have, by field of :class:`rtl.config.EngineConfig`.

Other sizes are the default engine's.
"""

RANGES: dict[str, Ranges] = {  # by the name of a board's default engine
    "tiny": {
        "token_lanes": (2, 4, 6, 8),
        "row_lanes": (8, 16),
        "depth_lanes": (4, 8),
        "queue_depth": (8, 16, 32),
        "memory_bytes": (8, 16),
    },
    "ulx3s": {
        "token_lanes": (2, 4, 6, 8, 10),
        "row_lanes": (4, 8, 16),
        "depth_lanes": (4, 8),
        "queue_depth": (8, 16, 32),
        "memory_bytes": (8, 16),
    },
    "zcu102": {
        "token_lanes": tuple(range(4, 21, 2)),
        "row_lanes": (16, 32),
        "depth_lanes": (8, 16),
        "queue_depth": (16, 32, 64, 128),
        "memory_bytes": (16, 32, 64),
    },
    "kv260": {
        "token_lanes": tuple(range(4, 19, 2)),
        "row_lanes": (16, 32),
        "depth_lanes": (8, 16),
        "queue_depth": (16, 32, 64),
        "memory_bytes": (16, 32),
    },
    "zcu104": {
        "token_lanes": tuple(range(4, 15, 2)),
        "row_lanes": (16, 32),
        "depth_lanes": (8, 16),
        "queue_depth": (32, 64, 128),
        "memory_bytes": (16, 32),
    },
}


def _ranges(base: EngineConfig) -> Ranges:
    """Return the ranges around a default engine: by its name, else from its own sizes down."""
    if base == config.ENGINES.get(base.name) and base.name in RANGES:
        return RANGES[base.name]
    rows = _down_from(base.row_lanes, 2, least=4)
    depths = _down_from(base.depth_lanes, 2, least=4)
    narrowest = min(rows[0] * depths[0] // 2, rows[0] * numerics.LOGIT_BITS // 8)  # word
    beats = _down_from(min(base.memory_bytes, narrowest), 2, least=depths[0])
    return {
        "token_lanes": tuple(range(2, base.token_lanes + 1, 2)),
        "row_lanes": rows,
        "depth_lanes": depths,
        "queue_depth": _down_from(base.queue_depth, 3, least=2),
        "memory_bytes": tuple(sorted({*beats, base.memory_bytes})),
    }


def _down_from(most: int, count: int, least: int) -> tuple[int, ...]:
    """Return up to ``count`` powers of two in order that end with ``most``."""
    return tuple(size for i in reversed(range(count)) if (size := most >> i) >= least)


def sample_engines(board: Board, count: int, seed: int) -> list[EngineConfig]:
    """Draw ``count`` random engines for a board, named ``sample-0`` and so on.

    Each scratchpad has between half and twice the words of the board's default engine. The first
    engines of a longer list are those of a shorter one with the same seed.
    """
    base = config.engine(board.engine)
    ranges = _ranges(base)
    draws = random.Random(seed)
    engines: list[EngineConfig] = []
    while len(engines) < count:
        try:
            engines.append(_draw(base, ranges, draws, f"sample-{len(engines)}"))
        except UserError:  # an engine that cannot be, with more depth lanes than row lanes
            continue
    parts = random.Random(f"parts {seed}")  # apart, so that each engine's are its own
    return [_in_parts(engine, parts) for engine in engines]


def corner_engines(board: Board) -> list[EngineConfig]:
    """Return the smallest and the largest engine that :func:`sample_engines` draws.

    A model that is fitted to them extrapolates to none of the others.
    """
    base = config.engine(board.engine)
    ranges = _ranges(base)
    corners = []
    for corner, least_or_most in (("smallest", min), ("largest", max)):
        whole = replace(
            base,
            name=corner,
            act_bits=least_or_most(numerics.ACT_BITS),
            score_slots=least_or_most((MIN_SCORE_SLOTS, MAX_SCORE_SLOTS)),
            **{name: least_or_most(sizes) for name, sizes in ranges.items()},
            **dict.fromkeys(config.PARTS, 1),
        )
        parts = min(least_or_most(PARTS), whole.granules)
        corners.append(replace(whole, **dict.fromkeys(config.PARTS, parts)))
    return corners


def _draw(base: EngineConfig, ranges: Ranges, draws: random.Random, name: str) -> EngineConfig:
    sizes = {size: draws.choice(choices) for size, choices in ranges.items()}
    words = {
        field.name: _words(getattr(base, field.name), draws)
        for field in fields(base)
        if field.name.endswith("_words")
    }
    act_bits = draws.choice(numerics.ACT_BITS)
    slots = draws.randint(MIN_SCORE_SLOTS, MAX_SCORE_SLOTS)
    whole = dict.fromkeys(config.PARTS, 1)  # :func:`_in_parts` draws them
    return replace(base, name=name, act_bits=act_bits, score_slots=slots, **whole, **sizes, **words)


def _in_parts(engine: EngineConfig, draws: random.Random) -> EngineConfig:
    """Draw whether softmax and LayerNorm of an engine work on words part by part."""
    softmax, norm = (min(draws.choice(PARTS), engine.granules) for _ in range(2))
    return replace(engine, softmax_parts=softmax, norm_parts=norm)


def _words(default: int, draws: random.Random) -> int:
    """Draw the words of a scratchpad, evenly over the powers of two."""
    words = default * 2 ** draws.uniform(NARROWEST_WORDS, WIDEST_WORDS)
    return max(1, round(words / WORDS_STEP)) * WORDS_STEP
