"""Costs of a network on a board: cycles, bytes, energy, and the resources of its engine."""

from nas.cost.candidates import Costs, SubnetCost, SubnetCosts
from nas.cost.exact import ExactCosts, ImageCost
from nas.cost.hardware import HardwareTarget

__all__ = ["Costs", "ExactCosts", "HardwareTarget", "ImageCost", "SubnetCost", "SubnetCosts"]
