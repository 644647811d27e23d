"""The check of a LOAD before anything moves, and what the loaders are told of it."""

from amaranth.hdl import Assert, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Opcode, Target, Unit
from rtl.isa.layouts import dispatch_layout
from rtl.memory.clients import ReadClient
from rtl.memory.regions import REGIONS_IN_FLIGHT, RegionCheck

LOAD = dispatch_layout(Opcode.LOAD)


def transfer_layout(config: EngineConfig) -> data.StructLayout:
    """A LOAD whose data are on their way; ``first`` is its first byte's place in a beat."""
    return data.StructLayout({"load": LOAD, "first": exact_log2(config.memory_bytes)})


class LoadCheck(wiring.Component):
    """Checks an instruction's addresses, then asks the reader for its bytes.

    Everything but pixels and tables must begin at a beat, the residual consist of whole words.
    What is out of place is a fault before anything moves; then the unit stands still.

    Members
    -------
    i : In(stream of LOAD's dispatch)
    regions : In(REGIONS_IN_FLIGHT)
    command : Out(stream of ReadCommand)
    o : Out(stream of transfer_layout)
    idle : Out(1)
    fault : Out(Fault)
    """

    LATENCY = RegionCheck.LATENCY + 3  # from dispatch to transfer, if the reader takes it at once

    def __init__(self, config: EngineConfig):
        self.config = config
        client = ReadClient(config.memory_bytes)
        super().__init__(
            {
                "i": In(stream.Signature(LOAD)),
                "regions": In(REGIONS_IN_FLIGHT),
                "command": client.members["command"],
                "o": Out(stream.Signature(transfer_layout(config))),
                "idle": Out(1),
                "fault": Out(Fault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = RegionCheck()
        load = Signal(LOAD)
        address = Signal.like(check.o.p.address)
        operands = load.operands
        ready = Signal(init=1)  # a register: Issue has logic behind it
        m.d.comb += [
            check.regions.eq(self.regions),
            check.i.p.base.eq(self.i.p.operands.base),
            check.i.p.offset.eq(self.i.p.operands.offset),
            check.i.p.bytes.eq(self.i.p.operands.bytes),
            check.i.p.parity.eq(self.i.p.parity),
            check.i.valid.eq(self.i.valid & ready),
            self.i.ready.eq(ready),
            self.command.p.address.eq(address),
            self.command.p.bytes.eq(operands.bytes),
            self.o.p.load.eq(load),
            self.o.p.first.eq(address),
        ]
        m.d.sync += [self.fault.valid.eq(0), Assert(~check.i.valid | check.i.ready)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(~self.i.valid)
                m.d.sync += load.eq(self.i.p)
                with m.If(self.i.valid):
                    m.d.sync += ready.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += check.o.ready.eq(1)
                m.d.sync += address.eq(check.o.p.address)
                with m.If(check.o.valid):
                    m.next = "COMMAND"
                    self._refuse(m, operands, check.o.p, load.number)
            with m.State("COMMAND"):
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.next = "TRANSFER"
            with m.State("TRANSFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += ready.eq(1)
                    m.next = "IDLE"
            with m.State("STOPPED"):
                pass
        return m

    def _refuse(self, m: Module, operands: data.View, place: data.View, number: object) -> None:
        """Report what cannot be loaded."""
        target = operands.target
        anywhere = (target == Target.PIXELS) | (target == Target.GELU)
        beat_bits = exact_log2(self.config.memory_bytes)
        word_bits = exact_log2(self.config.residual_word_bytes)
        ragged = (target == Target.RESIDUAL) & operands.bytes[:word_bits].any()
        aligned = anywhere | (~place.address[:beat_bits].any() & ~ragged)
        with m.If(target >= len(Target)):
            m.d.sync += self.fault.eq(fault(1, FaultCode.OPCODE, Unit.LOAD, number))
            m.next = "STOPPED"
        with m.Elif(~place.inside | ~aligned):
            m.d.sync += self.fault.eq(fault(1, FaultCode.ADDRESS, Unit.LOAD, number))
            m.next = "STOPPED"
