"""What all scratchpads have in common, behind the ports of :mod:`rtl.memory.ports`.

Every write passes a landing (:mod:`rtl.memory.scratchpads.landing`). A write is in memory
``WRITE_LATENCY`` cycles after it was accepted; a unit that signals its completion in that cycle or
later cannot be overtaken by a read, because the semaphore takes two cycles more. What a read of a
word returns that is being written is undefined: the compiler's semaphores exclude it.
"""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, Signature

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FirstFault
from rtl.isa.instructions import Unit
from rtl.lib.streams import connect
from rtl.memory.scratchpads.guard import ReadGuard
from rtl.memory.scratchpads.landing import Landing, TapSignature

WRITE_LATENCY = 2  # the landing's register, then the bank

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
    """A landing for every writer, a guard on the read port, one fault, taps on demand.

    Parameters
    ----------
    config : EngineConfig
    ports : dict of members
        Read and write ports of the scratchpad.
    writers : dict of layouts
        Beats of each writer; the name says whose writes they are: drain, softmax, norm or load.
    tap : bool

    Members, beyond ``ports``
    -------------------------
    fault : Out(Fault)
    tap : Out, by writer
        With ``tap``: a ``valid`` and the ``beat`` that lands. Without, the port does not exist.
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

    def land(self, m: Module, writes: dict[str, wiring.PureInterface], depth: int) -> list[Landing]:
        """A landing for each writer, linked to its write port, fault and tap connected."""
        landings = []
        for name, write in writes.items():
            landing = Landing(self._writers[name], depth, _UNIT_OF_WRITER[name])
            m.submodules[f"{name}_landing"] = landing
            connect(m, producer=wiring.flipped(write), consumer=landing.i)
            if self._tap:
                tap = getattr(self.tap, name)
                m.d.comb += [tap.valid.eq(landing.o.valid), tap.beat.eq(landing.o.beat)]
            landings.append(landing)
        return landings

    def guard(self, m: Module, read: wiring.PureInterface, depth: int, unit: Unit) -> ReadGuard:
        """Watches a read port; ``depth`` is the number of its words or granules."""
        m.submodules.guard = guard = ReadGuard(depth, unit)
        m.d.comb += [guard.enable.eq(read.enable), guard.word.eq(read.request)]
        return guard

    def report(self, m: Module, *sources: Landing | ReadGuard) -> None:
        """The first of all their faults is the scratchpad's."""
        m.submodules.faults = faults = FirstFault(len(sources))
        m.d.comb += [faults.sources[i].eq(source.fault) for i, source in enumerate(sources)]
        m.d.comb += self.fault.eq(faults.o)
