"""Boards: one TOML file and one calibration per board, and the driver for their hosts.

- :mod:`boards.host`: the driver, which imports nothing else of this project
- :mod:`boards.run`: ``python -m boards.run``, images to classes on a board
- :mod:`boards.overhead`: ``python -m boards.overhead``, the driver's own time
"""
