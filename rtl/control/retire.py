"""Completion of a unit's instructions, in order."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.control.isa import UNITS
from rtl.control.layout import COMPLETION, NUMBER_BITS
from rtl.control.queue import Queue

COMPLETED = data.StructLayout({"signal": unsigned(UNITS), "number": unsigned(NUMBER_BITS)})


class Retire(wiring.Component):
    """Remember who is to be signalled until each of an instruction's last writes has landed.

    The oldest instruction completes once every one of ``parts`` has reported an end that no older
    instruction has used up. Parts may run ahead of each other. ``done`` pulses ``LATENCY`` cycles
    after the last report.

    Parameters
    ----------
    parts : int
        Ends that belong to each instruction.

    Members
    -------
    i : In(stream.Signature(COMPLETED))
        An instruction starts; refused while ``DEPTH`` are under way.
    ended : In(parts)
    done : Out(COMPLETION)
    idle : Out(1)
        No instruction is under way and none completes in this cycle.
    """

    LATENCY = 2
    DEPTH = 8

    def __init__(self, parts: int):
        self.parts = parts
        signature = {"i": In(stream.Signature(COMPLETED)), "ended": In(parts)}
        super().__init__(signature | {"done": Out(COMPLETION), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.started = started = Queue(COMPLETED, self.DEPTH)
        under_way = Signal(range(self.DEPTH + 1))
        complete = Signal()
        ends = [Signal(range(self.DEPTH + 1), name=f"ends_{part}") for part in range(self.parts)]
        m.d.comb += [
            started.i.payload.eq(self.i.payload),
            started.i.valid.eq(self.i.valid & self.i.ready),
            started.o.ready.eq(complete),
            self.i.ready.eq(under_way != self.DEPTH),
            self.idle.eq((under_way == 0) & ~self.done.valid),
            complete.eq(1),
        ]
        for count, ended in zip(ends, self.ended, strict=True):
            m.d.sync += count.eq(count + ended - complete)
            with m.If(count == 0):
                m.d.comb += complete.eq(0)
        m.d.sync += [
            under_way.eq(under_way + (self.i.valid & self.i.ready) - complete),
            self.done.valid.eq(complete),
            self.done.signal.eq(started.o.payload.signal),
            self.done.number.eq(started.o.payload.number),
        ]
        return m
