"""Where the cycles went: counters per unit, for a run."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import UNITS
from rtl.isa.registers import COUNTER_BITS, EVENTS, STALLS


class Activity(data.Struct):
    """One cycle of a unit, a bit for each of its counters, in the order of ``EVENTS``."""

    busy: unsigned(1)
    waits: unsigned(UNITS)  # its next instruction waits for a producer: the first one missing
    starved: unsigned(1)  # its queue is empty
    stalls: unsigned(STALLS)  # it stands still, by cause


class Counters(wiring.Component):
    """Counts each bit of each unit's activity while the engine runs.

    Members
    -------
    activities : In(Activity) x UNITS
        Of the cycle before.
    start : In(1)
        Back to zero.
    running : In(1)
    counts : Out(32) x UNITS x len(EVENTS)
    """

    activities: In(Activity).array(UNITS)
    start: In(1)
    running: In(1)
    counts: Out(COUNTER_BITS).array(UNITS, len(EVENTS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        assert Activity.as_shape().size == len(EVENTS)
        ran = Signal()
        m.d.sync += ran.eq(self.running)
        for unit, activity in enumerate(self.activities):
            for event, count in enumerate(self.counts[unit]):
                m.d.sync += count.eq(count + (activity.as_value()[event] & ran))
                with m.If(self.start):
                    m.d.sync += count.eq(0)
        return m
