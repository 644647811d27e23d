"""Counters with flags, and credits: how full something is, known without a comparison."""

from typing import NamedTuple

from amaranth.hdl import Assert, Module, Mux, Signal, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class CountFlags(NamedTuple):
    """A count and two flags about it, all of them registers.

    Parameters
    ----------
    count : Signal
        The number itself.
    not_empty : Signal
        The count is not 0.
    not_full : Signal
        The count is not the highest.
    """

    count: Signal
    not_empty: Signal
    not_full: Signal


def count_flags(
    m: Module, more: ValueLike, fewer: ValueLike, *, most: int, name: str
) -> CountFlags:
    """Count up by ``more`` and down by ``fewer``, one bit each, from 0 to ``most``.

    The flags are worked out with the count, not from it: nobody waits for a comparison.
    """
    count = Signal(range(most + 1), name=name)
    not_empty, not_full = Signal(name=f"{name}_not_empty"), Signal(init=1, name=f"{name}_not_full")
    with m.If(more != fewer):
        m.d.sync += [
            count.eq(Mux(fewer, count - 1, count + 1)),
            not_empty.eq(more | (count != 1)),
            not_full.eq(fewer | (count != most - 1)),
        ]
    return CountFlags(count, not_empty, not_full)


class Credits(wiring.Component):
    """Flow control for a pipeline that cannot stall, in front of a queue that can.

    A value that enters the pipeline takes a credit, and one that leaves the queue gives it back, so
    the pipeline never holds more than the queue can take.

    Parameters
    ----------
    count : int
        Depth of the queue.

    Members
    -------
    available : Out(1)
        A credit may be taken. A register, a cycle late: it may rise late, and fall with one left.
    take, give : In(1)

    Raises
    ------
    ValueError
        If there are less than two credits.
    """

    def __init__(self, count: int):
        if count < 2:
            raise ValueError(f"count must be at least 2, not {count}")
        self.count = count
        super().__init__({"available": Out(1), "take": In(1), "give": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        taken = Signal(range(self.count + 1))
        available = Signal(init=1)
        m.d.comb += self.available.eq(available)
        m.d.sync += [
            available.eq(taken < self.count - 1),  # one may be taken in this cycle, one in the next
            taken.eq(taken + self.take - self.give),
            Assert(~self.take | (taken != self.count)),
            Assert(~self.give | (taken != 0)),
        ]
        return m
