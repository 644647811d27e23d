"""The content of a routed netlist's block RAMs, exchanged as ecpbram does in the bitstream."""

import re
from collections.abc import Sequence

import numpy as np

from rtl.soc.blocks import WORD_BITS
from sim.netlist.routed import RoutedNetlist

ROWS, ROW_BITS, FILL = 1024, 18, 20  # of a block RAM; two bits of a row fill INITVAL
SLICE = 512  # rows by which a column of bits is known
WORDS_IN_A_ROW = (1, 2, 4, 8)  # of a block RAM with 18, 9, 4 and 2 bits of each word
INITVAL = re.compile(r"INITVAL_[0-9A-F]{2}")


def replace_content(netlist: RoutedNetlist, old: Sequence[int], new: Sequence[int]) -> int:
    """Exchange words of memory wherever block RAMs hold columns of their bits.

    Parameters
    ----------
    netlist : RoutedNetlist
    old, new : sequence of int
        Words of memory, a multiple of 512. The old ones must be random enough to be known by.

    Returns
    -------
    int
        Columns of 512 bits that were exchanged: 64 for each 512 words, if all were found.
    """
    columns = dict(zip(_columns(old), _columns(new), strict=True))
    found = 0
    for cell in netlist.cells.values():
        if cell["type"] != "DP16KD":
            continue
        names = sorted(filter(INITVAL.fullmatch, cell["parameters"]))
        text = "".join(cell["parameters"][name][::-1] for name in names)
        rows = np.frombuffer(text.encode(), np.uint8).reshape(ROWS, FILL).copy()
        for bit in range(ROW_BITS):
            for first in range(0, ROWS, SLICE):
                content = columns.get(rows[first : first + SLICE, bit].tobytes())
                if content is not None:
                    rows[first : first + SLICE, bit] = np.frombuffer(content, np.uint8)
                    found += 1
        text = rows.tobytes().decode()
        length = len(text) // len(names)
        for index, name in enumerate(names):
            part = text[index * length : (index + 1) * length]
            cell["parameters"][name] = part[::-1]
    return found


def _columns(words: Sequence[int]) -> list[bytes]:
    """Columns of bits, as text of 512 digits each, for every number of words in a row."""
    text = "".join(f"{word:0{WORD_BITS}b}" for word in words)
    digits = np.frombuffer(text.encode(), np.uint8).reshape(-1, WORD_BITS)
    return [
        piece[:, place, bit].tobytes()
        for count in WORDS_IN_A_ROW
        for piece in _rows(digits, count)
        for place in range(count)
        for bit in range(WORD_BITS)
    ]


def _rows(digits: np.ndarray, count: int) -> np.ndarray:
    """Arrange words as slices of rows with ``count`` words each, as many as are whole."""
    whole = len(digits) // (SLICE * count)
    return digits[: whole * SLICE * count].reshape(whole, SLICE, count, WORD_BITS)
