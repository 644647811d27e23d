"""What a subnet costs on a board: cycles, resources, traffic."""

from nas.cost.candidates import Costs, SubnetCosts
from nas.cost.hardware import Hardware

__all__ = ["Costs", "Hardware", "SubnetCosts"]
