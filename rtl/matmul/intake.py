"""The instructions next to be fed, with what of them can be computed beforehand."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import Destination
from rtl.matmul.signals import WORK, Job


class Intake(wiring.Component):
    """Holds the next two instructions ready, with what can be computed beforehand.

    Members
    -------
    i : In(stream.Signature(WORK))
    o : Out(stream.Signature(Job))
        ``LATENCY`` cycles after ``i``.
    """

    LATENCY = 2

    def __init__(self):
        super().__init__({"i": In(stream.Signature(WORK)), "o": Out(stream.Signature(Job))})

    def elaborate(self, platform):
        m = Module()
        job = Signal(Job, reset_less=True)
        valid = Signal()
        operands = self.i.p.operands
        m.d.comb += self.i.ready.eq(~valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                valid.eq(1),
                job.work.eq(self.i.p),
                job.lane_last.eq(operands.lane_first + operands.lane_count - 1),
            ]
        with m.Elif(~self.o.valid | self.o.ready):
            m.d.sync += valid.eq(0)

        first, last = job.work.operands.lane_first, job.lane_last
        scores = job.work.operands.destination == Destination.SCORES
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(valid),
                self.o.p.eq(job),
                self.o.p.beats.eq(
                    Mux(scores, (last >> 2) - (first >> 2), (last >> 1) - (first >> 1)) + 1
                ),
            ]
        return m
