"""Random engines around a board's own: what resource models are fitted to and checked on."""

import random
from dataclasses import dataclass, fields, replace

from boards import Board
from rtl import config, numerics
from rtl.config import MAX_SCORE_SLOTS, MIN_SCORE_SLOTS, EngineConfig
from rtl.errors import UserError

WORDS_STEP = 8  # words of a scratchpad are a multiple of it
PARTS = (1, 1, 2)  # of words in softmax and LayerNorm
NARROWEST_WORDS, WIDEST_WORDS = -1.0, 1.0  # powers of two from the default engine's


@dataclass(frozen=True)
class EngineRanges:
    """Sizes that random engines of a board may have; all else is the default engine's.

    Parameters
    ----------
    token_lanes, row_lanes, depth_lanes, queue_depth, memory_bytes : tuple of int
        As in :class:`rtl.config.EngineConfig`.
    """

    token_lanes: tuple[int, ...]
    row_lanes: tuple[int, ...]
    depth_lanes: tuple[int, ...]
    queue_depth: tuple[int, ...]
    memory_bytes: tuple[int, ...]


RANGES = {  # by the name of the default engine
    "tiny": EngineRanges((2, 4, 6, 8), (8, 16), (4, 8), (8, 16, 32), (8, 16)),
    "ulx3s": EngineRanges((2, 4, 6, 8, 10), (4, 8, 16), (4, 8), (8, 16, 32), (8, 16)),
    "zcu102": EngineRanges(
        tuple(range(4, 21, 2)), (16, 32), (8, 16), (16, 32, 64, 128), (16, 32, 64)
    ),
}


def _base(board: Board) -> EngineConfig:
    return config.engine(board.engine)


def _ranges(board: Board) -> EngineRanges:
    name = _base(board).name
    if name not in RANGES:
        raise UserError(
            f"no ranges to draw engines from around engine '{name}' of board '{board.name}':"
            f" there are some for {', '.join(RANGES)}"
        )
    return RANGES[name]


def sample_engines(board: Board, count: int, seed: int) -> list[EngineConfig]:
    """Draw ``count`` random engines for a board, named ``sample-0`` and so on.

    Each scratchpad has between half and twice the words of the board's default engine. The first
    engines of a longer list are those of a shorter one with the same seed.

    Raises
    ------
    UserError
        If the board's default engine has no ranges.
    """
    base, ranges = _base(board), _ranges(board)
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
    """The smallest and the largest of what :func:`sample_engines` draws, but for scratchpads.

    A model that is fitted to them extrapolates to none of the others.
    """
    base, ranges = _base(board), _ranges(board)
    return [
        replace(
            base,
            name=name,
            act_bits=least_or_most(numerics.ACT_BITS),
            score_slots=least_or_most((MIN_SCORE_SLOTS, MAX_SCORE_SLOTS)),
            **{each.name: least_or_most(getattr(ranges, each.name)) for each in fields(ranges)},
            **dict.fromkeys(config.PARTS, least_or_most(PARTS)),
        )
        for name, least_or_most in (("smallest", min), ("largest", max))
    ]


def _draw(
    base: EngineConfig, ranges: EngineRanges, draws: random.Random, name: str
) -> EngineConfig:
    sizes = {field.name: draws.choice(getattr(ranges, field.name)) for field in fields(ranges)}
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
    """The same engine, whose softmax and LayerNorm may work on words part by part."""
    softmax, norm = (min(draws.choice(PARTS), engine.granules) for _ in range(2))
    return replace(engine, softmax_parts=softmax, norm_parts=norm)


def _words(default: int, draws: random.Random) -> int:
    """Words of a scratchpad, evenly spread over the powers of two."""
    words = default * 2 ** draws.uniform(NARROWEST_WORDS, WIDEST_WORDS)
    return max(1, round(words / WORDS_STEP)) * WORDS_STEP
