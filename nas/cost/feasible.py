"""The nearest designs that reach a frame rate, by the exact timing model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from boards import Board
from nas.cost.estimate import Estimate, excess, resources_of
from nas.cost.free.sizing import MULTIPLIERS
from nas.cost.hardware import Hardware
from nas.cost.plain import is_file, shape_for
from rtl import config
from rtl.config import ENGINES, EngineConfig
from rtl.errors import UserError
from rtl.synthesis import family_of
from sim.bench import array_multipliers

W8_STEPS = 20  # parts of one: fractions of 8-bit row tiles that are tried
FASTEST_HZ = 1_000_000_000  # of any board
CLOCK_STEP_HZ = 1_000_000


@dataclass(frozen=True)
class Design:
    """A network on a board's engine.

    Parameters
    ----------
    wide : float
        Fraction of 8-bit row tiles.
    estimate : Estimate
    """

    wide: float
    estimate: Estimate

    def reaches(self, fps: float) -> bool:
        return self.estimate.frames_per_second >= fps


def lower_precision(model: str, hardware: Hardware, wide: float, fps: float) -> Design | None:
    """The design with the most 8-bit row tiles below ``wide`` that reaches the rate.

    If none does, the one without any; None where there is nothing to lower, as in a file.
    """
    fractions = [i / W8_STEPS for i in range(W8_STEPS) if i / W8_STEPS < wide]
    if is_file(model) or not fractions:
        return None

    def design(index: int) -> Design:
        shape = shape_for(model, hardware.engine, fractions[index])
        return Design(fractions[index], Estimate.of(hardware, shape))

    slow, fast = len(fractions), 0  # cycles grow with the fraction
    best = design(fast)
    if not best.reaches(fps):
        return best
    while slow - fast > 1:
        middle = (slow + fast) // 2
        found = design(middle)
        if found.reaches(fps):
            best, fast = found, middle
        else:
            slow = middle
    return best


def candidate_engines(board: Board) -> list[EngineConfig]:
    """Engines that a board has multipliers and, as far as known, room for.

    Those of the package, and the board's own with more lanes; the fewest products first.
    """
    engines = (*ENGINES.values(), *_larger(config.engine(board.engine)))
    return sorted(
        (engine for engine in engines if fits(engine, board)), key=lambda engine: engine.products
    )


def fits(engine: EngineConfig, board: Board) -> bool:
    """Whether a board has the multipliers of the array, and all else as far as it is known."""
    if engine.multiplier != MULTIPLIERS[family_of(board.device)]:
        return False
    if board.limits.dsp is not None and array_multipliers(engine) > board.limits.dsp:
        return False
    return excess(resources_of(engine, board), board) is None


def _larger(engine: EngineConfig) -> Iterator[EngineConfig]:
    """The engine with up to twice as many lanes of each kind; its banks have as many words."""
    tokens, rows, depth = engine.token_lanes, engine.row_lanes, engine.depth_lanes
    lanes = product(range(tokens, 2 * tokens + 1, 2), (rows, 2 * rows), (depth, 2 * depth))
    for new in lanes:
        sizes = dict(zip(("token_lanes", "row_lanes", "depth_lanes"), new, strict=True))
        name = f"{engine.name} with {' x '.join(map(str, new))} lanes"
        if new == (tokens, rows, depth):
            continue
        try:
            yield replace(engine, name=name, **sizes)
        except UserError:  # beyond what an engine can be
            continue


def other_engine(model: str, hardware: Hardware, wide: float, fps: float) -> Design | None:
    """The first design with another engine that reaches the rate; None if no one does.

    Engines of the same ``act_bits`` are tried first.
    """
    act_bits = hardware.engine.act_bits
    engines = candidate_engines(hardware.board)
    for engine in sorted(engines, key=lambda engine: engine.act_bits != act_bits):
        if engine == hardware.engine:
            continue
        try:
            shape = shape_for(model, engine, wide)
            design = Design(wide, Estimate.of(Hardware(hardware.board, engine), shape))
        except UserError:  # this engine cannot run it
            continue
        if design.reaches(fps):
            return design
    return None


def clock_needed(estimate: Estimate, fps: float) -> int | None:
    """The slowest clock in whole MHz at which an engine reaches the rate; None if none does.

    A faster clock leaves fewer bytes of memory to a cycle.
    """
    fast = FASTEST_HZ // CLOCK_STEP_HZ
    if estimate.at(FASTEST_HZ).frames_per_second < fps:
        return None
    slow = 0
    while fast - slow > 1:
        middle = (slow + fast) // 2
        if estimate.at(middle * CLOCK_STEP_HZ).frames_per_second >= fps:
            fast = middle
        else:
            slow = middle
    return fast * CLOCK_STEP_HZ
