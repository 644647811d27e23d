"""Between a unit's queue and the unit: waits for semaphores."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import UNITS, Opcode
from rtl.isa.layouts import NUMBER_BITS, dispatch_layout, queued_layout


def issue_members(opcode: Opcode) -> dict[str, wiring.Member]:
    """Members of :class:`Issue`, and of the unit's control around it."""
    return {
        "i": In(stream.Signature(queued_layout(opcode))),
        "o": Out(stream.Signature(dispatch_layout(opcode))),
        "available": In(UNITS),
        "taken": Out(UNITS),
        "missing": Out(UNITS),
        "halt": In(1),
        "started": Out(1),
        "latest": Out(NUMBER_BITS),
    }


class Issue(wiring.Component):
    """Starts a unit's oldest instruction once every producer in ``wait`` has signalled.

    ``LATENCY`` cycle from the queue's head to the unit if nothing is missing. The next one starts
    when the unit has taken it, so never in two cycles running: what the first one takes may reach
    the semaphores a cycle late.

    Parameters
    ----------
    opcode : Opcode
        Of the unit.

    Members
    -------
    i : In(stream of queued_layout)
    o : Out(stream of dispatch_layout)
    available : In(UNITS)
        Producers whose semaphore is above zero.
    taken : Out(UNITS)
        Semaphores that the instruction lowers which started in the cycle before.
    missing : Out(UNITS)
        Producers that the oldest instruction waits for.
    halt : In(1)
        Start nothing more.
    started : Out(1)
        An instruction was started.
    latest : Out(NUMBER)
        The instruction that the unit took last.
    """

    LATENCY = 1

    def __init__(self, opcode: Opcode):
        super().__init__(issue_members(opcode))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        missing = self.i.p.wait & ~self.available
        m.d.comb += [
            self.missing.eq(missing & self.i.valid.replicate(UNITS)),
            self.i.ready.eq(~self.o.valid & ~self.halt & ~missing.any()),
            self.started.eq(self.i.valid & self.i.ready),
        ]
        m.d.sync += self.taken.eq(self.i.p.wait & self.started.replicate(UNITS))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), self.latest.eq(self.o.p.number)]
        with m.If(self.started):
            m.d.sync += [self.o.valid.eq(1), self.o.p.eq(self.i.p.dispatch)]
        return m
