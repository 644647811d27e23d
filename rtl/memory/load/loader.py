"""What the loaders have in common."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from rtl.config import EngineConfig
from rtl.link import link
from rtl.memory.beats import Cutter
from rtl.memory.clients import beat_layout
from rtl.memory.load.transfer import transfer_layout


class Loader(wiring.Component):
    """What the loaders have in common: a transfer, its beats, and the scratchpads that get them.

    A loader takes the transfer when it has made the last of its writes.

    Members
    -------
    transfer : In(stream of transfer_layout)
    beats : In(stream of beat_layout)
        Those of the transfer, no more.
    """

    def __init__(self, config: EngineConfig, writes: dict[str, wiring.Member]):
        self.config = config
        super().__init__(
            {
                "transfer": In(stream.Signature(transfer_layout(config))),
                "beats": In(stream.Signature(beat_layout(config.memory_bytes))),
                **writes,
            }
        )

    def running(self, m: Module) -> Signal:
        """Low for the cycle in which a transfer's counters are set."""
        running = Signal()
        m.d.sync += running.eq(self.transfer.valid & ~(running & self.transfer.ready))
        return running


class CutLoader(Loader):
    """A loader that gets bytes from a cutter. Counts the transfer's bytes; knows the last word."""

    def cut(self, m: Module, segment_bytes: object) -> tuple[Cutter, Signal, object]:
        """The cutter, whether it runs, and whether its word is the transfer's last."""
        m.submodules.cutter = cutter = Cutter(self.config.memory_bytes, self.config.depth_lanes)
        running = self.running(m)
        left = Signal.like(self.transfer.p.load.operands.bytes)
        link(m, wiring.flipped(self.beats), cutter.i)
        m.d.comb += [
            cutter.start.eq(~running),
            cutter.first.eq(self.transfer.p.first),
            cutter.segment_bytes.eq(segment_bytes),
            cutter.o.ready.eq(running),
            self.transfer.ready.eq(running & cutter.o.valid & (left <= cutter.o.p.used)),
        ]
        with m.If(~running):
            m.d.sync += left.eq(self.transfer.p.load.operands.bytes)
            m.d.comb += cutter.i.valid.eq(0)
            m.d.comb += self.beats.ready.eq(0)
        with m.Elif(cutter.o.valid):
            m.d.sync += left.eq(left - cutter.o.p.used)
        return cutter, running
