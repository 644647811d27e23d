"""Search for the engine: the configurations that fit a board and run a workload fastest.

- ``limits``: the limits of a board, and which one keeps an engine out
- ``sizing``: an engine for a network, from lanes and storage
- ``grid``: the engines that are considered, with their resources, bounds and exact cycles
- ``search``: branch and bound over the grid, the fastest engine first
- ``choice``: engines worth searching for a space of networks, and those that reach a frame rate
"""

from nas.cost.engine_search.choice import Choice, choose, reaching
from nas.cost.engine_search.grid import CostedEngine, EngineGrid, resource_model_of
from nas.cost.engine_search.limits import Binding, require_limits

__all__ = [
    "Binding",
    "Choice",
    "CostedEngine",
    "EngineGrid",
    "choose",
    "reaching",
    "require_limits",
    "resource_model_of",
]
