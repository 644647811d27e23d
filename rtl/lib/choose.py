"""One of several values, by index."""

from collections.abc import Sequence
from itertools import zip_longest

from amaranth.hdl import Const, Mux, Value


def choose(values: Sequence[Value], index: Value) -> Value:
    """``values[index]``, a tree of two-way selections; zero beyond the last value.

    Of wide values it is much smaller than ``Cat(*values).word_select(index, width)``, which is a
    shift of all their bits: one gate per bit and value when it is elaborated, simulated and
    synthesised, where the shift has every bit depend on every other.

    Parameters
    ----------
    values : sequence of Value
        Unsigned, of one width.
    index : Value
        Unsigned.
    """
    if not len(index):
        return values[0]
    zero = Const(0, len(values[0]))
    pairs = zip_longest(values[0::2], values[1::2], fillvalue=zero)
    chosen = [Mux(index[0], odd, even) for even, odd in pairs]
    return choose(chosen, Value.cast(index[1:]))
