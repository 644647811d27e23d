"""Counters that are asked only whether there is any, and whether there is room for one more."""

from typing import NamedTuple

from amaranth.hdl import Module, Mux, Signal, ValueLike


class Tally(NamedTuple):
    """A count and what is known of it, all of them registers.

    Parameters
    ----------
    count : Signal
    some : Signal
        The count is not 0.
    room : Signal
        The count is not the highest.
    """

    count: Signal
    some: Signal
    room: Signal


def tally(m: Module, more: ValueLike, fewer: ValueLike, *, most: int, name: str) -> Tally:
    """Count up by ``more`` and down by ``fewer``, one bit each, from 0 to ``most``.

    ``some`` and ``room`` are worked out with the count, not from it: nobody waits for a comparison.
    """
    count = Signal(range(most + 1), name=name)
    some, room = Signal(name=f"{name}_some"), Signal(init=1, name=f"{name}_room")
    with m.If(more != fewer):
        m.d.sync += [
            count.eq(Mux(fewer, count - 1, count + 1)),
            some.eq(more | (count != 1)),
            room.eq(fewer | (count != most - 1)),
        ]
    return Tally(count, some, room)
