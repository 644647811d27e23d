"""The grid's engines for one board and workload: sizes, resources, cycles."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from nas.cost.calibration import find
from nas.cost.engine_search.limits import shares
from nas.cost.engine_search.sizing import Lanes, Storage, boundless, engine_for, levels_within
from nas.cost.hardware import HardwareTarget
from nas.cost.latency import Coefficients, LatencyModel, Memories
from nas.cost.networks import Array, Networks
from nas.space import Space
from rtl.board import Board
from rtl.build.synthesis import Resources
from rtl.compiler import plan
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.model.shape import NetworkShape
from rtl.resources.model import ResourceModel
from rtl.timing.latencies import unit_latencies

SAMPLE = 256  # subnets that stand for the space


@dataclass(frozen=True)
class CostModels:
    """What a board's calibration knows of engines.

    Parameters
    ----------
    resources : ResourceModel
    coefficients : Coefficients
    """

    resources: ResourceModel
    coefficients: Coefficients

    @classmethod
    def of(cls, board: Board) -> "CostModels":
        """From the board's calibration file.

        Raises
        ------
        UserError
            If there is none; names the command that makes it.
        """
        found = find(board)
        if found is None:
            raise UserError(
                f"a free engine needs the resource model of board '{board.name}', which is not"
                f" calibrated: run python -m nas.calibrate --board {board.option}"
            )
        return cls(found.resource_model, Coefficients())


@dataclass(frozen=True, eq=False)
class FreeEngine:
    """An engine and what it costs.

    Parameters
    ----------
    engine : EngineConfig
    resources : Resources
    cycles : (n,) float
        Per image, of the workload's networks.
    share : float
        Mean of the resources' shares of the board's limits.
    """

    engine: EngineConfig
    resources: Resources
    cycles: Array
    share: float

    @cached_property
    def log_cycles(self) -> float:
        """Mean logarithm of the cycles: what engines are ranked by."""
        return float(np.log(self.cycles).mean())


@dataclass(frozen=True, eq=False)
class Workload:
    """Networks that engines are made for, in row tiles of one size.

    Parameters
    ----------
    largest, smallest : NetworkShape
        If an engine runs both, it runs all.
    networks : Networks
        Those whose cycles count.
    """

    largest: NetworkShape
    smallest: NetworkShape
    networks: Networks

    @classmethod
    def of_shape(cls, shape: NetworkShape) -> "Workload":
        """One network."""
        return cls(shape, shape, Networks.of_shapes([shape]))


Tiled = Callable[[int], Workload]
"""A workload in row tiles for so many row lanes."""


def sampled(space: Space) -> Tiled:
    """Random subnets of a space, whose row granularity is raised where the row lanes are more."""
    rng, choices = np.random.default_rng(0), space.gene_choices
    drawn = rng.integers(0, choices, (SAMPLE - 2, len(choices)))
    ends = [space.encode(arch) for arch in (space.smallest(), space.largest())]
    genes = np.concatenate([ends, drawn])

    def tiled(row_lanes: int) -> Workload:
        of = space.tiled(row_lanes)
        largest, smallest = of.shape(of.largest()), of.shape(of.smallest())
        return Workload(largest, smallest, Networks.of_genes(of, genes))

    return tiled


class Grid:
    """Makes engines for a board and a workload, and predicts them.

    Parameters
    ----------
    board : Board
        With all limits.
    tiled : callable
        The workload.
    act_bits : int
    models : CostModels

    Members
    -------
    levels : dict of str to tuple of int
        Of each storage, from the least to the most, within the calibration.
    lean, roomy : Storage
        The least and the most of all of them.
    """

    def __init__(self, board: Board, tiled: Tiled, act_bits: int, models: CostModels) -> None:
        self.board, self.act_bits, self.models = board, act_bits, models
        self.levels = levels_within(models.resources.ranges)
        self.lean = Storage(**{name: levels[0] for name, levels in self.levels.items()})
        self.roomy = Storage(**{name: levels[-1] for name, levels in self.levels.items()})
        self._tiled = cache(tiled)

    def engine(self, lanes: Lanes, storage: Storage) -> EngineConfig:
        """An engine with room for the largest network."""
        largest = self._tiled(lanes.row_lanes).largest
        return engine_for(lanes, storage, largest, self.board, self.act_bits)

    def is_calibrated(self, lanes: Lanes) -> bool:
        """Whether the resource model was fitted to engines like those of these lanes."""
        engine = boundless(lanes, self.lean, self.board, self.act_bits)
        return not self.models.resources.extrapolates(engine)

    def check(self, engine: EngineConfig) -> None:
        """Refuse an engine that the compiler cannot use; ``UserError`` names the limit."""
        tiled = self._tiled(engine.row_lanes)
        for shape in (tiled.largest, tiled.smallest):
            plan(shape, engine)

    def resources(self, engine: EngineConfig) -> Resources:
        return self.models.resources.predict(engine)

    def cycles(self, engine: EngineConfig) -> Array:
        """(n,) cycles per image of the workload's networks."""
        networks = self._tiled(engine.row_lanes).networks
        model = LatencyModel(engine, unit_latencies(engine), self.models.coefficients)
        return model.cycles(networks, Memories.of(HardwareTarget(self.board, engine).memory))

    def log_cycles(self, engine: EngineConfig) -> float:
        """Mean logarithm of the cycles."""
        return float(np.log(self.cycles(engine)).mean())

    def measured(self, engine: EngineConfig, resources: Resources) -> FreeEngine:
        """An engine with its costs."""
        return FreeEngine(engine, resources, self.cycles(engine), self.share(resources))

    def share(self, resources: Resources) -> float:
        """Mean of the resources' shares of the board's limits."""
        return float(np.mean(list(shares(resources, self.board).values())))
