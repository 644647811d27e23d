"""Counting semaphores, one for each ordered pair of units."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import Fault, FaultCode, FirstFault, fault
from rtl.isa.instructions import SEMAPHORE_BITS, UNITS
from rtl.isa.layouts import CREDITS, Completion
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
        By producer.
    taken : In(UNITS) x UNITS
        By consumer: the producers whose semaphore it lowers in this cycle.
    available : Out(UNITS) x UNITS
        By consumer: the producers whose semaphore towards it is above zero.
    balanced : Out(1)
        All had the values that they started from, ``BALANCE_CYCLES`` before.
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
