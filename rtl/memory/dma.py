"""Between the engine and its memory: reads for several clients, writes for one, over AXI4.

A client (:mod:`rtl.memory.clients`) sends a command and takes (or gives) beats of
``memory_bytes``; what a burst, a 4 KB boundary or an outstanding transaction is, only the reader,
the writer and :mod:`rtl.memory.bursts` know.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.config import EngineConfig
from rtl.lib.streams import connect
from rtl.memory import axi
from rtl.memory.clients import ReadClient, WriteClient
from rtl.memory.reader import Reader
from rtl.memory.writer import Writer


class Dma(wiring.Component):
    """Reader and writer on one AXI4 port.

    Parameters
    ----------
    config : EngineConfig
    attributes : AxiAttributes

    Members
    -------
    program, load : In(ReadClient)
    store : In(WriteClient)
    clear : In(1)
        Forget everything; hold for two cycles at least, and until ``quiet``.
    quiet : Out(1)
        Nothing was outstanding in the cycle before.
    moved : Out(1)
        Something moved on the bus in the cycle before.
    memory : Out(Axi4)
    """

    def __init__(self, config: EngineConfig, attributes: axi.AxiAttributes = axi.NORMAL):
        self.config = config
        self.attributes = attributes
        super().__init__(
            {
                "program": In(ReadClient(config.memory_bytes)),
                "load": In(ReadClient(config.memory_bytes)),
                "store": In(WriteClient(config.memory_bytes)),
                "clear": In(1),
                "quiet": Out(1),
                "moved": Out(1),
                "memory": Out(axi.Axi4(config.memory_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = Reader(self.config, self.attributes)
        m.submodules.writer = writer = Writer(self.config, self.attributes)
        connect(m, producer=wiring.flipped(self.program), consumer=reader.program)
        connect(m, producer=wiring.flipped(self.load), consumer=reader.load)
        connect(m, producer=wiring.flipped(self.store), consumer=writer.store)
        axi.pass_through(m, self.memory, reader.axi)
        axi.pass_through(m, self.memory, writer.axi)
        m.d.comb += [
            reader.clear.eq(self.clear),
            writer.clear.eq(self.clear),
        ]
        m.d.sync += [
            self.quiet.eq(reader.quiet & writer.quiet),
            self.moved.eq(reader.moved | writer.moved),
        ]
        return m
