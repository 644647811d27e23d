"""The package's boards that nobody has calibrated yet; a test compares the list with the files."""

from rtl.board import board_names

UNCALIBRATED = ("kv260", "zcu104")
CALIBRATED = tuple(name for name in board_names() if name not in UNCALIBRATED)
