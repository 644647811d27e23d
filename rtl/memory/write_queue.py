"""Between a pipeline that cannot stall and the activation scratchpad, which may refuse a write."""

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.lib.streams import Queue
from rtl.memory.ports import WritePort, activation_write


class WriteQueue(wiring.Component):
    """Words of activations on their way out of a rigid pipeline, at most ``depth`` of them.

    Whoever starts a word sees to it that there is room: :class:`rtl.lib.counts.Credits`.

    Parameters
    ----------
    config : EngineConfig
    depth : int

    Members
    -------
    write : In(WritePort(activation_write))
    final : In(1)
        It is its instruction's last.
    o : Out(stream of activation_write)
    taken : Out(1)
        A word has left ``TOLD_LATENCY`` cycle ago.
    ended : Out(1)
        It was its instruction's last.
    stall : Out(1)
        A word was refused.
    """

    LATENCY = Queue.LATENCY
    TOLD_LATENCY = 1

    def __init__(self, config: EngineConfig, depth: int):
        self.depth = depth
        layout = activation_write(config)
        self.entry = data.StructLayout({"final": 1, "write": layout})
        super().__init__(
            {
                "write": In(WritePort(layout)),
                "final": In(1),
                "o": Out(stream.Signature(layout)),
                "taken": Out(1),
                "ended": Out(1),
                "stall": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(self.entry, self.depth)
        m.d.comb += [
            queue.i.valid.eq(self.write.valid),
            queue.i.p.write.eq(self.write.beat),
            queue.i.p.final.eq(self.final),
            self.o.valid.eq(queue.o.valid),
            self.o.p.eq(queue.o.p.write),
            queue.o.ready.eq(self.o.ready),
        ]
        taken = self.o.valid & self.o.ready
        m.d.sync += [
            self.taken.eq(taken),
            self.ended.eq(taken & queue.o.p.final),
            self.stall.eq(self.o.valid & ~self.o.ready),
        ]
        return m
