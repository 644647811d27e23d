"""The watch on a read port: reads beyond the last word are a fault."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Unit


class ReadGuard(wiring.Component):
    """Reports a read beyond the last word, as the reading unit's latest instruction's.

    Members
    -------
    enable : In(1)
    word : In(16)
    fault : Out(Fault)
    """

    def __init__(self, depth: int, unit: Unit):
        self.depth = depth
        self.unit = unit
        super().__init__({"enable": In(1), "word": In(16), "fault": Out(Fault)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beyond = self.enable & (self.word >= self.depth)
        m.d.sync += self.fault.eq(fault(beyond, FaultCode.ADDRESS, self.unit))
        return m
