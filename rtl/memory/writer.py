"""Writes to memory: AXI4 channels AW, W and B, for one client."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from rtl.config import EngineConfig
from rtl.memory import axi
from rtl.memory.bursts import LENGTH_BITS, BurstGenerator
from rtl.memory.clients import WriteClient


class Writer(wiring.Component):
    """Writes memory for the store unit, one burst at a time, and waits for every answer.

    ``clear`` forgets the command; a burst that has begun is completed without strobes.

    Members
    -------
    store : In(WriteClient)
    clear : In(1)
    quiet : Out(1)
    moved : Out(1)
    axi : Out(Axi4Write)
    """

    def __init__(self, config: EngineConfig):
        self.data_bytes = config.memory_bytes
        super().__init__(
            {
                "store": In(WriteClient(self.data_bytes)),
                "clear": In(1),
                "quiet": Out(1),
                "moved": Out(1),
                "axi": Out(axi.Axi4Write(self.data_bytes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus, command = self.axi, self.store.command
        generator = BurstGenerator(self.data_bytes)
        m.submodules.generator = ResetInserter(self.clear)(generator)
        burst = generator.bursts
        ahead = Signal(LENGTH_BITS)  # beats of the burst still to come
        more, final = Signal(), Signal()  # whether there are; whether it is the last burst
        aborted, failed = Signal(), Signal()
        axi.drive_address(m, bus, "aw", self.data_bytes)
        m.d.comb += [
            generator.command.p.address.eq(command.p.address),
            generator.command.p.bytes.eq(command.p.beats << exact_log2(self.data_bytes)),
            self.moved.eq(
                (bus.awvalid & bus.awready) | (bus.wvalid & bus.wready) | (bus.bvalid & bus.bready)
            ),
        ]
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    generator.command.valid.eq(command.valid),
                    command.ready.eq(generator.command.ready & ~self.clear),
                    self.quiet.eq(1),
                ]
                m.d.sync += [aborted.eq(0), failed.eq(0)]
                with m.If(command.valid & command.ready):
                    m.next = "BURST"
            with m.State("BURST"):
                m.d.comb += burst.ready.eq(1)
                m.d.sync += [
                    bus.awaddr.eq(burst.p.address),
                    bus.awlen.eq(burst.p.beats - 1),
                    ahead.eq(burst.p.beats),
                    final.eq(burst.p.last),
                ]
                with m.If(burst.valid):
                    m.d.sync += [bus.awvalid.eq(1), more.eq(1)]
                    m.next = "DATA"
                with m.Elif(self.clear):
                    m.next = "IDLE"
            with m.State("DATA"), m.If(~bus.awvalid & ~bus.wvalid & ~more):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += bus.bready.eq(1)
                with m.If(bus.bvalid):
                    m.d.sync += failed.eq(failed | bus.bresp[1])
                    m.next = "BURST"
                    with m.If(final | aborted | self.clear):
                        m.d.comb += [
                            self.store.done.eq(~aborted),
                            self.store.error.eq(failed | bus.bresp[1]),
                        ]
                        m.next = "IDLE"
        self._send(m, ahead, more, aborted)
        with m.If(self.clear):
            m.d.sync += aborted.eq(1)
        return m

    def _send(self, m: Module, ahead: Signal, more: Signal, aborted: Signal) -> None:
        """Channel W: a register that is filled from the client, or without strobes."""
        bus, beats = self.axi, self.store.beats
        free = ~bus.wvalid | bus.wready
        m.d.comb += beats.ready.eq(free & more & ~aborted)
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(free & more & (beats.valid | aborted)):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(beats.payload),
                bus.wstrb.eq(Mux(aborted, 0, ~0)),
                bus.wlast.eq(ahead == 1),
                ahead.eq(ahead - 1),
                more.eq(ahead != 1),
            ]
