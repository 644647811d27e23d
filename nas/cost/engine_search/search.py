"""The search for engines: branch and bound, from a roofline bound to exact cycles.

An engine has *lanes*, from a grid, and *storage*. Lanes are tried in the order of their roofline
bound (:func:`rtl.timing.bound.least_cycles`), which no storage can beat: storage is added step by
step while it fits and brings something, with exact cycles at each step. As soon as the next bound
is above the cycles of the engines that were found, no other engine is faster.

Lanes beyond the engines that the board's resource model was fitted to are left out: their resources
are not known.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log

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
from nas.cost.engine_search.sizing import LaneCounts, all_lanes
from nas.space import Space
from rtl.board import Board
from rtl.build.synthesis import Resources
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.resources.model import ResourceModel

KEPT = 4  # engines that a search for a space finds
NEAR = 0.001  # relative difference in cycles below which the engine with fewer resources is better
NOTABLE = 0.01  # relative gain in cycles for which a limit is said to keep an engine out
GAIN = 0.001  # relative gain in cycles that a step of storage must bring

Advance = Callable[[int, int], None]
"""Called with the number of lanes that were tried, and of those that may have to be."""

Excluded = tuple[EngineConfig, Resources]
"""An engine that a limit of the board keeps out."""


@dataclass(frozen=True)
class Candidates:
    """The lanes of a grid that a board can hold.

    Parameters
    ----------
    bounds : sequence of (float, LaneCounts)
        Lower bound of the mean logarithm of cycles, in rising order, and the lanes.
    excluded : sequence of (EngineConfig, Resources)
        Engines with other lanes, which exceed a limit.
    """

    bounds: Sequence[tuple[float, LaneCounts]]
    excluded: Sequence[Excluded]

    @classmethod
    def of(cls, grid: EngineGrid, calibrated: Sequence[LaneCounts]) -> "Candidates":
        """Find the lanes that fit.

        Raises
        ------
        UserError
            If there are none: the compiler refuses the networks, or a limit all engines.
        """
        bounds, excluded, refusal = [], [], None
        for lanes in calibrated:
            smallest, largest = (grid.engine(lanes, each) for each in (grid.smallest, grid.largest))
            if fullest(grid.resources(smallest), grid.board) > 1:
                excluded += [(engine, grid.resources(engine)) for engine in (smallest, largest)]
                continue
            try:
                grid.check(smallest)
            except UserError as error:
                refusal = error
                continue
            bounds.append((grid.bound(largest if grid.runs(largest) else smallest), lanes))
        if not bounds:
            raise refusal or _nothing_fits(grid, excluded)
        return cls(sorted(bounds, key=lambda each: each[0]), excluded)


@dataclass(frozen=True, eq=False)
class Found:
    """The outcome of a search.

    Parameters
    ----------
    engines : sequence of CostedEngine
        The fastest one first.
    excluded : sequence of (EngineConfig, Resources)
        Engines that were met on the way and do not fit.
    gap : float or None
        None unless the search was stopped: then by how much fewer cycles, as a fraction, an
        engine might take that was not tried.
    """

    engines: Sequence[CostedEngine]
    excluded: Sequence[Excluded]
    gap: float | None


def fastest(
    grid: EngineGrid,
    candidates: Candidates,
    count: int,
    advance: Advance = lambda done, total: None,
    deadline: float = inf,
) -> Found:
    """Find the fastest engines of a grid, one for each lanes.

    Parameters
    ----------
    grid : EngineGrid
    candidates : Candidates
    count : int
        Number of engines.
    advance : callable
        Reports progress.
    deadline : float
        Value of ``time.monotonic()`` at which the search stops; at least one engine is found.
    """
    engines: list[CostedEngine] = []
    excluded: list[Excluded] = []
    for done, (bound, lanes) in enumerate(candidates.bounds):
        most = engines[count - 1].log_cycles if len(engines) >= count else inf
        advance(done, sum(each <= most for each, _ in candidates.bounds))
        if bound > most:
            break
        if engines and time.monotonic() >= deadline:
            gap = max(0.0, 1 - exp(bound - engines[0].log_cycles))
            return Found(engines[:count], excluded, gap)
        engine, too_large = sized(grid, lanes)
        engines = sorted([*engines, engine], key=lambda each: each.log_cycles)
        excluded += too_large
    return Found(engines[:count], excluded, gap=None)


def sized(
    grid: EngineGrid, lanes: LaneCounts, enough: float = -inf
) -> tuple[CostedEngine, list[Excluded]]:
    """Add storage to an engine while it fits and brings something.

    Parameters
    ----------
    grid : EngineGrid
    lanes : LaneCounts
    enough : float
        Mean logarithm of cycles at which the engine is fast enough.

    Returns
    -------
    CostedEngine
    list of (EngineConfig, Resources)
        Engines with more storage, which do not fit.
    """
    storage = grid.smallest
    best, excluded = grid.costed(grid.engine(lanes, storage)), []
    for name, levels in grid.levels.items():
        for level in levels[1:]:
            if best.log_cycles <= enough:
                return best, excluded
            more = replace(storage, **{name: level})
            engine = grid.engine(lanes, more)
            resources = grid.resources(engine)
            if fullest(resources, grid.board) > 1:
                excluded.append((engine, resources))
                break
            if not grid.runs(engine):
                break
            found = grid.costed(engine)
            if found.log_cycles < best.log_cycles - GAIN:
                best, storage = found, more
    return best, excluded


def _nothing_fits(grid: EngineGrid, excluded: Sequence[Excluded]) -> UserError:
    engine, resources = min(excluded, key=lambda each: fullest(each[1], grid.board))
    binding = binding_of(engine, resources, grid.board)
    return UserError(
        f"no calibrated engine with enough room fits board '{grid.board.name}', not even the"
        f" smallest: {binding}, {binding.needed - binding.limit:,} too many"
    )


# --- for a space of networks, and for a rate --------------------------------------------------


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
