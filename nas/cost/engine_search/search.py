"""The search for engines: branch and bound, from a roofline bound to exact cycles.

An engine has *lanes*, from a grid, and *storage*. Lanes are tried in the order of their roofline
bound (:func:`rtl.timing.bound.least_cycles`), which no storage can beat: storage is added step by
step while it fits and brings something, with exact cycles at each step. As soon as the next bound
is above the cycles of the engines that were found, no other engine is faster.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf

from nas.cost.engine_search.grid import CostedEngine, EngineGrid, binding_of, fullest
from nas.cost.engine_search.sizing import LaneCounts
from rtl.build.synthesis import Resources
from rtl.config import EngineConfig
from rtl.errors import UserError

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
