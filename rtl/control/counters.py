"""Where the cycles went: counters per unit, for a run."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import UNITS
from rtl.isa.registers import COUNTER_BITS, EVENTS, STALLS

ACTIVITY = data.StructLayout(
    {
        "busy": unsigned(1),
        "waits": unsigned(UNITS),
        "starved": unsigned(1),
        "stalls": unsigned(STALLS),
    }
)
"""What a unit does in a cycle: works; its next instruction waits for a producer (the first one
missing); has nothing in its queue; stands still for one of its causes."""


class Counters(wiring.Component):
    """Counts each bit of each unit's activity while the engine runs.

    Members
    -------
    activities : In(ACTIVITY) x UNITS
        Of the cycle before.
    start : In(1)
        Back to zero.
    running : In(1)
    counts : Out(32) x UNITS x len(EVENTS)
    """

    activities: In(ACTIVITY).array(UNITS)
    start: In(1)
    running: In(1)
    counts: Out(COUNTER_BITS).array(UNITS, len(EVENTS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        assert ACTIVITY.size == len(EVENTS)
        ran = Signal()
        m.d.sync += ran.eq(self.running)
        for unit, activity in enumerate(self.activities):
            for event, count in enumerate(self.counts[unit]):
                m.d.sync += count.eq(count + (activity.as_value()[event] & ran))
                with m.If(self.start):
                    m.d.sync += count.eq(0)
        return m
