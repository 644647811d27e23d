"""The load unit: instructions LOAD, from memory into the scratchpads.

::

    dispatch -> LoadCheck -> transfers (queue) -> router -> PartLoader, ResidualLoader,
                    |                               ^       CutLoader
                    +-> reader's command ... beats -+

The check runs ahead of the data: several instructions' reads are outstanding at a time.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, FirstFault, fault
from rtl.isa.instructions import Opcode, Target, Unit
from rtl.isa.layouts import Completion
from rtl.isa.unit_port import UnitPort
from rtl.lib.streams import Queue, connect
from rtl.memory.clients import ReadClient, beat_layout
from rtl.memory.load.check import LoadCheck, transfer_layout
from rtl.memory.load.cut import CutLoader
from rtl.memory.load.loaders import PartLoader, ResidualLoader
from rtl.memory.ports import WritePort, gelu_write, part_write, pixel_write, residual_write
from rtl.memory.regions import REGIONS_IN_FLIGHT


class Router(wiring.Component):
    """Gives each transfer and its beats to the loader of its target. No register on the way.

    Members
    -------
    transfer, beats : In(streams), as Loader's
    transfers, beats_of : Out(streams) x loaders
    done : Out(Completion)
        A register after the loader took the transfer: a cycle after the last write or, of
        residual words, two.
    fault : Out(Fault)
        An error response of memory.
    """

    LOADERS = (
        (Target.WEIGHTS, Target.PARAMETERS, Target.EXPONENTS),
        (Target.RESIDUAL,),
        (Target.PIXELS, Target.GELU),
    )

    def __init__(self, config: EngineConfig):
        transfer = stream.Signature(transfer_layout(config))
        beats = stream.Signature(beat_layout(config.memory_bytes))
        super().__init__(
            {
                "transfer": In(transfer),
                "beats": In(beats),
                "transfers": Out(transfer).array(len(self.LOADERS)),
                "beats_of": Out(beats).array(len(self.LOADERS)),
                "done": Out(Completion),
                "fault": Out(Fault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ended = Signal()  # all beats of the transfer were taken; the next are another's
        load = self.transfer.p.load
        taken = self.beats.valid & self.beats.ready
        for targets, transfer, beats in zip(
            self.LOADERS, self.transfers, self.beats_of, strict=True
        ):
            m.d.comb += [
                transfer.p.eq(self.transfer.p),
                transfer.valid.eq(self.transfer.valid & load.operands.target.matches(*targets)),
                beats.p.eq(self.beats.p),
                beats.valid.eq(self.beats.valid & ~ended),
            ]
        m.d.comb += [  # only a loader with a transfer is ready; the first takes it with a last beat
            self.beats_of[0].valid.eq(self.beats.valid),
            self.transfer.ready.eq(Cat(transfer.ready for transfer in self.transfers).any()),
            self.beats.ready.eq(Cat(beats.ready for beats in self.beats_of).any() & ~ended),
        ]
        with m.If(taken & self.beats.p.last):
            m.d.sync += ended.eq(1)
        finished = self.transfer.valid & self.transfer.ready
        with m.If(finished):
            m.d.sync += ended.eq(0)
        failed = taken & self.beats.p.error
        m.d.sync += [
            self.done.valid.eq(finished),
            self.done.signal.eq(load.signal),
            self.done.number.eq(load.number),
            self.fault.eq(fault(failed, FaultCode.READ, Unit.LOAD, load.number)),
        ]
        return m


class LoadUnit(wiring.Component):
    """Executes LOAD.

    Cycles of an instruction whose data are there: ``CYCLES`` and its beats, or two more and its
    words (pixels, residual) or bytes (a table). Its check and the memory's latency overlap with the
    data of the instructions before it, ``AHEAD`` of them at most.

    Members
    -------
    i : In(stream of LOAD's dispatch)
    regions : In(REGIONS_IN_FLIGHT)
    reader : Out(ReadClient)
    weights, parameters, exponents : Out(WritePort(part_write))
    gelu : Out(WritePort(gelu_write))
    pixels : Out(WritePort(pixel_write))
    residual : Out(stream of residual_write)
    done : Out(Completion)
    idle, busy : Out(1)
        Nothing in the unit; data are being written or awaited.
    stall : Out(2)
        Bit 0: memory has no beat for us. Bit 1: the residual refuses a word.
    fault : Out(Fault)
    """

    AHEAD = 8
    CYCLES = 1

    def __init__(self, config: EngineConfig):
        self.config = config
        part = Out(WritePort(part_write(config)))
        super().__init__(
            {
                **UnitPort(Opcode.LOAD).members,
                "regions": In(REGIONS_IN_FLIGHT),
                "reader": Out(ReadClient(config.memory_bytes)),
                "weights": part,
                "parameters": part,
                "exponents": part,
                "gelu": Out(WritePort(gelu_write(config))),
                "pixels": Out(WritePort(pixel_write(config))),
                "residual": Out(stream.Signature(residual_write(config))),
                "stall": Out(2),
                "fault": Out(Fault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = LoadCheck(self.config)
        m.submodules.transfers = transfers = Queue(transfer_layout(self.config), self.AHEAD)
        m.submodules.router = router = Router(self.config)
        m.submodules.parts = parts = PartLoader(self.config)
        m.submodules.words = words = ResidualLoader(self.config)
        m.submodules.cut = cut = CutLoader(self.config)
        m.submodules.faults = faults = FirstFault(2)

        connect(m, producer=wiring.flipped(self.i), consumer=check.i)
        connect(m, producer=check.command, consumer=wiring.flipped(self.reader.command))
        connect(m, producer=check.o, consumer=transfers.i)
        connect(m, producer=transfers.o, consumer=router.transfer)
        connect(m, producer=wiring.flipped(self.reader.beats), consumer=router.beats)
        for index, loader in enumerate((parts, words, cut)):
            connect(m, producer=router.transfers[index], consumer=loader.transfer)
            connect(m, producer=router.beats_of[index], consumer=loader.beats)
        connect(m, producer=parts.weights, consumer=wiring.flipped(self.weights))
        connect(m, producer=parts.parameters, consumer=wiring.flipped(self.parameters))
        connect(m, producer=parts.exponents, consumer=wiring.flipped(self.exponents))
        connect(m, producer=words.residual, consumer=wiring.flipped(self.residual))
        connect(m, producer=cut.pixels, consumer=wiring.flipped(self.pixels))
        connect(m, producer=cut.gelu, consumer=wiring.flipped(self.gelu))
        m.d.comb += [
            check.regions.eq(self.regions),
            faults.sources[0].eq(check.fault),
            faults.sources[1].eq(router.fault),
            self.fault.eq(faults.o),
            self.done.eq(router.done),
            self.idle.eq(check.idle & (transfers.level == 0) & ~self.done.valid),
            self.busy.eq(transfers.o.valid),
            self.stall[0].eq(transfers.o.valid & ~self.reader.beats.valid),
            self.stall[1].eq(self.residual.valid & ~self.residual.ready),
        ]
        return m
