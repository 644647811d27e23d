"""Costs of a network on a board: cycles, bytes, energy, and the resources of its engine.

Exact costs, for a search and for a single network:

- ``hardware``: a board with an engine on it
- ``exact``: costs of networks, each computed once and kept on disk
- ``candidates``: costs of the subnets that a search considers
- ``estimate``: costs of one network, with what limits it and how far to trust them
- ``networks``, ``imported``, ``timm_models``: the shape of a network by name
- ``roofline``: rates of its layers

Designs that reach a frame rate:

- ``engine_search``: the engines that fit a board and run a workload fastest
- ``feasible``: the nearest designs that reach a rate

Calibration, ``python -m nas.calibrate``:

- ``subnets``, ``engines``: random networks and engines to measure
- ``measurements``, ``module_cells``, ``sweep``, ``kept``: measure them, on many workers, once
- ``resource_fit``: fit the resource model
- ``calibration_run``: these stages in order
- ``records``, ``calibration``: the file of a calibration: errors, imported reports, energy
"""

from nas.cost.candidates import SubnetCost, SubnetCosts
from nas.cost.exact import ExactCosts, ImageCost
from nas.cost.hardware import HardwareTarget

__all__ = ["ExactCosts", "HardwareTarget", "ImageCost", "SubnetCost", "SubnetCosts"]
