"""Engines that nobody named: those of a grid that a board can hold and that run a space best."""

from nas.cost.free.choice import Choice, choose
from nas.cost.free.grid import CostModels, FreeEngine
from nas.cost.free.limits import Binding

__all__ = ["Binding", "Choice", "CostModels", "FreeEngine", "choose"]
