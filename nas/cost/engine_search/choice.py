"""Engines worth searching for a space, and the engines that reach a rate.

Lanes beyond the engines that the board's resource model was fitted to are left out: their resources
are not known.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log

import numpy as np

from nas.cost.engine_search.grid import (
    Binding,
    CostedEngine,
    CyclesOf,
    EngineGrid,
    binding_of,
    fullest,
    require_limits,
    resource_model_of,
    subnets_of,
)
from nas.cost.engine_search.search import Advance, Candidates, Found, fastest, sized
from nas.cost.engine_search.sizing import LaneCounts, all_lanes
from nas.space import Space
from rtl.board import Board
from rtl.errors import UserError
from rtl.resources.model import ResourceModel

KEPT = 4  # engines that a search finds
NEAR = 0.001  # relative difference in cycles below which the engine with fewer resources is better
NOTABLE = 0.01  # relative gain in cycles for which a limit is said to keep an engine out


@dataclass(frozen=True, eq=False)
class Choice(Found):
    """The result of an engine search for a space.

    Parameters
    ----------
    engines, excluded, gap
        As in :class:`Found`, the engines that come nearest to fitting first among the excluded.
    grid : EngineGrid
    lanes : int
        Number of lanes in the grid.
    left_out : int
        Number of them that lie beyond the calibration.
    """

    grid: EngineGrid
    lanes: int
    left_out: int

    def binding(self, engine: CostedEngine) -> Binding | None:
        """Find the limit that keeps the nearest faster engine out; None if there is none."""
        grid, most = self.grid, engine.log_cycles - NOTABLE
        for other, resources in self.excluded:
            if not grid.runs(other) or grid.bound(other) >= most:
                continue
            if grid.costed(other).log_cycles < most:
                return binding_of(other, resources, grid.board, engine.engine)
        return None


def choose(
    board: Board,
    space: Space,
    act_bits: int,
    cycles_of: CyclesOf,
    resource_model: ResourceModel | None = None,
    advance: Advance = lambda done, total: None,
    seconds: float = inf,
) -> Choice:
    """Find the engines that fit a board, run a space, and are not beaten by any other.

    Parameters
    ----------
    board : Board
    space : Space
        Its row granularity is raised for engines that have more row lanes.
    act_bits : int
    cycles_of : callable
        The exact timing model.
    resource_model : ResourceModel, optional
        By default the model of the board's calibration.
    advance : callable
        Reports progress.
    seconds : float
        Time limit. Equal arguments give equal engines only if it is not reached.

    Raises
    ------
    UserError
        If the board lacks limits or a calibration, or none of the grid's engines lies within the
        calibration. If no engine respects the limits: names the one that comes nearest. If the
        compiler refuses the space on every engine: its reason.
    """
    deadline = time.monotonic() + seconds
    require_limits(board)
    model = resource_model or resource_model_of(board)
    grid = EngineGrid(board, subnets_of(space), act_bits, model, cycles_of)
    total, calibrated = _calibrated(grid)
    candidates = Candidates.of(grid, calibrated)
    found = fastest(grid, candidates, KEPT, advance, deadline)
    excluded = [*candidates.excluded, *found.excluded]
    return Choice(
        engines=tuple(_best(found.engines)),
        excluded=tuple(sorted(excluded, key=lambda each: fullest(each[1], board))),
        grid=grid,
        lanes=total,
        left_out=total - len(calibrated),
        gap=found.gap,
    )


def reaching(grid: EngineGrid, cycles: float, known: float = inf) -> Iterator[CostedEngine]:
    """Yield engines that take at most ``cycles``, the smallest first; at the end, the fastest one.

    Parameters
    ----------
    grid : EngineGrid
    cycles : float
        Cycles per image of the workload's networks.
    known : float
        Cycles that are known to be possible; the fastest engine is left out if it takes more.

    Raises
    ------
    UserError
        As :func:`choose`, but for limits and calibration, which are here.
    """
    candidates = Candidates.of(grid, _calibrated(grid)[1])
    most = log(cycles)
    able = [lanes for bound, lanes in candidates.bounds if bound <= most]
    for lanes in sorted(able, key=lambda each: grid.share(grid.engine(each, grid.smallest))):
        found, _ = sized(grid, lanes, most)
        if found.log_cycles <= most:
            yield found
    if candidates.bounds[0][0] < log(known):
        yield from fastest(grid, candidates, 1).engines


def _calibrated(grid: EngineGrid) -> tuple[int, list[LaneCounts]]:
    """Count the lanes of the grid, and list those within the calibration."""
    lanes_of_all = list(all_lanes())
    calibrated = [lanes for lanes in lanes_of_all if grid.is_calibrated(lanes)]
    if not calibrated:
        ranges = grid.resource_model.ranges
        sizes = ", ".join(f"{name} {low}..{high}" for name, (low, high) in ranges.items())
        raise UserError(
            f"no engine of act_bits {grid.act_bits} in the grid lies within the calibration of"
            f" board '{grid.board.name}', whose engines have {sizes}"
        )
    return len(lanes_of_all), calibrated


def _best(engines: Sequence[CostedEngine]) -> list[CostedEngine]:
    """Keep the engines that no other beats on every subnet; among near-equals the smallest."""
    left, best = list(engines), []
    while left:
        equals = [each for each in left if _near(each, left[0])]
        best.append(min(equals, key=lambda each: each.share))
        left = [each for each in left if each not in equals and not _beats(best[-1], each)]
    return best


def _near(one: CostedEngine, other: CostedEngine) -> bool:
    return bool(np.abs(one.cycles / other.cycles - 1).max() <= NEAR)


def _beats(one: CostedEngine, other: CostedEngine) -> bool:
    """Tell whether one takes no more cycles than the other, whatever the subnet."""
    return bool((one.cycles <= (1 + NEAR) * other.cycles).all())
