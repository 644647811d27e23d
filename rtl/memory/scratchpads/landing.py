"""The way into a bank: a register that checks each write and is what the simulation tap shows."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Unit
from rtl.memory.ports import WritePort


class TapSignature(WritePort):
    """A write as it lands, for simulation: ``valid`` and ``beat``."""


class Landing(wiring.Component):
    """The register before a bank: stops a write beyond the last word and reports it.

    Parameters
    ----------
    layout : StructLayout
        With ``word`` and ``number``.
    depth : int
        Words of a bank.
    unit : Unit
        Whose writes these are.

    Members
    -------
    i : In(WritePort(layout))
    o : Out(WritePort(layout))
        What is written, a cycle later.
    fault : Out(Fault)
    """

    def __init__(self, layout: data.StructLayout, depth: int, unit: Unit):
        self.depth = depth
        self.unit = unit
        super().__init__(
            {"i": In(WritePort(layout)), "o": Out(WritePort(layout)), "fault": Out(Fault)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = self.i.beat
        inside = Signal()
        m.d.comb += inside.eq(beat.word < self.depth)
        m.d.sync += [
            self.o.valid.eq(self.i.valid & inside),
            self.o.beat.eq(beat),
            self.fault.eq(fault(self.i.valid & ~inside, FaultCode.ADDRESS, self.unit, beat.number)),
        ]
        return m
