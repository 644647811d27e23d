"""Search for the engine: the configurations that fit a board and run a workload fastest.

- ``sizing``: an engine for a network, from lanes and storage
- ``grid``: the engines that are considered, with their resources, bounds and exact cycles; the
  limits of a board, and which one keeps an engine out
- ``search``: branch and bound over the grid; engines worth searching for a space of networks, and
  those that reach a frame rate
"""
