"""The record of the first fault, which the host reads."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import FAULT
from rtl.isa.instructions import UNITS
from rtl.isa.layouts import NUMBER_BITS


class FaultRecord(wiring.Component):
    """Keeps the first fault until reset.

    Members
    -------
    i : In(FAULT)
    latest : In(NUMBER) x UNITS
        Number of the instruction that each unit started last.
    o : Out(FAULT)
        ``valid`` stays set.
    """

    i: In(FAULT)
    latest: In(unsigned(NUMBER_BITS)).array(UNITS)
    o: Out(FAULT)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.i.valid & ~self.o.valid):
            m.d.sync += self.o.eq(self.i)
            with m.If(self.i.latest), m.Switch(self.i.unit):
                for unit, number in enumerate(self.latest):
                    with m.Case(unit):
                        m.d.sync += self.o.number.eq(number)
        return m
