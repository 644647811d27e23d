"""Costs of the subnets that a search considers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nas.cost.calibration import power_model
from nas.cost.exact import ExactCosts, ImageCost
from nas.cost.hardware import HardwareTarget
from nas.space import NATURAL_ORDER, Arch, Space, TileOrder

Objective = Literal["cycles", "array_cycles", "memory_bytes", "scratchpad_bytes", "energy_joules"]
"""Names of the objectives beside the error; all of one image."""
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True)
class SubnetCost:
    """Cost of one image of a subnet; infinite where the engine refuses the subnet.

    Parameters
    ----------
    cycles : float
    objectives : tuple of float
        Values of the objectives beside the error, in the order of the options.
    """

    cycles: float
    objectives: tuple[float, ...]


class SubnetCosts:
    """Exact costs of the subnets of a space on one engine.

    Parameters
    ----------
    hardware : HardwareTarget
    space : Space
    exact : ExactCosts
        Computes and keeps the costs.
    order : TileOrder
        Ranking of the row tiles by sensitivity, as the trained supernet has it.
    objectives : sequence of Objective
        Names of the values in :attr:`SubnetCost.objectives`.

    Raises
    ------
    UserError
        If energy is an objective, and no power report was imported for the board.
    """

    def __init__(
        self,
        hardware: HardwareTarget,
        space: Space,
        exact: ExactCosts,
        order: TileOrder = NATURAL_ORDER,
        objectives: Sequence[Objective] = ("cycles",),
    ) -> None:
        self.hardware, self.space, self.exact, self.order = hardware, space, exact, order
        self.objectives = tuple(objectives)
        self.power = power_model(hardware.board) if "energy_joules" in objectives else None
        self._known: dict[Arch, SubnetCost] = {}
        self._bounds: dict[Arch, float] = {}

    def of(self, archs: Sequence[Arch]) -> list[SubnetCost]:
        """Compute the exact costs of subnets, in their order."""
        with self.exact.timer:
            new = [arch for arch in dict.fromkeys(archs) if arch not in self._known]
            shapes = [self.space.shape(arch, self.order) for arch in new]
            for arch, cost in zip(new, self.exact.of(self.hardware, shapes), strict=True):
                values = tuple(self._value(name, cost) for name in self.objectives)
                self._known[arch] = SubnetCost(cost.cycles, values)
            return [self._known[arch] for arch in archs]

    def least_cycles(self, arch: Arch) -> float:
        """Bound the cycles of a subnet from below, far cheaper than its exact cost.

        Infinite where the engine refuses the subnet.
        """
        with self.exact.timer:
            if arch not in self._bounds:
                self._bounds[arch] = self.hardware.least_cycles(self.space.shape(arch, self.order))
            return self._bounds[arch]

    def _value(self, name: Objective, cost: ImageCost) -> float:
        if name != "energy_joules":
            return getattr(cost, name)
        assert self.power is not None
        return self.power.joules(cost.array_cycles * self.hardware.engine.products)
