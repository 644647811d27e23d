"""The way from the beats that memory answers to the loader that wants them."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.isa.faults import Fault, FaultCode, fault
from rtl.isa.instructions import Target, Unit
from rtl.isa.layouts import Completion
from rtl.memory.clients import beat_layout
from rtl.memory.load.transfer import transfer_layout


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
