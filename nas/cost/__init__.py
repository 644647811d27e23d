"""What a subnet costs on a board: cycles, resources, traffic."""

from nas.cost.candidates import Costs, SubnetCosts
from nas.cost.hardware import HardwareTarget

__all__ = ["Costs", "HardwareTarget", "SubnetCosts"]
