"""The nearest designs that reach a frame rate, by the exact timing model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from boards import Board
from nas.cost.estimate import Estimate, excess, resources_of
from nas.cost.hardware import Hardware
from nas.cost.plain import is_file, shape_for
from rtl.config import ENGINES, EngineConfig
from rtl.errors import UserError
from rtl.synthesis import family_of
from sim.bench import array_multipliers

W8_STEPS = 20  # parts of one: fractions of 8-bit row tiles that are tried
FASTEST_HZ = 1_000_000_000  # of any board
CLOCK_STEP_HZ = 1_000_000
MULTIPLIERS = {"xilinx": "dsp48e2", "ecp5": "mult18x18"}  # by family of devices


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


def candidate_engines(board: Board, engine: EngineConfig) -> list[EngineConfig]:
    """Engines for a board besides ``engine``, in the order in which they are to be tried.

    Those of the package and ``engine`` with more lanes, that the board has multipliers and, as far
    as known, room for: of the same ``act_bits`` first, then those with the fewest products.
    """
    others = [other for other in (*ENGINES.values(), *_larger(engine)) if fits(other, board)]
    unlike = [other for other in others if replace(other, name=engine.name) != engine]
    return sorted(unlike, key=lambda other: (other.act_bits != engine.act_bits, other.products))


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
        try:
            yield replace(engine, name=name, **sizes)
        except UserError:  # beyond what an engine can be
            continue


def other_engine(model: str, hardware: Hardware, wide: float, fps: float) -> Design | None:
    """The first design with another engine that reaches the rate; None if no one does."""
    for engine in candidate_engines(hardware.board, hardware.engine):
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
