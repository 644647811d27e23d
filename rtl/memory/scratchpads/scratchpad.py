"""Parts that all scratchpads share, behind the ports of :mod:`rtl.memory.ports`.

A write passes a :class:`WriteGuard` and is in memory ``WRITE_LATENCY`` cycles after it was
accepted. A unit that signals its completion in that cycle or later cannot be overtaken by a read,
because the semaphore takes two cycles more. A read of a word that is being written returns an
undefined value: the compiler's semaphores exclude it.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, Signature

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, FirstFault, fault
from rtl.isa.instructions import Unit
from rtl.lib.streams import connect
from rtl.memory.ports import ADDRESS, WritePort

WRITE_LATENCY = 2  # the write guard's register, then the bank


class TapSignature(WritePort):
    """A write that has passed its guard, for simulation: ``valid`` and ``beat``."""


class WriteGuard(wiring.Component):
    """A register before a bank that stops a write beyond the last word and reports it.

    Parameters
    ----------
    layout : StructLayout
        Layout of a write; it has a ``word`` and a ``number``.
    depth : int
        Number of words of a bank.
    unit : Unit
        The unit that writes.

    Members
    -------
    i : In(WritePort(layout))
    o : Out(WritePort(layout))
        The write, a cycle later, if its word exists.
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


class ReadGuard(wiring.Component):
    """Report reads beyond the last word, as a fault of the instruction that the unit took last.

    Parameters
    ----------
    depth : int
        Number of words, or of granules, that can be read.
    unit : Unit
        The unit that reads.

    Members
    -------
    enable : In(1)
    word : In(ADDRESS)
    fault : Out(Fault)
    """

    def __init__(self, depth: int, unit: Unit):
        self.depth = depth
        self.unit = unit
        super().__init__({"enable": In(1), "word": In(ADDRESS), "fault": Out(Fault)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beyond = self.enable & (self.word >= self.depth)
        m.d.sync += self.fault.eq(fault(beyond, FaultCode.ADDRESS, self.unit))
        return m


_UNIT_OF_WRITER = {
    "drain": Unit.MATMUL,
    "softmax": Unit.SOFTMAX,
    "norm": Unit.NORM,
    "load": Unit.LOAD,
}


def _observed(writers: dict[str, data.StructLayout], tap: bool) -> dict[str, wiring.Member]:
    """Members that every scratchpad has: ``fault``, and ``tap`` with a signature per writer."""
    members = {"fault": Out(Fault)}
    if tap:
        taps = {name: Out(TapSignature(layout)) for name, layout in writers.items()}
        members["tap"] = Out(Signature(taps))
    return members


class Scratchpad(wiring.Component):
    """The base of all scratchpads: guards for writes and reads, one fault, taps on demand.

    Parameters
    ----------
    config : EngineConfig
    ports : dict of members
        Read and write ports of the scratchpad.
    writers : dict of layouts
        Layout of each writer's writes, by its name: drain, softmax, norm or load.
    tap : bool
        Whether simulation sees the writes.

    Members, beyond ``ports``
    -------------------------
    fault : Out(Fault)
    tap : Out, by writer
        With ``tap``: ``valid`` and the ``beat`` that is written. Without, no such port exists.
    """

    def __init__(
        self,
        config: EngineConfig,
        ports: dict[str, wiring.Member],
        writers: dict[str, data.StructLayout],
        tap: bool,
    ):
        self.config = config
        self._writers = writers
        self._tap = tap
        super().__init__(ports | _observed(writers, tap))

    def guard_writes(
        self, m: Module, ports: dict[str, wiring.PureInterface], depth: int
    ) -> list[WriteGuard]:
        """Guard the write ports, by writer, of a memory of ``depth`` words; connect the taps."""
        guards = []
        for name, port in ports.items():
            guard = WriteGuard(self._writers[name], depth, _UNIT_OF_WRITER[name])
            m.submodules[f"{name}_write_guard"] = guard
            connect(m, producer=wiring.flipped(port), consumer=guard.i)
            if self._tap:
                tap = getattr(self.tap, name)
                m.d.comb += [tap.valid.eq(guard.o.valid), tap.beat.eq(guard.o.beat)]
            guards.append(guard)
        return guards

    def guard_reads(
        self, m: Module, read: wiring.PureInterface, depth: int, unit: Unit
    ) -> ReadGuard:
        """Watch a read port of ``depth`` words or granules."""
        m.submodules.read_guard = guard = ReadGuard(depth, unit)
        m.d.comb += [guard.enable.eq(read.enable), guard.word.eq(read.request)]
        return guard

    def report(self, m: Module, *sources: WriteGuard | ReadGuard) -> None:
        """Make the first fault of ``sources`` the scratchpad's."""
        m.submodules.faults = faults = FirstFault(len(sources))
        m.d.comb += [faults.sources[i].eq(source.fault) for i, source in enumerate(sources)]
        m.d.comb += self.fault.eq(faults.o)
