"""Counting semaphores, one for each ordered pair of units."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control.faults import FAULT, FaultCode, FirstFault, fault
from rtl.control.isa import SEMAPHORE_BITS, UNITS
from rtl.control.layout import COMPLETION, CREDITS


class Semaphores(wiring.Component):
    """The matrix of counters. A completion raises its producer's row where ``signal`` says so.

    A completion in cycle t is seen by ``available`` in t + 1.

    Members
    -------
    starts : In(1)
        The counters take the values of ``credits``; at no other event in the same cycle.
    credits : In(CREDITS)
    completions : In(COMPLETION) x UNITS
        By producer.
    taken : In(UNITS) x UNITS
        By consumer: the producers whose semaphore it lowers in this cycle.
    available : Out(UNITS) x UNITS
        By consumer: the producers whose semaphore towards it is above zero.
    balanced : Out(1)
        All have the values that they started from.
    fault : Out(FAULT)
        A semaphore that stood at its highest value was raised.
    """

    starts: In(1)
    credits: In(CREDITS)
    completions: In(COMPLETION).array(UNITS)
    taken: In(unsigned(UNITS)).array(UNITS)
    available: Out(unsigned(UNITS)).array(UNITS)
    balanced: Out(1)
    fault: Out(FAULT)

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
                count = Signal(SEMAPHORE_BITS, name=f"from_{producer}_to_{consumer}")
                raised = completion.valid & completion.signal[consumer]
                lowered = self.taken[consumer][producer]
                with m.If(self.starts):
                    m.d.sync += count.eq(self.credits[producer][consumer])
                with m.Elif(raised & ~lowered):
                    m.d.sync += count.eq(count + 1)
                with m.Elif(lowered & ~raised):
                    m.d.sync += count.eq(count - 1)
                m.d.comb += self.available[consumer][producer].eq(count.any())
                overflows.append(raised & ~lowered & (count == highest))
                differing.append(count != initial[producer][consumer])
            m.d.comb += faults.sources[producer].eq(
                fault(Cat(overflows).any(), FaultCode.SEMAPHORE, producer, completion.number)
            )
        m.d.comb += [self.balanced.eq(~Cat(differing).any()), self.fault.eq(faults.o)]
        return m
