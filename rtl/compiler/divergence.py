"""Expected against actual writes of an instruction: the first element that differs."""

from dataclasses import dataclass

import numpy as np

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Expected:
    """All words that an instruction writes, in any order.

    Parameters
    ----------
    number : int
        Number of the instruction.
    buffer : str
        The scratchpad: ``activations``, ``pixels``, ``keys``, ``values``, ``scores``, ``residual``,
        ``weights``, ``parameters``, ``exponents`` or ``gelu``. Words of the last four are given
        as bytes.
    tensor : str
        Name of the tensor in docs/numerics.md, section 8; of constants, their chunk's ``content``.
    head : int
        Attention head, or -1.
    banks, words : (n,)
        Bank and word of each. Of GELU, the bank is the table, the word the index of a code.
    values : (n, lanes) int64
        Activations as unsigned bits; all others signed where their code is.
    written : (n, lanes) bool
        Lanes that are written (an activation word may be written in part).
    known : (n, lanes) bool
        Lanes whose value is specified; padding is not.
    tokens : (n,)
        Token, UNKNOWN for constants.
    columns : (n, lanes)
        Row, channel or key of the tensor, UNKNOWN for padding and constants.
    of_image : (n,), optional
        The token among those of the image, before some were dropped.
    """

    number: int
    buffer: str
    tensor: str
    head: int
    banks: np.ndarray
    words: np.ndarray
    values: np.ndarray
    written: np.ndarray
    known: np.ndarray
    tokens: np.ndarray
    columns: np.ndarray
    of_image: np.ndarray | None = None

    def element(self, index: int, lane: int) -> str:
        """Name of one element, such as ``blocks.0.scores[head 1, token 5, 17]``, and its place."""
        place = f"{self.buffer} bank {self.banks[index]} word {self.words[index]} lane {lane}"
        token, column = self.tokens[index], self.columns[index, lane]
        if token == UNKNOWN:
            return f"{self.tensor} ({place})"
        head = f"head {self.head}, " if self.head >= 0 else ""
        row = "padding" if column == UNKNOWN else str(column)
        first = token if self.of_image is None else self.of_image[index]
        origin = "" if first == token else f" (of the image's: {first})"
        return f"{self.tensor}[{head}token {token}{origin}, {row}] ({place})"


@dataclass(frozen=True)
class Divergence:
    """The first element in which an engine differs.

    Parameters
    ----------
    number : int
        Number of the instruction.
    element : str
        Name of the element (:meth:`Expected.element`); of a stray write, the place alone.
    expected : int or None
        Value that golden has; None if nothing must be written there.
    got : int or None
        Value that the engine wrote; None if it wrote nothing.
    """

    number: int
    element: str
    expected: int | None
    got: int | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"instruction {self.number}: unexpected write of {self.got} to {self.element}"
        got = "was not written" if self.got is None else f"is {self.got}"
        return f"instruction {self.number}: {self.element} {got}, expected {self.expected}"


def compare(
    expected: Expected,
    banks: np.ndarray,
    words: np.ndarray,
    values: np.ndarray,
    enabled: np.ndarray,
) -> Divergence | None:
    """The first difference between what must be written and what was.

    Parameters
    ----------
    expected : Expected
    banks, words : (records,)
        Where the engine wrote, in its order; a word may be written in several parts.
    values : (records, lanes)
    enabled : (records, lanes) bool
        Lanes that a record writes.
    """
    if not len(expected.words):  # of a MATMUL whose tokens all go
        return _stray(expected, banks, words, values, enabled)
    keys = _keys(expected.banks, expected.words)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    got = _keys(banks, words)
    found = np.minimum(np.searchsorted(keys, got), len(keys) - 1)
    index = np.where(keys[found] == got, order[found], UNKNOWN)  # (records,) in expected
    allowed = expected.written[index] & (index != UNKNOWN)[:, None]
    wrong = enabled & (~allowed | (expected.known[index] & (expected.values[index] != values)))
    if wrong.any():
        record, lane = np.argwhere(wrong)[0].tolist()
        if allowed[record, lane]:
            return _difference(expected, int(index[record]), lane, int(values[record, lane]))
        return _stray(expected, banks, words, values, wrong & ~allowed)
    seen = np.zeros(expected.written.shape, bool)
    np.logical_or.at(seen, index, enabled)
    for i, lane in np.argwhere(expected.written & ~seen)[:1].tolist():
        return _difference(expected, i, lane, None)
    return None


def _stray(
    expected: Expected,
    banks: np.ndarray,
    words: np.ndarray,
    values: np.ndarray,
    strays: np.ndarray,
) -> Divergence | None:
    """The first of the records' lanes that must not be written."""
    for record, lane in np.argwhere(strays)[:1].tolist():
        place = f"{expected.buffer} bank {banks[record]} word {words[record]} lane {lane}"
        return Divergence(expected.number, place, None, int(values[record, lane]))
    return None


def _keys(banks: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Bank and word as one number."""
    return np.asarray(banks, np.int64) << 32 | np.asarray(words, np.int64)


def _difference(expected: Expected, index: int, lane: int, got: int | None) -> Divergence:
    value = int(expected.values[index, lane])
    return Divergence(expected.number, expected.element(index, lane), value, got)
