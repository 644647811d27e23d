"""The record of the first fault, which the host reads."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import Fault
from rtl.isa.instructions import UNITS
from rtl.isa.layouts import NUMBER_BITS


class FaultRecord(wiring.Component):
    """Keeps the first fault until reset.

    Members
    -------
    i : In(Fault)
    latest : In(NUMBER) x UNITS
        Number of the instruction that each unit started last.
    o : Out(Fault)
        ``valid`` stays set.
    """

    i: In(Fault)
    latest: In(unsigned(NUMBER_BITS)).array(UNITS)
    o: Out(Fault)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.i.valid & ~self.o.valid):
            m.d.sync += self.o.eq(self.i)
            with m.If(self.i.latest), m.Switch(self.i.unit):
                for unit, number in enumerate(self.latest):
                    with m.Case(unit):
                        m.d.sync += self.o.number.eq(number)
        return m
