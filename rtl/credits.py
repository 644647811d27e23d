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
        A credit may be taken.
    take, give : In(1)
    """

    def __init__(self, count: int):
        self.count = count
        super().__init__({"available": Out(1), "take": In(1), "give": In(1)})

    def elaborate(self, platform):
        m = Module()
        taken = Signal(range(self.count + 1))
        m.d.comb += self.available.eq(taken != self.count)
        m.d.sync += [
            taken.eq(taken + self.take - self.give),
            Assert(~self.take | self.available),
            Assert(~self.give | (taken != 0)),
        ]
        return m
