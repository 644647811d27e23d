"""Engines for one board and workload: their sizes, resources and cycles, and the board's limits."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property

import numpy as np

from nas.cost.calibration import find
from nas.cost.engine_search.sizing import (
    LaneCounts,
    Storage,
    engine_for,
    levels_within,
    with_most_words,
)
from nas.cost.hardware import HardwareTarget
from nas.space import Space
from rtl.board import Board
from rtl.build.synthesis import Resources
from rtl.compiler import plan
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model.shape import NetworkShape
from rtl.resources.model import ResourceModel

LANES = ("token_lanes", "row_lanes", "depth_lanes")
SUBNETS = 8  # that stand for a space: both ends, and others at random

Networks = Callable[[int], Sequence[NetworkShape]]
"""The networks that an engine must run, in row tiles for its number of row lanes.

The first one is the largest, the last one the smallest: an engine that runs both runs all.
"""

CyclesOf = Callable[[HardwareTarget, Sequence[NetworkShape]], Sequence[float]]
"""Exact cycles per image of networks on an engine."""


def subnets_of(space: Space) -> Networks:
    """Draw subnets that stand for a space; the row granularity grows with the row lanes."""
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(SUBNETS - 2)]
    if space.keeps and not any(space.shape(arch).selects for arch in [*drawn, space.smallest()]):
        drawn[-1] = space.most_selecting()  # so that engines are built to select
    archs = [space.largest(), *drawn, space.smallest()]

    def networks(row_lanes: int) -> Sequence[NetworkShape]:
        return [space.tiled(row_lanes).shape(arch) for arch in archs]

    return networks


def resource_model_of(board: Board) -> ResourceModel:
    """Look up the resource model of a board.

    Raises
    ------
    UserError
        If the board is not calibrated; names the command that does it.
    """
    found = find(board)
    if found is None:
        raise UserError(
            f"an engine search needs the resource model of board '{board.name}', which is not"
            f" calibrated: run python -m nas.calibrate --board {board.option}"
        )
    return found.resource_model


@dataclass(frozen=True, eq=False)
class CostedEngine:
    """An engine with its resources and cycles.

    Parameters
    ----------
    engine : EngineConfig
    resources : Resources
    cycles : (n,) float
        Exact cycles per image of the workload's networks.
    share : float
        Mean of the fractions of the board's limits that the engine takes.
    """

    engine: EngineConfig
    resources: Resources
    cycles: np.ndarray
    share: float

    @cached_property
    def log_cycles(self) -> float:
        """Mean logarithm of the cycles, the measure by which engines are ranked."""
        return _mean_log(self.cycles)


class EngineGrid:
    """The engines that are considered for a board and a workload.

    Parameters
    ----------
    board : Board
        All its limits are stated.
    networks : callable
        The workload.
    act_bits : int
    resource_model : ResourceModel
    cycles_of : callable
        The exact timing model.

    Attributes
    ----------
    levels : dict of str to tuple of int
        Levels of each kind of storage within the calibration, in rising order.
    smallest, largest : Storage
        The lowest and the highest level of every kind.
    """

    def __init__(
        self,
        board: Board,
        networks: Networks,
        act_bits: int,
        resource_model: ResourceModel,
        cycles_of: CyclesOf,
    ) -> None:
        self.board, self.act_bits = board, act_bits
        self.resource_model, self.cycles_of = resource_model, cycles_of
        self.levels = levels_within(resource_model.ranges)
        self.smallest, self.largest = (
            Storage(**{name: levels[end] for name, levels in self.levels.items()})
            for end in (0, -1)
        )
        self._networks = cache(networks)
        self._known: dict[EngineConfig, CostedEngine] = {}

    def engine(self, lanes: LaneCounts, storage: Storage) -> EngineConfig:
        """Build an engine with room for the largest network; it selects tokens if one does."""
        networks = self._networks(lanes.row_lanes)
        selected = max((shape.patches for shape in networks if shape.selects), default=0)
        return engine_for(lanes, storage, networks[0], self.board, self.act_bits, selected)

    def is_calibrated(self, lanes: LaneCounts) -> bool:
        """Tell whether the resource model was fitted to engines like those of these lanes."""
        engine = with_most_words(lanes, self.smallest, self.board, self.act_bits)
        return not self.resource_model.extrapolates(engine)

    def check(self, engine: EngineConfig) -> None:
        """Refuse an engine that cannot run the networks; ``UserError`` names the limit."""
        networks = self._networks(engine.row_lanes)
        for shape in (networks[0], networks[-1]):
            plan(shape, engine)

    def runs(self, engine: EngineConfig) -> bool:
        """Tell whether an engine can run the networks."""
        try:
            self.check(engine)
        except UserError:
            return False
        return True

    def resources(self, engine: EngineConfig) -> Resources:
        """Predict the resources of an engine."""
        return self.resource_model.predict(engine)

    def share(self, engine: EngineConfig) -> float:
        """Return the mean of the fractions of the board's limits that an engine takes."""
        return float(np.mean(list(shares(self.resources(engine), self.board).values())))

    def bound(self, engine: EngineConfig) -> float:
        """Bound the mean logarithm of the cycles from below, without compiling anything."""
        target = HardwareTarget(self.board, engine)
        return _mean_log([target.least_cycles(each) for each in self._networks(engine.row_lanes)])

    def costed(self, engine: EngineConfig) -> CostedEngine:
        """Cost an engine: compile and time every network on it, once."""
        if engine not in self._known:
            networks = self._networks(engine.row_lanes)
            cycles = np.array(self.cycles_of(HardwareTarget(self.board, engine), networks), float)
            self._known[engine] = CostedEngine(
                engine, self.resources(engine), cycles, self.share(engine)
            )
        return self._known[engine]


