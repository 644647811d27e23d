"""Engines that nobody named: those of a grid that a board can hold and that run a workload best."""

from nas.cost.engine_search.choice import Choice, choose, reaching
from nas.cost.engine_search.grid import CostModels, FreeEngine, Grid, Workload
from nas.cost.engine_search.limits import Binding

__all__ = [
    "Binding",
    "Choice",
    "CostModels",
    "FreeEngine",
    "Grid",
    "Workload",
    "choose",
    "reaching",
]
