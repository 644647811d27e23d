"""Stops an engine in which nothing moves any more."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import FETCH, Fault, FaultCode, fault
from rtl.isa.instructions import UNITS
from rtl.isa.layouts import NUMBER_BITS
from rtl.isa.registers import WATCHDOG_BITS

EVENTS = 2 * UNITS + 2


class Watchdog(wiring.Component):
    """A fault after ``cycles`` cycles without progress while the engine runs; 0 is never.

    ``fault`` comes ``LATENCY`` cycles after the last of them.

    Members
    -------
    cycles : In(32)
    running : In(1)
    progress : In(EVENTS)
        Instructions that started or were completed, what moved on a bus; any of them counts.
    missing : In(UNITS) x UNITS
        By unit: the producers that it waits for.
    heads : In(NUMBER) x UNITS
        By unit: its oldest instruction that has not started.
    waits : Out(UNITS) x UNITS
        ``missing`` when the watchdog barked.
    fault : Out(Fault)
        Of the first unit that waits, and of its oldest instruction; of the fetcher if none waits.
    """

    LATENCY = 3

    cycles: In(WATCHDOG_BITS)
    running: In(1)
    progress: In(EVENTS)
    missing: In(unsigned(UNITS)).array(UNITS)
    heads: In(unsigned(NUMBER_BITS)).array(UNITS)
    waits: Out(unsigned(UNITS)).array(UNITS)
    fault: Out(Fault)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        watches, barks = Signal(), Signal()
        progressed = Signal.like(self.progress)
        left = Signal(signed(WATCHDOG_BITS + 1))  # cycles that may still pass, less 1
        waits = Cat(missing.any() for missing in self.missing)
        waiting = Signal(UNITS)
        unit, number = FETCH, 0
        for index in reversed(range(UNITS)):
            unit = Mux(waiting[index], index, unit)
            number = Mux(waiting[index], self.heads[index], number)
        m.d.comb += barks.eq(watches & (left < 0))
        m.d.sync += [
            watches.eq(self.running & self.cycles.any()),
            progressed.eq(self.progress),
            left.eq(Mux(~watches | progressed.any() | barks, self.cycles, left) - 1),
            waiting.eq(waits),
            self.fault.eq(fault(barks, FaultCode.WATCHDOG, unit, number)),
        ]
        with m.If(barks):
            m.d.sync += [kept.eq(now) for kept, now in zip(self.waits, self.missing, strict=True)]
        return m
