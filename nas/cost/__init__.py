"""What a subnet costs on a board: cycles, resources, traffic."""

from nas.cost.hardware import Cycles, Hardware, SubnetCost

__all__ = ["Cycles", "Hardware", "SubnetCost"]
