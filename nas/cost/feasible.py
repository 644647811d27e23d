"""The nearest designs that reach a frame rate, by the exact timing model."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from nas.cost.engine_search import CostModels, Grid, Workload, reaching
from nas.cost.engine_search.limits import require_limits
from nas.cost.engine_search.sizing import MULTIPLIERS
from nas.cost.estimate import Estimate, excess
from nas.cost.hardware import HardwareTarget
from nas.cost.plain import is_file, load, shape_for, shape_of
from rtl.board import Board
from rtl.build.synthesis import family_of
from rtl.config import ENGINES, EngineConfig
from rtl.errors import UserError
from rtl.model.numerics import ACT_BITS

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


def lower_precision(model: str, hardware: HardwareTarget, wide: float, fps: float) -> Design | None:
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


@dataclass(frozen=True)
class Alternative:
    """What other engines can do for a network.

    Parameters
    ----------
    design : Design or None
        The first one that reaches the rate; if none does, the fastest; None if no engine runs it.
    reason : str or None
        Why no engine was made to measure, if so.
    """

    design: Design | None
    reason: str | None


def other_engine(model: str, hardware: HardwareTarget, wide: float, fps: float) -> Alternative:
    """Try other engines: those of the same ``act_bits`` first, of these the package's own."""
    designs, reasons = [], []
    for act_bits in _act_bits(model, hardware):
        made_to_measure = _made_to_measure(model, hardware, wide, fps, act_bits)
        try:
            for engine in chain(_named(hardware, act_bits), made_to_measure):
                if design := _design(model, HardwareTarget(hardware.board, engine), wide):
                    designs.append(design)
                    if design.reaches(fps):
                        return Alternative(design, None)
        except UserError as error:  # from :func:`_made_to_measure`
            reasons.append(str(error))
    fastest = max(designs, key=lambda each: each.estimate.frames_per_second, default=None)
    return Alternative(fastest, reasons[0] if reasons else None)


def _act_bits(model: str, hardware: HardwareTarget) -> list[int]:
    """Widths of activations that engines may have: the engine's own first; a file has its own."""
    if is_file(model):
        return [load(model).act_bits]
    return sorted(ACT_BITS, key=lambda bits: bits != hardware.engine.act_bits)


def _design(model: str, hardware: HardwareTarget, wide: float) -> Design | None:
    try:
        shape = shape_for(model, hardware.engine, wide)
        return Design(wide, Estimate.of(hardware, shape))
    except UserError:  # this engine cannot run it
        return None


def _named(hardware: HardwareTarget, act_bits: int) -> list[EngineConfig]:
    """Engines of the package that fit the board, but for the one that it has."""
    engines = [each for each in candidate_engines(hardware.board) if each.act_bits == act_bits]
    return [each for each in engines if each != hardware.engine]


def _made_to_measure(
    model: str, hardware: HardwareTarget, wide: float, fps: float, act_bits: int
) -> Iterator[EngineConfig]:
    """Engines of the grid that fit the board and may reach the rate; at last the fastest."""
    board = hardware.board

    def tiled(row_lanes: int) -> Workload:
        return Workload.of_shape(shape_of(model, row_lanes, wide))

    require_limits(board)
    grid = Grid(board, tiled, act_bits, CostModels.of(board))
    for found in reaching(grid, hardware.cycle_limit(fps)):
        yield found.engine


def candidate_engines(board: Board) -> list[EngineConfig]:
    """Engines of the package that a board has multipliers and, as far as known, room for.

    The fewest products first.
    """
    engines = [engine for engine in ENGINES.values() if fits(engine, board)]
    return sorted(engines, key=lambda engine: engine.products)


def fits(engine: EngineConfig, board: Board) -> bool:
    """Whether a board has the engine's kind of multipliers, and room as far as it is known."""
    if engine.multiplier != MULTIPLIERS[family_of(board.device)]:
        return False
    return excess(engine, board) is None


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
