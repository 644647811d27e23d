"""Words of memory in block RAMs, found by their columns of bits, wherever these lie.

An ECP5's block RAM has 1,024 rows of 18 bits. A row holds bits of one word, or of 2, 4 or 8 words,
whose places in the row a column of bits tells.
"""

from collections.abc import Sequence

import numpy as np

from rtl.soc.blocks import WORD_BITS

ROWS, ROW_BITS = 1024, 18  # of a block RAM
SLICE = 512  # rows by which a column of bits is known
WORDS_IN_A_ROW = (1, 2, 4, 8)  # of a block RAM with 18, 9, 4 and 2 bits of each word


class ContentColumns:
    """Columns of old words, each with that of the new words in its place.

    Parameters
    ----------
    old, new : sequence of int
        Words of memory, a multiple of 512. The old ones must be random enough to be known by.
    """

    def __init__(self, old: Sequence[int], new: Sequence[int]):
        self._new = dict(zip(_columns(old), _columns(new), strict=True))
        self.count = len(old) // SLICE * WORD_BITS
        """Columns that are found in all block RAMs together, if they hold the old words."""

    def exchange(self, rows: np.ndarray) -> int:
        """Exchange what is found in a block RAM; return how many columns.

        Parameters
        ----------
        rows : (1024, 18 or more) uint8
            Bits as the text's digits 0 and 1, changed in place.
        """
        found = 0
        for bit in range(ROW_BITS):
            for first in range(0, ROWS, SLICE):
                content = self._new.get(rows[first : first + SLICE, bit].tobytes())
                if content is not None:
                    rows[first : first + SLICE, bit] = np.frombuffer(content, np.uint8)
                    found += 1
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
