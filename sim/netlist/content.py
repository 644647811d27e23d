"""The content of a routed netlist's block RAMs, exchanged as it is in the bitstream."""

import re
from collections.abc import Sequence

import numpy as np

from rtl.build.columns import ROWS, ContentColumns
from sim.netlist.routed import RoutedNetlist

FILL = 20  # bits of INITVAL for a row
INITVAL = re.compile(r"INITVAL_[0-9A-F]{2}")


def replace_content(netlist: RoutedNetlist, old: Sequence[int], new: Sequence[int]) -> int:
    """Exchange words of memory wherever block RAMs hold columns of their bits.

    Parameters
    ----------
    netlist : RoutedNetlist
    old, new : sequence of int
        As of :class:`rtl.build.columns.ContentColumns`.

    Returns
    -------
    int
        Columns of 512 bits that were exchanged: 64 for each 512 words, if all were found.
    """
    columns = ContentColumns(old, new)
    found = 0
    for cell in netlist.cells.values():
        if cell["type"] != "DP16KD":
            continue
        names = sorted(filter(INITVAL.fullmatch, cell["parameters"]))
        text = "".join(cell["parameters"][name][::-1] for name in names)
        rows = np.frombuffer(text.encode(), np.uint8).reshape(ROWS, FILL).copy()
        found += columns.exchange(rows)
        text = rows.tobytes().decode()
        length = len(text) // len(names)
        for index, name in enumerate(names):
            part = text[index * length : (index + 1) * length]
            cell["parameters"][name] = part[::-1]
    return found
