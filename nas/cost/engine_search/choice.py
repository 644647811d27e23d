"""Which engines of the grid to try: the fastest ones, or the smallest that reach a rate.

Lanes beyond the engines that the board's resource model was fitted to are left out: what they
take is not known.

The others are ordered by the cycles that they take with the most storage of the grid, a bound from
below. In this order each gets the storage that fits, until all others are too slow.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.cost.engine_search.grid import CostModels, FreeEngine, Grid, sampled
from nas.cost.engine_search.limits import Binding, binding_of, fullest, require_limits
from nas.cost.engine_search.sizing import Lanes, all_lanes
from nas.space import Space
from rtl.board import Board
from rtl.build.synthesis import Resources
from rtl.config import EngineConfig
from rtl.errors import UserError

KEPT = 4  # engines that a search tries
SLOWER = 0.1  # mean logarithm of cycles above the fastest engine's, beyond which none is tried
GAIN = 0.003  # the same, that more of a storage must bring
NEAR = 0.01  # relative difference in cycles below which the engine with fewer resources is better

Advance = Callable[[int, int], None]
"""Called with how many lanes were looked at, and of how many."""

Excluded = tuple[EngineConfig, Resources]
"""An engine that a limit keeps out."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Engines worth a search.

    Parameters
    ----------
    engines : tuple of FreeEngine
        Predicted to be the fastest on the space's subnets, the best one first.
    excluded : tuple of (EngineConfig, Resources)
        Those that a limit keeps out, the nearest first.
    grid : Grid
    lanes : int
        Of the grid.
    left_out : int
        Those of them that lie beyond the calibration.
    """

    engines: tuple[FreeEngine, ...]
    excluded: tuple[Excluded, ...]
    grid: Grid
    lanes: int
    left_out: int

    def binding(self, engine: FreeEngine) -> Binding | None:
        """The limit that keeps out the nearest engine that is faster; None if there is none."""
        for other, resources in self.excluded:
            if _runs(self.grid, other) and self.grid.log_cycles(other) < engine.log_cycles - NEAR:
                return binding_of(other, resources, self.grid.board, engine.engine)
        return None


def choose(
    board: Board,
    space: Space,
    act_bits: int,
    models: CostModels | None = None,
    advance: Advance = lambda done, total: None,
) -> Choice:
    """Find the engines that fit a board, run a space, and are not beaten by any other.

    Parameters
    ----------
    board : Board
    space : Space
        Its row granularity is raised for engines that have more row lanes.
    act_bits : int
    models : CostModels, optional
        By default the board's calibration.
    advance : callable

    Raises
    ------
    UserError
        If the board lacks limits or a calibration, or none of the grid's engines lies within the
        calibration. If no engine respects the limits: names the one that comes nearest. If the
        compiler refuses the space on every engine: its reason.
    """
    require_limits(board)
    grid = Grid(board, sampled(space), act_bits, models or CostModels.of(board))
    total, calibrated = _calibrated(grid)
    bounds, excluded = _bounds(grid, calibrated, advance)
    engines, too_large = _fastest(grid, bounds, SLOWER)
    excluded = sorted(excluded + too_large, key=lambda each: fullest(each[1], board))
    left_out = total - len(calibrated)
    return Choice(tuple(_best(engines)), tuple(excluded), grid, total, left_out)


def reaching(grid: Grid, cycles: float) -> Iterator[FreeEngine]:
    """Engines that are predicted to take at most so many cycles, the smallest first.

    At last, the fastest engine of all.

    Raises
    ------
    UserError
        As :func:`choose`, but for limits and calibration, which are here.
    """
    bounds, _ = _bounds(grid, _calibrated(grid)[1])
    most = float(np.log(cycles)) + NEAR
    able = [lanes for bound, lanes in bounds if bound <= most]

    def share(lanes: Lanes) -> float:
        return grid.share(grid.resources(grid.engine(lanes, grid.lean)))

    for lanes in sorted(able, key=share):
        found, _ = _with_storage(grid, lanes)
        if found.log_cycles <= most:
            yield found
    engines, _ = _fastest(grid, bounds, 0.0)
    yield min(engines, key=lambda each: each.log_cycles)


def _calibrated(grid: Grid) -> tuple[int, list[Lanes]]:
    """How many lanes a grid has, and those of them within the calibration."""
    lanes_of_all = list(all_lanes())
    calibrated = [lanes for lanes in lanes_of_all if grid.is_calibrated(lanes)]
    if not calibrated:
        raise _nothing_calibrated(grid)
    return len(lanes_of_all), calibrated


def _bounds(
    grid: Grid, candidates: Sequence[Lanes], advance: Advance = lambda done, total: None
) -> tuple[list[tuple[float, Lanes]], list[Excluded]]:
    """Lanes that a board can hold, with bounds from below of their cycles; and the others."""
    bounds, excluded, refusal = [], [], None
    for done, lanes in enumerate(candidates, start=1):
        advance(done, len(candidates))
        lean, roomy = grid.engine(lanes, grid.lean), grid.engine(lanes, grid.roomy)
        if fullest(grid.resources(lean), grid.board) > 1:
            excluded += [(engine, grid.resources(engine)) for engine in (lean, roomy)]
            continue
        try:
            grid.check(lean)
        except UserError as error:
            refusal = error
            continue
        bounds.append((grid.log_cycles(roomy), lanes))
    if not bounds:
        raise refusal or _nothing_fits(grid, excluded)
    return sorted(bounds, key=lambda each: each[0]), excluded


def _fastest(
    grid: Grid, bounds: Sequence[tuple[float, Lanes]], slower: float
) -> tuple[list[FreeEngine], list[Excluded]]:
    """The fastest engine, others down to a distance from it; and those that are too large."""
    engines: list[FreeEngine] = []
    excluded: list[Excluded] = []
    for bound, lanes in bounds:
        if engines and bound > min(each.log_cycles for each in engines) + slower:
            break
        found, too_large = _with_storage(grid, lanes)
        engines.append(found)
        excluded += too_large
    return engines, excluded


def _nothing_calibrated(grid: Grid) -> UserError:
    ranges = grid.models.resources.ranges
    sizes = ", ".join(f"{name} {low}..{high}" for name, (low, high) in ranges.items())
    return UserError(
        f"no free engine of act_bits {grid.act_bits} lies within the calibration of board"
        f" '{grid.board.name}', whose engines have {sizes}"
    )


def _nothing_fits(grid: Grid, excluded: Sequence[Excluded]) -> UserError:
    engine, resources = min(excluded, key=lambda each: fullest(each[1], grid.board))
    binding = binding_of(engine, resources, grid.board)
    return UserError(
        f"no calibrated engine with enough room fits board '{grid.board.name}', not even the"
        f" smallest: {binding}, {binding.needed - binding.limit:,} too many"
    )


def _with_storage(grid: Grid, lanes: Lanes) -> tuple[FreeEngine, list[Excluded]]:
    """The engine with as much storage as fits and is of use; and those that are too large."""
    storage = grid.lean
    lean = grid.engine(lanes, storage)
    best, excluded = grid.measured(lean, grid.resources(lean)), []
    for name, levels in grid.levels.items():
        for level in levels[1:]:
            more = replace(storage, **{name: level})
            engine = grid.engine(lanes, more)
            resources = grid.resources(engine)
            if fullest(resources, grid.board) > 1:
                excluded.append((engine, resources))
                break
            if not _runs(grid, engine):
                break
            found = grid.measured(engine, resources)
            if found.log_cycles < best.log_cycles - GAIN:
                best, storage = found, more
    return best, excluded


def _runs(grid: Grid, engine: EngineConfig) -> bool:
    try:
        grid.check(engine)
    except UserError:
        return False
    return True


def _best(engines: Sequence[FreeEngine]) -> list[FreeEngine]:
    """The fastest ones that no other beats on every subnet; among near-equals the smallest."""
    left, best = sorted(engines, key=lambda each: each.log_cycles), []
    while left and len(best) < KEPT:
        equals = [each for each in left if _near(each, left[0])]
        best.append(min(equals, key=lambda each: each.share))
        left = [each for each in left if each not in equals and not _beats(best[-1], each)]
    return best


def _near(one: FreeEngine, other: FreeEngine) -> bool:
    return bool(np.abs(one.cycles / other.cycles - 1).max() <= NEAR)


def _beats(one: FreeEngine, other: FreeEngine) -> bool:
    """Whether one takes no more cycles than the other, whatever the subnet."""
    return bool((one.cycles <= (1 + NEAR) * other.cycles).all())
