"""Counting semaphores, and the issue of instructions that wait for them."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import Fault, FaultCode, FirstFault, fault
from rtl.isa.instructions import SEMAPHORE_BITS, UNITS, Opcode
from rtl.isa.layouts import CREDITS, NUMBER_BITS, Completion, dispatch_layout, queued_layout
from rtl.lib.counts import count_flags


class Semaphores(wiring.Component):
    """The matrix of counters. A completion raises its producer's row where ``signal`` says so.

    A completion in cycle t is seen by ``available`` in t + 1, and ``taken`` as well.

    Members
    -------
    starts : In(1)
        The counters take the values of ``credits``; at no other event in the same cycle.
    credits : In(CREDITS)
    completions : In(Completion) x UNITS
        Completions, by producer.
    taken : In(UNITS) x UNITS
        Producers whose semaphore a consumer lowers in this cycle, by consumer.
    available : Out(UNITS) x UNITS
        Producers whose semaphore towards a consumer is above zero, by consumer.
    balanced : Out(1)
        All semaphores had the values that they started from, ``BALANCE_CYCLES`` before.
    fault : Out(Fault)
        A semaphore that stood at its highest value was raised.
    """

    BALANCE_CYCLES = 2

    starts: In(1)
    credits: In(CREDITS)
    completions: In(Completion).array(UNITS)
    taken: In(unsigned(UNITS)).array(UNITS)
    available: Out(unsigned(UNITS)).array(UNITS)
    balanced: Out(1)
    fault: Out(Fault)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.faults = faults = FirstFault(UNITS)
        highest = (1 << SEMAPHORE_BITS) - 1
        initial = Signal(CREDITS)
        differing = []
        with m.If(self.starts):
            m.d.sync += initial.eq(self.credits)
        for producer, completion in enumerate(self.completions):
            overflows = []
            for consumer in range(UNITS):
                name = f"from_{producer}_to_{consumer}"
                raised = completion.valid & completion.signal[consumer]
                lowered = self.taken[consumer][producer]
                semaphore = count_flags(m, raised, lowered, most=highest, name=name)
                credit = self.credits[producer][consumer]
                with m.If(self.starts):
                    m.d.sync += [semaphore.count.eq(credit), semaphore.not_empty.eq(credit.any())]
                differs = Signal(name=f"{name}_differs")
                m.d.sync += differs.eq(semaphore.count != initial[producer][consumer])
                m.d.comb += self.available[consumer][producer].eq(semaphore.not_empty)
                overflows.append(raised & ~lowered & ~semaphore.not_full)
                differing.append(differs)
            m.d.comb += faults.sources[producer].eq(
                fault(Cat(overflows).any(), FaultCode.SEMAPHORE, producer, completion.number)
            )
        m.d.sync += self.balanced.eq(~Cat(differing).any())
        m.d.comb += self.fault.eq(faults.o)
        return m


def issue_members(opcode: Opcode, selection: bool = False) -> dict[str, wiring.Member]:
    """Members of :class:`Issue`, and of the unit's control around it."""
    return {
        "i": In(stream.Signature(queued_layout(opcode, selection))),
        "o": Out(stream.Signature(dispatch_layout(opcode, selection))),
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
        The instruction that the unit executes.
    selection : bool
        The engine selects tokens.

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

    def __init__(self, opcode: Opcode, selection: bool = False):
        super().__init__(issue_members(opcode, selection))

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