def _mean_log(cycles: Sequence[float] | np.ndarray) -> float:
    return float(np.log(cycles).mean())


# --- limits of a board ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Binding:
    """A limit, and an engine that it keeps out.

    Parameters
    ----------
    resource : str
        Name of the limit, as in the board's file.
    engine : str
        Description of the engine, by :func:`described`.
    needed, limit : float
        How much the engine needs, and how much the board has.
    """

    resource: str
    engine: str
    needed: float
    limit: float

    def __str__(self) -> str:
        return f"{self.resource}: {self.engine} would need {self.needed:,} of {self.limit:,}"


def require_limits(board: Board) -> None:
    """Require a limit for every resource of the board, but for UltraRAM, of which it may say none.

    Raises
    ------
    UserError
        If it lacks a limit; says how to state it.
    """
    limits = board.limits.model_dump(exclude={"uram"})
    missing = [name for name, limit in limits.items() if limit is None]
    if missing:
        raise UserError(
            f"an engine search needs a board with limits, and board '{board.name}' has none of"
            f" {', '.join(missing)}: state them under [limits] in its file, or choose another board"
        )


def shares(resources: Resources, board: Board) -> dict[str, float]:
    """Return the fraction of each limit that is used; of UltraRAM only where there is any."""
    limits = {name: limit for name, limit in board.limits.model_dump().items() if limit}
    return {name: getattr(resources, name) / limit for name, limit in limits.items()}


def fullest(resources: Resources, board: Board) -> float:
    """Return the largest fraction of a limit that is used; above 1 the engine does not fit."""
    return max(shares(resources, board).values())


def binding_of(
    engine: EngineConfig, resources: Resources, board: Board, chosen: EngineConfig | None = None
) -> Binding:
    """Find the limit that an engine exceeds most."""
    used = shares(resources, board)
    name = max(used, key=used.__getitem__)
    needed, limit = getattr(resources, name), getattr(board.limits, name)
    return Binding(name, described(engine, chosen), needed, limit)


def described(engine: EngineConfig, other: EngineConfig | None = None) -> str:
    """Describe an engine by its lanes; where another one has the same, also by other sizes."""
    text = " x ".join(str(getattr(engine, name)) for name in LANES)
    if other is None or any(getattr(engine, name) != getattr(other, name) for name in LANES):
        return text
    sizes, others = asdict(engine), asdict(other)
    differing = [f"{name} {size}" for name, size in sizes.items() if size != others[name]]
    return f"{text} with {', '.join(differing)}"
