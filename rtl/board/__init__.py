"""Boards: device, limits, clock, memory and default engine, one TOML file each.

A new board is a new file in ``boards/``, or anywhere: wherever a board's name is asked for, the
path of a ``.toml`` file will do.

- ``records``: limits of resources, and the memory
- ``zynq``: the place beside the processors of a Zynq UltraScale+
- ``board``: the board, and how it is read
"""

from rtl.board.board import FOLDER, Board, board_names, load_board
from rtl.board.records import BoardMemory, Limits
from rtl.board.zynq import Zynq

__all__ = ["FOLDER", "Board", "BoardMemory", "Limits", "Zynq", "board_names", "load_board"]
