"""Credits: flow control for a pipeline that cannot stall, in front of a queue that can."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Credits(wiring.Component):
    """Room in a queue at the end of a pipeline without flow control.

    What enters the pipeline takes a credit and what leaves the queue gives it back, so the
    pipeline never holds more than the queue can take.

    Parameters
    ----------
    count : int
        The queue's depth.

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

    def elaborate(self, platform):
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
