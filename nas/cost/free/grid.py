"""The grid's engines for one board and space: sizes, resources, cycles."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from boards import Board
from nas.cost.calibration import find
from nas.cost.free.limits import shares
from nas.cost.free.sizing import Lanes, Storage, engine_for, levels_within
from nas.cost.hardware import Hardware
from nas.cost.latency import Coefficients, LatencyModel, Memories
from nas.cost.networks import Array, Networks
from nas.cost.resources import ResourceModel
from nas.space import Space
from rtl.compiler import check
from rtl.compiler.latencies import unit_latencies
from rtl.config import EngineConfig
from rtl.errors import UserError
from rtl.shape import NetworkShape
from rtl.synthesis import Resources

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
                f" calibrated: run python -m nas.calibrate --board {board.name}"
            )
        return cls(found.resource_model, Coefficients.from_json(found.latency.coefficients))


@dataclass(frozen=True, eq=False)
class FreeEngine:
    """An engine and what it costs.

    Parameters
    ----------
    engine : EngineConfig
    resources : Resources
    cycles : (n,) float
        Per image, of the sampled subnets.
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
class _Tiled:
    """A space's subnets in row tiles of one size."""

    largest: NetworkShape
    smallest: NetworkShape
    networks: Networks

    @classmethod
    def of(cls, space: Space, genes: Array) -> "_Tiled":
        largest, smallest = space.shape(space.largest()), space.shape(space.smallest())
        return cls(largest, smallest, Networks.of_genes(space, genes))


class Grid:
    """Makes engines for a board and a space, and predicts them.

    Parameters
    ----------
    board : Board
        With all limits.
    space : Space
        Its row granularity is raised for engines that have more row lanes.
    act_bits : int
    models : CostModels

    Members
    -------
    levels : dict of str to tuple of int
        Of each storage, from the least to the most, within the calibration.
    lean, roomy : Storage
        The least and the most of all of them.
    """

    def __init__(self, board: Board, space: Space, act_bits: int, models: CostModels) -> None:
        self.board, self.space, self.act_bits, self.models = board, space, act_bits, models
        self.levels = levels_within(models.resources.ranges)
        self.lean = Storage(**{name: levels[0] for name, levels in self.levels.items()})
        self.roomy = Storage(**{name: levels[-1] for name, levels in self.levels.items()})
        rng, choices = np.random.default_rng(0), space.gene_choices
        drawn = rng.integers(0, choices, (SAMPLE - 2, len(choices)))
        ends = [space.encode(arch) for arch in (space.smallest(), space.largest())]
        self._genes = np.concatenate([ends, drawn])
        self._tiled = cache(lambda row_lanes: _Tiled.of(space.tiled(row_lanes), self._genes))

    def engine(self, lanes: Lanes, storage: Storage) -> EngineConfig:
        """An engine with room for the space's largest subnet."""
        largest = self._tiled(lanes.row_lanes).largest
        return engine_for(lanes, storage, largest, self.board, self.act_bits)

    def is_calibrated(self, lanes: Lanes) -> bool:
        """Whether the resource model was fitted to engines like those of these lanes."""
        return not self.models.resources.extrapolates(self.engine(lanes, self.lean))

    def check(self, engine: EngineConfig) -> None:
        """Refuse an engine that the compiler cannot use; ``UserError`` names the limit."""
        tiled = self._tiled(engine.row_lanes)
        for shape in (tiled.largest, tiled.smallest):
            check(shape, engine)

    def resources(self, engine: EngineConfig) -> Resources:
        return self.models.resources.predict(engine)

    def cycles(self, engine: EngineConfig) -> Array:
        """(n,) cycles per image of the sampled subnets."""
        networks = self._tiled(engine.row_lanes).networks
        model = LatencyModel(engine, unit_latencies(engine), self.models.coefficients)
        return model.cycles(networks, Memories.of(Hardware(self.board, engine).memory))

    def log_cycles(self, engine: EngineConfig) -> float:
        """Mean logarithm of the cycles."""
        return float(np.log(self.cycles(engine)).mean())

    def measured(self, engine: EngineConfig, resources: Resources) -> FreeEngine:
        """An engine with its costs."""
        share = float(np.mean(list(shares(resources, self.board).values())))
        return FreeEngine(engine, resources, self.cycles(engine), share)
