"""Completion of a unit's instructions, in order."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.isa.instructions import UNITS
from rtl.isa.layouts import NUMBER_BITS, Completion
from rtl.lib.counts import count_flags
from rtl.lib.streams import Queue


class PendingCompletion(data.Struct):
    """An instruction under way, as its completion will name it."""

    signal: unsigned(UNITS)
    number: unsigned(NUMBER_BITS)


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
    i : In(stream.Signature(PendingCompletion))
        An instruction starts; refused while ``DEPTH`` are under way.
    ended : In(parts)
    done : Out(Completion)
    idle : Out(1)
        No instruction is under way and none completes in this cycle.
    """

    LATENCY = 2
    DEPTH = 8

    def __init__(self, parts: int):
        self.parts = parts
        signature = {"i": In(stream.Signature(PendingCompletion)), "ended": In(parts)}
        super().__init__(signature | {"done": Out(Completion), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.started = started = Queue(PendingCompletion, self.DEPTH)
        starts, complete = Signal(), Signal()
        under_way = count_flags(m, starts, complete, most=self.DEPTH, name="under_way")
        ends = [
            count_flags(m, ended, complete, most=self.DEPTH, name=f"ends_{part}")
            for part, ended in enumerate(self.ended)
        ]
        m.d.comb += [
            starts.eq(self.i.valid & self.i.ready),
            complete.eq(Cat(end.not_empty for end in ends).all()),
            started.i.payload.eq(self.i.payload),
            started.i.valid.eq(starts),
            started.o.ready.eq(complete),
            self.i.ready.eq(under_way.not_full),
            self.idle.eq(~under_way.not_empty & ~self.done.valid),
        ]
        m.d.sync += [
            self.done.valid.eq(complete),
            self.done.signal.eq(started.o.payload.signal),
            self.done.number.eq(started.o.payload.number),
        ]
        return m
