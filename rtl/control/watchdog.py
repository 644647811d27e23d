"""Stops an engine in which nothing moves any more."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.control.faults import FAULT, FETCH, FaultCode, fault
from rtl.control.isa import UNITS
from rtl.control.layout import NUMBER_BITS

CYCLES_BITS = 32


class Watchdog(wiring.Component):
    """A fault after ``cycles`` cycles without progress while the engine runs; 0 is never.

    Members
    -------
    cycles : In(32)
    running : In(1)
    progress : In(1)
        An instruction started or was completed, or something moved on a bus.
    missing : In(UNITS) x UNITS
        By unit: the producers that it waits for.
    heads : In(NUMBER) x UNITS
        By unit: its oldest instruction that has not started.
    waits : Out(UNITS) x UNITS
        ``missing`` when the watchdog barked.
    fault : Out(FAULT)
        Of the first unit that waits, and of its oldest instruction; of the fetcher if none waits.
    """

    cycles: In(CYCLES_BITS)
    running: In(1)
    progress: In(1)
    missing: In(unsigned(UNITS)).array(UNITS)
    heads: In(unsigned(NUMBER_BITS)).array(UNITS)
    waits: Out(unsigned(UNITS)).array(UNITS)
    fault: Out(FAULT)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        still = Signal(CYCLES_BITS)
        barks = Signal()
        unit, number = FETCH, 0
        for index, missing in reversed(list(enumerate(self.missing))):
            unit = Mux(missing.any(), index, unit)
            number = Mux(missing.any(), self.heads[index], number)
        m.d.comb += barks.eq(self.running & (self.cycles != 0) & (still == self.cycles))
        m.d.sync += [
            still.eq(Mux(self.running & ~self.progress & ~barks, still + 1, 0)),
            self.fault.eq(fault(barks, FaultCode.WATCHDOG, unit, number)),
        ]
        with m.If(barks):
            m.d.sync += [kept.eq(now) for kept, now in zip(self.waits, self.missing, strict=True)]
        return m
